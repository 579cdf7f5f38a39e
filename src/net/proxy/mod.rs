//! Between TCP and the user's bytes, where there is a proxy: it is asked to join us to the
//! target, and from its "yes" on the stream is the target's.

pub mod basic;
pub mod environment;
#[cfg(test)]
mod fake_proxy;
mod http_connect;
mod socks5;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use percent_encoding::percent_decode_str;

use super::endpoint::Endpoint;
use super::layer::HandshakeContext;
use super::stream::Stream;
use super::unix;
use crate::error::{ExitCode, Failure, Phase};

/// The hint where a proxy asks for a login.
pub const LOGIN_HINT: &str = "a login is written http://user:password@HOST:PORT";

/// The port of a proxy whose URL names none (curl's choice, for every kind).
const PORT: &str = "1080";

/// The language a proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// SOCKS 5 with addresses that we look up.
    Socks5,
    /// SOCKS 5 with names that the proxy looks up.
    Socks5h,
    /// HTTP: CONNECT, or requests in absolute form.
    Http,
}

/// A proxy: its language, where it is, and what it wants to hear from us first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    /// Where it is.
    pub endpoint: Endpoint,
    login: Option<Credentials>,
    /// The environment variable that names it.
    variable: Option<String>,
}

/// User and password; never shown.
#[derive(Clone, PartialEq, Eq)]
struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

/// How a connection finds its way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Route {
    /// Straight to the target.
    #[default]
    Direct,
    /// Through a proxy that joins us to the target.
    Through(Proxy),
    /// To an HTTP proxy itself, which gets its requests in absolute form (RFC 9112 §3.2.2).
    To(Proxy),
    /// To this Unix socket, whatever the endpoint.
    Unix(unix::UnixAddress),
}

/// What a proxy is asked to join us to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A name, which the proxy looks up, and a port.
    Name(String, u16),
    /// An address and a port.
    Address(SocketAddr),
}

impl Target {
    /// A host as the user wrote it: an address if it is one (without its zone, which means
    /// nothing on another machine), else a name.
    pub fn new(host: &str, port: u16) -> Target {
        let bare = host.split_once('%').map_or(host, |(address, _)| address);
        match bare.parse::<IpAddr>() {
            Ok(ip) => Target::Address(SocketAddr::new(ip, port)),
            Err(_) => Target::Name(host.to_string(), port),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Name(name, port) => write!(f, "{name}:{port}"),
            Target::Address(SocketAddr::V6(at)) => write!(f, "[{}]:{}", at.ip(), at.port()),
            Target::Address(at) => write!(f, "{at}"),
        }
    }
}

impl Proxy {
    /// Reads `socks5://[user:password@]HOST[:PORT]`, `socks5h://…` or `http://…`; without a
    /// scheme it is HTTP, as for curl.
    ///
    /// Fails with exit code 2 at [`Stage::Proxy`]; the message never holds user or password.
    pub fn read(word: &str) -> Result<Proxy, Failure> {
        if word.chars().any(char::is_control) {
            let place = word.rsplit('@').next().unwrap_or_default();
            return Err(Failure::usage(Phase::Proxy, place, "a proxy has no control characters"));
        }
        let (scheme, rest) = word.split_once("://").unwrap_or(("http", word));
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(Credentials::read(login)), place),
            None => (None, rest),
        };
        // As for curl, what follows the port means nothing.
        let place = place.split(['/', '?', '#']).next().unwrap_or(place);
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "socks5" => Kind::Socks5,
            "socks5h" => Kind::Socks5h,
            "http" => Kind::Http,
            _ => {
                return Err(Failure::usage(Phase::Proxy, place, "not a kind of proxy we know")
                    .with_hint("a proxy is socks5://, socks5h:// or http://"));
            }
        };
        let endpoint = Endpoint::read(Some(place), None, ("", PORT)).map_err(|mut failure| {
            failure.stage = Phase::Proxy;
            failure
        })?;
        let proxy = Proxy { kind, endpoint, login, variable: None };
        proxy.check_login()?;
        Ok(proxy)
    }

    fn check_login(&self) -> Result<(), Failure> {
        let Some(login) = &self.login else { return Ok(()) };
        let bad = |why: &'static str| Err(Failure::usage(Phase::Proxy, self, why));
        match self.kind {
            Kind::Http if login.user.contains(&b':') => {
                bad("a user name with a colon cannot be told to an HTTP proxy")
            }
            // RFC 1929 §2: each has one byte for its length, and neither may be empty.
            Kind::Socks5 | Kind::Socks5h
                if !(1..=255).contains(&login.user.len()) || login.password.len() > 255 =>
            {
                bad("SOCKS wants 1 to 255 bytes of user name and at most 255 of password")
            }
            _ => Ok(()),
        }
    }

    /// Whether names are the proxy's to look up.
    pub fn resolves(&self) -> bool {
        self.kind != Kind::Socks5
    }

    /// Whether it takes HTTP requests in absolute form.
    pub fn speaks_http(&self) -> bool {
        self.kind == Kind::Http
    }

    /// The value of `Proxy-Authorization`, where there is a login to tell.
    pub fn authorization(&self) -> Option<String> {
        self.login.as_ref().map(|login| basic::basic_auth(&login.user, &login.password))
    }

    /// Asks the proxy at the other end of `stream` to join us to `target`.
    ///
    /// Fails at [`Stage::Proxy`]: 7 when the proxy could not reach the target, 8 when its answer
    /// makes no sense, 28 when it is late, 63 when it is too long, 97 when it refuses.
    pub fn tunnel(
        &self,
        mut stream: Stream,
        target: &Target,
        talk: &HandshakeContext<'_>,
    ) -> Result<Stream, Failure> {
        let mut line = ProxyConn { stream: &mut stream, talk };
        match self.kind {
            Kind::Http => http_connect::connect(&mut line, target, self.authorization())?,
            _ => socks5::connect(&mut line, target, self.login.as_ref())?,
        }
        talk.log(format!("The proxy {self} has joined us to {target}."));
        Ok(stream)
    }

    /// The same proxy, named by an environment variable.
    fn named_by(self, variable: String) -> Proxy {
        Proxy { variable: Some(variable), ..self }
    }

    /// The failure to connect to the proxy itself, told as such.
    pub fn unreachable(&self, mut failure: Failure) -> Failure {
        if let (None, Some(variable)) = (&failure.hint, &self.variable) {
            failure.hint = Some(format!("this is the proxy that {variable} names"));
        }
        if failure.stage == Phase::Connect {
            failure.stage = Phase::Proxy;
            failure.endpoint = self.to_string();
        }
        failure
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Socks5 => "socks5",
            Kind::Socks5h => "socks5h",
            Kind::Http => "http",
        };
        write!(f, "{scheme}://{}", self.endpoint)
    }
}

