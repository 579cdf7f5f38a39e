//! The steps of connecting, as events (`-v`).

use std::fmt;
use std::net::SocketAddr;

/// A step of connecting.
#[derive(Debug, Clone)]
pub enum ConnectEvent {
    /// A name is being looked up.
    Resolving(String),
    /// The addresses of a name, in order of preference.
    Resolved(String, Vec<SocketAddr>),
    /// A service name is being looked up.
    LookingUpPort(String),
    /// The port number of a service.
    FoundPort(String, u16),
    /// A socket was created for this address.
    Socket(SocketAddr),
    /// `connect(2)` has begun.
    Connecting(SocketAddr),
    /// One address failed; others may follow.
    Failed(SocketAddr, String),
    /// The connection to one address is established.
    Connected(SocketAddr),
    /// All addresses failed; the next attempt follows after the delay.
    Retrying(u32, std::time::Duration),
    /// A step of a layer (proxy, TLS).
    Layer(String),
    /// The TLS session with this peer is established.
    Secured(String),
    /// A warning, printed without `-v` too.
    Warning(String),
}

/// Receives the steps.
pub type OnConnectEvent<'a> = &'a (dyn Fn(ConnectEvent) + Sync);

impl fmt::Display for ConnectEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectEvent::Resolving(host) => write!(f, "Looking up {host}..."),
            ConnectEvent::Resolved(host, found) => {
                write!(f, "Looking up {host}... done:")?;
                found.iter().try_for_each(|address| write!(f, " {}", address.ip()))
            }
            ConnectEvent::LookingUpPort(word) => write!(f, "Looking up port number of {word}..."),
            ConnectEvent::FoundPort(word, port) => {
                write!(f, "Looking up port number of {word}... done: {port}")
            }
            ConnectEvent::Socket(address) => {
                let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
                write!(f, "Creating socket ({family})... done.")
            }
            ConnectEvent::Connecting(address) => write!(f, "Connecting to {address}..."),
            ConnectEvent::Failed(address, cause) => {
                write!(f, "Connecting to {address} failed: {cause}")
            }
            ConnectEvent::Connected(address) => write!(f, "Connecting to {address}... done."),
            ConnectEvent::Retrying(round, delay) => {
                let delay = humantime::format_duration(*delay);
                write!(f, "Trying again in {delay} (retry {round})...")
            }
            ConnectEvent::Layer(text) | ConnectEvent::Warning(text) => f.write_str(text),
            ConnectEvent::Secured(peer) => write!(f, "TLS: secured the connection to {peer}."),
        }
    }
}
