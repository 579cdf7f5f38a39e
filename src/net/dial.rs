//! Opening out: an endpoint becomes a stream.
//!
//! The name is looked up, all its addresses are raced, layers wrap the winner. One limit covers
//! everything up to the moment the user's first byte could leave.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::address::Address;
use super::endpoint::Endpoint;
use super::race::race;
use super::resolve::{self, Family};
use super::socket::Options;
use super::step::{Listener, Step};
use super::stream::Stream;
use crate::failure::{Code, Failure, Stage};
use crate::stop::{Stop, earliest};

/// Whom to call and how.
#[derive(Debug, Clone)]
pub struct Dial {
    /// Whom.
    pub endpoint: Endpoint,
    /// Over which family.
    pub family: Family,
    /// Options on the socket.
    pub options: Options,
    /// Our own address; port 0 lets the kernel choose.
    pub source: Option<SocketAddr>,
    /// Limit for one round: name, TCP and layers together.
    pub timeout: Option<Duration>,
    /// What to do when nobody answers.
    pub retry: Retry,
}

/// Further rounds after a failed one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retry {
    /// How many.
    pub times: u32,
    /// Pause before each.
    pub delay: Duration,
}

impl Dial {
    /// Calls, again if asked to, until a stream stands.
    ///
    /// Fails at [`Stage::Port`], [`Stage::Resolve`], [`Stage::Socket`], [`Stage::Bind`] (our own
    /// address), [`Stage::Connect`] or a layer's stage. Only a connection that could not be made
    /// is tried again: a name that does not exist will not exist a second later either.
    pub fn call(&self, stop: &Stop, tell: Listener<'_>) -> Result<Stream, Failure> {
        let mut round = 0;
        loop {
            match self.round(stop, tell) {
                Err(failure) if round < self.retry.times && is_passing(&failure) => {
                    round += 1;
                    tell(Step::Layer(failure.to_string()));
                    tell(Step::Retrying(round, self.retry.delay));
                    stop.sleep(self.retry.delay).map_err(|reason| self.stopped(reason))?;
                }
                done => return done,
            }
        }
    }

    fn round(&self, stop: &Stop, tell: Listener<'_>) -> Result<Stream, Failure> {
        let limit = self.timeout.and_then(|limit| Instant::now().checked_add(limit));
        let until = earliest(limit, stop.deadline());
        let addresses = self.addresses(until, tell)?;
        let (socket, peer) = race(self, addresses, until, stop, tell)?;
        self.stream(socket, peer)
    }

    fn addresses(
        &self,
        until: Option<Instant>,
        tell: Listener<'_>,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let Endpoint { host, port: word } = &self.endpoint;
        tell(Step::LookingUpPort(word.clone()));
        let port = resolve::port(word, "tcp")?;
        tell(Step::FoundPort(word.clone(), port));
        tell(Step::Resolving(host.clone()));
        let mut found = resolve::addresses(host, port, self.family, until)?;
        tell(Step::Resolved(host.clone(), found.clone()));
        if let Some(source) = self.source {
            found.retain(|address| address.is_ipv4() == source.is_ipv4());
            if found.is_empty() {
                let why = format!("{host} has no address of the family of {source}");
                return Err(Failure::new(Stage::Bind, source, why));
            }
        }
        Ok(found)
    }

    /// A socket for one address: options set, source bound, not yet connected.
    pub(super) fn socket(&self, address: &SocketAddr) -> Result<Socket, Failure> {
        let socket = self.options.tcp_socket(address)?;
        if let Some(source) = self.source {
            let bound = socket.set_reuse_address(true).and_then(|()| socket.bind(&source.into()));
            bound.map_err(|e| Failure::new(Stage::Bind, source, e))?;
        }
        Ok(socket)
    }

    fn stream(&self, socket: Socket, peer: SocketAddr) -> Result<Stream, Failure> {
        Stream::with_peer(socket, Address::from(peer)).map_err(|e| self.failed(e))
    }

    pub(super) fn failed(&self, error: std::io::Error) -> Failure {
        let failure = Failure::new(Stage::Connect, &self.endpoint, error);
        // The kernel's own patience is a time limit too.
        match failure.errno() {
            Some(libc::ETIMEDOUT) => failure.with_code(Code::Timeout),
            _ => failure,
        }
    }

    pub(super) fn stopped(&self, reason: crate::stop::Reason) -> Failure {
        Failure::stopped(Stage::Connect, &self.endpoint, reason)
    }

    pub(super) fn late(&self, began: Instant) -> Failure {
        let limit = self.timeout.unwrap_or_else(|| began.elapsed());
        Failure::late(Stage::Connect, &self.endpoint, limit)
    }
}

fn is_passing(failure: &Failure) -> bool {
    matches!(failure.code, Code::Connect | Code::Timeout | Code::TryAgain)
        && failure.stage != Stage::Socket
}
