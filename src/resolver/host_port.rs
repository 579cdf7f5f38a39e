//! Splits `HOST:PORT` in all its spellings, without looking anything up.

use std::net::Ipv6Addr;

use crate::error::{Failure, Phase};

/// Rejects a URL where a host is expected.
///
/// Fails with exit code 2 at [`Phase::Resolve`]; the hint has the host without the scheme.
pub fn refuse_url(word: &str) -> Result<(), Failure> {
    let Some((scheme, rest)) = word.split_once("://") else { return Ok(()) };
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let mut hint = match host {
        "" => "a host is written without a scheme".to_string(),
        host => format!("without the scheme: {host}"),
    };
    if ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
        hint += "; sockit http-get takes URLs";
    }
    let shown = format!("{scheme}://{host}");
    Err(Failure::usage(Phase::Resolve, shown, "a URL is not a host").with_hint(hint))
}

/// Splits `HOST`, `HOST:PORT`, `V6` (with an optional zone), `[V6]` or `[V6]:PORT` into the host
/// without brackets and the port; both may be empty.
///
/// Fails with exit code 2 at [`Phase::Resolve`] on any other use of brackets and colons.
pub fn split_host_port(word: &str) -> Result<(&str, Option<&str>), Failure> {
    refuse_url(word)?;
    if let Some(inside) = word.strip_prefix('[') {
        return split_bracketed(word, inside);
    }
    if is_v6(word) {
        return Ok((word, None));
    }
    if word.contains(['[', ']']) {
        return Err(Failure::usage(Phase::Resolve, word, "not a host name or address"));
    }
    match word.matches(':').count() {
        0 => Ok((word, None)),
        1 => Ok(word.split_once(':').map_or((word, None), |(host, port)| (host, Some(port)))),
        _ => Err(Failure::usage(Phase::Resolve, word, "not an IPv6 address")
            .with_hint("an IPv6 address with a port is written [ADDRESS]:PORT")),
    }
}

fn split_bracketed<'a>(
    word: &'a str,
    inside: &'a str,
) -> Result<(&'a str, Option<&'a str>), Failure> {
    let bad = |why: &'static str| Failure::usage(Phase::Resolve, word, why);
    let (host, rest) = inside.split_once(']').ok_or_else(|| bad("the closing ] is missing"))?;
    if !is_v6(host) {
        return Err(bad("the text in brackets is not an IPv6 address"));
    }
    match rest.strip_prefix(':') {
        Some(port) if !port.contains(':') => Ok((host, Some(port))),
        None if rest.is_empty() => Ok((host, None)),
        _ => Err(bad("only a colon and a port may follow ]")),
    }
}

/// Whether `text` is an IPv6 address, with an optional zone (RFC 4007 §11).
fn is_v6(text: &str) -> bool {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    address.parse::<Ipv6Addr>().is_ok() && zone != Some("")
}
