//! Proxies: SOCKS 5 and HTTP CONNECT. After a successful request the stream is the target's.

pub mod basic;
mod conn;
pub mod environment;
#[cfg(test)]
mod fake_proxy;
mod http_connect;
mod socks5;
mod target;

use std::fmt;

use percent_encoding::percent_decode_str;

use conn::ProxyConn;
pub use target::Target;

use super::endpoint::Endpoint;
use super::layer::HandshakeContext;
use super::stream::Stream;
use crate::error::{Failure, Phase};

/// The hint where a proxy asks for a login.
pub const LOGIN_HINT: &str = "a login is written http://user:password@HOST:PORT";

/// The port of a proxy whose URL names none (curl's choice, for every kind).
const PORT: &str = "1080";

/// The protocol of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// SOCKS 5 with addresses that are resolved locally.
    Socks5,
    /// SOCKS 5 with names that the proxy resolves.
    Socks5h,
    /// HTTP: CONNECT, or requests in absolute form.
    Http,
}

const SCHEMES: [(&str, Kind); 3] =
    [("socks5", Kind::Socks5), ("socks5h", Kind::Socks5h), ("http", Kind::Http)];

/// A proxy: its protocol, its address and the login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    /// Its host and port.
    pub endpoint: Endpoint,
    login: Option<Login>,
    /// The environment variable that names it.
    variable: Option<String>,
}

/// User and password, which are never printed.
#[derive(Clone, PartialEq, Eq)]
struct Login {
    user: Vec<u8>,
    password: Vec<u8>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

impl Proxy {
    /// Parses `socks5://[user:password@]HOST[:PORT]`, `socks5h://…` or `http://…`; without a
    /// scheme it is HTTP, as for curl.
    ///
    /// Fails with exit code 2 at [`Phase::Proxy`]; the message never contains user or password.
    pub fn parse(word: &str) -> Result<Proxy, Failure> {
        if word.chars().any(char::is_control) {
            let address = word.rsplit('@').next().unwrap_or_default();
            let why = "a proxy URL cannot have control characters";
            return Err(Failure::usage(Phase::Proxy, address, why));
        }
        let (scheme, rest) = word.split_once("://").unwrap_or(("http", word));
        let (login, address) = rest.rsplit_once('@').unzip();
        let (login, address) = (login.map(Login::parse), address.unwrap_or(rest));
        // As in curl, what follows the port is ignored.
        let address = address.split(['/', '?', '#']).next().unwrap_or(address);
        let known = SCHEMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(scheme));
        let Some((_, kind)) = known else {
            return Err(Failure::usage(Phase::Proxy, address, "unknown kind of proxy")
                .with_hint("a proxy is socks5://, socks5h:// or http://"));
        };
        let endpoint = Endpoint::read(Some(address), None, ("", PORT));
        let endpoint = endpoint.map_err(|failure| failure.at(Phase::Proxy))?;
        let proxy = Proxy { kind: *kind, endpoint, login, variable: None };
        proxy.check_login().map(|()| proxy)
    }

    fn check_login(&self) -> Result<(), Failure> {
        let Some(login) = &self.login else { return Ok(()) };
        let bad = |why: &'static str| Err(Failure::usage(Phase::Proxy, self, why));
        match self.kind {
            Kind::Http if login.user.contains(&b':') => {
                bad("the user name of an HTTP proxy cannot contain a colon")
            }
            // RFC 1929 §2: the length of each is one byte, and 1 to 255 for the user.
            Kind::Socks5 | Kind::Socks5h
                if !(1..=255).contains(&login.user.len()) || login.password.len() > 255 =>
            {
                bad("SOCKS takes a user name of 1 to 255 bytes and a password of at most 255")
            }
            _ => Ok(()),
        }
    }

    /// Whether the proxy resolves names.
    pub fn resolves(&self) -> bool {
        self.kind != Kind::Socks5
    }

