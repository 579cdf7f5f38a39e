//! The UDP relay: receives datagrams and passes each to the flow of its client.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use socket2::Socket;

use super::fault::FaultPlan;
use super::flow::{Flow, FlowOptions};
use super::flow_queue::FlowQueue;
use super::flow_table::{FlowRemoval, FlowTable};
use super::record::Recorder;
use crate::datagram::{DatagramGroup, DatagramSocket, RecvBatch, RecvBuffer, RecvMeta};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::address::Address;
use crate::net::dial::Dialer;
use crate::process::systemd;
use crate::report::context::Context;
use crate::report::event::Event;
use crate::server::limits::ServerLimits;
use crate::server::per_ip_limit::{PerIpLimit, PerIpPermit};
use crate::server::thread_pool::ThreadPool;
use crate::shutdown::{ShutdownReason, WaitOutcome, drain};

/// Stack of a flow's thread, in bytes.
const STACK: usize = 64 << 10;
/// How long flows have to report their end after a signal.
const END_TIMEOUT: Duration = Duration::from_millis(300);
/// The pause after a failed receive.
const PAUSE: Duration = Duration::from_millis(10);

/// The options of a UDP relay.
pub struct DatagramRelayOptions {
    /// The bound socket.
    pub socket: Socket,
    /// The target.
    pub dialer: Dialer,
    /// What is put on the datagrams on purpose.
    pub faults: FaultPlan,
    /// Where the datagrams are recorded.
    pub recorder: Option<Recorder>,
    /// Limits, of which a flow is a connection.
    pub limits: ServerLimits,
}

/// Relays datagrams until the limits, a signal or a failure of the socket end it.
///
/// Fails at [`Phase::Bind`] when the socket has no address, and at [`Phase::Listen`] with 28 at the
/// accept timeout or the limit of the run.
pub fn run(context: &Context, options: DatagramRelayOptions) -> Result<ExitCode, Failure> {
    let relay = DatagramRelay::open(context, options)?;
    let local = relay.local.clone();
    context.report.emit(&Event::Listening { local: local.to_string(), awaited: "datagrams" });
    systemd::notify_ready();
    let table = relay.table.clone();
    let reason = relay.run()?;
    systemd::notify_stopping();
    table.wait_until_empty(END_TIMEOUT);
    match reason {
        Some(ShutdownReason::Interrupt) => Ok(ExitCode::Interrupted),
        Some(ShutdownReason::Deadline) => {
            Err(Failure::shutdown(Phase::Listen, local, ShutdownReason::Deadline))
        }
        Some(ShutdownReason::Terminate) | None => Ok(ExitCode::Done),
    }
}

/// The receiving side.
struct DatagramRelay<'a> {
    context: &'a Context,
    socket: DatagramSocket,
    local: Address,
    limits: ServerLimits,
    per_ip: Option<PerIpLimit>,
    flow_options: Arc<FlowOptions>,
    table: Arc<FlowTable>,
    pool: ThreadPool,
    /// The number of the last flow.
    conn: u64,
    is_full: bool,
}