impl Credentials {
    /// Reads `user[:password]`, percent-encoded where it must be.
    fn read(text: &str) -> Credentials {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let [user, password] = [user, password].map(|text| percent_decode_str(text).collect());
        Credentials { user, password }
    }
}

/// The line to the proxy while it is not yet the target's: whole writes, exact reads, and a name
/// for the step in every failure.
struct ProxyConn<'a, 'b> {
    stream: &'a mut Stream,
    talk: &'a HandshakeContext<'b>,
}

impl ProxyConn<'_, '_> {
    /// Sends all of `bytes`: few enough for the kernel to take at once.
    fn write(&mut self, step: &str, bytes: &[u8]) -> Result<(), Failure> {
        use std::io::Write;
        self.stream.writer.write_all(bytes).map_err(|e| self.broken(step, &e))
    }

    /// Receives exactly as many bytes as `answer` holds.
    fn read_exact(&mut self, step: &str, answer: &mut [u8]) -> Result<(), Failure> {
        use std::io::Read;
        let mut got = 0;
        while got < answer.len() {
            self.wait(step)?;
            match self.stream.reader.read(&mut answer[got..]) {
                Ok(0) => {
                    let why = format!("the proxy ended after {got} of {} bytes", answer.len());
                    return Err(self.protocol_error(step, &why));
                }
                Ok(n) => got += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.broken(step, &e)),
            }
        }
        Ok(())
    }

    /// Waits for more of the proxy's answer.
    fn wait(&self, step: &str) -> Result<(), Failure> {
        let socket = self.stream.hangup.socket();
        let ready = self.talk.wait(Phase::Proxy, socket, rustix::event::PollFlags::IN);
        ready.map_err(|failure| failure.with_context(step))
    }

    fn fails(&self, step: &str, why: &str) -> Failure {
        Failure::new(Phase::Proxy, &self.talk.target, format!("{step}: {why}"))
    }

    /// The proxy broke its protocol, or its word: code 8.
    fn protocol_error(&self, step: &str, why: &str) -> Failure {
        self.fails(step, why).with_code(ExitCode::Protocol)
    }

    /// The proxy does not want to: code 97.
    fn refused(&self, step: &str, why: &str) -> Failure {
        self.fails(step, why).with_code(ExitCode::Proxy)
    }

    /// A reset and an early end are the same rudeness: which of them we see depends on whether
    /// the proxy had read all of ours. Anything else keeps us from the proxy, code 7.
    fn broken(&self, step: &str, error: &std::io::Error) -> Failure {
        use std::io::ErrorKind;
        let why = crate::error::message_without_errno(error);
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => self.protocol_error(step, &why),
            _ => self.fails(step, &why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_with_or_without_login_scheme_and_port() {
        for (word, shown) in [
            ("socks5://127.0.0.1:1080", "socks5://127.0.0.1:1080"),
            ("SOCKS5H://u:p@h:1", "socks5h://h:1"),
            ("http://u:p%40ss@[::1]:3128/", "http://[::1]:3128"),
            ("proxy:3128", "http://proxy:3128"),
            ("socks5://proxy", "socks5://proxy:1080"),
            ("http://u:p@with@h:1", "http://h:1"),
            ("http://h:1/some/path?x", "http://h:1"),
        ] {
            assert_eq!(Proxy::read(word).unwrap().to_string(), shown, "{word}");
        }
        let login = Proxy::read("http://u:p%40ss@h:1").unwrap().authorization();
        assert_eq!(login.as_deref(), Some("Basic dTpwQHNz"));
        let stray = Proxy::read("http://u:100%@h:1").unwrap().authorization();
        assert_eq!(stray, Some(basic::basic_auth(b"u", b"100%")));
    }

    #[test]
    fn no_message_and_no_debug_text_tells_a_password() {
        let long = format!("socks5://u:{}@h:1", "secret".repeat(50));
        for word in
            ["ftp://u:secret@h:1", "http://u:secret@h:99999", "http://u:secret\r\n@h:1", &long]
        {
            let failure = Proxy::read(word).unwrap_err();
            assert_eq!(failure.code, ExitCode::Usage, "{word}");
            assert!(!format!("{failure:?} {failure}").contains("secret"), "{failure:?}");
        }
        let proxy = Proxy::read("http://u:secret@h:1").unwrap();
        assert!(!format!("{proxy:?}").contains("secret"));
    }

    #[test]
    fn a_target_is_an_address_where_it_can_be() {
        assert_eq!(Target::new("fe80::1%eth0", 7).to_string(), "[fe80::1]:7");
        assert_eq!(Target::new("db.example", 7).to_string(), "db.example:7");
    }
}
