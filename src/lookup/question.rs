//! What a word on the command line, or a line of a list, asks for.

use std::net::{IpAddr, SocketAddr};

use crate::error::Failure;
use crate::net::endpoint::{refuse_url, split_host_port};
use crate::resolver::{Family, getaddrinfo};

/// A question, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupQuestion {
    /// A name, or a numeric form in no usual spelling (`127.1`): its addresses are wanted.
    Host {
        /// The name.
        name: String,
        /// The port or service that came with it: `NAME:PORT`.
        port: Option<String>,
    },
    /// An address: its names are wanted.
    Address(SocketAddr),
    /// A service or a port number: the other one is wanted.
    Service {
        /// `http`, `80`.
        word: String,
        /// `tcp` or `udp`; both where none is named.
        proto: Option<String>,
    },
}

impl LookupQuestion {
    /// Reads a word: `:http`, `:80`, `http/tcp`, `80/udp` are services; what reads as an IP
    /// address is one, with a zone or in brackets too; `NAME:PORT` has a port; all else is a
    /// name.
    pub fn read(word: &str) -> Result<LookupQuestion, Failure> {
        refuse_url(word)?;
        if let Some(rest) = word.strip_prefix(':')
            && !rest.starts_with(':')
        {
            return Ok(service(rest));
        }
        if word.contains('/') {
            return Ok(service(word));
        }
        if let Some(address) = address(word)? {
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

/// An address in a usual spelling. Only a zone needs the system, which knows its interfaces.
fn address(word: &str) -> Result<Option<SocketAddr>, Failure> {
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
    fn each_form_is_told_from_the_others() {
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
        for (word, asked) in cases {
            assert_eq!(LookupQuestion::read(word).unwrap(), asked, "{word}");
        }
    }

    #[test]
    fn brackets_and_colons_that_make_nothing_are_usage() {
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
            let refused = LookupQuestion::read(word).unwrap_err();
            assert_eq!((refused.stage, refused.code), (Phase::Resolve, ExitCode::Usage), "{word}");
        }
        for word in ["fe80::1%no-such-if", "[fe80::1%no-such-if]:80", "[::1]:http"] {
            assert!(LookupQuestion::read(word).is_ok(), "{word}");
        }
    }
}
