//! One run of a datagram client: what is sent, received and waited for, in which order.

use std::io::{self, ErrorKind};
use std::mem;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::client_socket::ClientSocket;
use super::job::{Replies, SendJob};
use super::send_window::SendWindow;
use super::source::NextDatagram;
use super::targets::Targets;
use crate::datagram::{DatagramGroup, RecvBatch};
use crate::error::{Failure, Phase, message_without_errno};
use crate::net::address::Address;
use crate::net::stdout::Stdout;
use crate::report::context::Context;
use crate::shutdown::WaitOutcome;
use crate::transfer::tap::{TapDirection, TapSink};

/// A datagram client with a socket for one of its targets.
pub struct ClientSession<'a> {
    target: ClientSocket,
    targets: Targets<'a>,
    job: SendJob,
    window: SendWindow,
    batch: RecvBatch,
    /// When a datagram was last sent or received.
    moved_at: Instant,
    /// The `errno` of the last ICMP error since the last reply.
    icmp_error: Option<i32>,
    context: &'a Context,
    stdout: Stdout,
}

impl<'a> ClientSession<'a> {
    /// Opens a socket for the first of `targets`. Fails as [`Targets::first`].
    pub fn open(
        mut targets: Targets<'a>,
        job: SendJob,
        context: &'a Context,
        stdout: Stdout,
    ) -> Result<ClientSession<'a>, Failure> {
        let target = targets.first()?;
        Ok(ClientSession {
            batch: target.socket.new_batch(),
            target,
            targets,
            window: match job.replies {
                Replies::Discard => SendWindow::unlimited(),
                Replies::Print(_) if !job.raw => SendWindow::request_reply(),
                Replies::Print(_) | Replies::PrintUntilSilent(_) => SendWindow::bulk(),
            },
            job,
            moved_at: Instant::now(),
            icmp_error: None,
            context,
            stdout,
        })
    }

    /// Logs how many datagrams were sent and received.
    pub fn log_totals(&self) {
        let SendWindow { sent, received, .. } = self.window;
        self.context.report.step(|| format!("{sent} datagrams sent, {received} received"));
    }

    /// Sends all datagrams, and then waits for replies.
    pub fn run(&mut self) -> Result<(), Failure> {
        let stopped = |reason| Failure::shutdown(Phase::Send, &self.target.address, reason);
        self.context.report.log_delay(self.job.delay);
        self.context.shutdown.sleep(self.job.delay).map_err(stopped)?;
        loop {
            self.receive_all()?;
            self.handle_icmp_error()?;
            if let Some(deadline) = self.window.blocked_until(Instant::now()) {
                self.wait(Some(deadline), None)?;
                continue;
            }
            match self.job.source.next_datagram()? {
                NextDatagram::Datagram(bytes) => self.send(bytes)?,
                NextDatagram::Pending => {
                    let deadline = self.silence_deadline(self.job.input_timeout);
                    let stdin = self.job.source.awaited_stdin();
                    if self.wait(deadline, stdin)? == WaitOutcome::TimedOut {
                        break;
                    }
                }
                NextDatagram::End => break,
            }
        }
        self.await_replies()
    }

    /// Receives for as long as [`Replies`] says.
    fn await_replies(&mut self) -> Result<(), Failure> {
        self.moved_at = Instant::now();
        let began = self.moved_at;
        loop {
            let deadline = match self.job.replies {
                Replies::Print(_) if self.window.received >= self.window.sent => return Ok(()),
                Replies::Print(timeout) => timeout.and_then(|timeout| began.checked_add(timeout)),
                Replies::PrintUntilSilent(limit) => self.silence_deadline(limit),
                Replies::Discard => return self.check_icmp_errors(),
            };
            self.change_target_or_fail()?;
            if self.wait(deadline, None)? == WaitOutcome::TimedOut {
                return Ok(());
            }
            self.receive_all()?;
        }
    }

    /// Fails on an ICMP error that has already arrived, without waiting for one.
    fn check_icmp_errors(&mut self) -> Result<(), Failure> {
        self.receive_all()?;
        while self.icmp_error.is_some() {
            self.change_target_or_fail()?;
            self.receive_all()?;
        }
        Ok(())
    }

    /// When there has been no datagram in either direction for `limit`.
    fn silence_deadline(&self, limit: Option<Duration>) -> Option<Instant> {
        self.moved_at.checked_add(limit?)
    }

    fn send(&mut self, bytes: Vec<u8>) -> Result<(), Failure> {
        while let Err(e) = self.target.send(&bytes) {
            match e.kind() {
                // A peer that reads slowly may be waiting for its replies to be read.
                ErrorKind::WouldBlock => self.receive_all()?,
                ErrorKind::ConnectionRefused => {
                    self.icmp_error = e.raw_os_error().or(Some(libc::ECONNREFUSED));
                    self.change_target_or_fail()?;
                }
                _ => return Err(self.target.send_failure(e)),
            }
            self.check_shutdown()?;
        }
        if let Some(dump) = &mut self.job.dump {
            dump.on_bytes(TapDirection::Sent, &bytes);
        }
        if self.target.socket.traffic.is_none() {
            let (len, peer) = (bytes.len(), &self.target.address);
            self.context.report.step(|| format!("Sent {len} bytes to {peer}"));
        }
        self.moved_at = Instant::now();
        self.window.on_sent(bytes);
        self.check_shutdown()
    }

    /// Receives what is queued.
    fn receive_all(&mut self) -> Result<(), Failure> {
        let mut batch = mem::take(&mut self.batch);
        let received = self.receive_into(&mut batch);
        self.batch = batch;
        received
    }

    fn receive_into(&mut self, batch: &mut RecvBatch) -> Result<(), Failure> {
        loop {
            let slots = self.target.socket.receive(batch);
            let slots = slots.map_err(|e| Failure::new(Phase::Receive, &self.target.address, e))?;
            if let Some(error) = self.target.socket.icmp_errors.take().back() {
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
        let (report, peer) = (&self.context.report, || Address::from(&group.meta.peer));
        for payload in group.datagrams() {
            match &self.target.socket.traffic {
                Some(traffic) => traffic.received_datagram(&peer(), payload),
                None => report.step(|| format!("Got {} bytes from {}", payload.len(), peer())),
            }
            if group.meta.truncated {
                report.warn(None, format!("a reply from {} is truncated", peer()));
            }
            self.moved_at = Instant::now();
            self.window.on_reply();
            self.icmp_error = None;
            self.print(payload)?;
        }
        Ok(())
    }

    /// Handles an ICMP error while there is more to send. It does not end the run: the next
    /// datagram may be received.
    fn handle_icmp_error(&mut self) -> Result<(), Failure> {
        if let Some(errno) = self.change_target()?
            && self.job.source.awaited_stdin().is_some()
        {
            let why = message_without_errno(&io::Error::from_raw_os_error(errno));
            self.context.report.step(|| format!("{}: {why}", self.target.address));
        }
        Ok(())
    }

    /// Fails on an ICMP error unless the peer has another address.
    fn change_target_or_fail(&mut self) -> Result<(), Failure> {
        if self.targets.is_server() {
            // A sender that has left does not end a server.
            self.icmp_error = None;
        }
        match self.change_target()? {
            None => Ok(()),
            Some(errno) => Err(self.target.icmp_failure(errno, self.window.received)),
        }
    }

    /// After an ICMP error, sends the datagrams without a reply to the next address of the peer.
    ///
    /// Returns the `errno` if that is impossible: after a reply, after more datagrams than are
    /// kept, or without another address or retry.
    fn change_target(&mut self) -> Result<Option<i32>, Failure> {
        let Some(errno) = self.icmp_error else { return Ok(None) };
        let Some(unacked) = self.window.unacked() else { return Ok(Some(errno)) };
        let failure = self.target.icmp_failure(errno, 0);
        let Some(target) = self.targets.next_after(failure)? else { return Ok(Some(errno)) };
        (self.target, self.icmp_error) = (target, None);
        for bytes in unacked {
            self.target.send(bytes).map_err(|e| self.target.send_failure(e))?;
        }
        Ok(None)
    }

    /// Waits for a reply or `stdin`. Fails if the reader of stdout has closed it.
    fn wait(
        &self,
        deadline: Option<Instant>,
        stdin: Option<BorrowedFd<'_>>,
    ) -> Result<WaitOutcome, Failure> {
        let mut fds = vec![
            PollFd::new(&self.target.socket.socket, PollFlags::IN),
            PollFd::from_borrowed_fd(self.stdout.fd(), PollFlags::empty()),
        ];
        fds.extend(stdin.map(|stdin| PollFd::from_borrowed_fd(stdin, PollFlags::IN)));
        let failed = |e| Failure::new(Phase::Receive, &self.target.address, e);
        let outcome = self.context.shutdown.wait_any(&mut fds, deadline).map_err(failed)?;
        if let WaitOutcome::Shutdown(reason) = outcome {
            return Err(Failure::shutdown(Phase::Receive, &self.target.address, reason));
        }
        if fds[1].revents().contains(PollFlags::ERR) {
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
            dump.on_bytes(TapDirection::Received, payload);
        }
        let line_end: &[u8] = if self.job.raw || payload.ends_with(b"\n") { b"" } else { b"\n" };
        let line = [payload, line_end].concat();
        self.stdout.write_all_or_shutdown(&line, None, &self.context.shutdown)
    }
}
