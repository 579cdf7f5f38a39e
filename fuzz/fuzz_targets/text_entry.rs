//! The fuzzed code for URLs, Locations, endpoints and access rules, separate from the fuzzer,
//! so that the ordinary tests can run it too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sockit::error::{ExitCode, Failure, Phase};
use sockit::http::url::HttpUrl;
use sockit::net::endpoint::Endpoint;
use sockit::server::access::AccessRules;

/// Parses `bytes` as a URL, and as a Location in a response from a known one.
///
/// Panics on another exit code than 2 or 47, a URL that is parsed differently when printed, a
/// redirect to another scheme, or a file name outside its directory.
pub fn url(bytes: &[u8]) {
    let none = |name: &str| Err(Failure::usage(Phase::Port, name.to_string(), "no such service"));
    if let Ok(word) = std::str::from_utf8(bytes) {
        match HttpUrl::parse(word, &none) {
            Ok(url) => check(&url),
            Err(failure) => assert_eq!(failure.code, ExitCode::Usage, "{failure}"),
        }
    }
    let Ok(from) = HttpUrl::parse("https://user:secret@origin.example:8443/a/b?c", &none) else {
        panic!("a valid URL is not parsed")
    };
    if let Ok(url) = from.resolve_location(bytes) {
        assert!(url.user().is_none(), "the peer set credentials");
        check(&url);
    }
}

/// Checks what holds for every URL.
fn check(url: &HttpUrl) {
    let text = url.absolute();
    assert!(text.starts_with("http://") || text.starts_with("https://"), "{text}");
    for text in [url.authority(), url.target(), text.clone()] {
        assert!(!text.contains(|c: char| c.is_control() || c == ' '), "{text:?} splits a request");
    }
    let none = |name: &str| Err(Failure::usage(Phase::Port, name.to_string(), "no such service"));
    match HttpUrl::parse(&text, &none) {
        Ok(again) => assert_eq!(again.absolute(), text),
        Err(failure) => panic!("{text} is not parsed again: {failure}"),
    }
    if let Some(name) = url.file_name() {
        assert!(!name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']));
    }
}

/// Reads `bytes` as HOST and, after a line end, PORT.
///
/// Panics on an exit code other than 2, on an empty part, or on an endpoint that is parsed differently
/// when printed.
pub fn endpoint(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (first, second) = match text.split_once('\n') {
        Some((first, second)) => (first, Some(second)),
        None => (text, None),
    };
    match Endpoint::read(Some(first), second, ("127.0.0.1", "9999")) {
        Err(failure) => assert_eq!(failure.code, ExitCode::Usage, "{failure}"),
        Ok(endpoint) => {
            assert!(!endpoint.host.is_empty() && !endpoint.port.is_empty());
            let shown = endpoint.to_string();
            if let Ok(again) = Endpoint::parse(&shown) {
                assert_eq!(again, endpoint, "{shown}");
            }
        }
    }
}

/// Reads each line of `bytes` as a rule: `+` and `-` before it allow and deny. Names are left out,
/// because they would be looked up.
///
/// Panics on a malformed rule that is no usage error, on an allowed address that is rejected, or on a
/// v4-mapped address with another result than its IPv4 address.
pub fn access_rules(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let numeric = |word: &str| word.contains(['/', ':']) || word.parse::<IpAddr>().is_ok();
    let words = |mark: char| -> Vec<String> {
        let marked = text.lines().filter_map(|line| line.strip_prefix(mark));
        marked.filter(|word| numeric(word) && !word.starts_with('@')).map(String::from).collect()
    };
    let (allow, deny) = (words('+'), words('-'));
    let rules = match AccessRules::parse(&allow, &deny, None) {
        Ok(rules) => rules,
        Err(failure) => {
            assert!(matches!(failure.code, ExitCode::Usage | ExitCode::Resolve), "{failure}");
            return;
        }
    };
    for ip in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(10, 1, 2, 3), Ipv4Addr::BROADCAST] {
        let mapped = IpAddr::V6(ip.to_ipv6_mapped());
        assert_eq!(rules.allows(ip.into()), rules.allows(mapped));
    }
    for ip in allow.iter().filter_map(|word| word.parse::<IpAddr>().ok()) {
        assert!(rules.allows(ip), "{ip} is allowed and rejected");
    }
    if allow.is_empty() && deny.is_empty() {
        assert!(rules.allows(Ipv6Addr::LOCALHOST.into()));
    }
}
