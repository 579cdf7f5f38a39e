//! The datagram client: sends datagrams and prints the replies, until each has one or a timeout.

pub mod ping;
mod ping_stats;
mod send_window;
pub mod source;
pub mod targets;

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::datagram::{DatagramGroup, RecvBatch};
use crate::error::{ExitCode, Failure, Phase, message_without_errno};
use crate::net::stdout::{Stdout, is_broken_pipe};
use crate::report::context::Context;
use crate::report::hexdump::HexDump;
use crate::shutdown::WaitOutcome;
use crate::transfer::tap::{Direction, TapSink};
use send_window::SendWindow;
use source::{DatagramSource, NextDatagram};
use targets::{ClientSocket, Targets};

/// What is sent, and what is done with the replies.
pub struct SendJob {
    /// The datagrams.
    pub source: DatagramSource,
    /// Time before the first.
    pub delay: Duration,
    /// Treats stdin as ended after this long without a datagram in either direction.
    pub input_timeout: Option<Duration>,
    /// What is done with replies.
    pub replies: Replies,
    /// Print replies as received; otherwise each ends with a line end.
    pub raw: bool,
    /// Hex dump of both directions.
    pub dump: Option<HexDump>,
}

/// What a client does with replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replies {
    /// Prints them, and waits this long after the last datagram; `None` = without limit.
    Print(Option<Duration>),
    /// Prints them until none has come for this long after the last datagram.
    PrintUntilSilent(Option<Duration>),
    /// Discards them, and waits for none.
    Discard,
}

/// Datagrams kept to be sent again to another address while the peer has not replied.
const MAX_UNACKED: usize = 64;

/// Sends the datagrams of `job` and prints the replies. No reply is not a failure.
///
/// Fails with 7 on an ICMP error (18 after a reply), and at [`Phase::Send`], [`Phase::Stdin`] or
/// [`Phase::Stdout`].
pub fn run(
    mut targets: Targets<'_>,
    job: SendJob,
    context: &Context,
    stdout: Stdout,
) -> Result<ExitCode, Failure> {
    let target = targets.first()?;
    let batch = target.socket.new_batch();
    let window = match job.replies {
        Replies::Discard => SendWindow::unlimited(),
        Replies::Print(_) if !job.raw => SendWindow::request_reply(),
        Replies::Print(_) | Replies::PrintUntilSilent(_) => SendWindow::bulk(),
    };
    let mut client = DatagramClient {
        target,
        targets,
        window,
        job,
        unacked: Vec::new(),
        sent: 0,
        received: 0,
        moved_at: Instant::now(),
        icmp_error: None,
        context,
        stdout,
    };
    let outcome = client.run(batch);
    let DatagramClient { sent, received, .. } = client;
    context.report.step(|| format!("{sent} datagrams sent, {received} received"));
    match outcome {
        Err(failure) if !is_broken_pipe(&failure) => Err(failure),
        _ => Ok(ExitCode::Done),
    }
}

struct DatagramClient<'a> {
    target: ClientSocket,
    targets: Targets<'a>,
    job: SendJob,
    window: SendWindow,
    unacked: Vec<Vec<u8>>,
    sent: u64,
    received: u64,
    /// When a datagram was last sent or received.
    moved_at: Instant,
    /// The `errno` of the last ICMP error since the last reply.
    icmp_error: Option<i32>,
    context: &'a Context,
    stdout: Stdout,
}

/// What follows an ICMP error.
///
/// | replies so far | every datagram is kept | other addresses or retries | change |
/// |---|---|---|---|
/// | none | yes | left | `Switched`: all datagrams were sent to the next address |
/// | none | yes | none | `Exhausted` |
/// | none | no | any | `Exhausted` |
/// | some | any | any | `Exhausted` |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TargetChange {
    Switched,
    /// The error stands.
    Exhausted,
}

/// What the client waits for.
#[derive(PartialEq, Eq)]
enum WaitFor {
    Replies,
    RepliesOrStdin,
}

