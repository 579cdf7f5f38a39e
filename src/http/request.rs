//! Formats a GET or HEAD request (RFC 9112 §3).

use super::error::Error;
use super::head::Field;
use super::redirect::is_safe_cross_origin;
use super::syntax::is_token;
use super::url::{HttpUrl, UserInfo};

/// A header field given with `-H`, in the three forms of curl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomHeader {
    name: String,
    /// None removes the default field of that name.
    value: Option<String>,
}

impl CustomHeader {
    /// Parses `Name: value`, `Name:` (remove) or `Name;` (empty value).
    ///
    /// Fails on a malformed name and on CR, LF, NUL or another control byte but TAB.
    pub fn parse(text: &str) -> Result<CustomHeader, Error> {
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
            return Err(Error::usage(format!("'{name}' is not a header name")));
        }
        Ok(CustomHeader { name: name.to_string(), value })
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// Parses `USER:PASSWORD`; fails on control characters.
pub fn parse_user(text: &str) -> Result<UserInfo, Error> {
    if text.chars().any(char::is_control) {
        return Err(Error::usage("user and password have no control characters"));
    }
    Ok(UserInfo::split(text))
}

/// The lines of a request in which the values of fields with credentials are hidden.
pub fn masked_lines(request: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(request);
    let lines = text.trim_end_matches("\r\n").split("\r\n");
    lines
        .enumerate()
        .map(|(at, line)| if at == 0 { line.to_string() } else { masked(line) })
        .collect()
}

fn masked(line: &str) -> String {
    let Some((name, _)) = line.split_once(':') else { return line.to_string() };
    let lower = name.to_ascii_lowercase();
    let secret = ["auth", "cookie", "key", "token", "secret", "password"];
    if secret.iter().any(|word| lower.contains(word)) {
        format!("{name}: (hidden)")
    } else {
        line.to_string()
    }
}

/// The parts of one request.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The requested URL.
    pub url: &'a HttpUrl,
    /// HEAD instead of GET.
    pub head: bool,
    /// HTTP/1.0 instead of HTTP/1.1.
    pub http10: bool,
    /// The absolute URL in the request line, for a forward proxy.
    pub absolute: bool,
    /// Whether this is the origin that the user named; only it gets all custom headers and
    /// credentials.
    pub same_origin: bool,
    /// The fields given by the user.
    pub custom_headers: &'a [CustomHeader],
    /// The value of Authorization, for the origin that the user named.
    pub authorization: Option<String>,
    /// The value of Proxy-Authorization, for the forward proxy.
    pub proxy_authorization: Option<String>,
    /// The value of Range.
    pub range: Option<String>,
    /// The fields that make the request conditional (RFC 9110 §13.1).
    pub conditions: Vec<Field>,
    /// Whether content codings are accepted.
    pub accept_encoding: bool,
}

impl Request<'_> {
    /// Formats the request, with the empty line at its end.
    pub fn bytes(&self) -> Vec<u8> {
        let method = if self.head { "HEAD" } else { "GET" };
        let target = if self.absolute { self.url.absolute() } else { self.url.target() };
        let version = if self.http10 { "HTTP/1.0" } else { "HTTP/1.1" };
        let mut text = format!("{method} {target} {version}\r\n").into_bytes();
        for Field { name, value } in self.fields() {
            let end = if value.is_empty() { ":" } else { ": " };
            text.extend([name.as_bytes(), end.as_bytes(), &value, b"\r\n"].concat());
        }
        text.extend(b"\r\n");
        text
    }

    /// The default fields except those that the user replaces or removes, then the user's.
    fn fields(&self) -> Vec<Field> {
        let sent: Vec<&CustomHeader> = self
            .custom_headers
            .iter()
            .filter(|own| self.same_origin || is_safe_cross_origin(&own.name))
            .collect();
        let mut fields = self.default_fields();
        fields.retain(|field| !sent.iter().any(|own| own.is(&field.name)));
        for own in sent {
            let at = if own.is("host") { 0 } else { fields.len() };
            if let Some(value) = &own.value {
                fields.insert(at, Field::new(&own.name, value));
            }
        }
        fields
    }

    fn default_fields(&self) -> Vec<Field> {
        let agent = concat!("sockit/", env!("CARGO_PKG_VERSION"));
        let mut fields = vec![
            Field::new("Host", &self.url.authority()),
            Field::new("User-Agent", agent),
            Field::new("Accept", "*/*"),
        ];
        if self.accept_encoding {
            fields.push(Field::new("Accept-Encoding", "gzip, deflate, br, zstd"));
        }
        let authorization = self.authorization.as_ref().filter(|_| self.same_origin);
        for (name, value) in [
            ("Authorization", authorization),
            ("Proxy-Authorization", self.proxy_authorization.as_ref()),
            ("Range", self.range.as_ref()),
        ] {
            fields.extend(value.map(|value| Field::new(name, value)));
        }
        fields.extend(self.conditions.iter().cloned());
        fields.push(Field::new("Connection", "close"));
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> HttpUrl {
        HttpUrl::parse(text, &|_| Ok(80)).unwrap()
    }

    fn plain<'a>(url: &'a HttpUrl, custom_headers: &'a [CustomHeader]) -> Request<'a> {
        Request {
            url,
            head: false,
            http10: false,
            absolute: false,
            same_origin: true,
            custom_headers,
            authorization: None,
            proxy_authorization: None,
            range: None,
            conditions: Vec::new(),
            accept_encoding: false,
        }
    }

    fn text(request: &Request<'_>) -> String {
        String::from_utf8(request.bytes()).unwrap()
    }

    #[test]
    fn request_without_options_has_default_fields() {
        let url = url("http://h:81/a?b");
        let wanted = format!(
            "GET /a?b HTTP/1.1\r\nHost: h:81\r\nUser-Agent: sockit/{}\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(text(&plain(&url, &[])), wanted);
        let proxied = Request { absolute: true, http10: true, head: true, ..plain(&url, &[]) };
        assert!(text(&proxied).starts_with("HEAD http://h:81/a?b HTTP/1.0\r\n"));
    }

    #[test]
    fn custom_headers_replace_remove_and_empty() {
        let own: Vec<CustomHeader> = ["Host: other", "accept:", "X;", "user-agent:  me "]
            .map(|text| CustomHeader::parse(text).unwrap())
            .to_vec();
        let url = url("h");
        let sent = text(&plain(&url, &own));
        assert!(sent.starts_with("GET / HTTP/1.1\r\nHost: other\r\n"), "{sent}");
        assert!(!sent.contains("Accept") && sent.contains("\r\nX:\r\n"), "{sent}");
        assert!(sent.contains("user-agent: me\r\n") && !sent.contains("sockit"), "{sent}");
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        let own = ["X-Api-Key: k", "Cookie: c", "Accept-Language: de", "Host: other"]
            .map(|text| CustomHeader::parse(text).unwrap());
        let (url, login) = (url("h"), "Basic dTpw".to_string());
        let request = Request { authorization: Some(login), ..plain(&url, &own) };
        assert!(text(&request).contains("Authorization: Basic dTpw\r\n"));
        let away = text(&Request { same_origin: false, ..request });
        for secret in ["Authorization", "X-Api-Key", "Cookie", "other"] {
            assert!(!away.contains(secret), "{away}");
        }
        assert!(away.contains("Accept-Language: de\r\n") && away.contains("Host: h\r\n"));
    }

    #[test]
    fn injected_lines_are_refused() {
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
            assert!(CustomHeader::parse(bad).is_err(), "{bad:?}");
        }
        assert!(parse_user("a:b\r\nX: y").is_err());
    }
}
