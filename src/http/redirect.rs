//! Redirects (RFC 9110 §15.4): their target, and what may be sent there.

use percent_encoding::percent_encode_byte;

use super::error::Error;
use super::head::Head;
use super::syntax::quote;
use super::url::{HttpUrl, path_of};

/// The target of a redirect from `from`; none if `head` is no redirect or has no Location.
///
/// Fails with 47 on a Location that [`HttpUrl::resolve_location`] refuses, with 8 on two different
/// Locations.
pub fn target(head: &Head, from: &HttpUrl) -> Result<Option<HttpUrl>, Error> {
    if !matches!(head.status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let mut locations: Vec<&[u8]> = head.values("location").collect();
    locations.dedup();
    let location = match locations[..] {
        [] | [b""] => return Ok(None),
        [location] => location,
        _ => return Err(Error::protocol("two different Locations")),
    };
    from.resolve_location(location).map(Some)
}

impl HttpUrl {
    /// Resolves a Location in a response from this URL (RFC 9110 §10.2.2), without its credentials:
    /// the peer must not choose them.
    ///
    /// Fails with 47 on schemes other than http and https, and on an ambiguous Location.
    pub fn resolve_location(&self, location: &[u8]) -> Result<HttpUrl, Error> {
        let bad = |why: &str| Error::redirect(format!("redirect to {}: {why}", quote(location)));
        if location.iter().any(|byte| byte.is_ascii_control()) {
            return Err(bad("control characters"));
        }
        let text = encode_non_utf8(location);
        let path = path_of(&text);
        if path.contains('\\') {
            return Err(bad("a backslash"));
        }
        if let Some((scheme, rest)) = scheme_of(path) {
            if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
                return Err(bad("neither http nor https"));
            }
            if !rest.starts_with("//") {
                return Err(bad("no host"));
            }
        }
        if path == "//" || path.contains(":///") || path.starts_with("///") {
            return Err(bad("no host"));
        }
        let mut url = self.url.join(&text).map_err(|error| bad(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(bad("neither http nor https"));
        }
        url.set_fragment(None);
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let same_host = url.host() == self.url.host();
        Ok(HttpUrl { zone: self.zone.clone().filter(|_| same_host), url, user: None })
    }
}

/// Returns `bytes` as text, those that are not UTF-8 percent-encoded (RFC 3986 §2.1); old servers
/// send such bytes in Location.
fn encode_non_utf8(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| percent_encode_byte(*byte)));
    }
    text
}

/// Splits the scheme off a reference, if it has one (RFC 3986 §3.1).
fn scheme_of(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let letter = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let plain = scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    (letter && plain).then_some((scheme, rest))
}

/// Whether a custom header may be sent to another origin than the first: only what reveals nothing
/// about the user.
pub fn is_safe_cross_origin(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("accept") || name == "user-agent" || name == "range"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    fn head(status: u16, locations: &[&str]) -> Head {
        let fields: Vec<_> = locations.iter().map(|value| ("Location", *value)).collect();
        Head::of(status, &fields)
    }

    fn url(text: &str) -> HttpUrl {
        HttpUrl::parse(text, &|_| Ok(80)).unwrap()
    }

    #[test]
    fn redirect_with_one_location_has_target() {
        let from = url("http://h/a");
        for status in [301, 302, 303, 307, 308] {
            let to = target(&head(status, &["/b"]), &from).unwrap().unwrap();
            assert_eq!(to.to_string(), "http://h/b");
        }
        for (status, locations) in
            [(200, &["/b"][..]), (300, &["/b"]), (304, &["/b"]), (302, &[]), (302, &[""])]
        {
            assert_eq!(target(&head(status, locations), &from).unwrap(), None);
        }
        assert!(target(&head(302, &["/b", "/b"]), &from).unwrap().is_some());
        let error = target(&head(302, &["/b", "/c"]), &from).unwrap_err();
        assert_eq!(error.code, ExitCode::Protocol);
    }

    #[test]
    fn few_headers_are_safe_cross_origin() {
        for name in ["Accept", "accept-language", "User-Agent", "Range"] {
            assert!(is_safe_cross_origin(name), "{name}");
        }
        for name in ["Authorization", "Cookie", "X-Api-Key", "Host", "Referer", "If-None-Match"] {
            assert!(!is_safe_cross_origin(name), "{name}");
        }
    }
}
