//! TLS: whom to believe, what to show, what to speak.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::net::layer::Layer;

/// Flags of every client that speaks TLS.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct ClientTls {
    /// Believe the certificates in FILE (PEM) instead of the system's
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,
    /// Believe anybody; what would have failed is still told
    #[arg(long)]
    pub insecure: bool,
    /// The name that the server's certificate must have [default: the host]
    #[arg(long, value_name = "NAME", value_parser = server_name)]
    pub server_name: Option<String>,
    /// Protocols to offer, in order of preference
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = protocol)]
    pub alpn: Vec<String>,
    /// Our own certificate, and those that lead to its root (PEM)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub cert: Option<PathBuf>,
    /// Its key (PEM), if it is not in the same file
    #[arg(long, value_name = "FILE", requires = "cert", value_hint = clap::ValueHint::FilePath)]
    pub key: Option<PathBuf>,
    /// SHA-256 of the server's certificate: nobody else is believed; enough without a CA
    #[arg(long, value_name = "SHA256", value_parser = fingerprint)]
    pub pin: Vec<String>,
    /// Accept an end of the stream without close_notify as the end of the data
    ///
    /// Without this flag such an end is 18, because data may be missing. An end inside a TLS record
    /// is 18 with it too.
    #[arg(long)]
    pub allow_truncation: bool,
}

/// Whether callers must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ClientAuth {
    /// They must
    #[default]
    Required,
    /// They may
    Optional,
}

/// Flags of every server that speaks TLS.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub struct ServerTls {
    /// Speak TLS
    ///
    /// A connection whose handshake fails does not count for --once and --max-accepts.
    #[arg(long)]
    pub tls: bool,
    /// Our certificate, and those that lead to its root (PEM) [default: a throw-away one]
    #[arg(long, value_name = "FILE", requires = "tls", value_hint = clap::ValueHint::FilePath)]
    pub cert: Option<PathBuf>,
    /// Its key (PEM), if it is not in the same file
    #[arg(long, value_name = "FILE", requires = "cert", value_hint = clap::ValueHint::FilePath)]
    pub key: Option<PathBuf>,
    /// Protocols we speak
    #[arg(long, value_name = "NAME", requires = "tls", value_delimiter = ',',
          value_parser = protocol)]
    pub alpn: Vec<String>,
    /// Callers must show a certificate that leads to one in FILE (PEM)
    #[arg(long, value_name = "FILE", requires = "tls", value_hint = clap::ValueHint::FilePath)]
    pub client_ca: Option<PathBuf>,
    /// Whether they really must
    #[arg(long, value_name = "WHEN", requires = "client_ca", value_enum, default_value_t)]
    pub client_auth: ClientAuth,
    /// Accept an end of the stream without close_notify as the end of the data
    ///
    /// Without this flag such an end is 18, because data may be missing; outstanding answers
    /// are sent nevertheless. An end inside a TLS record is 18 with it too.
    #[arg(long, requires = "tls")]
    pub allow_truncation: bool,
}

/// What a server needs for TLS.
pub struct TlsServer {
    /// What is wrapped around each caller.
    pub layer: Arc<dyn Layer>,
    /// Bytes of stack that it needs.
    pub stack: usize,
    /// SHA-256 of our certificate, in hexadecimal.
    pub sha256: String,
    /// Whether that certificate was made just now.
    pub throw_away: bool,
}

impl ClientTls {
    /// The first of these flags that was given: each needs TLS.
    pub fn first_given_flag(&self) -> Option<&'static str> {
        let flags = [
            (self.ca_file.is_some(), "--ca-file"),
            (self.insecure, "--insecure"),
            (self.server_name.is_some(), "--server-name"),
            (!self.alpn.is_empty(), "--alpn"),
            (self.cert.is_some(), "--cert"),
            (!self.pin.is_empty(), "--pin"),
            (self.allow_truncation, "--allow-truncation"),
        ];
        flags.into_iter().find_map(|(given, name)| given.then_some(name))
    }

    /// A warning when other users can read our key.
    pub fn warning(&self) -> Option<String> {
        readable_key(self.cert.as_deref(), self.key.as_deref())
    }

    /// What of these flags is meant for other servers too than the one the user named.
    pub fn without_identity(&self) -> ClientTls {
        ClientTls { server_name: None, cert: None, key: None, ..self.clone() }
    }
}

