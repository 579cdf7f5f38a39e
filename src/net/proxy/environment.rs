//! The proxy of the environment variables, by curl's rules.
//!
//! `http_proxy` is read in lower case only (the `HTTP_PROXY` of a CGI program is a header of the
//! request), `https_proxy`, `all_proxy` and `no_proxy` in both cases, lower first. One rule is
//! stricter than in curl: the local machine is never reached through such a proxy.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Proxy;
use crate::error::Failure;
use crate::resolver::is_localhost;

/// The proxy for `host` under `scheme` (`http`, `https`, or anything else), if there is one.
///
/// Fails with exit code 2 when the variable is malformed; the message names it.
pub fn proxy(scheme: &str, host: &str) -> Result<Option<Proxy>, Failure> {
    // A value that is not UTF-8 must fail as malformed, rather than count as unset.
    let lossy = |word: std::ffi::OsString| word.to_string_lossy().into_owned();
    choose(scheme, host, &|name| std::env::var_os(name).map(lossy))
}

type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

fn choose(scheme: &str, host: &str, variables: Variables<'_>) -> Result<Option<Proxy>, Failure> {
    let scheme_variables: &[&str] = match scheme {
        "http" => &["http_proxy"],
        "https" => &["https_proxy", "HTTPS_PROXY"],
        _ => &[],
    };
    let all = ["all_proxy", "ALL_PROXY"];
    let set = |name: &&str| {
        variables(name).filter(|word| !word.is_empty()).map(|word| (name.to_string(), word))
    };
    let Some((name, word)) = scheme_variables.iter().chain(&all).find_map(set) else {
        return Ok(None);
    };
    if is_local(host) || is_excepted(host, variables) {
        return Ok(None);
    }
    match Proxy::parse(&word) {
        Ok(proxy) => Ok(Some(Proxy { variable: Some(name), ..proxy })),
        Err(failure) => Err(failure.with_context(&name)),
    }
}

/// Whether `host` is a name or address of the local machine.
fn is_local(host: &str) -> bool {
    match address(host) {
        Some(ip) => ip.is_loopback() || ip.is_unspecified(),
        None => is_localhost(host),
    }
}

fn address(host: &str) -> Option<IpAddr> {
    let bare = host.split_once('%').map_or(host, |(address, _)| address);
    let bare = bare.strip_prefix('[').and_then(|bare| bare.strip_suffix(']')).unwrap_or(bare);
    bare.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

fn is_excepted(host: &str, variables: Variables<'_>) -> bool {
    let set = |name: &str| variables(name).filter(|list| !list.is_empty());
    let list = set("no_proxy").or_else(|| set("NO_PROXY")).unwrap_or_default();
    if list.trim() == "*" {
        return true;
    }
    let mut rules = list.split([',', ' ', '\t']).filter(|rule| !rule.is_empty());
    match address(host) {
        Some(ip) => rules.any(|rule| covers_address(rule, ip)),
        None => rules.any(|rule| covers_name(rule, host)),
    }
}

fn covers_address(rule: &str, ip: IpAddr) -> bool {
    match rule.parse::<IpNet>() {
        Ok(net) => net.contains(&ip),
        Err(_) => address(rule) == Some(ip),
    }
}

/// `example.com` and `.example.com` cover the name itself and its subdomains.
fn covers_name(rule: &str, host: &str) -> bool {
    let rule = rule.trim_matches('.').to_ascii_lowercase();
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let below = host.strip_suffix(&rule).is_some_and(|rest| rest.ends_with('.'));
    !rule.is_empty() && (host == rule || below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(scheme: &str, host: &str, set: &[(&str, &str)]) -> Option<String> {
        let variables = |name: &str| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
        };
        choose(scheme, host, &variables).unwrap().map(|proxy| proxy.to_string())
    }

    #[test]
    fn scheme_variable_precedes_all_proxy() {
        let all = [("ALL_PROXY", "socks5://a:1"), ("https_proxy", "s:2"), ("http_proxy", "p:3")];
        assert_eq!(chosen("http", "h", &all).as_deref(), Some("http://p:3"));
        assert_eq!(chosen("https", "h", &all).as_deref(), Some("http://s:2"));
        assert_eq!(chosen("tcp", "h", &all).as_deref(), Some("socks5://a:1"));
        assert_eq!(chosen("http", "h", &[("HTTP_PROXY", "p:3")]), None);
        assert_eq!(chosen("http", "h", &[("all_proxy", "")]), None);
    }

    #[test]
    fn no_proxy_has_names_addresses_and_networks() {
        let except = |host, list| chosen("x", host, &[("ALL_PROXY", "p:1"), ("NO_PROXY", list)]);
        for (host, list) in [
            ("db.example.com", "example.com"),
            ("example.com", ".example.com"),
            ("EXAMPLE.com.", "other, example.com"),
            ("10.1.2.3", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3"),
            ("fd00::1", "fd00::/8"),
            ("anything", "*"),
        ] {
            assert_eq!(except(host, list), None, "{host} {list}");
        }
        for (host, list) in [("notexample.com", "example.com"), ("10.1.2.3", "11.0.0.0/8")] {
            assert!(except(host, list).is_some(), "{host} {list}");
        }
    }

    #[test]
    fn empty_no_proxy_is_set() {
        let set = [("ALL_PROXY", "p:1"), ("no_proxy", ""), ("NO_PROXY", "example.com")];
        assert_eq!(chosen("x", "example.com", &set), None);
    }

    #[test]
    fn local_machine_has_no_proxy() {
        for host in ["localhost", "a.LOCALHOST", "127.0.0.9", "::1", "::ffff:127.0.0.1", "0.0.0.0"]
        {
            assert_eq!(chosen("x", host, &[("ALL_PROXY", "p:1")]), None, "{host}");
        }
    }
}
