//! What the system's resolver reads before it asks anybody: hosts(5) and nsswitch.conf(5).
//!
//! Only to know *where* an answer came from; the answers themselves are the C library's.

use std::fs;
use std::net::IpAddr;

/// Whether the hosts file has a line for this address, so that the system never asks DNS for
/// its name.
pub fn lists(address: IpAddr) -> bool {
    let text = fs::read("/etc/hosts").unwrap_or_default();
    has_line(&String::from_utf8_lossy(&text), address)
}

/// Whether host names come from DNS at all; without an nsswitch.conf they do.
pub fn ask_dns() -> bool {
    match fs::read("/etc/nsswitch.conf") {
        Ok(text) => has_dns(&String::from_utf8_lossy(&text)),
        Err(_) => true,
    }
}

fn has_line(hosts: &str, address: IpAddr) -> bool {
    hosts.lines().any(|line| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let listed = words.next().and_then(|word| word.parse::<IpAddr>().ok());
        words.next().is_some() && listed.is_some_and(|a| a.to_canonical() == address.to_canonical())
    })
}

fn has_dns(nsswitch: &str) -> bool {
    let lines = nsswitch.lines().map(|line| line.split('#').next().unwrap_or_default());
    let hosts = lines.filter_map(|line| line.trim_start().strip_prefix("hosts:")).next_back();
    hosts.is_none_or(|sources| {
        sources.split_whitespace().any(|source| source == "dns" || source == "resolve")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_line_needs_an_address_and_a_name() {
        let hosts = "# 192.0.2.1 a\n192.0.2.2\n192.0.2.3 c # d\n2001:DB8:0::1\te\n";
        let lists = |ip: &str| has_line(hosts, ip.parse().unwrap());
        assert!(!lists("192.0.2.1") && !lists("192.0.2.2"));
        assert!(lists("192.0.2.3") && lists("::ffff:192.0.2.3") && lists("2001:db8::1"));
    }

    #[test]
    fn sources_are_those_of_the_hosts_line() {
        assert!(has_dns("passwd: files\nhosts: files dns\n"));
        assert!(has_dns("hosts:\tfiles resolve [!UNAVAIL=return]"));
        assert!(!has_dns("hosts: files # dns\nnetworks: dns"));
        assert!(has_dns("passwd: files"));
    }
}
