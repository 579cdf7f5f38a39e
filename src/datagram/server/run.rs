//! The datagram server loop: receives until an end, and handles what arrives.
//!
//! No single datagram ends the run: neither an error of the kernel, nor an ICMP error of a peer,
//! nor a reply that cannot be sent.

use std::io;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::dispatch::Dispatcher;
use super::ending::ServerEnd;
use super::handler::Handler;
use super::options::DatagramServerOptions;
use crate::datagram::{DatagramSocket, RecvBatch};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stdout::{Stdout, is_broken_pipe};
use crate::report::context::Context;
use crate::shutdown::{Shutdown, ShutdownReason, earliest};

/// The pauses between receives that fail in a row.
const MIN_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// How long queued datagrams are still served at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// A running datagram server.
pub struct DatagramServer<'a> {
    socket: DatagramSocket,
    dispatcher: Dispatcher<'a>,
    accept_timeout: Option<Duration>,
    last_received: Instant,
    /// The pause after the last receive, which failed; zero if it did not fail.
    pause: Duration,
    grace: Duration,
    shutdown: &'a Shutdown,
}

impl<'a> DatagramServer<'a> {
    /// Prepares the socket and logs that the server is ready. Fails at [`Phase::Bind`] if the
    /// socket is not bound.
    pub fn open(
        socket: Socket,
        options: DatagramServerOptions,
        context: &'a Context,
        stdout: Stdout,
    ) -> Result<DatagramServer<'a>, Failure> {
        let shutdown = &context.shutdown;
        let printed = matches!(options.handler, Handler::Print(_)).then(|| stdout.fd());
        let socket = DatagramSocket::for_server(socket, options.recv_buffer, context, printed)
            .map_err(|e| Failure::new(Phase::Bind, "-", e))?;
        Ok(DatagramServer {
            accept_timeout: options.accept_timeout,
            grace: options.grace,
            dispatcher: Dispatcher::new(&socket, options, context, stdout),
            socket,
            last_received: Instant::now(),
            pause: Duration::ZERO,
            shutdown,
        })
    }

    /// Serves until [`ServerEnd`], and then what is left.
    ///
    /// Fails at [`Phase::Stdout`] if payloads cannot be printed.
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
        if self.socket.stdout_closed() {
            return Some(ServerEnd::StdoutClosed);
        }
        if let Some(reason) = self.shutdown.reason() {
            return Some(ServerEnd::Shutdown(reason));
        }
        let is_idle = |time: &Duration| self.last_received.elapsed() >= *time;
        if let Some(time) = self.accept_timeout.filter(is_idle) {
            return Some(ServerEnd::AcceptTimeout(time));
        }
        self.dispatcher.is_exhausted().then_some(ServerEnd::MaxDatagrams)
    }

    /// Waits for datagrams, the next delayed reply or the accept timeout, and handles what arrives.
    fn receive(&mut self, batch: &mut RecvBatch) -> Result<(), Failure> {
        let idle_until = self.accept_timeout.and_then(|time| self.last_received.checked_add(time));
        let next_due = self.dispatcher.next_due();
        let received = self.socket.receive(batch, earliest(idle_until, next_due));
        self.dispatcher.log_icmp_errors();
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

    /// Waits until all delayed replies are sent. Shutdown sends them immediately; its reason is
    /// returned.
    fn flush_delayed(&mut self) -> Option<ShutdownReason> {
        while let Some(due) = self.dispatcher.next_due() {
            let left = due.saturating_duration_since(Instant::now());
            if let Err(reason) = self.shutdown.sleep(left) {
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
        while !self.dispatcher.is_exhausted() && Instant::now() < deadline {
            match self.socket.receive_now(batch) {
                Ok(1..) => self.dispatcher.handle(batch)?,
                Ok(0) | Err(_) => break,
            }
        }
        self.dispatcher.send_delayed(None);
        Ok(())
    }

    /// Waits for programs, and returns the exit code of a run whose loop ended with `outcome`.
    ///
    /// Fails as the loop did, and at [`Phase::Listen`] with 28 at a time limit.
    pub fn close(mut self, outcome: Result<ServerEnd, Failure>) -> Result<ExitCode, Failure> {
        let after = self.dispatcher.close(self.grace);
        let end = match outcome {
            Err(failure) if is_broken_pipe(&failure) => ServerEnd::StdoutClosed,
            outcome => outcome?,
        };
        end.exit_code(after, self.socket.local())
    }

    /// Pauses after an error, the longer the more of them are in a row; logs the first.
    fn backoff(&mut self, error: &io::Error) {
        if self.pause.is_zero() {
            self.dispatcher.log.receive_failed(error);
        }
        self.pause = (self.pause * 2).clamp(MIN_PAUSE, MAX_PAUSE);
        // The loop checks for shutdown itself.
        let _ = self.shutdown.sleep(self.pause);
    }
}
