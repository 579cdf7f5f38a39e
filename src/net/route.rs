//! How a target is reached: directly, through a proxy, or by a Unix socket.

use super::proxy::Proxy;
use super::unix::UnixAddress;

/// How to reach the target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Route {
    /// Directly.
    #[default]
    Direct,
    /// Through a tunnel of a proxy (RFC 9110 §9.3.6, RFC 1928).
    Tunnel(Proxy),
    /// To an HTTP proxy that forwards requests, which have the absolute form (RFC 9112 §3.2.2).
    ForwardProxy(Proxy),
    /// To this Unix socket, instead of the endpoint.
    Unix(UnixAddress),
}

impl Route {
    /// The kind of route, for the trace.
    pub fn name(&self) -> &'static str {
        match self {
            Route::Direct => "direct",
            Route::Tunnel(_) => "through a proxy",
            Route::ForwardProxy(_) => "to the proxy itself",
            Route::Unix(_) => "unix socket",
        }
    }
}