impl<'a> DatagramRelay<'a> {
    fn open(
        context: &'a Context,
        options: DatagramRelayOptions,
    ) -> Result<DatagramRelay<'a>, Failure> {
        let DatagramRelayOptions { socket, dialer, faults, recorder, limits } = options;
        let failed = |e| Failure::new(Phase::Bind, "-", e);
        let socket = DatagramSocket::for_server(socket, RecvBuffer::Grow, context, None);
        let socket = socket.map_err(failed)?;
        let local = socket.local().clone();
        let flow_options = FlowOptions {
            dialer,
            idle_timeout: limits.idle_timeout,
            context: context.clone(),
            faults,
            recorder,
            replies: socket.sender().clone(),
            local: local.clone(),
        };
        Ok(DatagramRelay {
            context,
            socket,
            local,
            per_ip: limits.max_conns_per_ip.map(PerIpLimit::new),
            limits,
            flow_options: Arc::new(flow_options),
            table: Arc::new(FlowTable::new().map_err(failed)?),
            pool: ThreadPool::new(STACK),
            conn: 0,
            is_full: false,
        })
    }

    /// Relays until the last flow of the run has ended, or a shutdown, whose reason is returned.
    fn run(mut self) -> Result<Option<ShutdownReason>, Failure> {
        let mut batch = self.socket.new_batch();
        let mut last_received = Instant::now();
        loop {
            if self.is_exhausted() && self.table.is_empty() {
                return Ok(None);
            }
            let timeout = self.limits.accept_timeout;
            let deadline = timeout.and_then(|timeout| last_received.checked_add(timeout));
            match self.wait(deadline) {
                Ok(WaitOutcome::Shutdown(reason)) => return Ok(Some(reason)),
                Ok(WaitOutcome::TimedOut) => {
                    let timeout = timeout.unwrap_or_default();
                    return Err(Failure::timeout(Phase::Listen, &self.local, timeout));
                }
                Ok(WaitOutcome::Ready(_)) if self.receive(&mut batch) > 0 => {
                    last_received = Instant::now();
                }
                Ok(WaitOutcome::Ready(_)) => {}
                Err(_) => drop(self.context.shutdown.sleep(PAUSE)),
            }
        }
    }

    /// Whether no further flow begins in this run.
    fn is_exhausted(&self) -> bool {
        self.limits.max_accepts.is_some_and(|max| self.conn >= u64::from(max))
    }

    /// Waits for a datagram, or for the end of a flow.
    fn wait(&self, deadline: Option<Instant>) -> io::Result<WaitOutcome> {
        let mut fds = [
            PollFd::new(self.socket.socket(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.table.wake_rx(), PollFlags::IN),
        ];
        let waited = self.context.shutdown.wait_any(&mut fds, deadline);
        drain(self.table.wake_rx());
        waited
    }

    /// Receives what has arrived; returns the number of slots that were filled.
    fn receive(&mut self, batch: &mut RecvBatch) -> usize {
        if self.socket.receive_now(batch).is_err() {
            let _ = self.context.shutdown.sleep(PAUSE);
            return 0;
        }
        // An ICMP error belongs to a client that has gone.
        self.socket.sender().take_icmp_errors();
        for group in batch.groups() {
            self.dispatch(&group);
        }
        batch.groups().count()
    }

    fn dispatch(&mut self, group: &DatagramGroup<'_>) {
        let peer = group.meta.peer_address();
        if !peer.ip().is_some_and(|ip| self.limits.rules.allows(ip)) {
            let report = &self.context.report;
            return report.step(|| format!("rejected {peer}: denied by rule"));
        }
        let table = self.table.clone();
        let mut flows = table.lock();
        let queue = match flows.get(&peer) {
            Some(queue) => Some(queue.clone()),
            None => self.start_flow(&peer, group.meta, flows.len()),
        };
        let Some(queue) = queue else { return };
        group.datagrams().for_each(|datagram| {
            if let Some(traffic) = self.socket.sender().traffic() {
                traffic.received_datagram(&peer, datagram);
            }
            queue.push(datagram);
        });
        flows.insert(peer, queue);
    }

    /// Starts a flow if the limits allow it, while `open` others are open.
    fn start_flow(
        &mut self,
        peer: &Address,
        meta: &RecvMeta,
        open: usize,
    ) -> Option<Arc<FlowQueue>> {
        if self.is_exhausted() {
            return None;
        }
        let permit = match self.permit(peer, open) {
            Ok(permit) => permit,
            Err(why) => {
                if !std::mem::replace(&mut self.is_full, true) {
                    self.context.report.warn(None, format!("rejected {peer}: {why}"));
                }
                return None;
            }
        };
        self.is_full = false;
        self.spawn(peer, meta, permit).unwrap_or_else(|e| {
            let failure = Failure::local_resource(peer, e);
            self.context.report.failure(None, &failure);
            None
        })
    }

    fn permit(&self, peer: &Address, open: usize) -> Result<Option<PerIpPermit>, String> {
        if open >= self.limits.max_conns as usize {
            return Err(format!("there are {open} flows already (--max-conns)"));
        }
        let limit = self.per_ip.as_ref().zip(peer.ip());
        limit.map(|(limit, ip)| limit.acquire(ip)).transpose()
    }

    /// Fails when no pipe or thread can be created.
    fn spawn(
        &mut self,
        peer: &Address,
        meta: &RecvMeta,
        permit: Option<PerIpPermit>,
    ) -> io::Result<Option<Arc<FlowQueue>>> {
        let queue = Arc::new(FlowQueue::new()?);
        self.conn += 1;
        let (client, options) = (meta.clone(), self.flow_options.clone());
        let flow = Flow { conn: self.conn, client, queue: queue.clone(), options };
        let (table, peer) = (self.table.clone(), peer.clone());
        self.pool.run(move || {
            let _permit = permit;
            let _removal = FlowRemoval { table: &table, peer: &peer, queue: &flow.queue };
            flow.run(|| table.remove_idle(&peer, &flow.queue));
        })?;
        Ok(Some(queue))
    }
}
