//! A ping: numbered datagrams at an even pace, and what became of them.

use std::hash::{BuildHasher, RandomState};
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::ping_stats::PingStats;
use super::targets::{ClientSocket, Targets};
use crate::datagram::{MAX_UDP_PAYLOAD, RecvBatch};
use crate::error::{ExitCode, Failure, Phase, message_without_errno};
use crate::net::stdout;
use crate::report::Report;
use crate::report::datagram_stats::Ping;
use crate::report::event::Event;
use crate::report::json;
use crate::shutdown::{Shutdown, WaitOutcome};

/// Bytes of a ping unless the user says otherwise.
pub const SIZE: usize = 64;
/// The fewest: the longest mark has so many.
const LEAST: usize = 32;
/// How long we stay at least after the last answer, for a second one to the same datagram.
const LINGER: Duration = Duration::from_millis(10);

/// What the user wants to know.
#[derive(Debug, Clone, Copy)]
pub struct PingOptions {
    /// Datagrams to send.
    pub count: u32,
    /// Time between them.
    pub interval: Duration,
    /// How long answers to the last one are awaited; nothing = without limit.
    pub wait: Option<Duration>,
    /// Bytes of each.
    pub size: usize,
}

/// Fails with code 2 on a size that a ping cannot have.
pub fn check(size: usize) -> Result<(), Failure> {
    match size {
        LEAST..=MAX_UDP_PAYLOAD => Ok(()),
        _ => {
            let why = format!("a ping has {LEAST} to {MAX_UDP_PAYLOAD} bytes, not {size}");
            Err(Failure::usage(Phase::Send, "--size", why))
        }
    }
}

/// Sends, listens, and tells what was found on stdout. 1 when nothing was answered.
///
/// Fails when the line cannot be opened, and at [`Stage::Receive`] when the run is to end; then
/// what was found is told before.
pub fn ping(
    mut lines: Targets<'_>,
    plan: PingOptions,
    report: &Report,
    stop: &Shutdown,
) -> Result<ExitCode, Failure> {
    let line = lines.first(report)?;
    let batch = line.mailbox.batch();
    let mark = format!("sockit-ping {:08x} ", RandomState::new().hash_one(()) as u32);
    let mut pinger = Pinger {
        line,
        plan,
        token: mark,
        figures: PingStats::default(),
        refused: false,
        report,
        stop,
    };
    let outcome = pinger.run(batch);
    let found = pinger.figures.ping(pinger.line.shown.to_string());
    let answered = found.received > 0;
    log_result(found, report, stop)?;
    outcome?;
    Ok(if answered { ExitCode::Done } else { ExitCode::Negative })
}

struct Pinger<'a> {
    line: ClientSocket,
    plan: PingOptions,
    /// What our datagrams begin with, before their number.
    token: String,
    figures: PingStats,
    refused: bool,
    report: &'a Report,
    stop: &'a Shutdown,
}

