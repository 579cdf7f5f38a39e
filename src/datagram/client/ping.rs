//! Ping: sends numbered datagrams at an interval and prints what became of them.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::client_socket::ClientSocket;
use super::ping_stats::PingStats;
use super::targets::Targets;
use crate::datagram::{MAX_UDP_PAYLOAD, RecvBatch};
use crate::error::{ExitCode, Failure, Phase, message_without_errno};
use crate::net::stdout::{Stdout, is_broken_pipe};
use crate::report::context::Context;
use crate::report::event::Event;
use crate::report::event::datagram::Ping;
use crate::report::json;
use crate::shutdown::WaitOutcome;

/// Bytes of a request unless the user chooses another size.
pub const DEFAULT_SIZE: usize = 64;
/// Bytes of the shortest request, which holds the longest token and number.
const MIN_SIZE: usize = 32;
/// The shortest wait after the last reply, for a duplicate of it.
const MIN_LINGER: Duration = Duration::from_millis(10);

/// The options of a ping.
#[derive(Debug, Clone, Copy)]
pub struct PingOptions {
    /// The number of requests.
    pub count: u32,
    /// Time between them.
    pub interval: Duration,
    /// How long to wait for the last replies; `None` = without limit.
    pub reply_timeout: Option<Duration>,
    /// Bytes of each request.
    pub size: usize,
}

/// Fails with code 2 on a size that a ping cannot have.
pub fn check_size(size: usize) -> Result<(), Failure> {
    if (MIN_SIZE..=MAX_UDP_PAYLOAD).contains(&size) {
        return Ok(());
    }
    let why = format!("a ping has {MIN_SIZE} to {MAX_UDP_PAYLOAD} bytes, not {size}");
    Err(Failure::usage(Phase::Send, "--size", why))
}

/// Sends the requests and prints the result to stdout. Returns 1 if none was answered.
///
/// Fails if no target can be used, and at [`Phase::Receive`] at shutdown, after printing.
pub fn ping(
    mut targets: Targets<'_>,
    options: PingOptions,
    context: &Context,
    stdout: Stdout,
) -> Result<ExitCode, Failure> {
    let target = targets.first()?;
    let batch = target.socket.new_batch();
    let token = format!("sockit-ping {:08x} ", RandomState::new().hash_one(()) as u32);
    let stats = PingStats::default();
    let mut pinger = Pinger { target, options, token, stats, icmp_warned: false, context };
    let outcome = pinger.run(batch);
    let result = pinger.stats.result(pinger.target.address.to_string());
    let answered = result.received > 0;
    print_result(result, context, stdout)?;
    outcome?;
    Ok(if answered { ExitCode::Done } else { ExitCode::Negative })
}

struct Pinger<'a> {
    target: ClientSocket,
    options: PingOptions,
    /// The beginning of each request, before its number.
    token: String,
    stats: PingStats,
    icmp_warned: bool,
    context: &'a Context,
}

