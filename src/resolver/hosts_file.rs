//! What the system's resolver reads before it asks anybody: hosts(5) and nsswitch.conf(5).
//!
//! Only to know *where* an answer comes from, and so whether it can take long; the answers
//! themselves are the C library's, which keeps to itself what else the line of an address says.

use std::fs;
use std::net::IpAddr;

use super::Family;

/// Whether the hosts file is read first and has a line for this address, so that the system
/// never asks DNS for its name.
pub fn lists_address(address: IpAddr) -> bool {
    files_before_dns() && has_address(&text("/etc/hosts"), address)
}

/// Whether the hosts file is read first and has this name in a family that is wanted, so that
/// the system never asks DNS for its addresses.
pub fn lists_name(host: &str, family: Family) -> bool {
    files_before_dns() && has_name(&text("/etc/hosts"), host, family)
}

/// The names in the first line of an address, which is where the system takes its name from; none
/// where the file cannot be read.
pub fn line_of(address: IpAddr) -> Vec<String> {
    names_in_first_line(&text("/etc/hosts"), address)
}

fn names_in_first_line(hosts: &str, address: IpAddr) -> Vec<String> {
    let mut lines = hosts.lines().filter_map(entry);
    let line = lines.find(|(ip, _)| ip.to_canonical() == address.to_canonical());
    line.map(|(_, names)| names.map(str::to_string).collect()).unwrap_or_default()
}

/// Whether host names come from DNS at all.
pub fn ask_dns() -> bool {
    sources().iter().any(|source| source == "dns" || source == "resolve")
}

/// Whether the C library itself asks the name servers of resolv.conf.
pub fn bypass_nss() -> bool {
    let sources = sources();
    let asks = |source: &str| sources.iter().any(|named| named == source);
    asks("dns") && !asks("resolve")
}

fn files_before_dns() -> bool {
    sources().first().is_some_and(|first| first == "files")
}

/// A file's text; empty where it cannot be read, as for the C library.
fn text(path: &str) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The sources of host names in their order; without an nsswitch.conf, or without a line in
/// it, the C library's own (nsswitch.conf(5)).
fn sources() -> Vec<String> {
    let nsswitch = text("/etc/nsswitch.conf");
    in_nsswitch(&nsswitch).unwrap_or_else(|| vec!["files".to_string(), "dns".to_string()])
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

/// As the C library sees it: a name with a last dot is another word.
fn has_name(hosts: &str, name: &str, family: Family) -> bool {
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
        assert!(listed("four", Family::Any) && listed("FOUR", Family::V4));
        assert!(!listed("four.", Family::V4));
        assert!(!listed("four", Family::V6) && !listed("five", Family::Any));
        assert!(listed("both", Family::V4) && listed("both", Family::V6));
    }

    #[test]
    fn the_first_line_of_an_address_has_its_names() {
        let hosts = "192.0.2.3 a b\n192.0.2.4 a\n192.0.2.3 c\n";
        assert_eq!(names_in_first_line(hosts, "::ffff:192.0.2.3".parse().unwrap()), ["a", "b"]);
        assert!(names_in_first_line(hosts, "192.0.2.5".parse().unwrap()).is_empty());
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
