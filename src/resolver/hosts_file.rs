//! hosts(5) and nsswitch.conf(5), read to know where the system takes an answer from.
//!
//! The answers themselves are those of the C library; this module decides whether a lookup can
//! take long, and adds the aliases of an address, which getnameinfo(3) does not return.

use std::fs;
use std::net::IpAddr;

use super::family::Family;

/// Whether the hosts file comes first in nsswitch.conf and has a line for `address`, so that the
/// system does not query DNS for its name.
pub fn lists_address(address: IpAddr) -> bool {
    files_before_dns() && names_in(&read_text("/etc/hosts"), address).is_some()
}

/// Whether the hosts file comes first in nsswitch.conf and has `host` in a wanted family, so that
/// the system does not query DNS for its addresses.
pub fn lists_name(host: &str, family: Family) -> bool {
    files_before_dns() && has_name(&read_text("/etc/hosts"), host, family)
}

/// Returns the names in the first line of `address`, the one getnameinfo(3) uses; none if the file
/// cannot be read.
pub fn names_of(address: IpAddr) -> Vec<String> {
    names_in(&read_text("/etc/hosts"), address).unwrap_or_default()
}

fn names_in(hosts: &str, address: IpAddr) -> Option<Vec<String>> {
    let mut lines = hosts.lines().filter_map(parse_entry);
    let (_, names) = lines.find(|(ip, _)| ip.to_canonical() == address.to_canonical())?;
    Some(names.map(str::to_string).collect())
}

/// Whether nsswitch.conf has DNS, directly or through systemd-resolved, as a source of host names.
pub fn uses_dns() -> bool {
    has_source("dns") || has_source("resolve")
}

/// Whether the C library itself queries the name servers of resolv.conf.
pub fn uses_name_servers() -> bool {
    has_source("dns") && !has_source("resolve")
}

fn has_source(name: &str) -> bool {
    sources().iter().any(|source| source == name)
}

fn files_before_dns() -> bool {
    sources().first().is_some_and(|first| first == "files")
}

/// Reads a file; one that cannot be read counts as empty, as for the C library.
fn read_text(path: &str) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Returns the sources of host names in their order; the default of the C library if nsswitch.conf
/// has none (nsswitch.conf(5)).
fn sources() -> Vec<String> {
    let nsswitch = read_text("/etc/nsswitch.conf");
    parse_nsswitch(&nsswitch).unwrap_or_else(|| vec!["files".to_string(), "dns".to_string()])
}

fn parse_nsswitch(text: &str) -> Option<Vec<String>> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let hosts = lines.filter_map(|line| line.trim_start().strip_prefix("hosts:")).next_back()?;
    Some(hosts.split_whitespace().map(str::to_string).collect())
}

/// Parses a line of the hosts file: an address and its names.
fn parse_entry(line: &str) -> Option<(IpAddr, impl Iterator<Item = &str>)> {
    let mut words = line.split('#').next()?.split_whitespace();
    let ip = words.next()?.parse().ok()?;
    let mut names = words.peekable();
    names.peek().is_some().then_some((ip, names))
}

/// Compares as the C library does: a trailing dot makes another name.
fn has_name(hosts: &str, name: &str, family: Family) -> bool {
    hosts.lines().filter_map(parse_entry).any(|(ip, mut names)| {
        family.admits(ip) && names.any(|listed| listed.eq_ignore_ascii_case(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_line_needs_an_address_and_a_name() {
        let lines = ["# 192.0.2.1 a", "192.0.2.2", "invalid b"];
        assert!(lines.iter().all(|line| parse_entry(line).is_none()));
        let (ip, names) = parse_entry("2001:DB8:0::1\te  f # d").unwrap();
        assert_eq!(
            (ip, names.collect::<Vec<_>>()),
            ("2001:db8::1".parse().unwrap(), vec!["e", "f"])
        );
    }

    #[test]
    fn addresses_are_compared_as_values() {
        let lists = |ip: &str| names_in("192.0.2.3 c\n2001:DB8:0::1 e", ip.parse().unwrap());
        assert!(lists("::ffff:192.0.2.3").is_some() && lists("2001:db8::1").is_some());
        assert_eq!(lists("192.0.2.4"), None);
    }

    #[test]
    fn name_is_listed_in_the_families_of_its_addresses() {
        let hosts = "192.0.2.3 four\n2001:db8::1 six Both\n192.0.2.4 both\n";
        let listed = |name, family| has_name(hosts, name, family);
        assert!(listed("four", Family::Any) && listed("FOUR", Family::V4));
        assert!(!listed("four.", Family::V4));
        assert!(!listed("four", Family::V6) && !listed("five", Family::Any));
        assert!(listed("both", Family::V4) && listed("both", Family::V6));
    }

    #[test]
    fn names_are_those_of_the_first_line() {
        let hosts = "192.0.2.3 a b\n192.0.2.4 a\n192.0.2.3 c\n";
        let found = names_in(hosts, "::ffff:192.0.2.3".parse().unwrap());
        assert_eq!(found.unwrap_or_default(), ["a", "b"]);
    }

    #[test]
    fn nsswitch_sources_are_those_of_the_hosts_line() {
        let sources = |text| parse_nsswitch(text).unwrap_or_default().join(" ");
        assert_eq!(sources("passwd: x\nhosts:\tfiles dns # y\nnetworks: z"), "files dns");
        assert_eq!(
            sources("hosts: files resolve [!UNAVAIL=return]"),
            "files resolve [!UNAVAIL=return]"
        );
        assert_eq!(parse_nsswitch("passwd: files"), None);
    }
}
