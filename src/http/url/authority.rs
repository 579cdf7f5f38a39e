//! The authority of a URL: `user:password@host:port`.

use std::fmt;

use percent_encoding::percent_decode_str;

/// Splits a URL into its scheme, http if it is missing, and the part after `://`.
pub fn split_scheme(text: &str) -> Result<(&str, &str), &'static str> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok(("http", text));
    };
    // host:80/?u=http://x has its :// inside.
    if scheme.contains(['/', '?', '#', '.', ':', '@']) {
        return Ok(("http", text));
    }
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok(("http", rest)),
        "https" => Ok(("https", rest)),
        _ => Err("only http and https are supported"),
    }
}

/// The parts of an authority, and the rest of the URL.
#[derive(Default)]
pub struct Authority<'a> {
    /// The part before the @, percent-encoded.
    pub user: Option<&'a str>,
    /// As in a URL, an IPv6 address in brackets.
    pub host: String,
    /// The zone of an IPv6 address.
    pub zone: Option<&'a str>,
    /// A number, a service name or nothing.
    pub port: &'a str,
    /// The URL from the path on.
    pub rest: &'a str,
}

impl<'a> Authority<'a> {
    /// Splits the part after `://`; the error is the cause.
    pub fn split(text: &'a str) -> Result<Authority<'a>, &'static str> {
        let end = text.find(['/', '?', '#']).unwrap_or(text.len());
        let (authority, rest) = text.split_at(end);
        if authority.contains('\\') {
            return Err("a backslash in the host");
        }
        let (user, host_port) = match authority.rsplit_once('@') {
            Some((user, host_port)) => (Some(user), host_port),
            None => (None, authority),
        };
        let authority = match host_port.strip_prefix('[') {
            Some(inside) => bracketed(inside)?,
            None => plain(host_port)?,
        };
        Ok(Authority { user, rest, ..authority })
    }
}

/// `HOST:PORT`, the part after the @.
fn plain(text: &str) -> Result<Authority<'_>, &'static str> {
    let (host, port) = text.split_once(':').unwrap_or((text, ""));
    if port.contains(':') {
        return Err("an IPv6 address must be in brackets");
    }
    if host.is_empty() {
        return Err("the host is missing");
    }
    Ok(Authority { host: host.to_string(), port, ..Authority::default() })
}

/// `ADDRESS%25zone]:port`, the `25` optional as in curl.
fn bracketed(inside: &str) -> Result<Authority<'_>, &'static str> {
    let (address, rest) = inside.split_once(']').ok_or("the closing ] is missing")?;
    let port = match rest.strip_prefix(':') {
        Some(port) => port,
        None if rest.is_empty() => "",
        None => return Err("after ] only a colon and the port may follow"),
    };
    let Some((address, zone)) = address.split_once('%') else {
        return Ok(Authority { host: format!("[{address}]"), port, ..Authority::default() });
    };
    let zone = zone.strip_prefix("25").unwrap_or(zone);
    let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '~');
    if zone.is_empty() || !zone.chars().all(is_valid) {
        return Err("malformed zone");
    }
    let host = format!("[{address}]");
    Ok(Authority { host, zone: Some(zone), port, ..Authority::default() })
}

/// User name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct UserInfo {
    /// The user name.
    pub user: String,
    /// The password, which may be empty.
    pub password: String,
}

impl UserInfo {
    /// Splits `USER:PASSWORD`.
    pub fn split(text: &str) -> UserInfo {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        UserInfo { user: user.to_string(), password: password.to_string() }
    }

    /// Decodes the userinfo of a URL.
    pub fn decode(userinfo: &str) -> UserInfo {
        let UserInfo { user, password } = UserInfo::split(userinfo);
        let text = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        UserInfo { user: text(&user), password: text(&password) }
    }
}

impl fmt::Debug for UserInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserInfo")
    }
}

/// Removes credentials from a URL that is printed.
pub fn hide_credentials(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
    let authority = &text[start..end];
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    match authority.rfind('@') {
        Some(at) => format!("{}{}", &text[..start], &text[start + at + 1..]),
        // An @ in the rest: the text after the colon may be the beginning of a password.
        None if text[end..].contains('@') && !authority.starts_with('[') => {
            format!("{}{host}", &text[..start])
        }
        None => text.to_string(),
    }
}
