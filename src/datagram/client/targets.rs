//! The addresses that a datagram client sends to, in the order to try them.

use std::net::SocketAddr;

use socket2::Socket;

use super::client_socket::ClientSocket;
use super::udp_target::{self, TargetOptions};
use crate::error::{Failure, Phase};
use crate::net::endpoint::Endpoint;
use crate::net::name_lookup::NameLookup;
use crate::net::retry::{RetryPolicy, RetryState};
use crate::net::socket_event::OnSocketEvent;
use crate::net::unix::UnixAddress;
use crate::report::context::Context;

/// The addresses of the peer in the order to try them, repeated as `--retry` says.
pub struct Targets<'a> {
    addresses: PeerAddresses<'a>,
    /// Addresses tried since the last retry.
    tried: usize,
    context: &'a Context,
    retries: RetryState<'a>,
}

/// The addresses of the peer.
pub enum PeerAddresses<'a> {
    /// The addresses of a host, and how a socket is opened for each.
    Udp(Vec<SocketAddr>, TargetOptions),
    /// A Unix datagram socket.
    Unix {
        /// Its address.
        peer: &'a UnixAddress,
        /// The name that our socket is bound to.
        local: Option<&'a UnixAddress>,
    },
    /// The first sender to this bound socket; datagrams of others are received too.
    Sender(Option<Socket>),
}

impl<'a> Targets<'a> {
    /// Targets with these addresses.
    pub fn new(
        addresses: PeerAddresses<'a>,
        retry: RetryPolicy,
        context: &'a Context,
        on_event: OnSocketEvent<'a>,
    ) -> Targets<'a> {
        let retries = RetryState::new(retry, &context.shutdown, on_event);
        Targets { addresses, tried: 0, context, retries }
    }

    /// Every address of `endpoint`.
    ///
    /// Fails at [`Phase::Port`] or [`Phase::Resolve`], and at [`Phase::Bind`] if none has the
    /// family of the source address.
    pub fn udp(
        endpoint: &Endpoint,
        options: TargetOptions,
        context: &'a Context,
        on_event: OnSocketEvent<'a>,
    ) -> Result<Targets<'a>, Failure> {
        let Endpoint { host, port } = endpoint;
        let deadline = (&context.shutdown).into();
        let lookup = NameLookup { family: options.family, deadline, emit: on_event };
        let port = lookup.port(port, "udp")?;
        let retry = options.retry;
        let find = || lookup.addresses(host, port);
        let mut addresses = retry.call(&context.shutdown, on_event, find)?;
        if let Some(source) = options.source {
            addresses.retain(|address| address.is_ipv4() == source.is_ipv4());
            if addresses.is_empty() {
                let why = format!("{host} has no address of the family of {source}");
                return Err(Failure::new(Phase::Bind, source, why));
            }
        }
        let addresses = PeerAddresses::Udp(addresses, options);
        Ok(Targets::new(addresses, retry, context, on_event))
    }

    /// Whether the target is a client whose datagram was waited for.
    pub fn is_server(&self) -> bool {
        matches!(self.addresses, PeerAddresses::Sender(_))
    }

    /// Opens a socket for the first address where that is possible. Fails at [`Phase::Socket`],
    /// [`Phase::Bind`] or [`Phase::Connect`].
    pub fn first(&mut self) -> Result<ClientSocket, Failure> {
        loop {
            match self.next() {
                Ok(socket) => return Ok(socket),
                Err(failure) => self.wait_before_retry(failure)?,
            }
        }
    }

    /// Opens a socket for the address after one that failed with `failure`; `None` if there is no
    /// other.
    ///
    /// Fails at shutdown during a pause, or as [`Targets::first`].
    pub fn next_after(&mut self, failure: Failure) -> Result<Option<ClientSocket>, Failure> {
        if let Ok(socket) = self.next() {
            return Ok(Some(socket));
        }
        if !self.retries.can_retry(&failure) {
            return Ok(None);
        }
        self.wait_before_retry(failure)?;
        self.first().map(Some)
    }

    fn wait_before_retry(&mut self, failure: Failure) -> Result<(), Failure> {
        self.tried = 0;
        self.retries.wait_before_retry(failure)
    }

    /// Opens the next address that can be opened. Fails as the first of them if none can.
    fn next(&mut self) -> Result<ClientSocket, Failure> {
        let mut first_failure = None;
        while let Some(opened) = self.open_next() {
            match opened {
                Ok(socket) => {
                    self.context.report.step(|| format!("Writing to {}", socket.address));
                    return Ok(socket);
                }
                Err(failure) => first_failure = first_failure.or(Some(failure)),
            }
        }
        let none = || Failure::new(Phase::Connect, "-", "no address to send to");
        Err(first_failure.unwrap_or_else(none))
    }

    fn open_next(&mut self) -> Option<Result<ClientSocket, Failure>> {
        let (nth, context) = (self.tried, self.context);
        self.tried += 1;
        match &mut self.addresses {
            PeerAddresses::Unix { peer, local } => {
                (nth == 0).then(|| ClientSocket::open_unix(peer, *local, context))
            }
            PeerAddresses::Sender(socket) => {
                Some(ClientSocket::await_sender(socket.take()?, context))
            }
            PeerAddresses::Udp(addresses, options) => {
                Some(udp_target::open(*addresses.get(nth)?, options, context))
            }
        }
    }
}
