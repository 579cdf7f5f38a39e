//! Copies between a peer and its child, one direction on each thread, with the state they share.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags};

use crate::net::activity::Activity;
use crate::net::stream::{ConnectionHandle, EndedBy, Reader, Writer};
use crate::poll::poll_until;
use crate::transfer::buffer::Buffer;
use crate::transfer::{Meter, TransferError, write_counted};

/// Bytes that a peer may still send after the child's end of output.
const MAX_DRAIN: u64 = 1 << 20;

/// What has happened on the connection, as far as it decides how it is closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExchangeState {
    /// Neither direction has ended.
    #[default]
    Open,
    /// The peer's end of stream has been read.
    PeerEnded,
    /// Receiving failed while there was output to send.
    Failed,
    /// The child's complete output has been sent.
    Answered,
}

/// How copying from the peer ended.
#[derive(Debug)]
pub enum InputEnd {
    /// The peer's end of stream.
    Eof,
    /// The output was sent, and the peer sends without end.
    Abandoned,
    /// Receiving failed, or the idle timeout passed.
    Failed(io::Error),
}

/// How copying the child's output ended.
#[derive(Debug)]
pub enum OutputEnd {
    /// The child closed its output, and all of it is sent.
    Complete,
    /// The peer closed before.
    PeerClosed,
    /// The connection failed while there was something to send.
    Failed(io::Error),
}

/// Both directions of one connection.
///
/// | state \ event | end of stream of the peer | failed read | complete output | incomplete output |
/// |---|---|---|---|---|
/// | Open | PeerEnded | Failed, reset | Answered, half-close | reset |
/// | PeerEnded | – | – | Answered, half-close | reset |
/// | Failed | – | – | reset | reset |
/// | Answered | Answered | Answered | – | – |
///
/// Each thread reports the end of its direction once, so that the first three states are those at
/// the end of the output.
#[derive(Debug)]
pub struct ExecExchange<'a> {
    /// Ends the connection.
    pub handle: &'a ConnectionHandle,
    activity: &'a Activity,
    state: Mutex<ExchangeState>,
    /// Bytes from the peer.
    pub received: Meter,
    /// Bytes to the peer, also before a failure.
    pub sent: Meter,
    /// Bytes that had moved in both directions when the idle timeout was last checked.
    checked: AtomicU64,
}

