//! The thread of a flow: connects to the target, relays, and emits the events of the flow.

use std::time::Instant;

use socket2::{SockAddr, Socket};

use super::flow::{ConnectedFlow, Flow};
use crate::error::{Failure, Phase};
use crate::net::address::Address;
use crate::net::dial::Dialer;
use crate::net::stream::EndedBy;
use crate::report::context::Context;
use crate::report::event::{Closed, Endpoints, Event, Level, Relayed, Role};
use crate::resolver;
use crate::resolver::Deadline;

/// Relays the datagrams of `flow` until it is idle for too long or the run ends; `can_end`
/// decides whether it ends for the first reason.
pub fn run(flow: &Flow, can_end: impl Fn() -> bool) {
    let (conn, began) = (flow.conn, Instant::now());
    let report = &flow.options.context.report;
    let (local, peer) = (&flow.options.replies.local, Address::from(&flow.client.peer));
    let (local, peer) = (local.to_string(), peer.to_string());
    let ends = Endpoints { conn, local: local.clone(), peer: peer.clone(), ..Endpoints::default() };
    report.emit(&Event::Accepted(ends));
    let (ended_by, relayed) = match connect(flow) {
        Ok(mut connected) => (connected.run(can_end), connected.relayed),
        Err(failure) => {
            report.failure(Some(conn), &failure);
            (EndedBy::Local, Relayed::default())
        }
    };
    report.emit(&Event::Closed(Closed {
        conn,
        bytes_in: relayed.bytes_to_target,
        bytes_out: relayed.bytes_to_client,
        seconds: began.elapsed().as_secs_f64(),
        local,
        peer,
        ended_by,
        relayed: Some(relayed),
        exit_status: None,
        saved: None,
        role: Role::Server,
    }));
}

fn connect(flow: &Flow) -> Result<ConnectedFlow<'_>, Failure> {
    let Context { report, shutdown } = &flow.options.context;
    let log = |event| report.on_socket_event(event);
    let retry = &flow.options.dialer.retry;
    let (target, address) = retry.call(shutdown, &log, || open_socket(flow))?;
    if report.is_enabled(Level::Detail) {
        let local = target.local_addr().map(|local| Address::from(&local).to_string());
        report.emit(&Event::Connected(Endpoints {
            conn: flow.conn,
            local: local.unwrap_or_default(),
            peer: address.to_string(),
            client: Some(Address::from(&flow.client.peer).to_string()),
            ..Endpoints::default()
        }));
    }
    Ok(ConnectedFlow::new(flow, target, address))
}

/// A socket that is connected to the first address of the target that can be connected to.
fn open_socket(flow: &Flow) -> Result<(Socket, Address), Failure> {
    let Dialer { endpoint, family, socket_options, source, timeout, .. } = &flow.options.dialer;
    let port = resolver::port(&endpoint.port, "udp")?;
    let timeout_at = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let deadline = Deadline::from(timeout_at).or(&flow.options.context.shutdown);
    let open = |address| {
        let socket = socket_options.udp_socket(&address)?;
        let bound = source.map_or(Ok(()), |source| socket.bind(&source.into()));
        bound.map_err(|e| Failure::new(Phase::Bind, address, e))?;
        let connected = socket.connect(&SockAddr::from(address));
        let connected = connected.and_then(|()| socket.set_nonblocking(true));
        connected.map_err(|e| Failure::new(Phase::Connect, endpoint, e))?;
        Ok((socket, address.into()))
    };
    let mut failure = None;
    for address in resolver::addresses(&endpoint.host, port, *family, deadline)? {
        match open(address) {
            Ok(opened) => return Ok(opened),
            Err(e) => failure = failure.or(Some(e)),
        }
    }
    Err(failure.unwrap_or_else(|| Failure::new(Phase::Connect, endpoint, "no address")))
}
