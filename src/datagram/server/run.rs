//! The datagram server loop: receives a batch, runs the handler, sends the replies.
//!
//! No single datagram ends the run: neither an error of the kernel, nor an ICMP error of a peer,
//! nor a reply that cannot be sent.

use std::io;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::delay_queue::DelayQueue;
use super::ending::{ServerEnd, ShutdownReport};
use super::handler::{Handler, Incoming};
use super::log::ServerLog;
use super::options::DatagramServerOptions;
use super::reply_policy::{Admission, ReplyPolicy};
use crate::datagram::{DatagramGroup, DatagramSocket, RecvBatch, RecvMeta, Transmit};
use crate::error::{Failure, Phase};
use crate::net::address::Address;
use crate::net::stdout::Stdout;
use crate::report::context::Context;
use crate::report::datagram_stats::Totals;
use crate::shutdown::{Shutdown, ShutdownReason, earliest};
use crate::transfer::tap::TapDirection;

/// The pauses between receives that fail in a row.
const MIN_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// How long queued datagrams are still served at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// A running datagram server.
pub struct DatagramServer<'a> {
    socket: DatagramSocket,
    local: Address,
    handler: Handler,
    policy: ReplyPolicy,
    /// Delayed replies, with `--delay`.
    delayed: Option<DelayQueue>,
    /// Datagrams to receive before the server exits.
    remaining: u64,
    accept_timeout: Option<Duration>,
    last_received: Instant,
    /// The pause after the last receive, which failed; zero if it did not fail.
    pause: Duration,
    grace: Duration,
    stdout: Stdout,
    log: ServerLog<'a>,
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
        let Context { report, shutdown } = context;
        let mut handler = options.handler;
        let printed = matches!(handler, Handler::Print(_)).then(|| stdout.fd());
        let socket = DatagramSocket::for_server(socket, options.recv_buffer, shutdown, printed)
            .map_err(|e| Failure::new(Phase::Bind, "-", e))?;
        if let Handler::Exec(programs) = &mut handler {
            programs.open(socket.sender().clone(), report);
        }
        socket.sender().log_traffic(report);
        if let Some(dump) = options.hex {
            socket.sender().dump(dump);
        }
        let local = socket.local().clone();
        let log = ServerLog::new(report, &local);
        log.started(&handler, &local);
        Ok(DatagramServer {
            policy: ReplyPolicy::new(local.clone(), options.max_rate),
            log,
            socket,
            local,
            handler,
            delayed: (!options.delay.is_zero()).then(|| DelayQueue::new(options.delay)),
            remaining: options.max_datagrams.unwrap_or(u64::MAX),
            accept_timeout: options.accept_timeout,
            last_received: Instant::now(),
            pause: Duration::ZERO,
            grace: options.grace,
            stdout,
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
            self.send_delayed(Some(Instant::now()));
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
        (self.remaining == 0).then_some(ServerEnd::MaxDatagrams)
    }

    /// Waits for datagrams, the next delayed reply or the accept timeout, and handles what arrives.
    fn receive(&mut self, batch: &mut RecvBatch) -> Result<(), Failure> {
        let idle_until = self.accept_timeout.and_then(|time| self.last_received.checked_add(time));
        let next_due = self.delayed.as_ref().and_then(DelayQueue::next_deadline);
        let received = self.socket.receive(batch, earliest(idle_until, next_due));
        self.log_icmp_errors();
        match received {
            Ok(0) => self.pause = Duration::ZERO,
            Ok(_) => {
                self.pause = Duration::ZERO;
                self.handle(batch)?;
                self.last_received = Instant::now();
            }
            Err(e) => self.backoff(&e),
        }
        Ok(())
    }

    /// Sends the delayed replies that are due at `now`; without `now`, all of them.
    fn send_delayed(&mut self, now: Option<Instant>) {
        while let Some(delayed) = self.delayed.as_mut().and_then(|queue| queue.pop(now)) {
            let mut replies = Vec::new();
            self.handler.reply(&delayed.incoming(), &mut replies);
            self.send(&replies);
        }
    }

    /// Waits until all delayed replies are sent. Shutdown sends them immediately; its reason is
    /// returned.
    fn flush_delayed(&mut self) -> Option<ShutdownReason> {
        while let Some(due) = self.delayed.as_ref().and_then(DelayQueue::next_deadline) {
            let left = due.saturating_duration_since(Instant::now());
            if let Err(reason) = self.shutdown.sleep(left) {
                self.send_delayed(None);
                return Some(reason);
            }
            self.send_delayed(Some(Instant::now()));
        }
        None
    }

    /// Serves what the kernel has queued, and sends the delayed replies.
    fn drain_queued(&mut self, batch: &mut RecvBatch) -> Result<(), Failure> {
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        while self.remaining > 0 && Instant::now() < deadline {
            match self.socket.receive_now(batch) {
                Ok(1..) => self.handle(batch)?,
                Ok(0) | Err(_) => break,
            }
        }
        self.send_delayed(None);
        Ok(())
    }

    /// Waits for programs and logs what was dropped.
    pub fn close(&mut self) -> ShutdownReport {
        let report = match &self.handler {
            Handler::Print(printer) => {
                self.log.unwritten(printer.unwritten());
                let work_dropped = printer.unwritten() > 0;
                ShutdownReport { work_dropped, ..ShutdownReport::default() }
            }
            Handler::Exec(programs) => {
                let closed = programs.close(self.grace, self.shutdown);
                self.log.programs_closed(&closed);
                let interrupted_by = closed.interrupted_by;
                ShutdownReport { work_dropped: closed.killed > 0, interrupted_by }
            }
            _ => ShutdownReport::default(),
        };
        self.log_icmp_errors();
        report
    }

    /// The bound address.
    pub fn local(&self) -> &Address {
        &self.local
    }

    /// The totals of the run.
    pub fn totals(&self) -> Totals {
        self.log.totals()
    }

    fn handle(&mut self, batch: &RecvBatch) -> Result<(), Failure> {
        let now = Instant::now();
        let mut replies = Vec::new();
        for group in batch.groups() {
            let group = group.first(u32::try_from(self.remaining).unwrap_or(u32::MAX));
            self.remaining -= u64::from(group.count()).min(self.remaining);
            self.handle_group(group, now, &mut replies);
            if self.remaining == 0 {
                break;
            }
        }
        if let Handler::Print(printer) = &mut self.handler {
            printer.flush(self.stdout, self.shutdown)?;
        }
        self.send(&replies);
        Ok(())
    }

    /// Handles the datagrams of one sender, which share their fate:
    ///
    /// | the datagrams | handler | what becomes of them |
    /// |---|---|---|
    /// | truncated | any | dropped, counted as cut |
    /// | complete | print | printed |
    /// | complete | echo, reply, exec | answered as far as the policy admits, now or delayed |
    /// | complete | discard | nothing |
    fn handle_group<'b>(
        &mut self,
        group: DatagramGroup<'b>,
        now: Instant,
        replies: &mut Vec<Transmit<'b>>,
    ) {
        let (peer, local) = (group.meta.peer_address(), destination(&self.local, group.meta));
        let incoming = Incoming { group, peer, local, previous: self.log.datagrams_in() };
        self.log.received(&incoming);
        self.dump_received(&incoming);
        if group.meta.truncated {
            self.log.truncated(&incoming.peer);
        } else if let Handler::Print(printer) = &mut self.handler {
            group.datagrams().for_each(|payload| printer.add(payload));
        } else if self.handler.replies() {
            self.reply(incoming, now, replies);
        }
    }

    fn dump_received(&self, incoming: &Incoming<'_>) {
        let Some(dump) = self.socket.sender().hex_dump() else { return };
        for payload in incoming.group.datagrams() {
            dump.datagram(TapDirection::Received, &incoming.peer, payload);
        }
    }

    /// Replies to as many datagrams as the policy admits, now or after the delay.
    fn reply<'b>(
        &mut self,
        mut incoming: Incoming<'b>,
        now: Instant,
        replies: &mut Vec<Transmit<'b>>,
    ) {
        let count = incoming.group.count();
        let Admission { admitted, dropped } = self.policy.admit(&incoming.peer, count, now);
        if let Some(reason) = dropped {
            let (peer, why) = (&incoming.peer, reason.name());
            tracing::debug!(%peer, admitted, of = count, why, "not all are answered");
            self.log.not_answered(reason, count - admitted, peer, self.policy.per_second());
        }
        if admitted == 0 {
            return;
        }
        incoming.group = incoming.group.first(admitted);
        let Some(queue) = &mut self.delayed else {
            return self.handler.reply(&incoming, replies);
        };
        let rejected = queue.push(&incoming, now);
        if rejected > 0 {
            self.log.delay_queue_full(rejected);
        }
    }

    fn send(&mut self, replies: &[Transmit<'_>]) {
        let DatagramServer { socket, log, .. } = self;
        replies.iter().for_each(|reply| log.sent(reply));
        socket.sender().send(replies, &mut |reply, e| log.send_failed(reply, e));
    }

    fn log_icmp_errors(&mut self) {
        for error in self.socket.sender().take_icmp_errors() {
            self.log.icmp_error(&error);
        }
    }

    /// Pauses after an error, the longer the more of them are in a row; logs the first.
    fn backoff(&mut self, error: &io::Error) {
        if self.pause.is_zero() {
            self.log.receive_failed(error);
        }
        self.pause = (self.pause * 2).clamp(MIN_PAUSE, MAX_PAUSE);
        // The loop checks for shutdown itself.
        let _ = self.shutdown.sleep(self.pause);
    }
}

/// The local address that a datagram was sent to.
fn destination(bound: &Address, meta: &RecvMeta) -> Address {
    match (bound, meta.local.address) {
        (Address::Inet(bound), Some(ip)) => {
            Address::from(std::net::SocketAddr::new(ip, bound.port()))
        }
        _ => bound.clone(),
    }
}
