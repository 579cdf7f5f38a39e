//! The steps on the way to a connection, told to whoever listens (`-v`).

use std::fmt;
use std::net::SocketAddr;

/// Something that was done, or is about to be.
#[derive(Debug, Clone)]
pub enum ConnectEvent {
    /// A name is being looked up.
    Resolving(String),
    /// What it resolved to, in the order of trying.
    Resolved(String, Vec<SocketAddr>),
    /// A service name is being looked up.
    LookingUpPort(String),
    /// The port it has.
    FoundPort(String, u16),
    /// A socket exists; the address says which family.
    Socket(SocketAddr),
    /// `connect(2)` has begun.
    Connecting(SocketAddr),
    /// One address failed; others may follow.
    Failed(SocketAddr, String),
    /// One address answered.
    Connected(SocketAddr),
    /// All addresses failed; another round follows.
    Retrying(u32, std::time::Duration),
    /// A layer tells its own story (proxy, TLS).
    Layer(String),
    /// TLS stands, with whom.
    Secured(String),
    /// Something the user should know even without `-v`.
    Warning(String),
}

/// Whoever listens to steps.
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
            ConnectEvent::Layer(story) | ConnectEvent::Warning(story) => f.write_str(story),
            ConnectEvent::Secured(whom) => write!(f, "TLS: secured the connection to {whom}."),
        }
    }
}
