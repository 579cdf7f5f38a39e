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
use super::endpoint::Endpoint;
use super::happy_eyeballs;
use super::layer::{HandshakeContext, Layer};
use super::name_lookup::NameLookup;
use super::proxy::{Proxy, Target};
use super::retry::RetryPolicy;
use super::route::Route;
use super::socket::SocketOptions;
use super::socket_event::{OnSocketEvent, SocketEvent};
use super::stream::Stream;
use super::unix;
use crate::error::{ExitCode, Failure, Phase};
use crate::resolver::{Family, host_name};
use crate::shutdown::Shutdown;

/// What to connect to, and how.
#[derive(Debug, Clone)]
pub struct Dialer {
    /// The target.
    pub endpoint: Endpoint,
    /// Address families to use.
    pub family: Family,
    /// Options of the socket.
    pub socket_options: SocketOptions,
    /// The local address; port 0 lets the kernel choose.
    pub source: Option<SocketAddr>,
    /// Limit of one attempt: name, TCP and layers together.
    pub timeout: Option<Duration>,
    /// Further attempts.
    pub retry: RetryPolicy,
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
    pub fn connect(&self, shutdown: &Shutdown, emit: OnSocketEvent<'_>) -> Result<Stream, Failure> {
        self.retry.call(shutdown, emit, || {
            self.connect_once(&Attempt::new(&self.endpoint, self.timeout, shutdown, emit))
        })
    }

    fn connect_once(&self, attempt: &Attempt<'_>) -> Result<Stream, Failure> {
        let (route, layer) = (self.route.name(), self.layer.is_some());
        tracing::debug!(target = %self.endpoint, route, layer, "connects");
        let stream = match &self.route {
            Route::Direct => self.connect_direct(attempt)?,
            Route::ForwardProxy(proxy) => return self.connect_to(proxy, attempt),
            Route::Tunnel(proxy) => self.connect_via_proxy(proxy, attempt)?,
            Route::Unix(name) => unix::dial(name, self.timeout, attempt.shutdown, attempt.emit)?,
        };
        match &self.layer {
            Some(layer) => layer.wrap(stream, &handshake(&self.endpoint, attempt)),
            None => Ok(stream),
        }
    }

    /// Connects to the endpoint of `attempt`, without layers.
    fn connect_direct(&self, attempt: &Attempt<'_>) -> Result<Stream, Failure> {
        let mut addresses = self.resolve(attempt)?;
        if let Some(source) = self.source {
            addresses.retain(|address| address.is_ipv4() == source.is_ipv4());
            if addresses.is_empty() {
                let host = &attempt.endpoint.host;
                let why = format!("{host} has no address of the family of {source}");
                return Err(Failure::new(Phase::Bind, source, why));
            }
        }
        let open = |address: &SocketAddr| self.open_socket(address, attempt.emit);
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
        if proxy.resolves() {
            let port = self.lookup(attempt).port(&attempt.endpoint.port, "tcp")?;
            let host = host_name::to_ascii(&attempt.endpoint.host)?;
            return Ok(vec![Target::new(&host, port)]);
        }
        Ok(self.resolve(attempt)?.into_iter().map(Target::Address).collect())
    }

    fn lookup<'a>(&self, attempt: &Attempt<'a>) -> NameLookup<'a> {
        NameLookup { family: self.family, deadline: attempt.resolve_deadline(), emit: attempt.emit }
    }

    fn resolve(&self, attempt: &Attempt<'_>) -> Result<Vec<SocketAddr>, Failure> {
        let lookup = self.lookup(attempt);
        let port = lookup.port(&attempt.endpoint.port, "tcp")?;
        lookup.addresses(&attempt.endpoint.host, port)
    }

    /// Opens a socket for one address: options set, source bound, not yet connected.
    fn open_socket(
        &self,
        address: &SocketAddr,
        emit: OnSocketEvent<'_>,
    ) -> Result<Socket, Failure> {
        let socket = self.socket_options.tcp_socket(address)?;
        emit(SocketEvent::socket(address, None));
        if let Some(source) = self.source {
            let failed = |e| with_zone_hint(Failure::new(Phase::Bind, source, e), &source);
            socket.set_reuse_address(true).map_err(failed)?;
            emit(SocketEvent::ReuseAddress);
            socket.bind(&source.into()).map_err(failed)?;
            emit(SocketEvent::Bound(source.to_string()));
        }
        Ok(socket)
    }
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