impl Pinger<'_> {
    fn run(&mut self, mut batch: RecvBatch) -> Result<(), Failure> {
        let started = Instant::now();
        for n in 0..self.options.count {
            self.receive_until(started.checked_add(self.options.interval * n), &mut batch)?;
            self.send(n + 1)?;
        }
        let timeout = self.options.reply_timeout;
        let deadline = timeout.and_then(|time| Instant::now().checked_add(time));
        while self.stats.received() < self.stats.sent() {
            if self.receive(deadline, &mut batch)? == WaitOutcome::TimedOut {
                return Ok(());
            }
        }
        let linger = Instant::now() + MIN_LINGER.max(self.stats.max_round_trip() * 2);
        let end = deadline.map_or(linger, |deadline| deadline.min(linger));
        self.receive_until(Some(end), &mut batch)
    }

    fn send(&mut self, number: u32) -> Result<(), Failure> {
        let mut payload = format!("{}{number} ", self.token).into_bytes();
        payload.resize(self.options.size, b'.');
        self.stats.record_sent(Instant::now());
        match self.target.send(&payload) {
            Ok(()) => Ok(()),
            // It counts as lost.
            Err(e) if is_transient(&e) => {
                let why = || message_without_errno(&e);
                self.context.report.step(|| format!("Sending ping {number} failed: {}", why()));
                Ok(())
            }
            Err(e) => Err(self.target.send_failure(e)),
        }
    }

    fn receive_until(
        &mut self,
        deadline: Option<Instant>,
        batch: &mut RecvBatch,
    ) -> Result<(), Failure> {
        while self.receive(deadline, batch)? != WaitOutcome::TimedOut {}
        Ok(())
    }

    /// Waits until `deadline` for replies and ICMP errors.
    fn receive(
        &mut self,
        deadline: Option<Instant>,
        batch: &mut RecvBatch,
    ) -> Result<WaitOutcome, Failure> {
        let Context { report, shutdown } = self.context;
        let failed = |e| Failure::new(Phase::Receive, &self.target.address, e);
        let socket = self.target.socket.socket.as_fd();
        let outcome = shutdown.wait(socket, PollFlags::IN, deadline).map_err(failed)?;
        match outcome {
            WaitOutcome::TimedOut => return Ok(outcome),
            WaitOutcome::Shutdown(reason) => {
                return Err(Failure::shutdown(Phase::Receive, &self.target.address, reason));
            }
            WaitOutcome::Ready(_) => {}
        }
        let received = self.target.socket.receive(batch);
        let now = Instant::now();
        if let Err(e) = received {
            report.step(|| format!("Receiving failed: {}", message_without_errno(&e)));
        }
        for group in batch.groups() {
            if !self.target.is_foreign(group.meta, report) {
                group.datagrams().for_each(|payload| self.on_reply(payload, now));
            }
        }
        self.warn_icmp_error();
        Ok(outcome)
    }

    fn on_reply(&mut self, payload: &[u8], now: Instant) {
        let report = &self.context.report;
        let Some(number) = number(payload, self.token.as_bytes()) else {
            return report.step(|| "Received a datagram that is no reply to this ping");
        };
        if let Some(time) = self.stats.record_reply(number, now) {
            let (bytes, peer) = (payload.len(), &self.target.address);
            let milliseconds = time.as_secs_f64() * 1e3;
            report
                .step(|| format!("Ping {number}: {bytes} bytes from {peer}, {milliseconds:.3} ms"));
        }
    }

    /// Prints the first ICMP error of the run.
    fn warn_icmp_error(&mut self) {
        for error in self.target.socket.icmp_errors.take() {
            if !std::mem::replace(&mut self.icmp_warned, true) {
                let why = message_without_errno(&io::Error::from_raw_os_error(error.errno));
                self.context.report.warn(None, format!("{}: {why}", error.peer));
            }
        }
    }
}

/// The number behind the token, which a service may have put anywhere in its reply.
fn number(payload: &[u8], token: &[u8]) -> Option<usize> {
    let at = payload.windows(token.len()).position(|window| window == token)?;
    let rest = &payload[at + token.len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

/// Whether the next datagram may be sent all the same.
fn is_transient(error: &io::Error) -> bool {
    let transient = [libc::EAGAIN, libc::ENOBUFS, libc::ECONNREFUSED, libc::EHOSTUNREACH];
    error.raw_os_error().is_some_and(|errno| transient.contains(&errno))
}

/// Prints the result to stdout, with a histogram on a terminal, and writes it to the event file.
fn print_result(result: Ping, context: &Context, stdout: Stdout) -> Result<(), Failure> {
    let histogram = result.trips.as_ref().map(|trips| trips.histogram.clone());
    let lines = result.lines();
    let event = Event::Ping(result);
    let report = &context.report;
    report.emit_to_file(&event);
    let mut text = if report.is_json() { json::line(&event) } else { lines }.into_bytes();
    if let Some(histogram) = histogram.filter(|_| !report.is_json() && stdout.is_terminal()) {
        // Writing to a vector cannot fail.
        let _ = write!(text, "\n{histogram}");
    }
    text.push(b'\n');
    match stdout.write_all_or_shutdown(&text, None, &context.shutdown) {
        Err(failure) if is_broken_pipe(&failure) => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_found_anywhere_in_a_reply() {
        let token = b"sockit-ping 0badcafe ";
        assert_eq!(number(b"sockit-ping 0badcafe 17 ....", token), Some(17));
        assert_eq!(number(b"Hello, sockit-ping 0badcafe 3 ..!", token), Some(3));
        for foreign in [&b""[..], b"sockit-ping 0badcaff 1 ", b"sockit-ping 0badcafe "] {
            assert_eq!(number(foreign, token), None);
        }
    }

    #[test]
    fn longest_token_fits_the_shortest_request() {
        assert!("sockit-ping 0badcafe 1000000 ".len() <= MIN_SIZE);
        assert!(check_size(MIN_SIZE).is_ok());
        assert!(check_size(MIN_SIZE - 1).is_err() && check_size(MAX_UDP_PAYLOAD + 1).is_err());
    }
}