impl Pinger<'_> {
    fn run(&mut self, mut batch: RecvBatch) -> Result<(), Failure> {
        let began = Instant::now();
        for n in 0..self.plan.count {
            self.listen(began.checked_add(self.plan.interval * n), &mut batch)?;
            self.send(n + 1)?;
        }
        let until = self.plan.wait.and_then(|wait| Instant::now().checked_add(wait));
        while self.figures.received() < self.figures.count() {
            if !self.listen_once(until, &mut batch)? {
                return Ok(());
            }
        }
        let linger = Instant::now() + LINGER.max(self.figures.longest() * 2);
        self.listen(Some(until.map_or(linger, |until| until.min(linger))), &mut batch)
    }

    fn send(&mut self, number: u32) -> Result<(), Failure> {
        let mut payload = format!("{}{number} ", self.token).into_bytes();
        payload.resize(self.plan.size, b'.');
        self.figures.sent(Instant::now());
        match self.line.send(&payload) {
            Ok(()) => {}
            // It is lost like any other, and counted so.
            Err(e) if is_passing(&e) => {
                self.report.step(|| {
                    format!("Sending ping {number} failed: {}", message_without_errno(&e))
                });
            }
            Err(e) => return Err(self.line.unsent(e)),
        }
        Ok(())
    }

    /// Takes answers until a moment has come.
    fn listen(&mut self, until: Option<Instant>, batch: &mut RecvBatch) -> Result<(), Failure> {
        while self.listen_once(until, batch)? {}
        Ok(())
    }

    /// Takes what comes next; false when `until` has come first.
    fn listen_once(
        &mut self,
        until: Option<Instant>,
        batch: &mut RecvBatch,
    ) -> Result<bool, Failure> {
        let failed = |e| Failure::new(Phase::Receive, &self.line.shown, e);
        let socket = self.line.mailbox.socket().as_fd();
        match self.stop.wait(socket, PollFlags::IN, until).map_err(failed)? {
            WaitOutcome::TimedOut => return Ok(false),
            WaitOutcome::Shutdown(reason) => {
                return Err(Failure::shutdown(Phase::Receive, &self.line.shown, reason));
            }
            WaitOutcome::Ready(_) => {}
        }
        let came = self.line.mailbox.receive_now(batch);
        let now = Instant::now();
        match came {
            Ok(came) => batch.bundles().take(came).for_each(|bundle| {
                if !self.line.ignores(bundle.envelope, self.report) {
                    bundle.datagrams().for_each(|payload| self.on_reply(payload, now));
                }
            }),
            Err(e) => {
                self.report.step(|| format!("Receiving failed: {}", message_without_errno(&e)))
            }
        }
        for refused in self.line.mailbox.icmp_errors() {
            if !std::mem::replace(&mut self.refused, true) {
                let why = message_without_errno(&std::io::Error::from_raw_os_error(refused.errno));
                self.report.warn(None, format!("{}: {why}", refused.peer));
            }
        }
        Ok(true)
    }

    fn on_reply(&mut self, payload: &[u8], now: Instant) {
        let Some(number) = number(payload, self.token.as_bytes()) else {
            return self.report.step(|| "Got something that answers no ping of ours");
        };
        if let Some(trip) = self.figures.record_reply(number, now) {
            let milliseconds = trip.as_secs_f64() * 1e3;
            self.report.step(|| {
                let peer = &self.line.shown;
                format!("Ping {number}: {} bytes from {peer}, {milliseconds:.3} ms", payload.len())
            });
        }
    }
}

/// The number behind our mark, wherever a service has put it.
fn number(payload: &[u8], mark: &[u8]) -> Option<usize> {
    let at = payload.windows(mark.len()).position(|window| window == mark)?;
    let rest = &payload[at + mark.len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

/// A datagram may be lost before it leaves, too.
fn is_passing(error: &std::io::Error) -> bool {
    let passing = [libc::EAGAIN, libc::ENOBUFS, libc::ECONNREFUSED, libc::EHOSTUNREACH];
    error.raw_os_error().is_some_and(|errno| passing.contains(&errno))
}

/// The figures are the product, and so go to stdout.
fn log_result(found: Ping, report: &Report, stop: &Shutdown) -> Result<(), Failure> {
    let histogram = found.trips.as_ref().map(|trips| trips.histogram.clone());
    let lines = found.lines();
    let event = Event::Ping(found);
    report.emit_to_file(&event);
    let mut text = match report.is_json() {
        true => json::line(&event).into_bytes(),
        false => lines.into_bytes(),
    };
    if let (Some(histogram), false, true) =
        (histogram, report.is_json(), std::io::stdout().is_terminal())
    {
        // Writing to a vector cannot fail.
        let _ = write!(text, "\n{histogram}");
    }
    text.push(b'\n');
    match stdout::write_all_or_shutdown(&text, stop) {
        Err(failure) if stdout::is_broken_pipe(&failure) => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_inside_any_answer() {
        let mark = b"sockit-ping 0badcafe ";
        assert_eq!(number(b"sockit-ping 0badcafe 17 ....", mark), Some(17));
        assert_eq!(number(b"Hello, sockit-ping 0badcafe 3 ..!", mark), Some(3));
        for stray in [&b""[..], b"sockit-ping 0badcaff 1 ", b"sockit-ping 0badcafe "] {
            assert_eq!(number(stray, mark), None);
        }
    }

    #[test]
    fn the_longest_mark_fits_the_shortest_ping() {
        assert!("sockit-ping 0badcafe 1000000 ".len() <= LEAST);
        assert!(
            check(LEAST).is_ok()
                && check(LEAST - 1).is_err()
                && check(MAX_UDP_PAYLOAD + 1).is_err()
        );
    }
}
