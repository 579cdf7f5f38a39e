//! `exec`: runs a program per connection, on its standard input and output.
//!
//! ```text
//!   peer ──peer_to_child──► child's stdin     the peer's half-close is the child's end of input
//!   peer ◄─child_to_peer─── child's stdout    the child's end of output is the local half-close
//! ```
//!
//! The child has pipes, not the socket: bytes are counted, limits apply, TLS works, and a child that
//! is killed cannot reset data in flight. In every order of events the child and its process group
//! have exited at most a grace period after the connection.

mod child_io;
mod one_shot;
mod ucspi_env;

pub use one_shot::OneShot;

use std::io::{self, Read};
use std::process::ChildStdout;
use std::sync::atomic::Ordering;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::connection::half_closed;
use super::{Connection, Service, ServiceOutcome};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stream::{ConnectionHandle, ConnectionInfo, EndedBy, Writer};
use crate::process::child::{Child, Program};
use crate::shutdown::{earliest, poll_until};
use crate::transfer::buffer::Buffer;
use child_io::CopyState;

/// The stack of the thread that reads from the peer: TLS needs most of it.
const STACK_SIZE: usize = 256 << 10;
/// How long a peer may take to close once it has the complete output.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a wait for the peer's end is repeated where poll(2) does not report it.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The poll flag for the peer's end of stream, where there is one.
#[cfg(target_os = "linux")]
const PEER_EOF: PollFlags = PollFlags::RDHUP;
#[cfg(not(target_os = "linux"))]
const PEER_EOF: PollFlags = PollFlags::empty();

/// The exec service: a program for each connection.
#[derive(Debug)]
pub struct Exec {
    program: Program,
    grace: Duration,
    host: String,
}

/// How copying the child's output ended.
enum OutputEnd {
    /// The child closed its output, and all of it is sent.
    Complete,
    /// The peer closed before.
    PeerClosed,
    /// The connection failed while there was something to send.
    Failed(io::Error),
}

/// A failure of the connection, by direction.
enum CopyError {
    Send(io::Error),
    Receive(io::Error),
}

impl Exec {
    /// Runs `program` for each connection; it has `grace` to exit once its connection is closed.
    pub fn new(program: Program, grace: Duration) -> Exec {
        Exec { program, grace, host: ucspi_env::hostname() }
    }
}

impl Service for Exec {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        let environment = ucspi_env::for_connection(connection.info(), &self.host);
        let child = self.program.start(&environment).map_err(|e| {
            connection.stream.handle.abort();
            Failure::new(Phase::File, &self.program, e)
        })?;
        connection.activity.set_stream();
        let state = CopyState::default();
        let outcome = self.relay(connection, child, &state);
        connection.bytes_in = state.bytes_in.load(Ordering::Relaxed);
        outcome
    }

    fn close(&self) {
        self.program.kill_all();
    }
}

impl Exec {
    /// Copies both directions until the connection is closed and the child has exited.
    fn relay(
        &self,
        connection: &mut Connection,
        mut child: Child,
        state: &CopyState,
    ) -> Result<ServiceOutcome, Failure> {
        let stream = &mut connection.stream;
        let (handle, info) = (&stream.handle, &stream.info);
        let (reader, mut input) = (&mut stream.reader, child.input.take());
        let (activity, hook) = (&connection.activity, &connection.on_half_close);
        thread::scope(|scope| {
            let read = move || {
                let outcome = state.peer_to_child(reader.as_mut(), &mut input, activity);
                if state.peer_eof.load(Ordering::SeqCst) {
                    handle.probe_peer();
                    half_closed(hook, handle, EndedBy::Peer);
                }
                if outcome.is_err() && !state.output_sent.load(Ordering::SeqCst) {
                    state.has_failed.store(true, Ordering::SeqCst);
                    handle.abort();
                }
                outcome
            };
            let reading = thread::Builder::new().stack_size(STACK_SIZE).spawn_scoped(scope, read);
            let reading = reading.map_err(|e| {
                Failure::new(Phase::Socket, &info.peer, e).with_code(ExitCode::Negative)
            })?;
            let bytes_out = &mut connection.bytes_out;
            let writer = stream.writer.as_mut();
            let mut pump = OutputPump { handle, state, writer, bytes_out };
            let end = child.output.take().map_or(OutputEnd::Complete, |output| pump.run(output));
            let outcome = self.finish(end, pump, child, reading);
            outcome.map_err(|e| failure(info, state, e))
        })
    }

