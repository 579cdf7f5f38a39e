//! The part of a URL that names the place: `user:password@host:port`.

use percent_encoding::percent_decode_str;

/// A scheme and what follows its `://`; http where there is none.
pub fn split_scheme(word: &str) -> Result<(&str, &str), &'static str> {
    let Some((scheme, rest)) = word.split_once("://") else {
        return Ok(("http", word));
    };
    // host:80/?u=http://x has its :// inside.
    if scheme.contains(['/', '?', '#', '.', ':', '@']) {
        return Ok(("http", word));
    }
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok(("http", rest)),
        "https" => Ok(("https", rest)),
        _ => Err("only http and https"),
    }
}

/// What stands between `://` and the path, taken apart, and the rest.
pub struct Authority<'a> {
    /// What stands before the @, percent-encoded.
    pub user: Option<&'a str>,
    /// As a URL has it, in brackets where it must be.
    pub host: String,
    /// Of an IPv6 address.
    pub zone: Option<&'a str>,
    /// A number, a service name or nothing.
    pub port: &'a str,
    /// From the path on.
    pub rest: &'a str,
}

impl<'a> Authority<'a> {
    /// Takes apart what follows `://`; the error says what is wrong with it.
    pub fn split(text: &'a str) -> Result<Authority<'a>, &'static str> {
        let end = text.find(['/', '?', '#']).unwrap_or(text.len());
        let (authority, rest) = text.split_at(end);
        if authority.contains('\\') {
            return Err("a host has no backslash");
        }
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, zone, port) = match place.strip_prefix('[') {
            Some(inside) => bracketed(inside)?,
            None => plain(place)?,
        };
        Ok(Authority { user, host, zone, port, rest })
    }
}

type Place<'a> = (String, Option<&'a str>, &'a str);

fn plain(place: &str) -> Result<Place<'_>, &'static str> {
    let (host, port) = place.split_once(':').unwrap_or((place, ""));
    if port.contains(':') {
        return Err("an IPv6 address stands in brackets");
    }
    if host.is_empty() {
        return Err("the host is missing");
    }
    Ok((host.to_string(), None, port))
}

/// `ADDRESS%25zone]:port`, the `25` optional as in curl.
fn bracketed(inside: &str) -> Result<Place<'_>, &'static str> {
    let (address, rest) = inside.split_once(']').ok_or("the closing ] is missing")?;
    let port = match rest.strip_prefix(':') {
        Some(port) => port,
        None if rest.is_empty() => "",
        None => return Err("after ] comes a colon and the port, or nothing"),
    };
    let Some((address, zone)) = address.split_once('%') else {
        return Ok((format!("[{address}]"), None, port));
    };
    let zone = zone.strip_prefix("25").unwrap_or(zone);
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '~');
    if zone.is_empty() || !zone.chars().all(sound) {
        return Err("malformed zone");
    }
    Ok((format!("[{address}]"), Some(zone), port))
}

/// User and password of a URL's userinfo.
pub fn credentials(userinfo: &str) -> (String, String) {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let text = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    (text(user), text(password))
}

/// The user's word as it may be shown: without what stands before the host.
pub fn hide_credentials(word: &str) -> String {
    let start = word.find("://").map_or(0, |at| at + 3);
    let end = word[start..].find(['/', '?', '#']).map_or(word.len(), |at| start + at);
    let authority = &word[start..end];
    let place = authority.split_once(':').map_or(authority, |(host, _)| host);
    match authority.rfind('@') {
        Some(at) => format!("{}{}", &word[..start], &word[start + at + 1..]),
        // An @ further on: what follows the colon may be the beginning of a password.
        None if word[end..].contains('@') && !authority.starts_with('[') => {
            format!("{}{place}", &word[..start])
        }
        None => word.to_string(),
    }
}