impl DatagramClient<'_> {
    fn run(&mut self, mut batch: RecvBatch) -> Result<(), Failure> {
        let stopped = |reason| Failure::shutdown(Phase::Send, &self.target.address, reason);
        self.context.report.log_delay(self.job.delay);
        self.context.shutdown.sleep(self.job.delay).map_err(stopped)?;
        loop {
            self.receive_all(&mut batch)?;
            self.handle_icmp_error()?;
            if let Some(deadline) = self.window.blocked_until(Instant::now()) {
                self.wait(Some(deadline), WaitFor::Replies)?;
                continue;
            }
            match self.job.source.next_datagram()? {
                NextDatagram::Datagram(bytes) => self.send(bytes, &mut batch)?,
                NextDatagram::Pending => {
                    let deadline = self.silence_deadline(self.job.input_timeout);
                    if self.wait(deadline, WaitFor::RepliesOrStdin)? == WaitOutcome::TimedOut {
                        break;
                    }
                }
                NextDatagram::End => break,
            }
        }
        match self.job.replies {
            Replies::Print(timeout) => self.await_replies(timeout, &mut batch),
            Replies::PrintUntilSilent(limit) => self.await_silence(limit, &mut batch),
            Replies::Discard => self.check_icmp_errors(&mut batch),
        }
    }

    /// Waits until each datagram has a reply, for at most `timeout`.
    fn await_replies(
        &mut self,
        timeout: Option<Duration>,
        batch: &mut RecvBatch,
    ) -> Result<(), Failure> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        while self.received < self.sent {
            self.change_target_or_fail()?;
            if self.wait(deadline, WaitFor::Replies)? == WaitOutcome::TimedOut {
                break;
            }
            self.receive_all(batch)?;
        }
        Ok(())
    }

    /// Receives until nothing has come for `limit`.
    fn await_silence(
        &mut self,
        limit: Option<Duration>,
        batch: &mut RecvBatch,
    ) -> Result<(), Failure> {
        self.moved_at = Instant::now();
        loop {
            self.change_target_or_fail()?;
            if self.wait(self.silence_deadline(limit), WaitFor::Replies)? == WaitOutcome::TimedOut {
                return Ok(());
            }
            self.receive_all(batch)?;
        }
    }

    /// When there has been no datagram in either direction for `limit`.
    fn silence_deadline(&self, limit: Option<Duration>) -> Option<Instant> {
        self.moved_at.checked_add(limit?)
    }

    /// Fails on an ICMP error that has already arrived, without waiting for one.
    fn check_icmp_errors(&mut self, batch: &mut RecvBatch) -> Result<(), Failure> {
        self.receive_all(batch)?;
        while self.icmp_error.is_some() {
            self.change_target_or_fail()?;
            self.receive_all(batch)?;
        }
        Ok(())
    }

    fn send(&mut self, bytes: Vec<u8>, batch: &mut RecvBatch) -> Result<(), Failure> {
        while let Err(e) = self.target.send(&bytes) {
            match e.kind() {
                // A peer that reads slowly may be waiting for its replies to be read.
                ErrorKind::WouldBlock => self.receive_all(batch)?,
                ErrorKind::ConnectionRefused => {
                    self.icmp_error = e.raw_os_error().or(Some(libc::ECONNREFUSED));
                    self.change_target_or_fail()?;
                }
                _ => return Err(self.target.send_failure(e)),
            }
            self.check_shutdown()?;
        }
        if let Some(dump) = &mut self.job.dump {
            dump.on_bytes(Direction::Sent, &bytes);
        }
        if self.target.socket.sender().traffic().is_none() {
            let (len, peer) = (bytes.len(), &self.target.address);
            self.context.report.step(|| format!("Sent {len} bytes to {peer}"));
        }
        self.sent += 1;
        self.moved_at = Instant::now();
        self.window.on_sent();
        if self.received == 0 && self.unacked.len() < MAX_UNACKED {
            self.unacked.push(bytes);
        }
        self.check_shutdown()
    }

    /// Receives what is queued.
    fn receive_all(&mut self, batch: &mut RecvBatch) -> Result<(), Failure> {
        loop {
            let slots = self.target.socket.receive_now(batch);
            let slots = slots.map_err(|e| Failure::new(Phase::Receive, &self.target.address, e))?;
            if let Some(error) = self.target.socket.sender().take_icmp_errors().back() {
                self.icmp_error = Some(error.errno);
            } else if slots == 0 {
                return Ok(());
            }
            for group in batch.groups() {
                if !self.target.is_foreign(group.meta, &self.context.report) {
                    self.on_replies(&group)?;
                }
            }
        }
    }

    fn on_replies(&mut self, group: &DatagramGroup<'_>) -> Result<(), Failure> {
        let report = self.context.report.clone();
        let peer = || group.meta.peer_address();
        for payload in group.datagrams() {
            match self.target.socket.sender().traffic() {
                Some(traffic) => traffic.received_datagram(&peer(), payload),
                None => report.step(|| format!("Got {} bytes from {}", payload.len(), peer())),
            }
            if group.meta.truncated {
                report.warn(None, format!("a reply from {} is truncated", peer()));
            }
            self.received += 1;
            self.moved_at = Instant::now();
            self.window.on_reply();
            (self.icmp_error, self.unacked) = (None, Vec::new());
            self.print(payload)?;
        }
        Ok(())
    }

    /// Handles an ICMP error while there is more to send. It does not end the run: the next
    /// datagram may be received.
    fn handle_icmp_error(&mut self) -> Result<(), Failure> {
        let Some(errno) = self.icmp_error else { return Ok(()) };
        if self.change_target(errno)? == TargetChange::Exhausted
            && self.job.source.awaited_stdin().is_some()
        {
            let why = message_without_errno(&io::Error::from_raw_os_error(errno));
            self.context.report.step(|| format!("{}: {why}", self.target.address));
        }
        Ok(())
    }

    /// Fails on an ICMP error unless the peer has another address.
    fn change_target_or_fail(&mut self) -> Result<(), Failure> {
        let Some(errno) = self.icmp_error else { return Ok(()) };
        if self.targets.is_server() {
            // A sender that has left does not end a server.
            self.icmp_error = None;
            return Ok(());
        }
        match self.change_target(errno)? {
            TargetChange::Switched => Ok(()),
            TargetChange::Exhausted => Err(self.target.icmp_failure(errno, self.received)),
        }
    }

    /// Sends the datagrams without a reply to the next address of the peer, if there is one.
    fn change_target(&mut self, errno: i32) -> Result<TargetChange, Failure> {
        if self.received > 0 || self.sent > self.unacked.len() as u64 {
            return Ok(TargetChange::Exhausted);
        }
        let failure = self.target.icmp_failure(errno, 0);
        let Some(target) = self.targets.next_after(failure)? else {
            return Ok(TargetChange::Exhausted);
        };
        (self.target, self.icmp_error) = (target, None);
        for bytes in &self.unacked {
            self.target.send(bytes).map_err(|e| self.target.send_failure(e))?;
        }
        Ok(TargetChange::Switched)
    }

    fn wait(&self, deadline: Option<Instant>, what: WaitFor) -> Result<WaitOutcome, Failure> {
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.target.socket.socket().as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.stdout.fd(), PollFlags::empty()),
        ];
        if what == WaitFor::RepliesOrStdin {
            let stdin = self.job.source.awaited_stdin();
            fds.extend(stdin.map(|stdin| PollFd::from_borrowed_fd(stdin, PollFlags::IN)));
        }
        let failed = |e| Failure::new(Phase::Receive, &self.target.address, e);
        let outcome = self.context.shutdown.wait_any(&mut fds, deadline).map_err(failed)?;
        if let WaitOutcome::Shutdown(reason) = outcome {
            return Err(Failure::shutdown(Phase::Receive, &self.target.address, reason));
        }
        if fds[1].revents().contains(PollFlags::ERR) {
            // The reader of stdout has closed it.
            let closed = io::Error::from_raw_os_error(libc::EPIPE);
            return Err(Failure::new(Phase::Stdout, "-", closed));
        }
        Ok(outcome)
    }

    fn check_shutdown(&self) -> Result<(), Failure> {
        match self.context.shutdown.reason() {
            Some(reason) => Err(Failure::shutdown(Phase::Send, &self.target.address, reason)),
            None => Ok(()),
        }
    }

    /// Prints a reply, as a line or as received, unless replies are discarded.
    fn print(&mut self, payload: &[u8]) -> Result<(), Failure> {
        if self.job.replies == Replies::Discard {
            return Ok(());
        }
        if let Some(dump) = &mut self.job.dump {
            dump.on_bytes(Direction::Received, payload);
        }
        let line_end: &[u8] = if self.job.raw || payload.ends_with(b"\n") { b"" } else { b"\n" };
        let line = [payload, line_end].concat();
        self.stdout.write_all_or_shutdown(&line, &self.context.shutdown)
    }
}
