//! The environment variables of UCSPI (ucspi-tcp, ucspi-unix), in which a program finds the
//! addresses of its connection.

use std::ffi::OsString;
use std::net::SocketAddr;

use crate::net::address::Address;
use crate::net::stream::ConnectionInfo;
use crate::process::program::Environment;

/// Variables that describe a connection or sockets from a service manager. Inherited ones describe
/// another connection and are removed.
const REMOVED: [&str; 23] = [
    "PROTO",
    "TCPLOCALIP",
    "TCPLOCALPORT",
    "TCPLOCALHOST",
    "TCPREMOTEIP",
    "TCPREMOTEPORT",
    "TCPREMOTEHOST",
    "TCPREMOTEINFO",
    "UDPLOCALIP",
    "UDPLOCALPORT",
    "UDPLOCALHOST",
    "UDPREMOTEIP",
    "UDPREMOTEPORT",
    "UNIXLOCALPATH",
    "UNIXREMOTEPATH",
    "UNIXREMOTEPID",
    "UNIXREMOTEUID",
    "UNIXREMOTEGID",
    "TLSREMOTENAME",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
];

/// The names of the variables of an internet connection or datagram.
struct Names {
    proto: &'static str,
    local_ip: &'static str,
    local_port: &'static str,
    local_host: &'static str,
    remote_ip: &'static str,
    remote_port: &'static str,
}

const TCP: Names = Names {
    proto: "TCP",
    local_ip: "TCPLOCALIP",
    local_port: "TCPLOCALPORT",
    local_host: "TCPLOCALHOST",
    remote_ip: "TCPREMOTEIP",
    remote_port: "TCPREMOTEPORT",
};

const UDP: Names = Names {
    proto: "UDP",
    local_ip: "UDPLOCALIP",
    local_port: "UDPLOCALPORT",
    local_host: "UDPLOCALHOST",
    remote_ip: "UDPREMOTEIP",
    remote_port: "UDPREMOTEPORT",
};

/// The name of this machine (uname(2)).
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The environment of a program that serves a connection. `host` is the name of this machine.
pub fn for_connection(info: &ConnectionInfo, host: &str) -> Environment {
    let mut all = addresses(&TCP, &info.local, &info.peer, host);
    let mut set = |name, value: OsString| all.push((name, Some(value)));
    if let Some(peer) = info.credentials {
        set("UNIXREMOTEPID", peer.pid.to_string().into());
        set("UNIXREMOTEUID", peer.uid.to_string().into());
        set("UNIXREMOTEGID", peer.gid.to_string().into());
    }
    if let Some(name) = &info.peer_name {
        set("TLSREMOTENAME", name.into());
    }
    all
}

/// The environment of a program that replies to a datagram.
pub fn for_datagram(local: &Address, peer: &Address, host: &str) -> Environment {
    addresses(&UDP, local, peer, host)
}

fn addresses(names: &Names, local: &Address, peer: &Address, host: &str) -> Environment {
    let mut all: Environment = REMOVED.iter().map(|name| (*name, None)).collect();
    let mut set = |name, value: OsString| all.push((name, Some(value)));
    match (local, peer) {
        (Address::Inet(local), Address::Inet(peer)) => {
            set("PROTO", names.proto.into());
            set(names.local_ip, ip(local));
            set(names.local_port, local.port().to_string().into());
            set(names.local_host, local_host(local, host));
            set(names.remote_ip, ip(peer));
            set(names.remote_port, peer.port().to_string().into());
        }
        (local, peer) => {
            set("PROTO", "UNIX".into());
            for (name, end) in [("UNIXLOCALPATH", local), ("UNIXREMOTEPATH", peer)] {
                if let Some(path) = path(end) {
                    set(name, path);
                }
            }
        }
    }
    all
}

fn ip(address: &SocketAddr) -> OsString {
    address.ip().to_string().into()
}

fn local_host(local: &SocketAddr, host: &str) -> OsString {
    if local.ip().is_loopback() { "localhost".into() } else { host.into() }
}

fn path(address: &Address) -> Option<OsString> {
    match address {
        Address::Unix(path) => Some(path.into()),
        Address::Abstract(_) => Some(address.to_string().into()),
        Address::Inet(_) | Address::Unnamed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::stream::PeerCredentials;
    use std::time::Instant;

    fn lookup(local: Address, peer: Address, name: &str) -> Option<String> {
        let info = ConnectionInfo {
            local,
            peer,
            began: Instant::now(),
            peer_name: Some("client.example".into()),
            certificate: None,
            is_encrypted: true,
            credentials: Some(PeerCredentials { pid: 1, uid: 2, gid: 3 }),
        };
        let environment = for_connection(&info, "box");
        let last = environment.into_iter().rev().find(|(known, _)| *known == name)?;
        last.1.map(|value| value.to_string_lossy().into_owned())
    }

    #[test]
    fn tcp_connection_has_both_addresses() {
        let (local, peer) = ("192.0.2.1:80".parse::<SocketAddr>(), "[2001:db8::1]:5".parse());
        let (local, peer) = (Address::from(local.unwrap()), Address::Inet(peer.unwrap()));
        for (name, value) in [
            ("PROTO", Some("TCP")),
            ("TCPLOCALIP", Some("192.0.2.1")),
            ("TCPLOCALPORT", Some("80")),
            ("TCPLOCALHOST", Some("box")),
            ("TCPREMOTEIP", Some("2001:db8::1")),
            ("TCPREMOTEPORT", Some("5")),
            ("TCPREMOTEHOST", None),
            ("TLSREMOTENAME", Some("client.example")),
        ] {
            let found = lookup(local.clone(), peer.clone(), name);
            assert_eq!(found.as_deref(), value, "{name}");
        }
    }

    #[test]
    fn unix_connection_has_credentials_of_the_peer() {
        for (name, value) in [
            ("PROTO", Some("UNIX")),
            ("UNIXLOCALPATH", Some("/run/s")),
            ("UNIXREMOTEPATH", None),
            ("UNIXREMOTEPID", Some("1")),
            ("UNIXREMOTEUID", Some("2")),
            ("UNIXREMOTEGID", Some("3")),
            ("TCPREMOTEIP", None),
        ] {
            let found = lookup(Address::Unix("/run/s".into()), Address::Unnamed, name);
            assert_eq!(found.as_deref(), value, "{name}");
        }
    }
}
