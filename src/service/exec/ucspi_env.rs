//! The environment variables of UCSPI (ucspi-tcp, ucspi-unix), in which a program finds the
//! addresses of its connection.

use std::ffi::OsString;
use std::net::SocketAddr;

use crate::net::address::Address;
use crate::net::stream::ConnectionInfo;
use crate::process::program::Environment;

/// Variables that describe a connection or sockets from a service manager. Inherited ones describe
/// another connection and are removed. The first five of TCP and of UDP are in the order in which
/// [`addresses`] sets them.
const VARIABLES: &str = "PROTO \
    TCPLOCALIP TCPLOCALPORT TCPLOCALHOST TCPREMOTEIP TCPREMOTEPORT TCPREMOTEHOST TCPREMOTEINFO \
    UDPLOCALIP UDPLOCALPORT UDPLOCALHOST UDPREMOTEIP UDPREMOTEPORT \
    UNIXLOCALPATH UNIXREMOTEPATH UNIXREMOTEPID UNIXREMOTEUID UNIXREMOTEGID \
    TLSREMOTENAME LISTEN_FDS LISTEN_PID LISTEN_FDNAMES NOTIFY_SOCKET";

/// The name of this machine (uname(2)).
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The environment of a program that serves a connection. `host` is the name of this machine.
pub fn for_connection(info: &ConnectionInfo, host: &str) -> Environment {
    let mut all = addresses("TCP", &info.local, &info.peer, host);
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
    addresses("UDP", local, peer, host)
}

/// The addresses of a connection or datagram of `protocol`.
fn addresses(protocol: &str, local: &Address, peer: &Address, host: &str) -> Environment {
    let names = VARIABLES.split(' ');
    let mut all: Environment = names.clone().map(|name| (name, None)).collect();
    match (local, peer) {
        (Address::Inet(local), Address::Inet(peer)) => {
            all.push(("PROTO", Some(protocol.into())));
            let names = names.filter(|name| name.starts_with(protocol));
            let host = local_host(local, host);
            let values = [ip(local), port(local), host, ip(peer), port(peer)];
            all.extend(names.zip(values.map(Some)));
        }
        (local, peer) => {
            all.push(("PROTO", Some("UNIX".into())));
            let paths = [("UNIXLOCALPATH", path(local)), ("UNIXREMOTEPATH", path(peer))];
            all.extend(paths.into_iter().filter(|(_, path)| path.is_some()));
        }
    }
    all
}

fn ip(address: &SocketAddr) -> OsString {
    address.ip().to_string().into()
}

fn port(address: &SocketAddr) -> OsString {
    address.port().to_string().into()
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
