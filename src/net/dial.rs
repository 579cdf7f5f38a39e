//! Connecting: an endpoint becomes a stream.
//!
//! The name is resolved, all its addresses are raced, and layers wrap the connection: a proxy
//! first, then TLS. One time limit covers all of it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::Socket;

use super::address::{Address, with_zone_hint};
use super::attempt::Attempt;
use super::connect_event::{ConnectEvent, OnConnectEvent};
use super::endpoint::Endpoint;
use super::happy_eyeballs;
use super::layer::{HandshakeContext, Layer};
use super::proxy::{Proxy, Route, Target};
use super::retry::Retry;
use super::socket::SocketOptions;
use super::stream::Stream;
use super::unix;
use crate::error::{ExitCode, Failure, Phase};
use crate::resolver;
use crate::resolver::Family;
use crate::shutdown::Shutdown;

/// What to connect to, and how.
#[derive(Debug, Clone)]
pub struct Dialer {
    /// The target.
    pub endpoint: Endpoint,
    /// Address families to use.
    pub family: Family,
    /// Options of the socket.
    pub options: SocketOptions,
    /// The local address; port 0 lets the kernel choose.
    pub source: Option<SocketAddr>,
    /// Limit of one attempt: name, TCP and layers together.
    pub timeout: Option<Duration>,
    /// Further attempts.
    pub retry: Retry,
    /// Directly, or through a proxy.
    pub route: Route,
    /// The layer around the connection to the target (TLS).
    pub layer: Option<Arc<dyn Layer>>,
}

/// Addresses of the target that a proxy is asked for, one after another.
const MAX_PROXY_TARGETS: usize = 8;

impl Dialer {
    /// Connects, with retries.
    ///
    /// Fails at [`Phase::Port`], [`Phase::Resolve`], [`Phase::Socket`], [`Phase::Bind`] (the local
    /// address), [`Phase::Connect`] or the phase of a layer.
    pub fn connect(
        &self,
        shutdown: &Shutdown,
        emit: OnConnectEvent<'_>,
    ) -> Result<Stream, Failure> {
        self.retry.call(shutdown, emit, || {
            self.connect_once(&Attempt::new(&self.endpoint, self.timeout, shutdown, emit))
        })
    }

    fn connect_once(&self, attempt: &Attempt<'_>) -> Result<Stream, Failure> {
        let stream = match &self.route {
            Route::Direct => self.connect_direct(attempt)?,
            Route::To(proxy) => return self.connect_to(proxy, attempt),
            Route::Through(proxy) => self.connect_via_proxy(proxy, attempt)?,
            Route::Unix(name) => {
                attempt.log(format!("Connecting to {name}..."));
                unix::dial(name, self.timeout, attempt.shutdown)?
            }
        };
        match &self.layer {
            Some(layer) => layer.wrap(stream, &handshake(&self.endpoint, attempt)),
            None => Ok(stream),
        }
    }

    /// Connects to the endpoint of `attempt`, without layers.
    fn connect_direct(&self, attempt: &Attempt<'_>) -> Result<Stream, Failure> {
        let port = resolve_port(attempt)?;
        let mut addresses = self.resolve(port, attempt)?;
        if let Some(source) = self.source {
            addresses.retain(|address| address.is_ipv4() == source.is_ipv4());
            if addresses.is_empty() {
                let host = &attempt.endpoint.host;
                let why = format!("{host} has no address of the family of {source}");
                return Err(Failure::new(Phase::Bind, source, why));
            }
        }
        let open = |address: &SocketAddr| self.open_socket(address);
        let connected = happy_eyeballs::connect(addresses, attempt, &open)?;
        Stream::with_peer(connected.socket, Address::from(connected.address))
            .map_err(|e| attempt.failed(e))
    }

    /// Connects to the proxy, without layers.
    fn connect_to(&self, proxy: &Proxy, attempt: &Attempt<'_>) -> Result<Stream, Failure> {
        let attempt = Attempt { endpoint: &proxy.endpoint, ..*attempt };
        self.connect_direct(&attempt).map_err(|failure| proxy.unreachable(failure))
    }

    /// Connects to the endpoint through a proxy. Where the addresses are resolved locally, the proxy
    /// is asked for one after another, as long as it is the target that does not answer.
    fn connect_via_proxy(&self, proxy: &Proxy, attempt: &Attempt<'_>) -> Result<Stream, Failure> {
        let mut first_failure = None;
        for target in self.proxy_targets(proxy, attempt)?.iter().take(MAX_PROXY_TARGETS) {
            let stream = self.connect_to(proxy, attempt)?;
            match proxy.tunnel(stream, target, &handshake(proxy, attempt)) {
                Err(failure) if failure.code == ExitCode::Connect => {
                    attempt.log(failure.to_string());
                    first_failure.get_or_insert(failure);
                }
                done => return done,
            }
        }
        Err(first_failure.unwrap_or_else(|| attempt.failed(ErrorKind::AddrNotAvailable.into())))
    }

    fn proxy_targets(&self, proxy: &Proxy, attempt: &Attempt<'_>) -> Result<Vec<Target>, Failure> {
        let port = resolve_port(attempt)?;
        if proxy.resolves() {
            return Ok(vec![Target::new(&attempt.endpoint.host, port)]);
        }
        Ok(self.resolve(port, attempt)?.into_iter().map(Target::Address).collect())
    }

    fn resolve(&self, port: u16, attempt: &Attempt<'_>) -> Result<Vec<SocketAddr>, Failure> {
        let host = &attempt.endpoint.host;
        (attempt.emit)(ConnectEvent::Resolving(host.clone()));
        let found = resolver::addresses(host, port, self.family, attempt.resolve_deadline())?;
        (attempt.emit)(ConnectEvent::Resolved(host.clone(), found.clone()));
        Ok(found)
    }

    /// Opens a socket for one address: options set, source bound, not yet connected.
    fn open_socket(&self, address: &SocketAddr) -> Result<Socket, Failure> {
        let socket = self.options.tcp_socket(address)?;
        if let Some(source) = self.source {
            let bound = socket.set_reuse_address(true).and_then(|()| socket.bind(&source.into()));
            let failed = |e| with_zone_hint(Failure::new(Phase::Bind, source, e), &source);
            bound.map_err(failed)?;
        }
        Ok(socket)
    }
}

fn resolve_port(attempt: &Attempt<'_>) -> Result<u16, Failure> {
    let word = &attempt.endpoint.port;
    (attempt.emit)(ConnectEvent::LookingUpPort(word.clone()));
    let port = resolver::port(word, "tcp")?;
    (attempt.emit)(ConnectEvent::FoundPort(word.clone(), port));
    Ok(port)
}

fn handshake<'a>(target: impl std::fmt::Display, attempt: &Attempt<'a>) -> HandshakeContext<'a> {
    HandshakeContext {
        target: target.to_string(),
        deadline: attempt.timeout_at,
        timeout: attempt.timeout.unwrap_or_default(),
        shutdown: Some(attempt.shutdown),
        activity: None,
        emit: attempt.emit,
    }
}
