//! `localhost` and all names under it, which are resolved without a query (RFC 6761 §6.3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::family::Family;
use super::hosts_file;

/// Whether `host` is `localhost` or a name under it, in any letter case, with or without a trailing
/// dot.
pub fn is_localhost(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost") && name.split('.').all(|label| !label.is_empty())
}

/// Returns the loopback addresses of `family`, with port 0.
pub fn loopback(family: Family) -> Vec<SocketAddr> {
    let both: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    both.into_iter().filter(|ip| family.admits(*ip)).map(|ip| (ip, 0).into()).collect()
}

/// Returns the loopback addresses if [`is_localhost`] holds for `host` and the hosts file does not
/// list it; an entry of the hosts file has precedence.
pub(super) fn localhost_addresses(host: &str, family: Family) -> Option<Vec<SocketAddr>> {
    (is_localhost(host) && !hosts_file::lists_name(host, family)).then(|| loopback(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_under_localhost_are_recognized() {
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
            let found = localhost_addresses("sockit-test.localhost", family).unwrap_or_default();
            found.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found(Family::Any), ["127.0.0.1", "::1"]);
        assert_eq!(found(Family::V4), ["127.0.0.1"]);
        assert_eq!(found(Family::V6), ["::1"]);
        assert_eq!(localhost_addresses("localhost.test", Family::Any), None);
    }
}
