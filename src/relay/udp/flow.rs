//! One flow of a UDP relay: the datagrams of one client, and a socket to the target for their
//! replies.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use socket2::Socket;

use super::due_queue::DueQueue;
use super::flow_options::FlowOptions;
use super::flow_queue::FlowQueue;
use crate::datagram::{MAX_UDP_PAYLOAD, RecvMeta, Transmit};
use crate::error::{Failure, Phase};
use crate::net::address::Address;
use crate::net::stream::EndedBy;
use crate::poll::earliest;
use crate::relay::direction::Direction;
use crate::relay::record::RecordedFlow;
use crate::report::event::Relayed;
use crate::shutdown::WaitOutcome;

/// Replies that are relayed before the client's next datagrams are.
const MAX_REPLIES: usize = 64;

/// A flow, on a thread of its own.
pub struct Flow {
    /// Its number in this run, from 1.
    pub conn: u64,
    /// The client, and the local address that it has sent to.
    pub client: RecvMeta,
    /// What the client has sent.
    pub queue: Arc<FlowQueue>,
    /// What all flows share.
    pub options: Arc<FlowOptions>,
}

/// A flow whose socket is connected to the target.
pub struct ConnectedFlow<'a> {
    flow: &'a Flow,
    target: Socket,
    address: Address,
    recorded: Option<RecordedFlow>,
    to_target: DueQueue,
    to_client: DueQueue,
    /// The bytes that were sent on so far.
    pub relayed: Relayed,
    moved_at: Instant,
    buffer: Vec<u8>,
    has_failed: bool,
}

impl ConnectedFlow<'_> {
    /// A flow with the socket `target`, which is connected to `address`.
    pub fn new(flow: &Flow, target: Socket, address: Address) -> ConnectedFlow<'_> {
        let FlowOptions { faults, recorder, context, .. } = &*flow.options;
        let queue = |direction| {
            DueQueue::new(faults.datagram_faults(flow.conn, direction), &context.report)
        };
        let client = Address::from(&flow.client.peer);
        ConnectedFlow {
            flow,
            target,
            recorded: recorder.as_ref().map(|to| to.flow(flow.conn, &client, &address)),
            address,
            to_target: queue(Direction::ToTarget),
            to_client: queue(Direction::ToClient),
            relayed: Relayed::default(),
            moved_at: Instant::now(),
            buffer: vec![0; MAX_UDP_PAYLOAD + 1],
            has_failed: false,
        }
    }

    /// Relays until the flow is idle for too long or the run ends; `can_end` decides whether it
    /// ends for the first reason.
    pub fn run(&mut self, can_end: impl Fn() -> bool) -> EndedBy {
        loop {
            match self.wait() {
                Ok(WaitOutcome::Ready(_) | WaitOutcome::TimedOut) => self.relay(),
                Ok(WaitOutcome::Shutdown(reason)) => return reason.into(),
                Err(e) => {
                    self.report_once(Phase::Socket, e);
                    return EndedBy::Local;
                }
            }
            if self.idle_at().is_some_and(|at| at <= Instant::now()) && can_end() {
                self.to_target.flush();
                self.to_client.flush();
                self.send_due();
                return EndedBy::Timeout;
            }
        }
    }

    /// When the flow ends if nothing is received until then.
    fn idle_at(&self) -> Option<Instant> {
        let limit = self.flow.options.idle_timeout;
        limit.and_then(|limit| self.moved_at.checked_add(limit))
    }

    /// Waits for a datagram of either side, or for the time of one that is held back.
    fn wait(&self) -> io::Result<WaitOutcome> {
        let next_due = earliest(self.to_target.next_due(), self.to_client.next_due());
        let mut fds = [
            PollFd::from_borrowed_fd(self.flow.queue.wake_rx(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.target.as_fd(), PollFlags::IN),
        ];
        let shutdown = &self.flow.options.context.shutdown;
        shutdown.wait_any(&mut fds, earliest(self.idle_at(), next_due))
    }

    /// Receives what has arrived, and sends what is due.
    fn relay(&mut self) {
        for datagram in self.flow.queue.take() {
            self.moved_at = Instant::now();
            self.to_target.add(&datagram);
        }
        self.receive_replies();
        self.send_due();
    }

    fn receive_replies(&mut self) {
        for _ in 0..MAX_REPLIES {
            match io::Read::read(&mut &self.target, &mut self.buffer) {
                Ok(n) => {
                    self.moved_at = Instant::now();
                    if let Some(traffic) = &self.flow.options.replies.traffic {
                        traffic.received_datagram(&self.address, &self.buffer[..n]);
                    }
                    self.to_client.add(&self.buffer[..n]);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return self.report_once(Phase::Receive, e),
            }
        }
    }

    fn send_due(&mut self) {
        while let Some(datagram) = self.to_target.pop() {
            let sent = self.send(&datagram);
            self.relayed.bytes_to_target += self.count(Direction::ToTarget, &datagram, sent);
        }
        while let Some(datagram) = self.to_client.pop() {
            let sent = self.reply(&datagram);
            self.relayed.bytes_to_client += self.count(Direction::ToClient, &datagram, sent);
        }
    }

    /// Records a datagram; returns the number of its bytes if it was sent.
    fn count(&mut self, direction: Direction, datagram: &[u8], sent: io::Result<()>) -> u64 {
        if let Some(recorded) = &self.recorded {
            recorded.datagram(direction, datagram);
        }
        match sent {
            Ok(()) => datagram.len() as u64,
            Err(e) => {
                self.report_once(Phase::Send, e);
                0
            }
        }
    }

    /// Sends one datagram to the target. An ICMP error of an earlier one does not fail it.
    fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self.target.send(datagram) {
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => self.target.send(datagram)?,
            done => done?,
        };
        if let Some(traffic) = &self.flow.options.replies.traffic {
            traffic.sent_datagram(&self.address, datagram);
        }
        Ok(())
    }

    /// Sends one datagram to the client, from the address it has sent to.
    fn reply(&self, datagram: &[u8]) -> io::Result<()> {
        let reply = Transmit::reply(&self.flow.client, datagram);
        let mut sent = Ok(());
        self.flow.options.replies.send(&[reply], &mut |_, e| {
            sent = Err(e.raw_os_error().map_or(e.kind().into(), io::Error::from_raw_os_error));
        });
        sent
    }

    /// Reports the first failure of this flow, which continues: the target may be started later.
    fn report_once(&mut self, phase: Phase, e: io::Error) {
        if !std::mem::replace(&mut self.has_failed, true) {
            let failure = Failure::new(phase, &self.address, e);
            self.flow.options.context.report.failure(Some(self.flow.conn), &failure);
        }
    }
}
