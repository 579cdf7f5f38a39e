//! Where a 3xx leads (RFC 9110 §15.4), and where we do not go.

use super::error::Error;
use super::head::Head;
use super::url::HttpUrl;

/// What becomes of a redirect from https to http.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downgrade {
    /// It is an error.
    Refuse,
    /// It is followed as any other.
    Allow,
}

/// Where `head`, an answer from `from`, sends us; none if it is no redirect, or names no place.
///
/// Refuses places [`Link::follow`] refuses and the step from https to http unless allowed (47),
/// and an answer that names two places (8).
pub fn target(head: &Head, from: &HttpUrl, downgrade: Downgrade) -> Result<Option<HttpUrl>, Error> {
    if !matches!(head.status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let mut places: Vec<&[u8]> = head.values("location").collect();
    places.dedup();
    let location = match places[..] {
        [] | [b""] => return Ok(None),
        [location] => location,
        _ => return Err(Error::protocol("two different Locations")),
    };
    let to = from.resolve_location(location)?;
    if from.is_tls() && !to.is_tls() && downgrade == Downgrade::Refuse {
        let text = format!("redirect from https to {to} (--allow-downgrade permits it)");
        return Err(Error::redirect(text));
    }
    Ok(Some(to))
}

/// Whether a field of the user's own may be sent to an origin other than the first: only what
/// says nothing about the user.
pub fn is_safe_cross_origin(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("accept") || name == "user-agent" || name == "range"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::ErrorKind;

    fn head(status: u16, locations: &[&str]) -> Head {
        let fields: Vec<_> = locations.iter().map(|value| ("Location", *value)).collect();
        Head::of(status, &fields)
    }

    fn link(word: &str) -> HttpUrl {
        HttpUrl::parse(word, &|_| Ok(80)).unwrap()
    }

    #[test]
    fn only_a_redirect_with_one_place_leads_somewhere() {
        let from = link("http://h/a");
        for status in [301, 302, 303, 307, 308] {
            let to = target(&head(status, &["/b"]), &from, Downgrade::Refuse).unwrap().unwrap();
            assert_eq!(to.to_string(), "http://h/b");
        }
        for (status, locations) in
            [(200, &["/b"][..]), (300, &["/b"]), (304, &["/b"]), (302, &[]), (302, &[""])]
        {
            assert_eq!(target(&head(status, locations), &from, Downgrade::Refuse).unwrap(), None);
        }
        assert!(target(&head(302, &["/b", "/b"]), &from, Downgrade::Refuse).unwrap().is_some());
        let error = target(&head(302, &["/b", "/c"]), &from, Downgrade::Refuse).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol);
    }

    #[test]
    fn a_downgrade_needs_permission() {
        let (from, there) = (link("https://h/a"), head(302, &["http://h/a"]));
        assert_eq!(target(&there, &from, Downgrade::Refuse).unwrap_err().kind, ErrorKind::Redirect);
        assert!(target(&there, &from, Downgrade::Allow).unwrap().is_some());
    }

    #[test]
    fn little_crosses_to_another_origin() {
        for name in ["Accept", "accept-language", "User-Agent", "Range"] {
            assert!(is_safe_cross_origin(name), "{name}");
        }
        for name in ["Authorization", "Cookie", "X-Api-Key", "Host", "Referer", "If-None-Match"] {
            assert!(!is_safe_cross_origin(name), "{name}");
        }
    }
}
