//! What comes from the peer, brought by a thread of its own, so that waiting for it can end.

use std::io::ErrorKind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::CONN;
use super::output_sink::OutputSink;
use crate::error::{ExitCode, Failure, LayerError, Phase, message_without_errno};
use crate::flags::session::SessionFlags;
use crate::net::stream::{ConnectionInfo, Reader};
use crate::net::tls_alert;
use crate::report::Report;
use crate::report::event::{Event, Side};
use crate::shutdown::{Shutdown, ShutdownReason};
use crate::transfer::tap::Tap;
use crate::transfer::throttle::Throttle;

/// Pieces that may wait to be looked at; the peer waits behind them.
const PIECES: usize = 16;
/// The largest piece.
const PIECE: usize = 64 << 10;
/// How often a wait looks whether the run is to end.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Something that arrived.
pub enum Incoming {
    /// Bytes.
    Piece(Vec<u8>),
    /// The peer's stream has ended.
    End,
    /// The connection broke.
    Broken(std::io::Error),
}

/// Where arrivals wait.
pub struct ReceiveQueue {
    arrivals: Receiver<Incoming>,
    over: bool,
    facts: ConnectionInfo,
    report: Report,
    /// When something last went either way.
    moved_at: Instant,
    /// `--idle-timeout`: how long nothing may go either way while somebody waits here.
    pub idle: Option<Duration>,
    /// Bytes taken out so far.
    pub received: u64,
}

/// What a wait came to.
pub enum RecvOutcome {
    /// Bytes arrived.
    Piece(Vec<u8>),
    /// The peer has ended.
    End,
    /// Nothing came in time.
    Late,
    /// The run is to end.
    Stopped(ShutdownReason),
}

impl ReceiveQueue {
    /// Starts to read, as `talk` says.
    ///
    /// Fails when no thread can be had.
    pub fn open(
        reader: Box<dyn Reader>,
        facts: &ConnectionInfo,
        tap: Option<Tap>,
        talk: &SessionFlags,
        report: &Report,
    ) -> Result<ReceiveQueue, Failure> {
        let (sender, arrivals) = sync_channel(PIECES);
        let bringer = ReaderThread { reader, tap, pace: talk.rate.map(Throttle::new) };
        thread::Builder::new()
            .name("inbox".into())
            .stack_size(256 << 10)
            .spawn(move || bringer.run(&sender))
            .map_err(|e| {
                Failure::new(Phase::Socket, &facts.peer, e).with_code(ExitCode::Negative)
            })?;
        Ok(ReceiveQueue {
            arrivals,
            over: false,
            facts: facts.clone(),
            report: report.clone(),
            moved_at: Instant::now(),
            idle: talk.idle_timeout.0,
            received: 0,
        })
    }

    /// Something of ours went out, or our own pause ended: nobody is idle.
    pub fn moved(&mut self) {
        self.moved_at = Instant::now();
    }

    /// Waits for the next piece until `until`, and looks all the while whether `taker` is there.
    ///
    /// Fails at [`Stage::Receive`] when the connection broke, 18 once bytes had come, else 56; and
    /// with 28 when nothing moved for too long.
    pub fn next(
        &mut self,
        until: Option<Instant>,
        taker: &OutputSink,
        stop: &Shutdown,
    ) -> Result<RecvOutcome, Failure> {
        if self.over {
            return Ok(RecvOutcome::End);
        }
        loop {
            if let Some(reason) = stop.reason() {
                return Ok(RecvOutcome::Stopped(reason));
            }
            let left =
                until.map_or(POLL_INTERVAL, |at| at.saturating_duration_since(Instant::now()));
            match self.arrivals.recv_timeout(left.min(POLL_INTERVAL)) {
                Ok(Incoming::Piece(bytes)) => {
                    self.received += bytes.len() as u64;
                    self.moved();
                    return Ok(RecvOutcome::Piece(bytes));
                }
                Ok(Incoming::End) | Err(RecvTimeoutError::Disconnected) => {
                    self.over = true;
                    self.report.emit(&Event::HalfClosed { conn: CONN, by: Side::Peer, peer: None });
                    return Ok(RecvOutcome::End);
                }
                Ok(Incoming::Broken(e)) => {
                    self.over = true;
                    return Err(self.broken(e));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            taker.check()?;
            self.check_idle()?;
            if until.is_some_and(|at| at <= Instant::now()) {
                return Ok(RecvOutcome::Late);
            }
        }
    }

    fn check_idle(&self) -> Result<(), Failure> {
        match self.idle {
            Some(limit) if self.moved_at.elapsed() >= limit => {
                Err(Failure::timeout(Phase::Receive, &self.facts.peer, limit))
            }
            _ => Ok(()),
        }
    }

    /// Whether the peer has ended.
    pub fn is_over(&self) -> bool {
        self.over
    }

    fn broken(&self, e: std::io::Error) -> Failure {
        if LayerError::of(&e).is_some() {
            return Failure::new(Phase::Receive, &self.facts.peer, e);
        }
        let code = if self.received > 0 { ExitCode::Partial } else { ExitCode::Receive };
        let why = match self.received {
            0 => message_without_errno(&e),
            n => format!("{} after {n} bytes", message_without_errno(&e)),
        };
        Failure::new(Phase::Receive, &self.facts.peer, why).with_code(code)
    }
}

/// The thread that reads.
struct ReaderThread {
    reader: Box<dyn Reader>,
    tap: Option<Tap>,
    pace: Option<Throttle>,
}

impl ReaderThread {
    fn run(mut self, sender: &SyncSender<Incoming>) {
        let most = self.pace.as_ref().map_or(PIECE, |pace| pace.chunk_size().min(PIECE));
        let mut buffer = vec![0; most];
        let mut alerted = None;
        loop {
            let arrival = match self.reader.read(&mut buffer) {
                Ok(0) if alerted == Some(true) => {
                    Incoming::Broken(tls_alert::plaintext_to_tls_error())
                }
                Ok(0) => Incoming::End,
                Ok(n) => {
                    alerted = Some(alerted.is_none() && tls_alert::is_alert(&buffer[..n]));
                    self.piece(&buffer[..n])
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => Incoming::Broken(e),
            };
            let last = !matches!(arrival, Incoming::Piece(_));
            if sender.send(arrival).is_err() || last {
                return;
            }
        }
    }

    fn piece(&mut self, bytes: &[u8]) -> Incoming {
        if let Some(pace) = &mut self.pace {
            pace.wait_for(bytes.len());
        }
        if let Some(tap) = &mut self.tap {
            tap.on_bytes(bytes);
        }
        Incoming::Piece(bytes.to_vec())
    }
}
