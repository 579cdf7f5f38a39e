//! Opening out: an endpoint becomes a stream.
//!
//! The name is looked up, all its addresses are raced, layers wrap the winner: a proxy first,
//! then TLS. One limit covers everything up to the moment the user's first byte could leave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::address::{Address, with_zone_hint};
use super::connect_event::{ConnectEvent, OnConnectEvent};
use super::endpoint::Endpoint;
use super::happy_eyeballs::race;
use super::layer::{HandshakeContext, Layer};
use super::proxy::{Proxy, Route, Target};
use super::retry::Retry;
use super::socket::SocketOptions;
use super::stream::Stream;
use super::unix;
use crate::error::{ExitCode, Failure, Phase};
use crate::resolver;
use crate::resolver::{Deadline, Family};
use crate::shutdown::{Shutdown, ShutdownReason, earliest};

/// Whom to call and how.
#[derive(Debug, Clone)]
pub struct Dialer {
    /// Whom.
    pub endpoint: Endpoint,
    /// Over which family.
    pub family: Family,
    /// Options on the socket.
    pub options: SocketOptions,
    /// Our own address; port 0 lets the kernel choose.
    pub source: Option<SocketAddr>,
    /// Limit for one round: name, TCP and layers together.
    pub timeout: Option<Duration>,
    /// What to do when nobody answers.
    pub retry: Retry,
    /// Straight, or by way of a proxy.
    pub route: Route,
    /// What is wrapped around the connection to the target (TLS).
    pub layer: Option<Arc<dyn Layer>>,
}

/// Addresses of the target that a proxy is asked for, one after another.
const MOST_TARGETS: usize = 8;

impl Dialer {
    /// Calls, again if asked to, until a stream stands.
    ///
    /// Fails at [`Stage::Port`], [`Stage::Resolve`], [`Stage::Socket`], [`Stage::Bind`] (our own
    /// address), [`Stage::Connect`] or a layer's stage.
    pub fn connect(&self, stop: &Shutdown, tell: OnConnectEvent<'_>) -> Result<Stream, Failure> {
        self.retry.call(stop, tell, || self.round(stop, tell))
    }

    fn round(&self, stop: &Shutdown, tell: OnConnectEvent<'_>) -> Result<Stream, Failure> {
        let limit = self.timeout.and_then(|limit| Instant::now().checked_add(limit));
        let until = earliest(limit, stop.deadline());
        let round = Attempt { until: limit, deadline: until, stop, tell };
        let stream = match &self.route {
            Route::Direct => self.connect_direct(&round)?,
            Route::To(proxy) => return self.connect_to(proxy, &round),
            Route::Through(proxy) => self.connect_via_proxy(proxy, &round)?,
            Route::Unix(name) => {
                round.emit(format!("Connecting to {name}..."));
                unix::dial(name, self.timeout, stop)?
            }
        };
        match &self.layer {
            Some(layer) => layer.wrap(stream, &self.handshake(&self.endpoint, &round)),
            None => Ok(stream),
        }
    }

    /// A bare connection to the endpoint.
    fn connect_direct(&self, round: &Attempt<'_>) -> Result<Stream, Failure> {
        let port = port(&self.endpoint, round)?;
        let mut addresses = self.addresses(port, round)?;
        if let Some(source) = self.source {
            addresses.retain(|address| address.is_ipv4() == source.is_ipv4());
            if addresses.is_empty() {
                let host = &self.endpoint.host;
                let why = format!("{host} has no address of the family of {source}");
                return Err(Failure::new(Phase::Bind, source, why));
            }
        }
        let (socket, peer) = race(self, addresses, round.deadline, round.stop, round.tell)?;
        self.stream(socket, peer)
    }

    /// A bare connection to a proxy.
    fn connect_to(&self, proxy: &Proxy, round: &Attempt<'_>) -> Result<Stream, Failure> {
        let there = Dialer { endpoint: proxy.endpoint.clone(), ..self.clone() };
        there.connect_direct(round).map_err(|failure| proxy.unreachable(failure))
    }

