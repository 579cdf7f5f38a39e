//! Socket options, which are set before the socket binds or connects.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Socket, TcpKeepalive, Type};

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
        self.open(Type::STREAM, address)
    }

    /// Opens a UDP socket for `address` with these options, not yet bound or connected.
    pub fn udp_socket(&self, address: &SocketAddr) -> Result<Socket, Failure> {
        self.open(Type::DGRAM, address)
    }

    /// Opens a socket of `kind`: TCP or UDP.
    pub(super) fn open(&self, kind: Type, address: &SocketAddr) -> Result<Socket, Failure> {
        let socket = Socket::new(Domain::for_address(*address), kind, None)
            .map_err(|e| Failure::new(Phase::Socket, address, e))?;
        if kind == Type::STREAM {
            self.set_stream(&socket)?;
        }
        self.set(&socket, address.is_ipv6())?;
        self.set_linux(&socket)?;
        Ok(socket)
    }

    fn set(&self, s: &Socket, v6: bool) -> Result<(), Failure> {
        if let Some(ttl) = self.ttl.map(u32::from) {
            name_option("--ttl", if v6 { s.set_unicast_hops_v6(ttl) } else { s.set_ttl_v4(ttl) })?;
        }
        if let Some(tos) = self.tos.map(u32::from) {
            name_option("--tos", if v6 { s.set_tclass_v6(tos) } else { s.set_tos_v4(tos) })?;
        }
        if let Some(bytes) = self.send_buffer {
            name_option("--send-buffer", s.set_send_buffer_size(bytes))?;
        }
        if let Some(bytes) = self.recv_buffer {
            name_option("--recv-buffer", s.set_recv_buffer_size(bytes))?;
        }
        if self.reuse_port {
            name_option("--reuse-port", s.set_reuse_port(true))?;
        }
        Ok(())
    }

    fn set_stream(&self, s: &Socket) -> Result<(), Failure> {
        if self.nodelay {
            name_option("--nodelay", s.set_tcp_nodelay(true))?;
        }
        if let Some(time) = self.keepalive {
            let probes = TcpKeepalive::new().with_time(time).with_interval(time);
            name_option("--keepalive", s.set_tcp_keepalive(&probes))?;
        }
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn set_linux(&self, s: &Socket) -> Result<(), Failure> {
        if let Some(mark) = self.mark {
            name_option("--mark", s.set_mark(mark))?;
        }
        if let Some(name) = &self.interface {
            name_option("--interface", s.bind_device(Some(name.as_bytes())))?;
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn set_linux(&self, _: &Socket) -> Result<(), Failure> {
        let flags = [("--mark", self.mark.is_some()), ("--interface", self.interface.is_some())];
        match flags.into_iter().find(|(_, is_set)| *is_set) {
            Some((flag, _)) => name_option(flag, Err(io::ErrorKind::Unsupported.into())),
            None => Ok(()),
        }
    }
}

/// Adds the flag of an option to the error of setting it.
fn name_option(flag: &str, done: io::Result<()>) -> Result<(), Failure> {
    done.map_err(|e| Failure::new(Phase::Socket, flag, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_option_is_named() {
        let options =
            SocketOptions { interface: Some("no-such-if".into()), ..SocketOptions::default() };
        let failure = options.tcp_socket(&"127.0.0.1:1".parse().unwrap()).unwrap_err();
        assert!(failure.to_string().starts_with("socket --interface: "), "{failure}");
    }
}