    /// Whether it accepts HTTP requests in absolute form.
    pub fn is_http(&self) -> bool {
        self.kind == Kind::Http
    }

    /// The value of `Proxy-Authorization`, if there is a login.
    pub fn authorization(&self) -> Option<String> {
        self.login.as_ref().map(|login| basic::basic_auth(&login.user, &login.password))
    }

    /// Asks the proxy at the other end of `stream` to connect to `target`.
    ///
    /// Fails at [`Phase::Proxy`]: 7 when the proxy could not reach the target, 8 when its answer is
    /// malformed, 28 when it times out, 63 when its answer is too long, 97 when it refuses.
    pub fn tunnel(
        &self,
        mut stream: Stream,
        target: &Target,
        context: &HandshakeContext<'_>,
    ) -> Result<Stream, Failure> {
        let mut conn = ProxyConn { stream: &mut stream, context };
        match self.kind {
            Kind::Http => http_connect::connect(&mut conn, target, self.authorization())?,
            _ => socks5::connect(&mut conn, target, self.login.as_ref())?,
        }
        context.log(format!("The proxy {self} has connected to {target}."));
        Ok(stream)
    }

    /// The failure to connect to the proxy itself, with its name.
    pub fn unreachable(&self, mut failure: Failure) -> Failure {
        if let (None, Some(variable)) = (&failure.hint, &self.variable) {
            failure.hint = Some(format!("the environment variable {variable} selects this proxy"));
        }
        if failure.phase == Phase::Connect {
            failure.target = self.to_string();
            return failure.at(Phase::Proxy);
        }
        failure
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = SCHEMES.iter().find(|(_, kind)| *kind == self.kind).map(|(scheme, _)| scheme);
        write!(f, "{}://{}", scheme.unwrap_or(&""), self.endpoint)
    }
}

impl Login {
    /// Parses `user[:password]`, percent-encoded where needed.
    fn parse(text: &str) -> Login {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let [user, password] = [user, password].map(|text| percent_decode_str(text).collect());
        Login { user, password }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    #[test]
    fn proxy_has_optional_login_scheme_and_port() {
        for (word, shown) in [
            ("socks5://127.0.0.1:1080", "socks5://127.0.0.1:1080"),
            ("SOCKS5H://u:p@h:1", "socks5h://h:1"),
            ("http://u:p%40ss@[::1]:3128/", "http://[::1]:3128"),
            ("proxy:3128", "http://proxy:3128"),
            ("socks5://proxy", "socks5://proxy:1080"),
            ("http://u:p@with@h:1", "http://h:1"),
            ("http://h:1/some/path?x", "http://h:1"),
        ] {
            assert_eq!(Proxy::parse(word).unwrap().to_string(), shown, "{word}");
        }
        let login = Proxy::parse("http://u:p%40ss@h:1").unwrap().authorization();
        assert_eq!(login.as_deref(), Some("Basic dTpwQHNz"));
        let stray = Proxy::parse("http://u:100%@h:1").unwrap().authorization();
        assert_eq!(stray, Some(basic::basic_auth(b"u", b"100%")));
        // The example of RFC 7617 §2.
        let known = basic::basic_auth(b"Aladdin", b"open sesame");
        assert_eq!(known, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn no_message_and_no_debug_text_contains_a_password() {
        let long = format!("socks5://u:{}@h:1", "secret".repeat(50));
        for word in
            ["ftp://u:secret@h:1", "http://u:secret@h:99999", "http://u:secret\r\n@h:1", &long]
        {
            let failure = Proxy::parse(word).unwrap_err();
            assert_eq!(failure.code, ExitCode::Usage, "{word}");
            assert!(!format!("{failure:?} {failure}").contains("secret"), "{failure:?}");
        }
        let proxy = Proxy::parse("http://u:secret@h:1").unwrap();
        assert!(!format!("{proxy:?}").contains("secret"));
    }
}
