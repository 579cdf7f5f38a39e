//! Parses a question: an argument, or a line of a file.

use std::net::{IpAddr, SocketAddr};

use crate::error::Failure;
use crate::resolver::Family;
use crate::resolver::getaddrinfo;
use crate::resolver::host_port::{refuse_url, split_host_port};

/// A parsed question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupQuestion {
    /// A name, or a number that getaddrinfo(3) accepts as an address (`127.1`): asks for its addresses.
    Host {
        name: String,
        /// The port or service of `NAME:PORT`.
        port: Option<String>,
    },
    /// An address: asks for its names.
    Address(SocketAddr),
    /// A service or a port number: asks for the other one.
    Service {
        /// `http`, `80`.
        word: String,
        /// `tcp` or `udp`; `None` for both.
        proto: Option<String>,
    },
}

impl LookupQuestion {
    /// Parses a word: `:http`, `:80`, `http/tcp`, `80/udp` are services; an IP address may have a
    /// zone or brackets; `NAME:PORT` has a port; any other word is a name.
    ///
    /// Fails with 2 at [`Phase::Resolve`](crate::error::Phase::Resolve) on a URL and on misplaced
    /// brackets and colons.
    pub fn parse(word: &str) -> Result<LookupQuestion, Failure> {
        refuse_url(word)?;
        if let Some(rest) = word.strip_prefix(':')
            && !rest.starts_with(':')
        {
            return Ok(service(rest));
        }
        if word.contains('/') {
            return Ok(service(word));
        }
        if let Some(address) = parse_address(word)? {
            return Ok(LookupQuestion::Address(address));
        }
        let (name, port) = split_host_port(word)?;
        Ok(LookupQuestion::Host { name: name.to_string(), port: port.map(str::to_string) })
    }
}

fn service(word: &str) -> LookupQuestion {
    let (word, proto) = match word.split_once('/') {
        Some((word, proto)) => (word, Some(proto.to_string())),
        None => (word, None),
    };
    LookupQuestion::Service { word: word.to_string(), proto }
}

/// Parses an address; a zone is resolved by the system, which knows its interfaces.
fn parse_address(word: &str) -> Result<Option<SocketAddr>, Failure> {
    let bare = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(word);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(Some((ip, 0).into()));
    }
    match bare.split_once('%') {
        Some((ip, _)) if ip.parse::<IpAddr>().is_ok() => {
            let found = getaddrinfo::numeric(bare, Family::Any)?;
            Ok(found.and_then(|found| found.first().copied()))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ExitCode, Phase};

    fn host(name: &str, port: Option<&str>) -> LookupQuestion {
        LookupQuestion::Host { name: name.into(), port: port.map(str::to_string) }
    }

    fn service(word: &str, proto: Option<&str>) -> LookupQuestion {
        LookupQuestion::Service { word: word.into(), proto: proto.map(str::to_string) }
    }

    #[test]
    fn question_forms_are_distinguished() {
        let cases = [
            ("localhost", host("localhost", None)),
            ("localhost:http", host("localhost", Some("http"))),
            ("[::1]:80", host("::1", Some("80"))),
            ("127.1", host("127.1", None)),
            ("::1", LookupQuestion::Address("[::1]:0".parse().unwrap())),
            ("[::1]", LookupQuestion::Address("[::1]:0".parse().unwrap())),
            ("fe80::1%1", LookupQuestion::Address("[fe80::1%1]:0".parse().unwrap())),
            ("::ffff:127.0.0.1", LookupQuestion::Address("[::ffff:127.0.0.1]:0".parse().unwrap())),
            (":http", service("http", None)),
            (":http/udp", service("http", Some("udp"))),
            ("80/tcp", service("80", Some("tcp"))),
        ];
        for (word, question) in cases {
            assert_eq!(LookupQuestion::parse(word).unwrap(), question, "{word}");
        }
    }

    #[test]
    fn misplaced_brackets_and_colons_are_usage_errors() {
        for word in [
            "[::1",
            "::1]",
            "[localhost]",
            "[localhost]:80",
            "[]",
            "[::1]80",
            "[::1]:80:90",
            "[127.0.0.1]:80",
            "localhost:80:90",
            "1:2:3",
            "a]",
        ] {
            let error = LookupQuestion::parse(word).unwrap_err();
            assert_eq!((error.phase, error.code), (Phase::Resolve, ExitCode::Usage), "{word}");
        }
        for word in ["fe80::1%no-such-if", "[fe80::1%no-such-if]:80", "[::1]:http"] {
            assert!(LookupQuestion::parse(word).is_ok(), "{word}");
        }
    }
}
