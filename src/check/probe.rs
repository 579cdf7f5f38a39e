//! One attempt at one address: connects, with proxy and TLS, and closes again.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::options::{CheckOptions, HostOptions};
use super::target::{CheckTarget, Protocol};
use super::udp;
use super::verdict::Verdict;
use crate::net::dial::Dialer;
use crate::net::endpoint::Endpoint;
use crate::net::retry::RetryPolicy;
use crate::net::route::Route;
use crate::net::socket_event::SocketEvent;
use crate::net::stream::Stream;
use crate::report::context::Context;
use crate::report::event::check::CheckStatus;

/// What an attempt connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeAddress {
    /// An address of the host.
    Resolved(SocketAddr),
    /// What the target names: a Unix socket, or a host that the proxy resolves.
    AsGiven,
}

/// Where an attempt connects to, and its time limit.
#[derive(Debug, Clone)]
pub struct PendingProbe {
    /// The address.
    pub destination: ProbeAddress,
    /// The time limit; `None` is no limit.
    pub limit: Option<Duration>,
}

/// Connects to `target` as `pending` describes and closes the connection.
///
/// `context.shutdown` ends the attempt too.
pub fn probe(
    target: &CheckTarget,
    pending: &PendingProbe,
    options: &CheckOptions,
    context: &Context,
) -> Verdict {
    let PendingProbe { destination, limit } = pending;
    let began = Instant::now();
    let verdict = match (target, destination) {
        (CheckTarget::Port { protocol: Protocol::Udp, .. }, ProbeAddress::Resolved(address)) => {
            udp::probe(*address, options, *limit, context)
        }
        _ => {
            let dialer = dialer(target, pending, options);
            let log = |event| log(event, context);
            dialer.connect(&context.shutdown, &log).map(|stream| close(stream, &dialer))
        }
    };
    let elapsed = began.elapsed();
    let verdict = verdict.unwrap_or_else(|failure| Verdict::failed(&failure));
    match destination {
        ProbeAddress::Resolved(address) => verdict.at(address, elapsed),
        ProbeAddress::AsGiven => Verdict { elapsed, ..verdict },
    }
}

fn dialer(target: &CheckTarget, pending: &PendingProbe, options: &CheckOptions) -> Dialer {
    let HostOptions { route, layer } =
        target.host().and_then(|host| options.hosts.get(host)).cloned().unwrap_or_default();
    let (host, port, route) = match target {
        CheckTarget::Unix(name) => (name.to_string(), 0, Route::Unix(name.clone())),
        CheckTarget::Port { host, port, .. } => (host.to_string(), *port, route),
    };
    let host = match &pending.destination {
        ProbeAddress::Resolved(address) => resolver_text(address),
        ProbeAddress::AsGiven => host,
    };
    Dialer {
        endpoint: Endpoint { host, port: port.to_string() },
        family: options.family,
        socket_options: options.socket.clone(),
        source: options.source,
        timeout: pending.limit,
        retry: RetryPolicy::default(),
        route,
        layer,
    }
}

/// The address as the resolver parses it, with its zone.
fn resolver_text(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        _ => address.ip().to_string(),
    }
}

/// Logs the steps and warnings of proxies and TLS; those of TCP are in the verdict, and logged under
/// `-vv`, where each has a complete line, as attempts are concurrent.
fn log(event: SocketEvent, context: &Context) {
    use SocketEvent::{HandshakeMessage, Layer, Warning};
    let is_of_layer = matches!(event, Layer(_) | HandshakeMessage(_) | Warning(_));
    if is_of_layer || context.report.shows_traffic() && !event.is_beginning() {
        context.report.on_socket_event(event);
    }
}

fn close(mut stream: Stream, dialer: &Dialer) -> Verdict {
    let certificate = stream.info.certificate.take();
    if dialer.layer.is_some() {
        // The peer is not to take the end for a truncation. An error is ignored: it may have closed already.
        let _ = stream.writer.half_close();
    }
    Verdict { certificate, ..Verdict::new(CheckStatus::Open) }
}
