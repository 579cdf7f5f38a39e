//! One GET (or HEAD) as bytes (RFC 9112 §3).

use super::error::Error;
use super::redirect::is_safe_cross_origin;
use super::syntax::is_token;
use super::url::HttpUrl;

/// A field the user gave with `-H`, in curl's three forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomHeader {
    name: String,
    /// None takes our own field of that name out.
    value: Option<String>,
}

impl CustomHeader {
    /// Reads `Name: value`, `Name:` (leave it out) or `Name;` (empty).
    ///
    /// Fails on a malformed name and on CR, LF, NUL or another control byte but TAB.
    pub fn read(text: &str) -> Result<CustomHeader, Error> {
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(Error::usage("a header has no control characters"));
        }
        let (name, value) = match (text.split_once(':'), text.strip_suffix(';')) {
            (Some((name, value)), _) => {
                let value = value.trim_matches([' ', '\t']);
                (name, (!value.is_empty()).then(|| value.to_string()))
            }
            (None, Some(name)) => (name, Some(String::new())),
            (None, None) => return Err(Error::usage("a header is written 'Name: value'")),
        };
        if !is_token(name.as_bytes()) {
            return Err(Error::usage(format!("'{name}' is no header name")));
        }
        Ok(CustomHeader { name: name.to_string(), value })
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// Checks user name and password given apart from a URL: `name:password`.
pub fn read_user(text: &str) -> Result<(String, String), Error> {
    if text.chars().any(char::is_control) {
        return Err(Error::usage("user and password have no control characters"));
    }
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    Ok((user.to_string(), password.to_string()))
}

/// Everything one request says.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Where to.
    pub link: &'a HttpUrl,
    /// HEAD instead of GET.
    pub head: bool,
    /// HTTP/1.0 instead of HTTP/1.1.
    pub http10: bool,
    /// The whole URL in the request line, for a forward proxy.
    pub absolute: bool,
    /// Whether this is the origin the user named; own fields and credentials stay with it.
    pub same_origin: bool,
    /// The user's own fields.
    pub own: &'a [CustomHeader],
    /// The value of Authorization, for the origin the user named.
    pub authorization: Option<String>,
    /// The value of Proxy-Authorization, for the forward proxy.
    pub proxy_login: Option<String>,
    /// The value of Range.
    pub range: Option<String>,
    /// The fields that make the request conditional (RFC 9110 §13.1).
    pub conditions: Vec<(&'static str, String)>,
    /// Whether a coded body is welcome.
    pub accept_encoding: bool,
}

impl Request<'_> {
    /// The request with its blank line.
    pub fn bytes(&self) -> Vec<u8> {
        let method = if self.head { "HEAD" } else { "GET" };
        let target = if self.absolute { self.link.absolute() } else { self.link.target() };
        let version = if self.http10 { "HTTP/1.0" } else { "HTTP/1.1" };
        let mut text = format!("{method} {target} {version}\r\n");
        for (name, value) in self.fields() {
            let end = if value.is_empty() { ":" } else { ": " };
            text.push_str(&format!("{name}{end}{value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// Our fields, those the user replaced or took out left out, then the user's.
    fn fields(&self) -> Vec<(String, String)> {
        let sent: Vec<&CustomHeader> = self
            .own
            .iter()
            .filter(|own| self.same_origin || is_safe_cross_origin(&own.name))
            .collect();
        let mut fields = self.usual();
        fields.retain(|(name, _)| !sent.iter().any(|own| own.is(name)));
        for own in sent {
            let at = if own.is("host") { 0 } else { fields.len() };
            if let Some(value) = &own.value {
                fields.insert(at, (own.name.clone(), value.clone()));
            }
        }
        fields
    }

    fn usual(&self) -> Vec<(String, String)> {
        let mut fields = vec![
            ("Host", self.link.authority()),
            ("User-Agent", concat!("sockit/", env!("CARGO_PKG_VERSION")).to_string()),
            ("Accept", "*/*".to_string()),
        ];
        if self.accept_encoding {
            fields.push(("Accept-Encoding", "gzip, deflate, br, zstd".to_string()));
        }
        let authorization = self.authorization.iter().filter(|_| self.same_origin);
        fields.extend(authorization.map(|login| ("Authorization", login.clone())));
        fields.extend(self.proxy_login.iter().map(|login| ("Proxy-Authorization", login.clone())));
        fields.extend(self.range.iter().map(|range| ("Range", range.clone())));
        fields.extend(self.conditions.iter().cloned());
        fields.push(("Connection", "close".to_string()));
        fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(word: &str) -> HttpUrl {
        HttpUrl::read(word, &|_| Ok(80)).unwrap()
    }

    fn plain<'a>(link: &'a HttpUrl, own: &'a [CustomHeader]) -> Request<'a> {
        Request {
            link,
            head: false,
            http10: false,
            absolute: false,
            same_origin: true,
            own,
            authorization: None,
            proxy_login: None,
            range: None,
            conditions: Vec::new(),
            accept_encoding: false,
        }
    }

    fn text(request: &Request<'_>) -> String {
        String::from_utf8(request.bytes()).unwrap()
    }

    #[test]
    fn a_plain_get() {
        let link = link("http://h:81/a?b");
        let wanted = format!(
            "GET /a?b HTTP/1.1\r\nHost: h:81\r\nUser-Agent: sockit/{}\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(text(&plain(&link, &[])), wanted);
        let proxied = Request { absolute: true, http10: true, head: true, ..plain(&link, &[]) };
        assert!(text(&proxied).starts_with("HEAD http://h:81/a?b HTTP/1.0\r\n"));
    }

    #[test]
    fn own_fields_replace_remove_and_empty() {
        let own: Vec<CustomHeader> = ["Host: other", "accept:", "X;", "user-agent:  me "]
            .map(|text| CustomHeader::read(text).unwrap())
            .to_vec();
        let link = link("h");
        let sent = text(&plain(&link, &own));
        assert!(sent.starts_with("GET / HTTP/1.1\r\nHost: other\r\n"), "{sent}");
        assert!(!sent.contains("Accept") && sent.contains("\r\nX:\r\n"), "{sent}");
        assert!(sent.contains("user-agent: me\r\n") && !sent.contains("sockit"), "{sent}");
    }

    #[test]
    fn away_from_home_secrets_stay_at_home() {
        let own = ["X-Api-Key: k", "Cookie: c", "Accept-Language: de", "Host: other"]
            .map(|text| CustomHeader::read(text).unwrap());
        let (link, login) = (link("h"), "Basic dTpw".to_string());
        let request = Request { authorization: Some(login), ..plain(&link, &own) };
        assert!(text(&request).contains("Authorization: Basic dTpw\r\n"));
        let away = text(&Request { same_origin: false, ..request });
        for secret in ["Authorization", "X-Api-Key", "Cookie", "other"] {
            assert!(!away.contains(secret), "{away}");
        }
        assert!(away.contains("Accept-Language: de\r\n") && away.contains("Host: h\r\n"));
    }

    #[test]
    fn nothing_is_injected() {
        for bad in [
            "X: a\r\nY: b",
            "X: a\nY: b",
            "X\0: a",
            "X Y: a",
            "X\t: a",
            ": a",
            "X",
            "",
            "Ü: a",
            "X : a",
        ] {
            assert!(CustomHeader::read(bad).is_err(), "{bad:?}");
        }
        assert!(read_user("a:b\r\nX: y").is_err());
    }
}
