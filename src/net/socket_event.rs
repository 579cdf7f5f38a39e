//! The steps of connecting and listening, as events (`-v`).

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::address::Address;

/// A step of connecting or listening. All but the two that begin something are steps that are done.
#[derive(Debug, Clone)]
pub enum SocketEvent {
    /// A lookup of a name has begun.
    Resolving(String),
    /// The addresses of a name, in order of preference.
    Resolved(String, Vec<SocketAddr>),
    /// The lookup of a name failed, and why.
    Unresolved(String, String),
    /// The host is an address, which needs no lookup.
    Numeric,
    /// The port number of a service.
    FoundPort(u16),
    /// A socket of this family and type was created.
    Socket(String),
    /// `SO_REUSEADDR` was set.
    ReuseAddress,
    /// The socket was bound to this address.
    Bound(String),
    /// `listen(2)` was called with this backlog.
    Listening(i32),
    /// `connect(2)` has begun.
    Connecting(Address),
    /// One address failed; others may follow.
    Failed(Address, String),
    /// One address did not answer before the deadline.
    TimedOut(Address),
    /// Another address was connected first.
    Abandoned(Address),
    /// The connection to one address is established.
    Connected(Address),
    /// All addresses failed; the next attempt follows after the delay.
    Retrying(u32, Duration),
    /// A step of a layer (proxy, TLS).
    Layer(String),
    /// A message of a layer's handshake, without credentials (`-vv`).
    HandshakeMessage(String),
    /// The TLS session with this peer is established.
    Secured(String),
    /// A warning, printed without `-v` too.
    Warning(String),
}

/// Receives the steps.
pub type OnSocketEvent<'a> = &'a (dyn Fn(SocketEvent) + Sync);

impl SocketEvent {
    /// Whether something has begun that may take long: the step that is done has its own line.
    pub fn is_beginning(&self) -> bool {
        matches!(self, SocketEvent::Resolving(_) | SocketEvent::Connecting(_))
    }

    /// A socket for `address` was created, of this protocol where it is to be printed.
    pub fn socket(address: &SocketAddr, protocol: Option<&str>) -> SocketEvent {
        let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
        SocketEvent::Socket([family].into_iter().chain(protocol).collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for SocketEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketEvent::Resolving(host) => write!(f, "Looking up {host}..."),
            SocketEvent::Resolved(host, found) => {
                write!(f, "Looking up {host}... done:")?;
                found.iter().try_for_each(|address| write!(f, " {}", address.ip()))
            }
            SocketEvent::Unresolved(host, cause) => {
                write!(f, "Looking up {host}... failed: {cause}")
            }
            SocketEvent::Numeric => Ok(()),
            SocketEvent::FoundPort(port) => write!(f, "Looking up port number... done: {port}"),
            SocketEvent::Socket(kind) => write!(f, "Creating socket ({kind})... done."),
            SocketEvent::ReuseAddress => write!(f, "Setting SO_REUSEADDR... done."),
            SocketEvent::Bound(address) => write!(f, "Binding to {address}... done."),
            SocketEvent::Listening(backlog) => {
                write!(f, "Listening with a backlog of {backlog}... done.")
            }
            SocketEvent::Connecting(address) => write!(f, "Connecting to {address}..."),
            SocketEvent::Failed(address, cause) => {
                write!(f, "Connecting to {address}... failed: {cause}")
            }
            SocketEvent::TimedOut(address) => write!(f, "Connecting to {address}... timed out"),
            SocketEvent::Abandoned(address) => {
                write!(f, "Connecting to {address}... abandoned: another address was faster")
            }
            SocketEvent::Connected(address) => write!(f, "Connecting to {address}... done."),
            SocketEvent::Retrying(round, delay) => {
                let delay = humantime::format_duration(*delay);
                write!(f, "Trying again in {delay} (retry {round})...")
            }
            SocketEvent::Layer(text)
            | SocketEvent::HandshakeMessage(text)
            | SocketEvent::Warning(text) => f.write_str(text),
            SocketEvent::Secured(peer) => write!(f, "TLS: secured the connection to {peer}."),
        }
    }
}