    /// A connection to the endpoint by way of a proxy. Where the addresses are ours to find, the
    /// proxy is asked for one after another, as long as it is the target that does not answer.
    fn connect_via_proxy(&self, proxy: &Proxy, round: &Attempt<'_>) -> Result<Stream, Failure> {
        let port = port(&self.endpoint, round)?;
        let targets = match proxy.resolves() {
            true => vec![Target::new(&self.endpoint.host, port)],
            false => self.addresses(port, round)?.into_iter().map(Target::Address).collect(),
        };
        let mut first = None;
        for target in targets.iter().take(MOST_TARGETS) {
            let stream = self.connect_to(proxy, round)?;
            match proxy.tunnel(stream, target, &self.handshake(proxy, round)) {
                Err(failure) if failure.code == ExitCode::Connect => {
                    round.emit(failure.to_string());
                    first.get_or_insert(failure);
                }
                done => return done,
            }
        }
        let none = || self.failed(std::io::ErrorKind::AddrNotAvailable.into());
        Err(first.unwrap_or_else(none))
    }

    fn handshake<'a>(
        &self,
        whom: impl std::fmt::Display,
        round: &Attempt<'a>,
    ) -> HandshakeContext<'a> {
        HandshakeContext {
            target: whom.to_string(),
            until: round.until,
            limit: self.timeout.unwrap_or_default(),
            stop: Some(round.stop),
            activity: None,
            tell: round.tell,
        }
    }

    fn addresses(&self, port: u16, round: &Attempt<'_>) -> Result<Vec<SocketAddr>, Failure> {
        let host = &self.endpoint.host;
        (round.tell)(ConnectEvent::Resolving(host.clone()));
        let found = resolver::addresses(host, port, self.family, round.patience())?;
        (round.tell)(ConnectEvent::Resolved(host.clone(), found.clone()));
        Ok(found)
    }

    /// A socket for one address: options set, source bound, not yet connected.
    pub(super) fn socket(&self, address: &SocketAddr) -> Result<Socket, Failure> {
        let socket = self.options.tcp_socket(address)?;
        if let Some(source) = self.source {
            let bound = socket.set_reuse_address(true).and_then(|()| socket.bind(&source.into()));
            let failed = |e| with_zone_hint(Failure::new(Phase::Bind, source, e), &source);
            bound.map_err(failed)?;
        }
        Ok(socket)
    }

    fn stream(&self, socket: Socket, peer: SocketAddr) -> Result<Stream, Failure> {
        Stream::with_peer(socket, Address::from(peer)).map_err(|e| self.failed(e))
    }

    pub(super) fn failed(&self, error: std::io::Error) -> Failure {
        let failure = Failure::new(Phase::Connect, &self.endpoint, error);
        // The kernel's own patience is a time limit too.
        match failure.errno() {
            Some(libc::ETIMEDOUT) => failure.with_code(ExitCode::Timeout),
            _ => failure,
        }
    }

    pub(super) fn stopped(&self, reason: crate::shutdown::ShutdownReason) -> Failure {
        Failure::shutdown(Phase::Connect, &self.endpoint, reason)
    }

    pub(super) fn late(&self, began: Instant) -> Failure {
        match self.timeout {
            Some(limit) if began.elapsed() >= limit => {
                Failure::timeout(Phase::Connect, &self.endpoint, limit)
            }
            // The limit of the whole run passed first.
            _ => self.stopped(ShutdownReason::Deadline),
        }
    }
}

/// One attempt at everything.
struct Attempt<'a> {
    /// When this round's own limit passes.
    until: Option<Instant>,
    /// That, or the end of the whole run if it comes first.
    deadline: Option<Instant>,
    stop: &'a Shutdown,
    tell: OnConnectEvent<'a>,
}

impl Attempt<'_> {
    /// For as long as a name may take.
    fn patience(&self) -> Deadline<'_> {
        Deadline::from(self.deadline).or(self.stop)
    }

    fn emit(&self, story: String) {
        (self.tell)(ConnectEvent::Layer(story));
    }
}

fn port(endpoint: &Endpoint, round: &Attempt<'_>) -> Result<u16, Failure> {
    let word = &endpoint.port;
    (round.tell)(ConnectEvent::LookingUpPort(word.clone()));
    let port = resolver::port(word, "tcp")?;
    (round.tell)(ConnectEvent::FoundPort(word.clone(), port));
    Ok(port)
}
