//! The UDP relay: receives datagrams and passes each to the flow of its client.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use socket2::Socket;

use super::flow_options::FlowOptions;
use super::flow_starter::FlowStarter;
use super::flow_table::FlowTable;
use crate::datagram::{DatagramGroup, DatagramSocket, RecvBatch, RecvBuffer};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::address::Address;
use crate::net::dial::Dialer;
use crate::poll::clear;
use crate::process::systemd;
use crate::relay::fault::FaultPlan;
use crate::relay::record::Recorder;
use crate::report::context::Context;
use crate::report::event::Event;
use crate::server::access::AccessRules;
use crate::server::limits::ServerLimits;
use crate::shutdown::{ShutdownReason, WaitOutcome};

/// How long flows have to report their end after a signal.
const END_TIMEOUT: Duration = Duration::from_millis(300);
/// The pause after a failed receive.
const PAUSE: Duration = Duration::from_millis(10);

/// The options of a UDP relay.
pub struct UdpRelayOptions {
    /// The bound socket.
    pub socket: Socket,
    /// The target.
    pub dialer: Dialer,
    /// The faults that are injected into the datagrams.
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
pub fn run(context: &Context, options: UdpRelayOptions) -> Result<ExitCode, Failure> {
    let relay = UdpRelay::open(context, options)?;
    let local = relay.socket.local.clone();
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
struct UdpRelay<'a> {
    context: &'a Context,
    socket: Arc<DatagramSocket>,
    rules: AccessRules,
    accept_timeout: Option<Duration>,
    table: Arc<FlowTable>,
    starter: FlowStarter,
}

impl<'a> UdpRelay<'a> {
    fn open(context: &'a Context, options: UdpRelayOptions) -> Result<UdpRelay<'a>, Failure> {
        let UdpRelayOptions { socket, dialer, faults, recorder, limits } = options;
        let failed = |e| Failure::new(Phase::Bind, "-", e);
        let socket = DatagramSocket::for_server(socket, RecvBuffer::Grow, context);
        let socket = Arc::new(socket.map_err(failed)?);
        let flow_options = FlowOptions {
            dialer,
            idle_timeout: limits.idle_timeout,
            context: context.clone(),
            faults,
            recorder,
            replies: socket.clone(),
        };
        let table = Arc::new(FlowTable::new().map_err(failed)?);
        let (rules, accept_timeout) = (limits.rules.clone(), limits.accept_timeout);
        let starter = FlowStarter::new(limits, flow_options, &table);
        Ok(UdpRelay { context, socket, rules, accept_timeout, table, starter })
    }

    /// Relays until the last flow of the run has ended, or a shutdown, whose reason is returned.
    fn run(mut self) -> Result<Option<ShutdownReason>, Failure> {
        let mut batch = self.socket.new_batch();
        let mut last_received = Instant::now();
        loop {
            if self.starter.is_exhausted() && self.table.is_empty() {
                return Ok(None);
            }
            let timeout = self.accept_timeout;
            let deadline = timeout.and_then(|timeout| last_received.checked_add(timeout));
            match self.wait(deadline) {
                Ok(WaitOutcome::Shutdown(reason)) => return Ok(Some(reason)),
                Ok(WaitOutcome::TimedOut) => {
                    let timeout = timeout.unwrap_or_default();
                    return Err(Failure::timeout(Phase::Listen, &self.socket.local, timeout));
                }
                Ok(WaitOutcome::Ready(_)) if self.receive(&mut batch) > 0 => {
                    last_received = Instant::now();
                }
                Ok(WaitOutcome::Ready(_)) => {}
                Err(_) => drop(self.context.shutdown.sleep(PAUSE)),
            }
        }
    }

    /// Waits for a datagram, or for the end of a flow.
    fn wait(&self, deadline: Option<Instant>) -> io::Result<WaitOutcome> {
        let mut fds = [
            PollFd::new(&self.socket.socket, PollFlags::IN),
            PollFd::from_borrowed_fd(self.table.wake_rx(), PollFlags::IN),
        ];
        let waited = self.context.shutdown.wait_any(&mut fds, deadline);
        clear(self.table.wake_rx());
        waited
    }

    /// Receives what has arrived; returns the number of slots that were filled.
    fn receive(&mut self, batch: &mut RecvBatch) -> usize {
        let Ok(count) = self.socket.receive(batch) else {
            let _ = self.context.shutdown.sleep(PAUSE);
            return 0;
        };
        // An ICMP error belongs to a client that has gone.
        self.socket.icmp_errors.take();
        for group in batch.groups() {
            self.dispatch(&group);
        }
        count
    }

    fn dispatch(&mut self, group: &DatagramGroup<'_>) {
        let peer = Address::from(&group.meta.peer);
        if !peer.ip().is_some_and(|ip| self.rules.allows(ip)) {
            let report = &self.context.report;
            return report.step(|| format!("rejected {peer}: denied by rule"));
        }
        let table = self.table.clone();
        let mut flows = table.lock();
        let queue = match flows.get(&peer) {
            Some(queue) => Some(queue.clone()),
            None => self.starter.start(&peer, group.meta, flows.len()),
        };
        let Some(queue) = queue else { return };
        group.datagrams().for_each(|datagram| {
            if let Some(traffic) = &self.socket.traffic {
                traffic.received_datagram(&peer, datagram);
            }
            queue.push(datagram);
        });
        flows.insert(peer, queue);
    }
}
