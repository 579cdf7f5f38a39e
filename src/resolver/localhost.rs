//! Names that are this machine by their spelling: `localhost` and all names under it
//! (RFC 6761 §6.3). No name server is asked for them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Family, hosts_file};

/// Whether `host` is `localhost` or a name under it, in any case of letters, with or without the
/// last dot.
pub fn is_localhost(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost") && name.split('.').all(|label| !label.is_empty())
}

/// The loopback addresses of a family, port 0.
pub fn loopback(family: Family) -> Vec<SocketAddr> {
    let both: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    both.into_iter().filter(|ip| family.admits(*ip)).map(|ip| (ip, 0).into()).collect()
}

/// The loopback addresses for a name that [`is_localhost`], unless the hosts file has it: that is
/// this machine's own word.
pub(super) fn local(host: &str, family: Family) -> Option<Vec<SocketAddr>> {
    (is_localhost(host) && !hosts_file::lists_name(host, family)).then(|| loopback(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_under_localhost_are_known_by_their_spelling() {
        for host in ["localhost", "LocalHost.", "a.localhost", "a.b.LOCALHOST."] {
            assert!(is_localhost(host), "{host}");
        }
        for host in ["", ".", "localhost.test", "alocalhost", ".localhost", "a..localhost"] {
            assert!(!is_localhost(host), "{host}");
        }
    }

    #[test]
    fn names_under_localhost_are_loopback_of_the_wanted_family() {
        let found = |family| {
            let found = local("sockit-test.localhost", family).unwrap_or_default();
            found.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found(Family::Any), ["127.0.0.1", "::1"]);
        assert_eq!(found(Family::V4), ["127.0.0.1"]);
        assert_eq!(found(Family::V6), ["::1"]);
        assert_eq!(local("localhost.test", Family::Any), None);
    }
}