impl ServerTls {
    /// A warning when other users can read our key.
    pub fn warning(&self) -> Option<String> {
        readable_key(self.cert.as_deref(), self.key.as_deref())
    }
}

/// Warns of a key file, or of a certificate's with the key in it, that users other than its owner
/// and group can read.
fn readable_key(cert: Option<&Path>, key: Option<&Path>) -> Option<String> {
    let path = key.or(cert)?;
    let facts = path.metadata().ok().filter(|facts| facts.is_file())?;
    let mode = facts.permissions().mode() & 0o777;
    let text = format!("every user can read the key in {} (mode {mode:04o})", path.display());
    (mode & 0o004 != 0).then_some(text)
}

/// A name that a certificate could have; a malformed one is told when it is used.
fn server_name(word: &str) -> Result<String, String> {
    match word.is_empty() || word.chars().any(|c| c.is_whitespace() || c.is_control()) {
        true => Err(format!("'{word}' is not a name that a certificate could have")),
        false => Ok(word.to_string()),
    }
}

/// RFC 7301 §3.1: a name has 1 to 255 bytes.
fn protocol(word: &str) -> Result<String, String> {
    match word.len() {
        _ if word.chars().any(char::is_control) => {
            Err("a protocol's name has no control characters".to_string())
        }
        1..=255 => Ok(word.to_string()),
        _ => Err("a protocol's name has 1 to 255 bytes".to_string()),
    }
}

fn fingerprint(word: &str) -> Result<String, String> {
    let digits = word.bytes().filter(|byte| *byte != b':');
    match digits.clone().count() == 64 && digits.clone().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(word.to_string()),
        false => Err(format!(
            "'{word}' is not the SHA-256 of a certificate: 64 hexadecimal digits, colons optional"
        )),
    }
}

#[cfg(not(feature = "tls"))]
mod absent {
    use std::sync::Arc;

    use super::{ClientTls, ServerTls, TlsServer};
    use crate::error::{Failure, Phase};
    use crate::net::layer::Layer;

    fn missing() -> Failure {
        Failure::usage(Phase::Tls, "--tls", "built without feature tls")
    }

    impl ClientTls {
        /// Says that this build has no TLS: code 2.
        pub fn layer(&self, _: &str) -> Result<Arc<dyn Layer>, Failure> {
            Err(missing())
        }
    }

    impl ServerTls {
        /// Says that this build has no TLS, if it was asked for: code 2.
        pub fn serving(&self, _: &str) -> Result<Option<TlsServer>, Failure> {
            if self.tls { Err(missing()) } else { Ok(None) }
        }
    }
}

#[cfg(feature = "tls")]
mod present {
    use std::sync::Arc;

    use super::{ClientAuth, ClientTls, ServerTls, TlsServer};
    use crate::error::{Failure, Phase};
    use crate::net::layer::Layer;
    use crate::net::tls::certificate::{Identity, Sha256};
    use crate::net::tls::{OnTruncation, STACK, client, server};

    impl ClientTls {
        /// TLS towards `host`, as these flags want it.
        ///
        /// Fails with 26 on a file that cannot be read, with 2 on a word that makes no sense.
        pub fn layer(&self, host: &str) -> Result<Arc<dyn Layer>, Failure> {
            let identity =
                self.cert.as_deref().map(|cert| Identity::read(cert, self.key.as_deref()));
            let plan = client::ClientOptions {
                server_name: self.server_name.clone().unwrap_or_else(|| host.to_string()),
                ca_file: self.ca_file.clone(),
                insecure: self.insecure,
                pins: self.pin.iter().map(|word| pin(word)).collect::<Result<_, _>>()?,
                alpn: protocols(&self.alpn),
                identity: identity.transpose()?,
                on_truncation: on_truncation(self.allow_truncation),
            };
            Ok(Arc::new(client::Client::new(plan)?))
        }
    }

