//! What the system's resolver reads before it asks anybody: hosts(5) and nsswitch.conf(5).
//!
//! Only to know *where* an answer comes from, and so whether it can take long; the answers
//! themselves are the C library's, which keeps to itself what else the line of an address says.

use std::fs;
use std::io::{self, ErrorKind};
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

/// The hosts file, as far as the system has to look at it.
#[derive(Debug, Default)]
pub struct Hosts {
    text: String,
    /// Whether it is asked before everybody else.
    first: bool,
}

/// The hosts file; empty where there is none, or where nsswitch does not name it.
///
/// Fails when one of the two files cannot be read: the C library then passes over it without a
/// word, and what it does not find elsewhere may well be listed there.
pub fn hosts() -> io::Result<Hosts> {
    let sources = sources_in(&readable("/etc/nsswitch.conf")?);
    match sources.iter().position(|source| source == "files") {
        None => Ok(Hosts::default()),
        Some(place) => Ok(Hosts { text: readable("/etc/hosts")?, first: place == 0 }),
    }
}

impl Hosts {
    /// Whether the system should find this name here.
    pub fn settles_name(&self, host: &str, family: Family) -> bool {
        self.first && has_name(&self.text, host, family)
    }

    /// Whether the system should find the names of this address here.
    pub fn settles_address(&self, address: IpAddr) -> bool {
        self.first && has_address(&self.text, address)
    }

    /// Whether the system should find that this name leads to this address.
    pub fn settles_pair(&self, host: &str, address: IpAddr) -> bool {
        let line = |line: &str| has_address(line, address) && has_name(line, host, Family::Any);
        self.first && self.text.lines().any(line)
    }

    /// The names in the first line of an address, which is where the system takes its name from.
    pub fn line_of(&self, address: IpAddr) -> Vec<String> {
        let lines = self.text.lines().filter_map(entry);
        let mut ours = lines.filter(|(ip, _)| ip.to_canonical() == address.to_canonical());
        ours.next().map(|(_, names)| names.map(str::to_string).collect()).unwrap_or_default()
    }

    /// The names of an address, in the order of the lines.
    pub fn names_of(&self, address: IpAddr) -> Vec<String> {
        let lines = self.text.lines().filter_map(entry);
        lines
            .filter(|(ip, _)| ip.to_canonical() == address.to_canonical())
            .flat_map(|(_, names)| names.map(str::to_string))
            .collect()
    }
}

/// Whether host names come from DNS at all.
pub fn ask_dns() -> bool {
    sources().iter().any(|source| source == "dns" || source == "resolve")
}

/// Whether the C library itself asks the name servers of resolv.conf.
pub fn ask_dns_itself() -> bool {
    let sources = sources();
    let asks = |source: &str| sources.iter().any(|named| named == source);
    asks("dns") && !asks("resolve")
}

fn come_first() -> bool {
    sources().first().is_some_and(|first| first == "files")
}

fn text(path: &str) -> String {
    readable(path).unwrap_or_default()
}

/// A file's text; one that is not there is empty.
fn readable(path: &str) -> io::Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(e) => Err(io::Error::new(e.kind(), format!("{path}: {e}"))),
    }
}

/// The sources of host names in their order; without an nsswitch.conf, or without a line in
/// it, the C library's own (nsswitch.conf(5)).
fn sources() -> Vec<String> {
    sources_in(&text("/etc/nsswitch.conf"))
}

fn sources_in(nsswitch: &str) -> Vec<String> {
    in_nsswitch(nsswitch).unwrap_or_else(|| vec!["files".to_string(), "dns".to_string()])
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
    fn what_the_file_settles_it_settles_only_when_it_is_asked_first() {
        let text = "192.0.2.3 a b\n192.0.2.4 a\n".to_string();
        let (listed, other) = ("192.0.2.3".parse().unwrap(), "192.0.2.4".parse().unwrap());
        let hosts = Hosts { text, first: true };
        assert!(hosts.settles_pair("B", listed) && !hosts.settles_pair("b", other));
        assert!(hosts.settles_name("a", Family::V4) && !hosts.settles_name("a", Family::V6));
        assert!(hosts.settles_address(other));
        assert_eq!(hosts.names_of(listed), ["a", "b"]);
        assert_eq!(hosts.line_of(listed), ["a", "b"]);
        let later = Hosts { first: false, ..hosts };
        assert!(!later.settles_pair("b", listed) && !later.settles_address(listed));
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
