//! The datagram server loop: receives a batch, runs the handler, sends the replies.
//!
//! No single datagram ends the run: neither an error of the kernel, nor an ICMP error of a peer,
//! nor a reply that cannot be sent.

use std::io;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::delay_queue::DelayQueue;
use super::handler::Handler;
use super::incoming::Incoming;
use super::log::ServerLog;
use super::options::DatagramServerOptions;
use super::reply_policy::{Admission, ReplyPolicy};
use super::stats::ServerStats;
use crate::datagram::{DatagramGroup, DatagramSocket, RecvBatch, RecvMeta, Transmit};
use crate::error::{Failure, Phase};
use crate::net::address::Address;
use crate::report::context::Context;
use crate::report::datagram_stats::Totals;
use crate::shutdown::{Shutdown, ShutdownReason, earliest};
use crate::transfer::tap::Direction;

/// The pauses between receives that fail in a row.
const MIN_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// How long queued datagrams are still served at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// How the server shut down.
#[derive(Default)]
pub struct ShutdownReport {
    /// Whether a reply or printed bytes were dropped.
    pub work_dropped: bool,
    /// The shutdown that ended the wait for programs.
    pub interrupted_by: Option<ShutdownReason>,
}

/// A running datagram server.
pub struct DatagramServer<'a> {
    socket: DatagramSocket,
    local: Address,
    handler: Handler,
    policy: ReplyPolicy,
    stats: ServerStats,
    /// Delayed replies, with `--delay`.
    delayed: Option<DelayQueue>,
    /// Datagrams to receive before the server exits.
    remaining: u64,
    accept_timeout: Option<Duration>,
    grace: Duration,
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
    ) -> Result<DatagramServer<'a>, Failure> {
        let Context { report, shutdown } = context;
        let mut handler = options.handler;
        let stdout = matches!(handler, Handler::Print(_)).then(rustix::stdio::stdout);
        let socket = DatagramSocket::for_server(socket, options.recv_buffer, shutdown, stdout)
            .map_err(|e| Failure::new(Phase::Bind, "-", e))?;
        if let Handler::Exec(programs) = &mut handler {
            programs.open(socket.sender().clone(), report);
        }
        socket.sender().log_traffic(report);
        if let Some(dump) = options.hex {
            socket.sender().dump(dump);
        }
        let local = socket.local().clone();
        let log = ServerLog::new(report, local.clone());
        log.listening(handler.amplifies());
        Ok(DatagramServer {
            policy: ReplyPolicy::new(local.clone(), options.max_rate),
            log,
            socket,
            local,
            handler,
            stats: ServerStats::new(),
            delayed: (!options.delay.is_zero()).then(|| DelayQueue::new(options.delay)),
            remaining: options.max_datagrams.unwrap_or(u64::MAX),
            accept_timeout: options.accept_timeout,
            grace: options.grace,
            shutdown,
        })
    }

    /// Serves until the last datagram or shutdown, whose reason is returned.
    ///
    /// Fails at [`Phase::Stdout`] if payloads cannot be printed, and at [`Phase::Listen`] with 28
    /// at the accept timeout.
    pub fn run(&mut self) -> Result<Option<ShutdownReason>, Failure> {
        let mut batch = self.socket.new_batch();
        let mut pause = Duration::ZERO;
        let mut last_received = Instant::now();
        while self.remaining > 0 {
            let idle_until = self.accept_timeout.and_then(|time| last_received.checked_add(time));
            let received = self.receive(&mut batch, idle_until);
            match received {
                Ok(0) => pause = Duration::ZERO,
                Ok(_) => {
                    pause = Duration::ZERO;
                    self.handle(&batch)?;
                    last_received = Instant::now();
                }
                Err(e) => pause = self.backoff(pause, &e),
            }
            if self.socket.stdout_closed() {
                let closed = io::Error::from_raw_os_error(libc::EPIPE);
                return Err(Failure::new(Phase::Stdout, "", closed));
            }
            if self.delayed.is_some() {
                self.send_delayed(Some(Instant::now()));
            }
            if let Some(reason) = self.shutdown.reason() {
                self.drain_queued(&mut batch)?;
                return Ok(Some(reason));
            }
            if let Some(time) = self.accept_timeout.filter(|time| last_received.elapsed() >= *time)
            {
                self.flush_delayed();
                return Err(Failure::timeout(Phase::Listen, &self.local, time));
            }
        }
        Ok(self.flush_delayed())
    }

    /// Waits for datagrams until `idle_until` or the next delayed reply; logs ICMP errors.
    fn receive(&mut self, batch: &mut RecvBatch, idle_until: Option<Instant>) -> io::Result<usize> {
        let next_due = self.delayed.as_ref().and_then(DelayQueue::next_deadline);
        let received = self.socket.receive(batch, earliest(idle_until, next_due));
        self.log_icmp_errors();
        received
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
                self.log.killed_programs(closed.killed);
                self.stats.add_exec(closed.stats);
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
        self.stats.totals(&self.local)
    }

    fn handle(&mut self, batch: &RecvBatch) -> Result<(), Failure> {
        let now = Instant::now();
        let mut replies = Vec::with_capacity(batch.len());
        for group in batch.groups() {
            let group = group.first(u32::try_from(self.remaining).unwrap_or(u32::MAX));
            self.remaining -= u64::from(group.count()).min(self.remaining);
            self.handle_group(group, now, &mut replies);
            if self.remaining == 0 {
                break;
            }
        }
        if let Handler::Print(printer) = &mut self.handler {
            printer.flush(self.shutdown)?;
        }
        self.send(&replies);
        Ok(())
    }

    fn handle_group<'b>(
        &mut self,
        group: DatagramGroup<'b>,
        now: Instant,
        replies: &mut Vec<Transmit<'b>>,
    ) {
        let (peer, local) = (group.meta.peer_address(), destination(&self.local, group.meta));
        let incoming = Incoming { group, peer, local, previous: self.stats.datagrams_in() };
        self.stats.received(&incoming.peer, group.count(), group.bytes.len());
        self.log.received(&incoming);
        self.dump_received(&incoming);
        if group.meta.truncated {
            self.stats.dropped.cut += 1;
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
            dump.datagram(Direction::Received, &incoming.peer, payload);
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
            let (peer, why) = (&incoming.peer, reason.word());
            tracing::debug!(%peer, admitted, of = count, why, "not all are answered");
            self.stats.dropped(reason, count - admitted);
            self.log.not_answered(reason, &incoming.peer, self.policy.per_second());
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
            self.stats.dropped.busy += u64::from(rejected);
            self.log.delay_queue_full();
        }
    }

    fn send(&mut self, replies: &[Transmit<'_>]) {
        let DatagramServer { socket, stats, log, .. } = self;
        for reply in replies {
            stats.sent(reply.count(), reply.contents.len());
        }
        socket.sender().send(replies, &mut |reply, e| {
            stats.send_failed(reply.count(), reply.contents.len());
            log.send_failed(reply, e);
        });
    }

    fn log_icmp_errors(&mut self) {
        for error in self.socket.sender().take_icmp_errors() {
            self.stats.dropped.refused += 1;
            self.log.icmp_error(&error);
        }
    }

    /// Logs the first of several errors in a row, pauses, and returns the pause.
    fn backoff(&self, last_pause: Duration, error: &io::Error) -> Duration {
        if last_pause.is_zero() {
            self.log.receive_failed(error);
        }
        let pause = (last_pause * 2).clamp(MIN_PAUSE, MAX_PAUSE);
        // The loop checks for shutdown itself.
        let _ = self.shutdown.sleep(pause);
        pause
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