    impl ServerTls {
        /// TLS towards callers of `host`, if these flags want it.
        ///
        /// Fails with 26 on a file that cannot be read, with 2 on a word that makes no sense.
        pub fn serving(&self, host: &str) -> Result<Option<TlsServer>, Failure> {
            if !self.tls {
                return Ok(None);
            }
            let identity = match &self.cert {
                Some(cert) => Identity::read(cert, self.key.as_deref())?,
                None => Identity::generate_self_signed(&names(host))?,
            };
            let plan = server::ServerOptions {
                identity,
                alpn: protocols(&self.alpn),
                client_ca: self.client_ca.clone(),
                client_optional: self.client_auth == ClientAuth::Optional,
                on_truncation: on_truncation(self.allow_truncation),
            };
            let server = server::Server::new(plan)?;
            Ok(Some(TlsServer {
                sha256: server.sha256.to_string(),
                layer: Arc::new(server),
                stack: STACK,
                throw_away: self.cert.is_none(),
            }))
        }
    }

    /// What callers may have named us by.
    fn names(host: &str) -> Vec<String> {
        let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_string).to_vec();
        let own = host.split_once('%').map_or(host, |(address, _)| address);
        let is_name = own.is_ascii() && !matches!(own, "" | "*" | "::" | "0.0.0.0");
        if is_name && !names.iter().any(|name| name == own) {
            names.push(own.to_string());
        }
        names
    }

    fn pin(word: &str) -> Result<Sha256, Failure> {
        let why = "not the SHA-256 of a certificate: 64 hexadecimal digits, colons optional";
        Sha256::parse(word).ok_or_else(|| Failure::usage(Phase::Tls, word, why))
    }

    fn on_truncation(allowed: bool) -> OnTruncation {
        if allowed { OnTruncation::End } else { OnTruncation::Fail }
    }

    fn protocols(words: &[String]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.clone().into_bytes()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Client {
        #[command(flatten)]
        trust: ClientTls,
    }

    #[derive(Debug, Parser)]
    struct Server {
        #[command(flatten)]
        tls: ServerTls,
    }

    fn client(line: &str) -> Result<ClientTls, clap::Error> {
        Client::try_parse_from(line.split(' ')).map(|client| client.trust)
    }

    fn server(line: &str) -> Result<ServerTls, clap::Error> {
        Server::try_parse_from(line.split(' ')).map(|server| server.tls)
    }

    #[test]
    fn protocols_come_as_a_list_or_one_by_one() {
        let trust = client("sockit --alpn h2,http/1.1 --alpn echo").unwrap();
        assert_eq!(trust.alpn, ["h2", "http/1.1", "echo"]);
        assert_eq!(trust.first_given_flag(), Some("--alpn"));
        assert_eq!(client("sockit").unwrap().first_given_flag(), None);
    }

    #[test]
    fn a_key_needs_its_certificate_and_a_servers_flags_need_tls() {
        assert!(client("sockit --key k.pem").is_err());
        assert!(server("sockit --cert c.pem").is_err());
        assert!(server("sockit --tls --client-auth optional").is_err());
        let tls = server("sockit --tls --client-ca ca.pem").unwrap();
        assert_eq!(tls.client_auth, ClientAuth::Required);
    }

    #[test]
    fn a_word_that_makes_no_sense_is_usage() {
        for words in [
            ["--pin", "abc"],
            ["--alpn", "a,,b"],
            ["--alpn", "h2\r\n"],
            ["--server-name", ""],
            ["--server-name", "a\r\nb"],
        ] {
            let words = ["sockit"].into_iter().chain(words);
            assert!(Client::try_parse_from(words.clone()).is_err(), "{words:?}");
        }
        assert!(client(&format!("sockit --pin {}", "AB:".repeat(32))).is_ok());
    }

    #[test]
    fn names_and_certificates_are_for_one_server() {
        let there = client("sockit --server-name n --cert c --key k --insecure --ca-file a");
        let elsewhere = there.unwrap().without_identity();
        assert_eq!((elsewhere.server_name, elsewhere.cert, elsewhere.key), (None, None, None));
        assert!(elsewhere.insecure && elsewhere.ca_file.is_some());
    }
}
