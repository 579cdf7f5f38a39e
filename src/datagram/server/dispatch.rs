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
use super::reply_policy::{Admission, ReplyPolicy};
use crate::datagram::{DatagramGroup, DatagramSocket, RecvBatch, Transmit};
use crate::error::Failure;
use crate::net::address::Address;
use crate::net::stdout::Stdout;
use crate::report::Report;

/// Handles datagrams as the options of a server say.
pub struct Dispatcher<'a> {
    handler: Handler,
    /// The running programs of the service exec.
    programs: Option<Arc<ExecPool>>,
    policy: ReplyPolicy,
    /// Delayed replies, with `--delay`.
    delayed: Option<DelayQueue>,
    /// Datagrams to receive before the server exits.
    pub remaining: u64,
    socket: &'a DatagramSocket,
    stdout: Stdout,
    /// Counts and logs them.
    pub log: ServerLog<'a>,
}

impl<'a> Dispatcher<'a> {
    /// Handles what `socket` receives, and logs that the server is ready.
    pub fn new(
        socket: &'a Arc<DatagramSocket>,
        options: DatagramServerOptions,
        report: &'a Report,
        stdout: Stdout,
    ) -> Dispatcher<'a> {
        let handler = options.handler;
        let programs = match &handler {
            Handler::Exec(program) => Some(ExecPool::new(program.clone(), socket.clone(), report)),
            _ => None,
        };
        let log = ServerLog::new(report, socket);
        log.started(&handler);
        Dispatcher {
            handler,
            programs,
            policy: ReplyPolicy::new(socket.local.clone(), options.max_rate),
            delayed: (!options.delay.is_zero()).then(|| DelayQueue::new(options.delay)),
            remaining: options.max_datagrams.unwrap_or(u64::MAX),
            socket,
            stdout,
            log,
        }
    }

    /// Handles a batch. Fails at [`Phase::Stdout`](crate::error::Phase::Stdout) if payloads cannot
    /// be printed.
    pub fn handle(&mut self, batch: &RecvBatch) -> Result<(), Failure> {
        let now = Instant::now();
        let mut replies = Vec::new();
        for group in batch.groups() {
            if self.remaining == 0 {
                break;
            }
            let group = group.first(self.remaining);
            self.remaining -= group.count();
            self.handle_group(group, now, &mut replies);
        }
        if let Handler::Print(printer) = &mut self.handler {
            printer.flush(self.stdout, &self.socket.shutdown)?;
        }
        self.socket.send(&replies, &mut |reply, e| self.log.send_failed(reply, e));
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
        let (peer, previous) = (Address::from(&group.meta.peer), self.log.datagrams_in);
        let incoming = Incoming { group, peer, previous };
        self.log.received(&incoming);
        match &mut self.handler {
            _ if group.meta.truncated => self.log.truncated(&incoming.peer),
            Handler::Print(printer) => group.datagrams().for_each(|payload| printer.add(payload)),
            Handler::Echo | Handler::Reply(_) | Handler::Exec(_) => {
                self.reply(incoming, now, replies);
            }
            Handler::Discard => {}
        }
    }

    /// Replies to as many datagrams as the policy admits, now or after the delay; a program sends its
    /// reply by itself, later.
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
        if let Some(programs) = &self.programs {
            programs.start(&incoming);
        } else if let Some(queue) = &mut self.delayed {
            let rejected = queue.push(&incoming, now);
            if rejected > 0 {
                self.log.delay_queue_full(rejected);
            }
        } else {
            self.handler.reply(&incoming, &self.socket.local, replies);
        }
    }

    /// When the next delayed reply is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.delayed.as_ref().and_then(DelayQueue::next_deadline)
    }

    /// Sends the delayed replies that are due at `now`; without `now`, all of them.
    pub fn send_delayed(&mut self, now: Option<Instant>) {
        while let Some(delayed) = self.delayed.as_mut().and_then(|queue| queue.pop(now)) {
            let mut replies = Vec::new();
            self.handler.reply(&delayed.incoming(), &self.socket.local, &mut replies);
            self.socket.send(&replies, &mut |reply, e| self.log.send_failed(reply, e));
        }
    }

    /// Waits for programs, for `grace` after shutdown, and logs the totals and what was dropped.
    pub fn close(&mut self, grace: Duration) -> ShutdownReport {
        let mut after = ShutdownReport::default();
        if let Handler::Print(printer) = &self.handler {
            self.log.unwritten(printer.unwritten);
            after.work_dropped = printer.unwritten > 0;
        }
        if let Some(programs) = &self.programs {
            let closed = programs.close(grace, &self.socket.shutdown);
            self.log.programs_closed(&closed);
            after.work_dropped = closed.killed > 0;
            after.interrupted_by = closed.interrupted_by;
        }
        self.log.icmp_errors();
        self.log.totals();
        after
    }
}
