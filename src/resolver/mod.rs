//! The first step of a connection's life: words become addresses and ports.
//!
//! This is the system's view (`getaddrinfo(3)`, `getnameinfo(3)`): hosts file, nsswitch and
//! DNS as every other program on the machine sees them. The C library cannot be given a time
//! limit (a silent name server costs it ten seconds), so whatever may wait runs on a thread
//! of its own, which is left behind at the deadline.

mod blocking;
pub mod dns;
pub mod getaddrinfo;
pub mod hosts_file;
mod localhost;
mod services;

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

pub use blocking::{Deadline, STACK};
pub use localhost::{is_localhost, loopback};
pub use services::{port, service};

use crate::error::{Failure, Phase};

/// Which families of addresses the user wants: both, `-4` or `-6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// IPv4 and IPv6, in the system's order.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Family {
    /// Whether an address of this family is wanted.
    pub fn admits(self, address: IpAddr) -> bool {
        match self {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        }
    }
}

/// The addresses of `host` with `port` filled in, in RFC 6724 order, none twice.
///
/// Numeric forms (`127.1`, `0x7f.1`, `fe80::1%eth0`), names under `localhost` and names of the
/// hosts file are read on the calling thread and never wait. A name that is not there fails at [`Stage::Resolve`] with code 6, a failing resolver
/// with 75, patience that ran out with 28, a word that can be no name with 2.
pub fn addresses<'a>(
    host: &str,
    port: u16,
    family: Family,
    patience: impl Into<Deadline<'a>>,
) -> Result<Vec<SocketAddr>, Failure> {
    let patience = patience.into();
    let found = match getaddrinfo::numeric(host, family)? {
        Some(found) => found,
        None if !patience.is_over() && is_at_hand(host, family) => {
            getaddrinfo::addresses(host, family)?
        }
        None => {
            let name = host.to_string();
            blocking::run_with_deadline(host, patience, move || {
                getaddrinfo::addresses(&name, family)
            })??
        }
    };
    Ok(found.into_iter().map(|address| with_port(address, port)).collect())
}

/// The name the system gives an address, or none if it has none.
///
/// A failing resolver is code 75, a passed `until` 28, both at [`Stage::Resolve`].
pub fn name(address: SocketAddr, until: Option<Instant>) -> Result<Option<String>, Failure> {
    blocking::run_with_deadline(&address.ip().to_string(), until.into(), move || {
        getaddrinfo::name(address)
    })?
}

/// Whether the addresses of `host` are known without asking anything but the hosts file.
pub fn is_at_hand(host: &str, family: Family) -> bool {
    is_localhost(host) || hosts_file::lists_name(host, family)
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

/// A word that can be neither name nor address.
fn malformed(host: &str, why: &'static str) -> Failure {
    Failure::usage(Phase::Resolve, host, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;
    use std::net::Ipv6Addr;

    fn ips(host: &str, family: Family) -> Vec<IpAddr> {
        addresses(host, 80, family, None).unwrap().iter().map(SocketAddr::ip).collect()
    }

    #[test]
    fn numeric_forms_are_read_as_the_system_reads_them() {
        for word in ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1"] {
            assert_eq!(ips(word, Family::Any), [IpAddr::from([127, 0, 0, 1])], "{word}");
        }
        assert_eq!(ips("::1", Family::Any), [IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    }

    #[test]
    fn a_zone_becomes_the_scope_of_the_address() {
        let found = addresses("fe80::1%1", 9, Family::Any, None).unwrap();
        let SocketAddr::V6(only) = found[0] else { panic!("{found:?}") };
        assert_eq!((only.scope_id(), only.port()), (1, 9));
        assert_eq!(addresses("fe80::1%lo", 9, Family::Any, None).unwrap(), found);
        let absent = addresses("fe80::1%nosuchif", 9, Family::Any, None).unwrap_err();
        assert_eq!(absent.code, ExitCode::Resolve);
    }

    #[test]
    fn a_name_in_the_hosts_file_needs_no_network() {
        let found = addresses("localhost", 7, Family::V4, None).unwrap();
        assert_eq!(found, [SocketAddr::from(([127, 0, 0, 1], 7))]);
    }

    #[test]
    fn words_that_can_be_no_name_are_usage() {
        let long = "a.".repeat(200);
        for word in ["", "a\0b", long.as_str(), "a b", "xn--a\u{1f}b", "\u{200b}"] {
            let refused = addresses(word, 1, Family::Any, None).unwrap_err();
            assert_eq!(refused.code, ExitCode::Usage, "{word:?}: {refused}");
        }
    }

    #[test]
    fn the_wrong_family_is_absent_not_usage() {
        let absent = addresses("::1", 1, Family::V4, None).unwrap_err();
        assert_eq!((absent.stage, absent.code), (Phase::Resolve, ExitCode::Resolve));
    }

    #[test]
    fn a_deadline_that_passed_is_late() {
        let late = addresses("localhost", 1, Family::Any, Some(Instant::now())).unwrap_err();
        assert_eq!(late.code, ExitCode::Timeout);
    }
}
