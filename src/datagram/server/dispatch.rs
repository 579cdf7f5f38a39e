//! What happens to received datagrams: they are counted, logged, and printed or answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::delay_queue::DelayQueue;
use super::ending::ShutdownReport;
use super::exec::ExecPool;
use super::handler::Handler;
use super::incoming::Incoming;
use super::log::ServerLog;
use super::options::DatagramServerOptions;
use super::print::PayloadPrinter;
use super::reply_policy::{Admission, ReplyPolicy};
use crate::datagram::{
    DatagramGroup, DatagramSender, DatagramSocket, RecvBatch, RecvMeta, Transmit,
};
use crate::error::Failure;
use crate::net::address::Address;
use crate::net::stdout::Stdout;
use crate::report::context::Context;
use crate::shutdown::Shutdown;
use crate::transfer::tap::TapDirection;

/// Handles datagrams as the options of a server say.
pub struct Dispatcher<'a> {
    handler: Handler,
    /// What the service print prints.
    printer: Option<PayloadPrinter>,
    /// The running programs of the service exec.
    programs: Option<Arc<ExecPool>>,
    policy: ReplyPolicy,
    /// Delayed replies, with `--delay`.
    delayed: Option<DelayQueue>,
    /// Datagrams to receive before the server exits.
    remaining: u64,
    local: Address,
    sender: Arc<DatagramSender>,
    stdout: Stdout,
    shutdown: &'a Shutdown,
    /// Counts and logs them.
    pub log: ServerLog<'a>,
}

impl<'a> Dispatcher<'a> {
    /// Handles what `socket` receives, and logs that the server is ready.
    pub fn new(
        socket: &DatagramSocket,
        options: DatagramServerOptions,
        context: &'a Context,
        stdout: Stdout,
    ) -> Dispatcher<'a> {
        let Context { report, shutdown } = context;
        let (handler, local) = (options.handler, socket.local().clone());
        let sender = socket.sender().clone();
        let (mut printer, mut programs) = (None, None);
        match &handler {
            Handler::Print(format) => printer = Some(PayloadPrinter::new(*format)),
            Handler::Exec(program) => {
                programs = Some(ExecPool::new(program.clone(), sender.clone(), report));
            }
            _ => {}
        }
        if let Some(dump) = options.hex {
            sender.dump(dump);
        }
        let log = ServerLog::new(report, &local);
        log.started(&handler, &local);
        Dispatcher {
            handler,
            printer,
            programs,
            policy: ReplyPolicy::new(local.clone(), options.max_rate),
            delayed: (!options.delay.is_zero()).then(|| DelayQueue::new(options.delay)),
            remaining: options.max_datagrams.unwrap_or(u64::MAX),
            local,
            sender,
            stdout,
            shutdown,
            log,
        }
    }

    /// Whether as many datagrams were received as the options say.
    pub fn is_exhausted(&self) -> bool {
        self.remaining == 0
    }

    /// Handles a batch. Fails at [`Phase::Stdout`](crate::error::Phase::Stdout) if payloads cannot
    /// be printed.
    pub fn handle(&mut self, batch: &RecvBatch) -> Result<(), Failure> {
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
        if let Some(printer) = &mut self.printer {
            printer.flush(self.stdout, self.shutdown)?;
        }
        self.send(&replies);
        Ok(())
    }

    /// Handles the datagrams of one sender, all in the same way:
    ///
    /// | the datagrams | handler | what is done with them |
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
        } else if let Some(printer) = &mut self.printer {
            group.datagrams().for_each(|payload| printer.add(payload));
        } else if self.handler.replies() {
            self.reply(incoming, now, replies);
        }
    }

    fn dump_received(&self, incoming: &Incoming<'_>) {
        let Some(dump) = self.sender.hex_dump() else { return };
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
            self.log.not_answered(reason, count - admitted, peer);
        }
        if admitted == 0 {
            return;
        }
        incoming.group = incoming.group.first(admitted);
        let Some(queue) = &mut self.delayed else {
            return self.answer(&incoming, replies);
        };
        let rejected = queue.push(&incoming, now);
        if rejected > 0 {
            self.log.delay_queue_full(rejected);
        }
    }

    /// Adds the replies to `replies`; a program sends its reply by itself, later.
    fn answer<'b>(&self, incoming: &Incoming<'b>, replies: &mut Vec<Transmit<'b>>) {
        match &self.programs {
            Some(programs) => programs.start(incoming),
            None => self.handler.reply(incoming, replies),
        }
    }

    fn send(&mut self, replies: &[Transmit<'_>]) {
        let Dispatcher { sender, log, .. } = self;
        replies.iter().for_each(|reply| log.sent(reply));
        sender.send(replies, &mut |reply, e| log.send_failed(reply, e));
    }

    /// When the next delayed reply is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.delayed.as_ref().and_then(DelayQueue::next_deadline)
    }

    /// Sends the delayed replies that are due at `now`; without `now`, all of them.
    pub fn send_delayed(&mut self, now: Option<Instant>) {
        while let Some(delayed) = self.delayed.as_mut().and_then(|queue| queue.pop(now)) {
            let mut replies = Vec::new();
            self.answer(&delayed.incoming(), &mut replies);
            self.send(&replies);
        }
    }

    /// Counts the ICMP errors that have arrived.
    pub fn log_icmp_errors(&mut self) {
        self.sender.take_icmp_errors().iter().for_each(|error| self.log.icmp_error(error));
    }

    /// Waits for programs, for `grace` after shutdown, and logs the totals and what was dropped.
    pub fn close(&mut self, grace: Duration) -> ShutdownReport {
        let mut after = ShutdownReport::default();
        if let Some(printer) = &self.printer {
            self.log.unwritten(printer.unwritten());
            after.work_dropped = printer.unwritten() > 0;
        }
        if let Some(programs) = &self.programs {
            let closed = programs.close(grace, self.shutdown);
            self.log.programs_closed(&closed);
            after.work_dropped = closed.killed > 0;
            after.interrupted_by = closed.interrupted_by;
        }
        self.log_icmp_errors();
        self.log.totals();
        after
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
