//! The datagram server loop: receives until an end, and handles what arrives.
//!
//! No single datagram ends the run: neither an error of the kernel, nor an ICMP error of a peer,
//! nor a reply that cannot be sent.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::dispatch::Dispatcher;
use super::ending::ServerEnd;
use super::handler::Handler;
use super::options::DatagramServerOptions;
use crate::datagram::{DatagramSocket, RecvBatch};
use crate::error::{ExitCode, Failure};
use crate::net::stdout::{Stdout, is_broken_pipe};
use crate::poll::earliest;
use crate::report::Report;
use crate::shutdown::{ShutdownReason, WaitOutcome};

/// The pauses between receives that fail in a row.
const MIN_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// How long queued datagrams are still served at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// A running datagram server.
pub struct DatagramServer<'a> {
    socket: &'a DatagramSocket,
    dispatcher: Dispatcher<'a>,
    /// Stdout, if payloads are printed to it and its reader may close it.
    printed_to: Option<BorrowedFd<'static>>,
    stdout_closed: bool,
    accept_timeout: Option<Duration>,
    last_received: Instant,
    /// The pause after the last receive, which failed; zero if it did not fail.
    pause: Duration,
    grace: Duration,
}

impl<'a> DatagramServer<'a> {
    /// Serves what `socket` receives, and logs that the server is ready.
    pub fn new(
        socket: &'a Arc<DatagramSocket>,
        options: DatagramServerOptions,
        report: &'a Report,
        stdout: Stdout,
    ) -> DatagramServer<'a> {
        DatagramServer {
            socket,
            printed_to: matches!(options.handler, Handler::Print(_)).then(|| stdout.fd()),
            stdout_closed: false,
            accept_timeout: options.accept_timeout,
            last_received: Instant::now(),
            pause: Duration::ZERO,
            grace: options.grace,
            dispatcher: Dispatcher::new(socket, options, report, stdout),
        }
    }

    /// Serves until [`ServerEnd`], and then what is left.
    ///
    /// Fails at [`crate::error::Phase::Stdout`] if payloads cannot be printed.
    pub fn run(&mut self) -> Result<ServerEnd, Failure> {
        let mut batch = self.socket.new_batch();
        let end = loop {
            if let Some(end) = self.check_end() {
                break end;
            }
            self.receive(&mut batch)?;
            self.dispatcher.send_delayed(Some(Instant::now()));
        };
        match end {
            ServerEnd::Shutdown(_) => self.drain_queued(&mut batch)?,
            ServerEnd::StdoutClosed => {}
            ServerEnd::MaxDatagrams | ServerEnd::AcceptTimeout(_) => {
                let interrupted = self.flush_delayed().filter(|_| end == ServerEnd::MaxDatagrams);
                return Ok(interrupted.map_or(end, ServerEnd::Shutdown));
            }
        }
        Ok(end)
    }

    /// Whether the server stops receiving; the first reason in this order counts.
    fn check_end(&self) -> Option<ServerEnd> {
        if self.stdout_closed {
            return Some(ServerEnd::StdoutClosed);
        }
        if let Some(reason) = self.socket.shutdown.reason() {
            return Some(ServerEnd::Shutdown(reason));
        }
        let is_idle = |time: &Duration| self.last_received.elapsed() >= *time;
        if let Some(time) = self.accept_timeout.filter(is_idle) {
            return Some(ServerEnd::AcceptTimeout(time));
        }
        (self.dispatcher.remaining == 0).then_some(ServerEnd::MaxDatagrams)
    }

    /// Waits for datagrams, the next delayed reply or the accept timeout, and handles what arrives.
    fn receive(&mut self, batch: &mut RecvBatch) -> Result<(), Failure> {
        let received = self.wait().and_then(|outcome| match outcome {
            WaitOutcome::Ready(_) => self.socket.receive(batch),
            WaitOutcome::TimedOut | WaitOutcome::Shutdown(_) => Ok(0),
        });
        self.dispatcher.log.icmp_errors();
        match received {
            Ok(0) => self.pause = Duration::ZERO,
            Ok(_) => {
                self.pause = Duration::ZERO;
                self.dispatcher.handle(batch)?;
                self.last_received = Instant::now();
            }
            Err(e) => self.backoff(&e),
        }
        Ok(())
    }

    /// Waits until the socket is readable, its reader closes stdout, or something is due.
    fn wait(&mut self) -> io::Result<WaitOutcome> {
        let idle_until = self.accept_timeout.and_then(|time| self.last_received.checked_add(time));
        let deadline = earliest(idle_until, self.dispatcher.next_due());
        let mut fds = vec![PollFd::new(&self.socket.socket, PollFlags::IN)];
        fds.extend(self.printed_to.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
        let outcome = self.socket.shutdown.wait_any(&mut fds, deadline)?;
        let stdout = fds.get(1).map_or(PollFlags::empty(), PollFd::revents);
        self.stdout_closed |= stdout.contains(PollFlags::ERR);
        if !stdout.is_empty() {
            // A closed descriptor stays ready, and poll(2) would return immediately.
            self.printed_to = None;
        }
        Ok(outcome)
    }

    /// Waits until all delayed replies are sent. Shutdown sends them immediately; its reason is
    /// returned.
    fn flush_delayed(&mut self) -> Option<ShutdownReason> {
        while let Some(due) = self.dispatcher.next_due() {
            let left = due.saturating_duration_since(Instant::now());
            if let Err(reason) = self.socket.shutdown.sleep(left) {
                self.dispatcher.send_delayed(None);
                return Some(reason);
            }
            self.dispatcher.send_delayed(Some(Instant::now()));
        }
        None
    }

    /// Serves what the kernel has queued, and sends the delayed replies.
    fn drain_queued(&mut self, batch: &mut RecvBatch) -> Result<(), Failure> {
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        while self.dispatcher.remaining > 0 && Instant::now() < deadline {
            match self.socket.receive(batch) {
                Ok(1..) => self.dispatcher.handle(batch)?,
                Ok(0) | Err(_) => break,
            }
        }
        self.dispatcher.send_delayed(None);
        Ok(())
    }

    /// Waits for programs, and returns the exit code of a run whose loop ended with `outcome`.
    ///
    /// Fails as the loop did, and at [`crate::error::Phase::Listen`] with 28 at a time limit.
    pub fn close(mut self, outcome: Result<ServerEnd, Failure>) -> Result<ExitCode, Failure> {
        let after = self.dispatcher.close(self.grace);
        let end = match outcome {
            Err(failure) if is_broken_pipe(&failure) => ServerEnd::StdoutClosed,
            outcome => outcome?,
        };
        end.exit_code(after, &self.socket.local)
    }

    /// Pauses after an error, the longer the more of them are in a row; logs the first.
    fn backoff(&mut self, error: &io::Error) {
        if self.pause.is_zero() {
            self.dispatcher.log.receive_failed(error);
        }
        self.pause = (self.pause * 2).clamp(MIN_PAUSE, MAX_PAUSE);
        // The loop checks for shutdown itself.
        let _ = self.socket.shutdown.sleep(self.pause);
    }
}
