//! What comes from the peer, brought by a thread of its own, so that waiting for it can end.

use std::io::ErrorKind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::CONN;
use crate::failure::{Code, Failure, Inner, Stage};
use crate::net::misfit;
use crate::net::stream::{Facts, Reader};
use crate::pump::tap::Tap;
use crate::report::Report;
use crate::report::event::{Event, Side};
use crate::stop::{Reason, Stop};

/// Pieces that may wait to be looked at; the peer waits behind them.
const PIECES: usize = 16;
/// The largest piece.
const PIECE: usize = 64 << 10;
/// How often a wait looks whether the run is to end.
const LOOK: Duration = Duration::from_millis(20);

/// Something that arrived.
pub enum Arrival {
    /// Bytes.
    Piece(Vec<u8>),
    /// The peer's stream has ended.
    End,
    /// The connection broke.
    Broken(std::io::Error),
}

/// Where arrivals wait.
pub struct Inbox {
    arrivals: Receiver<Arrival>,
    over: bool,
    facts: Facts,
    report: Report,
    /// Bytes taken out so far.
    pub received: u64,
}

/// What a wait came to.
pub enum Waited {
    /// Bytes arrived.
    Piece(Vec<u8>),
    /// The peer has ended.
    End,
    /// Nothing came in time.
    Late,
    /// The run is to end.
    Stopped(Reason),
}

impl Inbox {
    /// Starts to read.
    ///
    /// Fails when no thread can be had.
    pub fn open(
        reader: Box<dyn Reader>,
        facts: &Facts,
        tap: Option<Tap>,
        report: &Report,
    ) -> Result<Inbox, Failure> {
        let (sender, arrivals) = sync_channel(PIECES);
        thread::Builder::new()
            .name("inbox".into())
            .stack_size(256 << 10)
            .spawn(move || bring(reader, tap, &sender))
            .map_err(|e| Failure::new(Stage::Socket, &facts.peer, e).with_code(Code::Negative))?;
        let (facts, report) = (facts.clone(), report.clone());
        Ok(Inbox { arrivals, over: false, facts, report, received: 0 })
    }

    /// Waits for the next piece until `until`.
    ///
    /// Fails at [`Stage::Receive`] when the connection broke: 18 once bytes had come, else 56.
    pub fn next(&mut self, until: Option<Instant>, stop: &Stop) -> Result<Waited, Failure> {
        if self.over {
            return Ok(Waited::End);
        }
        loop {
            if let Some(reason) = stop.reason() {
                return Ok(Waited::Stopped(reason));
            }
            let left = until.map_or(LOOK, |at| at.saturating_duration_since(Instant::now()));
            match self.arrivals.recv_timeout(left.min(LOOK)) {
                Ok(Arrival::Piece(bytes)) => {
                    self.received += bytes.len() as u64;
                    return Ok(Waited::Piece(bytes));
                }
                Ok(Arrival::End) | Err(RecvTimeoutError::Disconnected) => {
                    self.over = true;
                    self.report.tell(&Event::HalfClosed {
                        conn: CONN,
                        by: Side::Peer,
                        caller: None,
                    });
                    return Ok(Waited::End);
                }
                Ok(Arrival::Broken(e)) => {
                    self.over = true;
                    return Err(self.broken(e));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if until.is_some_and(|at| at <= Instant::now()) {
                return Ok(Waited::Late);
            }
        }
    }

    /// Whether the peer has ended.
    pub fn is_over(&self) -> bool {
        self.over
    }

    fn broken(&self, e: std::io::Error) -> Failure {
        if Inner::of(&e).is_some() {
            return Failure::new(Stage::Receive, &self.facts.peer, e);
        }
        let cut = e.kind() == ErrorKind::UnexpectedEof;
        let failure = Failure::new(Stage::Receive, &self.facts.peer, e);
        match self.received > 0 || cut {
            true => failure.with_code(Code::Partial),
            false => failure,
        }
    }
}

fn bring(mut reader: Box<dyn Reader>, mut tap: Option<Tap>, sender: &SyncSender<Arrival>) {
    let mut buffer = vec![0; PIECE];
    let mut alerted = None;
    loop {
        let arrival = match reader.read(&mut buffer) {
            Ok(0) if alerted == Some(true) => Arrival::Broken(misfit::met_tls()),
            Ok(0) => Arrival::End,
            Ok(n) => {
                alerted = Some(alerted.is_none() && misfit::is_alert(&buffer[..n]));
                if let Some(tap) = &mut tap {
                    tap.see(&buffer[..n]);
                }
                Arrival::Piece(buffer[..n].to_vec())
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => Arrival::Broken(e),
        };
        let last = !matches!(arrival, Arrival::Piece(_));
        if sender.send(arrival).is_err() || last {
            return;
        }
    }
}
