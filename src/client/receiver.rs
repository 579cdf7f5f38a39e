//! The receive side of a prompt or a script: a thread reads the connection, so that a wait for
//! data can end early.

use std::io::{self, ErrorKind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::output_sink::OutputSink;
use super::result::CONN;
use crate::error::{Failure, Phase};
use crate::net::stream::{ConnectionInfo, Reader};
use crate::net::tls_alert;
use crate::report::context::Context;
use crate::report::event::{Event, Side};
use crate::shutdown::ShutdownReason;
use crate::transfer::tap::Tap;
use crate::transfer::throttle::Throttle;

/// Reads that may be queued; then the thread stops reading, and TCP slows the peer down.
const MAX_QUEUED: usize = 16;
/// Bytes of the largest read.
const MAX_READ: usize = 64 << 10;
/// How often a wait checks for a shutdown, a closed stdout and the idle timeout.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The outcome of one read(2): no bytes at the end of the stream.
type ReadResult = io::Result<Vec<u8>>;

/// Received bytes that are not processed yet.
pub struct ReceiveQueue {
    reads: Receiver<ReadResult>,
    /// Whether the peer has ended its stream.
    pub at_eof: bool,
    info: ConnectionInfo,
    context: Context,
    /// When bytes were last sent or received.
    last_activity: Instant,
    /// `--idle-timeout`: how long a wait may last in which nothing is sent or received.
    pub idle_timeout: Option<Duration>,
    /// Bytes taken out so far.
    pub received: u64,
}

/// The outcome of a wait.
pub enum RecvOutcome {
    /// Bytes arrived.
    Data(Vec<u8>),
    /// The peer ended its stream.
    Eof,
    /// Nothing arrived before the deadline of the wait.
    TimedOut,
    /// The run was interrupted, terminated, or reached its limit.
    Shutdown(ShutdownReason),
}

impl ReceiveQueue {
    /// Starts the thread that reads.
    ///
    /// Fails at [`Phase::Socket`] when the thread cannot be created.
    pub fn open(
        thread: ReaderThread,
        info: &ConnectionInfo,
        idle_timeout: Option<Duration>,
        context: &Context,
    ) -> Result<ReceiveQueue, Failure> {
        let (sender, reads) = sync_channel(MAX_QUEUED);
        thread::Builder::new()
            .name("receiver".into())
            .stack_size(256 << 10)
            .spawn(move || thread.run(&sender))
            .map_err(|e| Failure::local_resource(&info.peer, e))?;
        Ok(ReceiveQueue {
            reads,
            at_eof: false,
            info: info.clone(),
            context: context.clone(),
            last_activity: Instant::now(),
            idle_timeout,
            received: 0,
        })
    }

    /// Restarts the idle timeout, because bytes were sent or a pause of ours ended.
    pub fn note_activity(&mut self) {
        self.last_activity = Instant::now();
    }

    /// Waits for the next bytes until `deadline`, and checks meanwhile that `output` is open.
    ///
    /// Fails at [`Phase::Receive`] when the connection broke, 18 once bytes had come, else 56; with
    /// 28 when the idle timeout passed; and as [`OutputSink::check`] does.
    pub fn recv(
        &mut self,
        deadline: Option<Instant>,
        output: &OutputSink,
    ) -> Result<RecvOutcome, Failure> {
        while !self.at_eof {
            if let Some(reason) = self.context.shutdown.reason() {
                return Ok(RecvOutcome::Shutdown(reason));
            }
            let left =
                deadline.map_or(POLL_INTERVAL, |at| at.saturating_duration_since(Instant::now()));
            match self.reads.recv_timeout(left.min(POLL_INTERVAL)) {
                Ok(read) => return self.on_read(read),
                Err(RecvTimeoutError::Disconnected) => return self.on_read(Ok(Vec::new())),
                Err(RecvTimeoutError::Timeout) => {}
            }
            output.check()?;
            self.check_idle()?;
            if deadline.is_some_and(|at| at <= Instant::now()) {
                return Ok(RecvOutcome::TimedOut);
            }
        }
        Ok(RecvOutcome::Eof)
    }

    fn on_read(&mut self, read: ReadResult) -> Result<RecvOutcome, Failure> {
        let bytes = read.map_err(|e| {
            self.at_eof = true;
            Failure::receive(&self.info.peer, e, self.received)
        })?;
        if bytes.is_empty() {
            self.at_eof = true;
            let half_closed = Event::HalfClosed { conn: CONN, by: Side::Peer, peer: None };
            self.context.report.emit(&half_closed);
            return Ok(RecvOutcome::Eof);
        }
        self.received += bytes.len() as u64;
        self.note_activity();
        Ok(RecvOutcome::Data(bytes))
    }

    fn check_idle(&self) -> Result<(), Failure> {
        match self.idle_timeout {
            Some(limit) if self.last_activity.elapsed() >= limit => {
                Err(Failure::timeout(Phase::Receive, &self.info.peer, limit))
            }
            _ => Ok(()),
        }
    }
}

/// The thread that reads.
pub struct ReaderThread {
    /// The receiving half of the connection.
    pub reader: Box<dyn Reader>,
    /// Sees the bytes as they arrive.
    pub tap: Option<Tap>,
    /// Limits the rate.
    pub throttle: Option<Throttle>,
}

impl ReaderThread {
    fn run(mut self, sender: &SyncSender<ReadResult>) {
        let max_read = self.throttle.as_ref().map_or(MAX_READ, |t| t.chunk_size().min(MAX_READ));
        let mut buffer = vec![0; max_read];
        // Whether all that came, in one read, is a TLS alert.
        let mut is_alert = None;
        loop {
            let read = match self.reader.read(&mut buffer) {
                Ok(0) if is_alert == Some(true) => Err(tls_alert::plaintext_to_tls_error()),
                Ok(0) => Ok(Vec::new()),
                Ok(n) => {
                    is_alert = Some(is_alert.is_none() && tls_alert::is_alert(&buffer[..n]));
                    self.process(&buffer[..n]);
                    Ok(buffer[..n].to_vec())
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => Err(e),
            };
            let is_last = !matches!(&read, Ok(bytes) if !bytes.is_empty());
            if sender.send(read).is_err() || is_last {
                return;
            }
        }
    }

    fn process(&mut self, bytes: &[u8]) {
        if let Some(throttle) = &mut self.throttle {
            throttle.wait_for(bytes.len());
        }
        if let Some(tap) = &mut self.tap {
            tap.on_bytes(bytes);
        }
    }
}
