//! What the user called a URL, or a peer a Location: the place an answer comes from.
//!
//! The `url` crate does the standard's part (IDN, dots, escapes). Around it we do what the
//! standard leaves out: no scheme (http), zones of IPv6 addresses (RFC 6874), ports by service
//! name; and we refuse what it would silently repair: control bytes, backslashes, missing hosts.

use std::fmt;

use authority::{Authority, credentials, hide_credentials, split_scheme};
use percent::without_stray_bytes;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::error::Error;
use super::syntax::quote;
use crate::error::{Failure, Phase};

mod authority;
mod percent;

/// One http or https URL. Shown without its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// Never with credentials or a fragment.
    url: Url,
    zone: Option<String>,
    user: Option<(String, String)>,
}

/// Scheme, host with zone, port: what credentials stay with (RFC 6454 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    tls: bool,
    host: String,
    port: u16,
}

impl HttpUrl {
    /// Reads what the user typed; `lookup` turns a service name into its port.
    ///
    /// Fails with code 2 on anything malformed, and as `lookup` does.
    pub fn parse(
        word: &str,
        lookup: &dyn Fn(&str) -> Result<u16, Failure>,
    ) -> Result<HttpUrl, Failure> {
        let bad = |why: &str| Failure::usage(Phase::Resolve, hide_credentials(word), why);
        if word.chars().any(char::is_control) {
            return Err(bad("a URL has no control characters"));
        }
        let (scheme, rest) = split_scheme(word).map_err(bad)?;
        let parts = Authority::split(rest).map_err(bad)?;
        let port = match parts.port {
            "" => String::new(),
            port if port.bytes().all(|b| b.is_ascii_digit()) => {
                let number: u16 = port.parse().map_err(|_| bad("a port is at most 65535"))?;
                format!(":{number}")
            }
            // An @ behind it: this is rather the beginning of a password, which nobody shall see.
            name if parts.rest.contains('@') => {
                let why = "what follows the colon is no port (in a password, write / as %2F)";
                let number = lookup(name).map_err(|failure| bad(why).with_code(failure.code))?;
                format!(":{number}")
            }
            name => format!(":{}", lookup(name)?),
        };
        let text = format!("{scheme}://{}{port}{}", parts.host, parts.rest);
        let mut url = Url::parse(&text).map_err(|error| bad(&error.to_string()))?;
        if url.host().is_none() {
            return Err(bad("the host is missing"));
        }
        if parts.zone.is_some() && !matches!(url.host(), Some(Host::Ipv6(_))) {
            return Err(bad("only an IPv6 address has a zone"));
        }
        url.set_fragment(None);
        let zone = parts.zone.map(str::to_string);
        Ok(HttpUrl { url, zone, user: parts.user.map(credentials) })
    }

    /// Where a Location of an answer from here leads (RFC 9110 §10.2.2).
    ///
    /// Refuses (47) schemes other than http and https, and whatever two programs could read two
    /// ways. Credentials in it are not taken over: the peer has no say in whom we claim to be.
    pub fn resolve_location(&self, location: &[u8]) -> Result<HttpUrl, Error> {
        let bad = |why: &str| Error::redirect(format!("redirect to {}: {why}", quote(location)));
        if location.iter().any(|byte| byte.is_ascii_control()) {
            return Err(bad("control characters"));
        }
        let text = without_stray_bytes(location);
        let path = text.split(['?', '#']).next().unwrap_or_default();
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

    /// Whether the scheme is https.
    pub fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host to dial: a name or an address without brackets, with its zone.
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match &self.zone {
            Some(zone) => format!("{bare}%{zone}"),
            None => bare.to_string(),
        }
    }

    /// The port to dial.
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    /// Host and, unless it is the scheme's own, port: the value of Host (RFC 9110 §7.2), which
    /// has no zone (RFC 6874 §4).
    pub fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        }
    }

    /// Path and query: what stands in the request line.
    pub fn target(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_string(),
        }
    }

    /// The whole, as a proxy wants it in the request line (RFC 9112 §3.2.2).
    pub fn absolute(&self) -> String {
        format!("{}://{}{}", self.url.scheme(), self.authority(), self.target())
    }

    /// User and password of the URL itself.
    pub fn user(&self) -> Option<&(String, String)> {
        self.user.as_ref()
    }

    /// Whose place it is.
    pub fn origin(&self) -> Origin {
        Origin { tls: self.is_tls(), host: self.host(), port: self.port() }
    }

    /// A file name from the last segment of the path, which can name nothing but a plain, visible
    /// file in one directory, and is never taken for a flag; none if there is no such segment.
    pub fn file_name(&self) -> Option<String> {
        const LONGEST: usize = 200;
        let segment = self.url.path_segments()?.next_back()?;
        let mut name = String::new();
        for c in percent_decode_str(segment).decode_utf8_lossy().chars() {
            let clean =
                if c.is_control() || matches!(c, '/' | '\\' | '\u{fffd}') { '_' } else { c };
            if name.len() + clean.len_utf8() <= LONGEST {
                name.push(clean);
            }
        }
        if name.starts_with(['.', '-']) {
            name.replace_range(..1, "_");
        }
        (!name.trim_matches(['_', ' ']).is_empty()).then_some(name)
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

/// The scheme a reference begins with, if it has one (RFC 3986 §3.1).
fn scheme_of(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let letter = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let plain = scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    (letter && plain).then_some((scheme, rest))
}

#[cfg(test)]
mod tests;
