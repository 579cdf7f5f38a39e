//! Socket options, which are set before the socket binds or connects.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::error::{Failure, Phase};

/// Options for every socket of a run. The kernel's default applies to those that are not set.
#[derive(Debug, Clone, Default)]
pub struct SocketOptions {
    /// `TCP_NODELAY`: small writes are sent immediately.
    pub nodelay: bool,
    /// Keepalive probes after this idle time, repeated at the same interval.
    pub keepalive: Option<Duration>,
    /// `IP_TTL` and `IPV6_UNICAST_HOPS`.
    pub ttl: Option<u8>,
    /// `IP_TOS` and `IPV6_TCLASS`.
    pub tos: Option<u8>,
    /// `SO_SNDBUF` in bytes, which the kernel doubles (socket(7)).
    pub send_buffer: Option<usize>,
    /// `SO_RCVBUF` in bytes, which the kernel doubles too.
    pub recv_buffer: Option<usize>,
    /// `SO_MARK` (Linux; needs `CAP_NET_ADMIN`).
    pub mark: Option<u32>,
    /// `SO_REUSEPORT`: several processes may bind the same port.
    pub reuse_port: bool,
    /// `SO_BINDTODEVICE` (Linux): only this network interface.
    pub interface: Option<String>,
}

impl SocketOptions {
    /// Opens a TCP socket for `address` with these options, not yet bound or connected.
    ///
    /// Fails at [`Phase::Socket`], naming the option that the kernel refused.
    pub fn tcp_socket(&self, address: &SocketAddr) -> Result<Socket, Failure> {
        self.open(Type::STREAM, Protocol::TCP, address)
    }

    /// Opens a UDP socket for `address` with these options, not yet bound or connected.
    pub fn udp_socket(&self, address: &SocketAddr) -> Result<Socket, Failure> {
        self.open(Type::DGRAM, Protocol::UDP, address)
    }

    fn open(
        &self,
        kind: Type,
        protocol: Protocol,
        address: &SocketAddr,
    ) -> Result<Socket, Failure> {
        let socket = Socket::new(Domain::for_address(*address), kind, Some(protocol))
            .map_err(|e| Failure::new(Phase::Socket, address, e))?;
        if kind == Type::STREAM {
            self.set_stream(&socket)?;
        }
        self.set(&socket, address)?;
        Ok(socket)
    }

    fn set(&self, s: &Socket, address: &SocketAddr) -> Result<(), RefusedOption> {
        let v6 = address.is_ipv6();
        if let Some(ttl) = self.ttl {
            let ttl = u32::from(ttl);
            let done = if v6 { s.set_unicast_hops_v6(ttl) } else { s.set_ttl_v4(ttl) };
            done.map_err(|e| RefusedOption("--ttl", e))?;
        }
        if let Some(tos) = self.tos {
            let tos = u32::from(tos);
            let done = if v6 { s.set_tclass_v6(tos) } else { s.set_tos_v4(tos) };
            done.map_err(|e| RefusedOption("--tos", e))?;
        }
        if let Some(bytes) = self.send_buffer {
            s.set_send_buffer_size(bytes).map_err(|e| RefusedOption("--send-buffer", e))?;
        }
        if let Some(bytes) = self.recv_buffer {
            s.set_recv_buffer_size(bytes).map_err(|e| RefusedOption("--recv-buffer", e))?;
        }
        if self.reuse_port {
            s.set_reuse_port(true).map_err(|e| RefusedOption("--reuse-port", e))?;
        }
        self.set_linux(s)
    }

    fn set_stream(&self, s: &Socket) -> Result<(), RefusedOption> {
        if self.nodelay {
            s.set_tcp_nodelay(true).map_err(|e| RefusedOption("--nodelay", e))?;
        }
        if let Some(time) = self.keepalive {
            let probes = TcpKeepalive::new().with_time(time).with_interval(time);
            s.set_tcp_keepalive(&probes).map_err(|e| RefusedOption("--keepalive", e))?;
        }
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn set_linux(&self, s: &Socket) -> Result<(), RefusedOption> {
        if let Some(mark) = self.mark {
            s.set_mark(mark).map_err(|e| RefusedOption("--mark", e))?;
        }
        if let Some(name) = &self.interface {
            s.bind_device(Some(name.as_bytes())).map_err(|e| RefusedOption("--interface", e))?;
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn set_linux(&self, _: &Socket) -> Result<(), RefusedOption> {
        let unknown = || io::Error::from(io::ErrorKind::Unsupported);
        match (self.mark, &self.interface) {
            (Some(_), _) => Err(RefusedOption("--mark", unknown())),
            (_, Some(_)) => Err(RefusedOption("--interface", unknown())),
            _ => Ok(()),
        }
    }
}

/// An option that the kernel has refused, and why.
struct RefusedOption(&'static str, io::Error);

impl From<RefusedOption> for Failure {
    fn from(RefusedOption(option, e): RefusedOption) -> Failure {
        Failure::new(Phase::Socket, option, e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_set_before_connecting() {
        let options = SocketOptions {
            nodelay: true,
            ttl: Some(9),
            tos: Some(0x10),
            ..SocketOptions::default()
        };
        let socket = options.tcp_socket(&"127.0.0.1:1".parse().unwrap()).unwrap();
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.ttl_v4().unwrap(), 9);
        assert_eq!(socket.tos_v4().unwrap(), 0x10);
    }

    #[test]
    fn refused_option_is_named() {
        let options =
            SocketOptions { interface: Some("no-such-if".into()), ..SocketOptions::default() };
        let failure = options.tcp_socket(&"127.0.0.1:1".parse().unwrap()).unwrap_err();
        assert!(failure.to_string().starts_with("socket --interface: "), "{failure}");
    }
}
