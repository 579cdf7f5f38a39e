//! What the system's resolver reads before it asks anybody: hosts(5) and nsswitch.conf(5).
//!
//! Only to know *where* an answer comes from, and so whether it can take long; the answers
//! themselves are the C library's.

use std::fs;
use std::net::IpAddr;

use super::Family;

/// Whether the hosts file is read first and has a line for this address, so that the system
/// never asks DNS for its name.
pub fn list(address: IpAddr) -> bool {
    come_first() && has_address(&text("/etc/hosts"), address)
}

/// Whether the hosts file is read first and has this name in a family that is wanted, so that
/// the system never asks DNS for its addresses.
pub fn name(host: &str, family: Family) -> bool {
    come_first() && has_name(&text("/etc/hosts"), host, family)
}

/// Whether host names come from DNS at all.
pub fn ask_dns() -> bool {
    sources().iter().any(|source| source == "dns" || source == "resolve")
}

fn come_first() -> bool {
    sources().first().is_some_and(|first| first == "files")
}

fn text(path: &str) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The sources of host names in their order; without an nsswitch.conf, or without a line in
/// it, the C library's own (nsswitch.conf(5)).
fn sources() -> Vec<String> {
    in_nsswitch(&text("/etc/nsswitch.conf"))
        .unwrap_or_else(|| vec!["files".to_string(), "dns".to_string()])
}

fn in_nsswitch(text: &str) -> Option<Vec<String>> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let hosts = lines.filter_map(|line| line.trim_start().strip_prefix("hosts:")).next_back()?;
    Some(hosts.split_whitespace().map(str::to_string).collect())
}

/// A line of the hosts file: an address and its names.
fn entry(line: &str) -> Option<(IpAddr, impl Iterator<Item = &str>)> {
    let mut words = line.split('#').next()?.split_whitespace();
    let ip = words.next()?.parse().ok()?;
    let mut names = words.peekable();
    names.peek().is_some().then_some((ip, names))
}

fn has_address(hosts: &str, address: IpAddr) -> bool {
    hosts.lines().filter_map(entry).any(|(ip, _)| ip.to_canonical() == address.to_canonical())
}

fn has_name(hosts: &str, name: &str, family: Family) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    hosts.lines().filter_map(entry).any(|(ip, mut names)| {
        family.admits(ip) && names.any(|listed| listed.eq_ignore_ascii_case(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_line_needs_an_address_and_a_name() {
        let lines = ["# 192.0.2.1 a", "192.0.2.2", "nonsense b"];
        assert!(lines.iter().all(|line| entry(line).is_none()));
        let (ip, names) = entry("2001:DB8:0::1\te  f # d").unwrap();
        assert_eq!(
            (ip, names.collect::<Vec<_>>()),
            ("2001:db8::1".parse().unwrap(), vec!["e", "f"])
        );
    }

    #[test]
    fn addresses_are_listed_as_values() {
        let lists = |ip: &str| has_address("192.0.2.3 c\n2001:DB8:0::1 e", ip.parse().unwrap());
        assert!(lists("::ffff:192.0.2.3") && lists("2001:db8::1") && !lists("192.0.2.4"));
    }

    #[test]
    fn a_name_is_listed_in_the_families_of_its_addresses() {
        let hosts = "192.0.2.3 four\n2001:db8::1 six Both\n192.0.2.4 both\n";
        let listed = |name, family| has_name(hosts, name, family);
        assert!(listed("four", Family::Any) && listed("FOUR.", Family::V4));
        assert!(!listed("four", Family::V6) && !listed("five", Family::Any));
        assert!(listed("both", Family::V4) && listed("both", Family::V6));
    }

    #[test]
    fn sources_are_those_of_the_hosts_line() {
        let told = |text| in_nsswitch(text).unwrap_or_default().join(" ");
        assert_eq!(told("passwd: x\nhosts:\tfiles dns # y\nnetworks: z"), "files dns");
        assert_eq!(
            told("hosts: files resolve [!UNAVAIL=return]"),
            "files resolve [!UNAVAIL=return]"
        );
        assert_eq!(in_nsswitch("passwd: files"), None);
    }
}
