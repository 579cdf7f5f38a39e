//! http and https URLs, from the command line.
//!
//! The `url` crate implements the standard (IDN, dot segments, escapes). This file adds what the
//! standard omits: a missing scheme (http), zones of IPv6 addresses (RFC 6874), ports by service
//! name; and refuses what it would silently repair: control bytes, backslashes, missing hosts.

use std::fmt;

pub use authority::UserInfo;
use authority::{Authority, hide_credentials, split_scheme};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::error::{Failure, Phase};

mod authority;

/// One http or https URL. Its `Display` has no credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// Without credentials and fragment.
    pub(super) url: Url,
    pub(super) zone: Option<String>,
    pub(super) user: Option<UserInfo>,
}

/// Scheme, host with zone, and port: credentials are sent to one origin only (RFC 6454 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    tls: bool,
    host: String,
    port: u16,
}

impl HttpUrl {
    /// Parses a URL given by the user; `lookup` returns the port of a service name.
    ///
    /// Fails with code 2 on anything malformed, and as `lookup` does.
    pub fn parse(
        text: &str,
        lookup: &dyn Fn(&str) -> Result<u16, Failure>,
    ) -> Result<HttpUrl, Failure> {
        let bad = |why: &str| Failure::usage(Phase::Resolve, hide_credentials(text), why);
        if text.chars().any(char::is_control) {
            return Err(bad("control characters in the URL"));
        }
        let (scheme, rest) = split_scheme(text).map_err(bad)?;
        let parts = Authority::split(rest).map_err(bad)?;
        if path_of(parts.rest).contains('\\') {
            return Err(bad("a backslash in the path is written %5C"));
        }
        let port: Option<u16> = match parts.port {
            "" => None,
            port if port.bytes().all(|b| b.is_ascii_digit()) => {
                Some(port.parse().map_err(|_| bad("the maximum port is 65535"))?)
            }
            // An @ after it: this may be the beginning of a password, which must not be printed.
            name if parts.rest.contains('@') => {
                let why = "the text after the colon is not a port (in a password, write / as %2F)";
                Some(lookup(name).map_err(|failure| bad(why).with_code(failure.code))?)
            }
            name => Some(lookup(name)?),
        };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let normalized = format!("{scheme}://{}{port}{}", parts.host, parts.rest);
        let mut url = Url::parse(&normalized).map_err(|error| bad(&error.to_string()))?;
        if url.host().is_none() {
            return Err(bad("the host is missing"));
        }
        if parts.zone.is_some() && !matches!(url.host(), Some(Host::Ipv6(_))) {
            return Err(bad("only an IPv6 address can have a zone"));
        }
        url.set_fragment(None);
        let zone = parts.zone.map(str::to_string);
        Ok(HttpUrl { url, zone, user: parts.user.map(UserInfo::decode) })
    }

    /// Whether the scheme is https.
    pub fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host to connect to: a name or an address without brackets, with its zone.
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match &self.zone {
            Some(zone) => format!("{bare}%{zone}"),
            None => bare.to_string(),
        }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    /// The value of Host (RFC 9110 §7.2): the host without zone (RFC 6874 §4), and the port unless it
    /// is the default of the scheme.
    pub fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        }
    }

    /// Path and query, for the request line.
    pub fn target(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_string(),
        }
    }

    /// The absolute URL, for the request line sent to a proxy (RFC 9112 §3.2.2).
    pub fn absolute(&self) -> String {
        format!("{}://{}{}", self.url.scheme(), self.authority(), self.target())
    }

    /// User and password in the URL.
    pub fn user(&self) -> Option<&UserInfo> {
        self.user.as_ref()
    }

    /// Its origin.
    pub fn origin(&self) -> Origin {
        Origin { tls: self.is_tls(), host: self.host(), port: self.port() }
    }

    /// A file name from the last segment of the path, without `/`, a leading `.` or a leading `-`;
    /// none if there is no such segment.
    pub fn file_name(&self) -> Option<String> {
        const MAX_LEN: usize = 200;
        let segment = self.url.path_segments()?.next_back()?;
        let mut name = String::new();
        for c in percent_decode_str(segment).decode_utf8_lossy().chars() {
            let clean =
                if c.is_control() || matches!(c, '/' | '\\' | '\u{fffd}') { '_' } else { c };
            if name.len() + clean.len_utf8() <= MAX_LEN {
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

/// The part of a reference before its query and fragment.
pub(super) fn path_of(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