impl<'a> ExecExchange<'a> {
    /// An open connection.
    pub fn new(handle: &'a ConnectionHandle, activity: &'a Activity) -> ExecExchange<'a> {
        let (state, checked) = (Mutex::default(), AtomicU64::new(0));
        let (received, sent) = (Meter::default(), Meter::default());
        ExecExchange { handle, activity, state, received, sent, checked }
    }

    /// Copies from the peer to the child until the peer's end of stream, also when the child does
    /// not read: closing the socket with unread data would reset it, and the peer would lose the
    /// output.
    ///
    /// Fails when the connection fails, or no byte moved in either direction for the idle timeout;
    /// the connection is reset then, unless the output has been sent. Does not close the child's
    /// input: the child may exit as soon as it ends, and what ended it is recorded before.
    pub fn receive(&self, reader: &mut dyn Reader, child: &mut Option<impl Write>) -> InputEnd {
        let end = self.copy_input(reader, child).unwrap_or_else(InputEnd::Failed);
        let mut state = self.lock();
        match (&end, *state) {
            (InputEnd::Eof, ExchangeState::Open) => *state = ExchangeState::PeerEnded,
            (InputEnd::Failed(_), ExchangeState::Open) => {
                *state = ExchangeState::Failed;
                self.handle.abort();
            }
            _ => {}
        }
        end
    }

    fn copy_input(
        &self,
        reader: &mut dyn Reader,
        child: &mut Option<impl Write>,
    ) -> io::Result<InputEnd> {
        let mut buffer = Buffer::small();
        let mut drained = 0;
        loop {
            let n = match self.activity.while_waiting(|| reader.read(buffer.spare())) {
                Ok(0) => return Ok(InputEnd::Eof),
                Ok(n) => n,
                Err(e) if self.should_retry(&e) => continue,
                Err(e) => return Err(e),
            };
            self.received.add(n);
            if *self.lock() == ExchangeState::Answered {
                drained += n as u64;
            }
            if drained > MAX_DRAIN {
                return Ok(InputEnd::Abandoned);
            }
            if let Some(pipe) = child
                && pipe.write_all(buffer.filled(n)).is_err()
            {
                *child = None;
            }
            buffer.grow_if_full(n);
        }
    }

    /// Copies the child's output to the peer.
    pub fn send(&self, writer: &mut dyn Writer, output: impl Read + AsFd) -> OutputEnd {
        self.copy_output(writer, output).unwrap_or_else(OutputEnd::Failed)
    }

    fn copy_output(
        &self,
        writer: &mut dyn Writer,
        mut output: impl Read + AsFd,
    ) -> io::Result<OutputEnd> {
        let mut buffer = Buffer::small();
        loop {
            if !self.wait_readable(&output)? {
                return Ok(OutputEnd::PeerClosed);
            }
            let n = match output.read(buffer.spare()) {
                Ok(0) => return Ok(OutputEnd::Complete),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            write_counted(buffer.filled(n), writer, &self.sent, |e| self.should_retry(e))?;
            writer.flush()?;
            buffer.grow_if_full(n);
        }
    }

    /// True once the child's output has bytes or has ended, false once the connection is gone: a
    /// hangup or an error, which poll(2) always reports. A peer that has half-closed still reads.
    fn wait_readable(&self, output: &impl AsFd) -> io::Result<bool> {
        let mut fds = [
            PollFd::new(output, PollFlags::IN),
            PollFd::new(self.handle.socket(), PollFlags::empty()),
        ];
        poll_until(&mut fds, None)?;
        Ok(!fds[0].revents().is_empty())
    }

    /// Whether a failed call is retried: after a signal, or when the idle timeout passed in this
    /// direction while bytes moved in the other.
    fn should_retry(&self, e: &io::Error) -> bool {
        match e.kind() {
            ErrorKind::Interrupted => true,
            ErrorKind::WouldBlock => {
                let moved = self.received.total() + self.sent.total();
                self.checked.swap(moved, Ordering::Relaxed) != moved
            }
            _ => false,
        }
    }

    /// Looks up the end of the output in the table; returns the state before it.
    pub fn end_output(&self, end: &OutputEnd) -> ExchangeState {
        let mut state = self.lock();
        let before = *state;
        // Data that arrived after the child's end of input has no reply: an orderly close would
        // hide that.
        let is_complete = matches!(end, OutputEnd::Complete) && before != ExchangeState::Failed;
        if is_complete && !self.handle.left_unread() {
            *state = ExchangeState::Answered;
        }
        before
    }

    /// Whether the complete output has been sent.
    pub fn is_answered(&self) -> bool {
        *self.lock() == ExchangeState::Answered
    }

    fn lock(&self) -> MutexGuard<'_, ExchangeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What ended the connection, by the state at the end of the output.
pub fn ended_by(state: ExchangeState, end: &OutputEnd, handle: &ConnectionHandle) -> EndedBy {
    match end {
        _ if handle.closed_locally() => EndedBy::Signal,
        OutputEnd::Complete if state != ExchangeState::PeerEnded => EndedBy::Local,
        _ => EndedBy::Peer,
    }
}

/// The failure of both directions together: a failed read counts if it came before the end of the
/// output, which was in `state` then.
pub fn failure(state: ExchangeState, output: OutputEnd, input: InputEnd) -> Option<TransferError> {
    match (output, input) {
        (OutputEnd::Failed(e), _) => Some(TransferError::Write(e)),
        (OutputEnd::PeerClosed, InputEnd::Failed(e)) => Some(TransferError::Read(e)),
        (OutputEnd::Complete, InputEnd::Failed(e)) if state == ExchangeState::Failed => {
            Some(TransferError::Read(e))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::stream::Stream;
    use crate::test_run::tcp_pair;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    struct Ends {
        stream: Stream,
        peer: UnixStream,
        activity: Activity,
    }

    impl Ends {
        fn new() -> Ends {
            let (local, peer) = UnixStream::pair().unwrap();
            let stream = Stream::from_socket(local.into()).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            Ends { stream, peer, activity: Activity::default() }
        }
    }

    fn reset() -> io::Error {
        ErrorKind::ConnectionReset.into()
    }

    #[test]
    fn peer_is_copied_to_the_child_until_its_end_of_stream() {
        let Ends { mut stream, mut peer, activity } = Ends::new();
        let exchange = ExecExchange::new(&stream.handle, &activity);
        peer.write_all(b"question").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let mut input = Vec::new();
        let received = exchange.receive(stream.reader.as_mut(), &mut Some(&mut input));
        assert_eq!((exchange.received.total(), input.as_slice()), (8, &b"question"[..]));
        assert!(matches!(received, InputEnd::Eof));
        let state = exchange.end_output(&OutputEnd::Complete);
        assert_eq!(state, ExchangeState::PeerEnded);
        assert_eq!(ended_by(state, &OutputEnd::Complete, &stream.handle), EndedBy::Peer);
        assert!(exchange.is_answered());
    }

    #[test]
    fn output_is_copied_to_the_peer_and_counted() {
        let Ends { mut stream, mut peer, activity } = Ends::new();
        let exchange = ExecExchange::new(&stream.handle, &activity);
        let (output, mut child) = io::pipe().unwrap();
        child.write_all(b"answer").unwrap();
        drop(child);
        let end = exchange.send(stream.writer.as_mut(), output);
        assert!(matches!(end, OutputEnd::Complete), "{end:?}");
        let mut answer = [0; 6];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!((exchange.sent.total(), &answer), (6, b"answer"));
        let state = exchange.end_output(&end);
        assert_eq!(state, ExchangeState::Open);
        assert_eq!(ended_by(state, &end, &stream.handle), EndedBy::Local);
    }

    #[test]
    fn peer_that_closes_before_the_output_ends_the_copy() {
        let Ends { mut stream, peer, activity } = Ends::new();
        let exchange = ExecExchange::new(&stream.handle, &activity);
        let (output, _child) = io::pipe().unwrap();
        drop(peer);
        let end = exchange.send(stream.writer.as_mut(), output);
        assert!(matches!(end, OutputEnd::PeerClosed), "{end:?}");
        exchange.end_output(&end);
        assert!(!exchange.is_answered());
    }

    #[test]
    fn child_that_does_not_read_leaves_the_peer_unharmed() {
        let Ends { mut stream, mut peer, activity } = Ends::new();
        let exchange = ExecExchange::new(&stream.handle, &activity);
        peer.write_all(&[b'x'; 5000]).unwrap();
        drop(peer);
        let (unread, input) = io::pipe().unwrap();
        drop(unread);
        let received = exchange.receive(stream.reader.as_mut(), &mut Some(input));
        assert_eq!(exchange.received.total(), 5000);
        assert!(matches!(received, InputEnd::Eof));
    }

    #[test]
    fn peer_that_sends_without_end_after_the_output_is_abandoned() {
        let Ends { mut stream, mut peer, activity } = Ends::new();
        let exchange = ExecExchange::new(&stream.handle, &activity);
        exchange.end_output(&OutputEnd::Complete);
        let sender = std::thread::spawn(move || while peer.write_all(&[0; 65536]).is_ok() {});
        let received = exchange.receive(stream.reader.as_mut(), &mut None::<Vec<u8>>);
        assert!(matches!(received, InputEnd::Abandoned));
        assert!(exchange.received.total() > MAX_DRAIN);
        drop(stream);
        sender.join().unwrap();
    }

    #[test]
    fn idle_timeout_counts_bytes_of_the_other_direction() {
        let Ends { mut stream, peer: _peer, activity } = Ends::new();
        stream.handle.limit_waits(Some(Duration::from_millis(10))).unwrap();
        let exchange = ExecExchange::new(&stream.handle, &activity);
        exchange.sent.add(1);
        assert!(exchange.should_retry(&ErrorKind::WouldBlock.into()));
        let received = exchange.receive(stream.reader.as_mut(), &mut None::<Vec<u8>>);
        assert!(matches!(received, InputEnd::Failed(e) if e.kind() == ErrorKind::WouldBlock));
        assert_eq!(exchange.end_output(&OutputEnd::Complete), ExchangeState::Failed);
        assert!(!exchange.is_answered());
        assert!(stream.handle.closed_locally(), "reset");
    }

    #[test]
    fn failed_read_after_the_output_does_not_reset() {
        let (local, peer) = tcp_pair();
        let mut stream = Stream::from_socket(local).unwrap();
        let activity = Activity::default();
        let exchange = ExecExchange::new(&stream.handle, &activity);
        exchange.end_output(&OutputEnd::Complete);
        peer.set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        let received = exchange.receive(stream.reader.as_mut(), &mut None::<Vec<u8>>);
        assert!(matches!(received, InputEnd::Failed(_)));
        assert!(exchange.is_answered() && !stream.handle.closed_locally());
    }

    #[test]
    fn failure_is_that_of_undelivered_output_or_of_an_earlier_read() {
        use ExchangeState::{Failed, Open, PeerEnded};
        let failed = || InputEnd::Failed(reset());
        let none = failure(Open, OutputEnd::Complete, failed());
        assert!(none.is_none(), "the read failed after the output");
        let none = failure(PeerEnded, OutputEnd::PeerClosed, InputEnd::Eof);
        assert!(none.is_none());
        for (state, output) in [(Failed, OutputEnd::Complete), (Open, OutputEnd::PeerClosed)] {
            let failure = failure(state, output, failed());
            assert!(matches!(failure, Some(TransferError::Read(_))), "{state:?}");
        }
        let failure = failure(Open, OutputEnd::Failed(reset()), failed());
        assert!(matches!(failure, Some(TransferError::Write(_))));
    }
}
