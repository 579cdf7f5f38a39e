//! Host and port as the user wrote them, before they are resolved.

use std::fmt;

use crate::error::{Failure, Phase};
use crate::resolver::host_port::split_host_port;

/// A host and a port as the user wrote them, checked for syntax only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address, never empty, without brackets, possibly with a `%zone`.
    pub host: String,
    /// A number or a service name, never empty.
    pub port: String,
}

impl Endpoint {
    /// Parses `HOST PORT`, `HOST:PORT`, `[V6]:PORT`, `HOST` or nothing; `default` supplies what is
    /// missing.
    ///
    /// Fails with exit code 2 at [`Phase::Resolve`] or [`Phase::Port`] on a malformed word.
    pub fn read(
        first: Option<&str>,
        second: Option<&str>,
        default: (&str, &str),
    ) -> Result<Endpoint, Failure> {
        let Some(first) = first else {
            return Ok(Endpoint { host: default.0.into(), port: default.1.into() });
        };
        if second.is_none() && !first.is_empty() && first.bytes().all(|b| b.is_ascii_digit()) {
            let why = "a number alone is not a host";
            let hint = format!("for port {first} of this machine, write 127.0.0.1:{first}");
            return Err(Failure::usage(Phase::Resolve, first, why).with_hint(hint));
        }
        let (host, own_port) = split_host_port(first)?;
        let port = match (own_port, second) {
            (Some(_), Some(_)) => {
                let why = "the port is given twice";
                return Err(Failure::usage(Phase::Port, first, why));
            }
            (one, other) => one.or(other).unwrap_or(default.1),
        };
        check_host(host, first)?;
        check_port(port, if own_port.is_some() { first } else { port })?;
        Ok(Endpoint { host: host.to_string(), port: port.to_string() })
    }

    /// Parses `HOST:PORT` with both parts, such as that of a proxy.
    pub fn parse(word: &str) -> Result<Endpoint, Failure> {
        if split_host_port(word)?.1.is_none() {
            return Err(Failure::usage(Phase::Port, word, "the port is missing"));
        }
        Endpoint::read(Some(word), None, ("", ""))
    }
}

/// Parses a host without a port, brackets allowed, as for `--host` of a server.
///
/// Fails with exit code 2 at [`Phase::Resolve`] on a malformed host, or one with a port.
pub fn parse_host(word: &str) -> Result<&str, Failure> {
    let (host, port) = split_host_port(word)?;
    check_host(host, word)?;
    match port {
        None => Ok(host),
        Some(_) => Err(Failure::usage(Phase::Resolve, word, "the host has a port")
            .with_hint("use --port for the port")),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn check_host(host: &str, word: &str) -> Result<(), Failure> {
    let bad = |why: &'static str| Err(Failure::usage(Phase::Resolve, word, why));
    match host {
        "" => bad("the host is empty"),
        _ if host.chars().any(|c| c.is_whitespace() || c.is_control()) => {
            bad("a host cannot have spaces or control characters")
        }
        _ if host.contains(['[', ']', '/', '@', '?', '#']) => bad("not a host name or address"),
        _ => Ok(()),
    }
}

fn check_port(port: &str, word: &str) -> Result<(), Failure> {
    let bad = |why: &'static str| Err(Failure::usage(Phase::Port, word, why));
    match port {
        "" => bad("the port is empty"),
        "0" => bad("port 0 cannot be connected to"),
        _ if port.bytes().all(|b| b.is_ascii_digit()) => match port.parse::<u16>() {
            Ok(_) => Ok(()),
            Err(_) => bad("a port is at most 65535"),
        },
        // RFC 6335 §5.1 allows letters, digits and hyphens; the services file has more.
        _ if !port.starts_with(|c: char| c.is_ascii_alphanumeric()) => bad("not a port"),
        _ if port.chars().any(|c| c.is_whitespace() || c.is_control()) => bad("not a port"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    fn read(first: Option<&str>, second: Option<&str>) -> Result<String, ExitCode> {
        Endpoint::read(first, second, ("127.0.0.1", "9999"))
            .map(|e| e.to_string())
            .map_err(|failure| failure.code)
    }

    #[test]
    fn valid_forms_are_parsed() {
        for (first, second, shown) in [
            (None, None, "127.0.0.1:9999"),
            (Some("db"), None, "db:9999"),
            (Some("db"), Some("http"), "db:http"),
            (Some("db:80"), None, "db:80"),
            (Some("127.0.0.1:80"), None, "127.0.0.1:80"),
            (Some("::1"), None, "[::1]:9999"),
            (Some("::1"), Some("80"), "[::1]:80"),
            (Some("[::1]"), Some("80"), "[::1]:80"),
            (Some("[::1]:80"), None, "[::1]:80"),
            (Some("[fe80::1%eth0]:80"), None, "[fe80::1%eth0]:80"),
            (Some("fe80::1%eth0"), Some("65535"), "[fe80::1%eth0]:65535"),
            (Some("2130706433"), Some("80"), "2130706433:80"),
        ] {
            assert_eq!(read(first, second).as_deref(), Ok(shown), "{first:?} {second:?}");
        }
    }

    #[test]
    fn malformed_forms_are_usage_errors() {
        // Alone, and with a second word.
        let alone =
            ["", ":80", "db:", "[::1", "[::1]80", "[::1]:80:90", "::1]", "[db]:80", "[]:80"];
        let alone = alone.into_iter().chain(["1:2:3", "fe80::1%", "http://db/", "9999"]);
        let ports = ["", "65536", "70000", "99999999999999999999", "-1", "+80", " 80", "0"];
        let pairs = [("db:80", "80"), ("[::1]:80", "80"), ("a b", "80"), ("a\nb", "80")];
        let pairs = pairs.into_iter().chain(ports.map(|port| ("db", port)));
        let pairs = pairs.map(|(first, second)| (Some(first), Some(second)));
        for (first, second) in alone.map(|word| (Some(word), None)).chain(pairs) {
            assert_eq!(read(first, second), Err(ExitCode::Usage), "{first:?} {second:?}");
        }
    }

    #[test]
    fn url_as_host_gets_hint_without_its_password() {
        for (word, hint) in [
            ("tcp://db:5432", "without the scheme: db:5432"),
            ("http://u:secret@db:80/x", "without the scheme: db:80; sockit http-get takes URLs"),
            ("udp://[::1]:53", "without the scheme: [::1]:53"),
            ("tcp://", "a host is written without a scheme"),
        ] {
            let failure = Endpoint::read(Some(word), None, ("h", "1")).unwrap_err();
            assert_eq!((failure.code, failure.hint.as_deref()), (ExitCode::Usage, Some(hint)));
            assert!(!failure.to_string().contains("secret"), "{failure}");
        }
        assert_eq!(parse_host("tcp://127.0.0.1:9").unwrap_err().code, ExitCode::Usage);
    }
}