    /// Closes the connection, then ends the child, once its output has ended.
    fn finish(
        &self,
        end: OutputEnd,
        pump: OutputPump<'_>,
        child: Child,
        reading: ScopedJoinHandle<'_, io::Result<()>>,
    ) -> Result<ServiceOutcome, CopyError> {
        let OutputPump { handle, state, writer, .. } = pump;
        let has_failed = state.has_failed.load(Ordering::SeqCst);
        let by = match &end {
            _ if handle.closed_locally() => EndedBy::Signal,
            OutputEnd::Complete if !state.peer_eof.load(Ordering::SeqCst) => EndedBy::Us,
            _ => EndedBy::Peer,
        };
        // Data that arrived after the child's end of input has no reply: an orderly close would
        // hide that.
        let is_complete =
            matches!(end, OutputEnd::Complete) && !has_failed && !handle.left_unread();
        if is_complete {
            state.output_sent.store(true, Ordering::SeqCst);
            // A peer that is gone has read the output or never will.
            let _ = writer.finish();
            wait_for_close_or_exit(&child, handle);
        } else {
            handle.abort();
        }
        let status = child.terminate(self.grace, !is_complete);
        if !reading.is_finished() {
            handle.shutdown();
        }
        let read = reading.join().unwrap_or(Ok(()));
        match (end, read) {
            (OutputEnd::Failed(e), _) => Err(CopyError::Send(e)),
            (OutputEnd::PeerClosed, Err(e)) => Err(CopyError::Receive(e)),
            (_, Err(e)) if has_failed => Err(CopyError::Receive(e)),
            _ => Ok(ServiceOutcome { by, exit_status: Some(status), saved: None }),
        }
    }
}

/// Copies the child's output to the peer.
struct OutputPump<'a> {
    handle: &'a ConnectionHandle,
    state: &'a CopyState,
    writer: &'a mut dyn Writer,
    bytes_out: &'a mut u64,
}

impl OutputPump<'_> {
    fn run(&mut self, output: ChildStdout) -> OutputEnd {
        self.copy(output).unwrap_or_else(OutputEnd::Failed)
    }

    fn copy(&mut self, mut output: ChildStdout) -> io::Result<OutputEnd> {
        let mut buffer = Buffer::small();
        loop {
            if !self.wait_readable(&output)? {
                return Ok(OutputEnd::PeerClosed);
            }
            let n = match output.read(buffer.spare()) {
                Ok(0) => return Ok(OutputEnd::Complete),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            self.state.child_to_peer(self.writer, buffer.filled(n), self.bytes_out)?;
            buffer.grow_if_full(n);
        }
    }

    /// True once the child's output has bytes or has ended, false once the connection is gone: a
    /// hangup or an error, which poll(2) always reports. A peer that has half-closed still reads.
    fn wait_readable(&self, output: &ChildStdout) -> io::Result<bool> {
        let mut fds = [
            PollFd::new(output, PollFlags::IN),
            PollFd::new(self.handle.socket(), PollFlags::empty()),
        ];
        poll_until(&mut fds, None)?;
        Ok(!fds[0].revents().is_empty())
    }
}

/// Waits until the peer has closed, at most [`CLOSE_TIMEOUT`] after the child has exited.
fn wait_for_close_or_exit(child: &Child, handle: &ConnectionHandle) {
    let mut deadline = None;
    let closed = PEER_EOF | PollFlags::HUP | PollFlags::ERR;
    loop {
        let next_check = PEER_EOF.is_empty().then(|| Instant::now() + CHECK_INTERVAL);
        let mut fds = [PollFd::new(handle.socket(), PEER_EOF)];
        let has_exited = match deadline {
            None => child.wait(&mut fds, next_check).unwrap_or(true),
            Some(_) => poll_until(&mut fds, earliest(deadline, next_check)).is_err(),
        };
        if fds[0].revents().intersects(closed) || deadline.is_some_and(|at| at <= Instant::now()) {
            return;
        }
        if has_exited && deadline.is_none() {
            deadline = Some(Instant::now() + CLOSE_TIMEOUT);
        }
    }
}

/// The failure of a connection: 28 for the idle timeout, 18 when output was not delivered.
fn failure(info: &ConnectionInfo, state: &CopyState, error: CopyError) -> Failure {
    let received = state.bytes_in.load(Ordering::Relaxed);
    let (phase, e) = match error {
        CopyError::Send(e) => (Phase::Send, e),
        CopyError::Receive(e) => (Phase::Receive, e),
    };
    match (e.kind(), phase) {
        (io::ErrorKind::WouldBlock, _) => Failure::idle(phase, &info.peer),
        (_, Phase::Send) => Failure::send(&info.peer, e, 0, received).incomplete(),
        _ => Failure::receive(&info.peer, e, received),
    }
}
