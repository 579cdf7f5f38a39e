//! Flags for TLS: trust, certificates, protocols.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::net::layer::Layer;
use crate::report::Report;
use crate::report::event::Event;

/// Flags of clients that use TLS.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct ClientTls {
    /// Trust the CA certificates in FILE (PEM) instead of the system roots
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,
    /// Do not verify the server's certificate (problems are printed as warnings)
    #[arg(long)]
    pub insecure: bool,
    /// Name that the server's certificate must match [default: HOST]
    #[arg(long, value_name = "NAME", value_parser = server_name)]
    pub server_name: Option<String>,
    /// Application protocols to offer (ALPN), comma-separated, in order of preference
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = protocol)]
    pub alpn: Vec<String>,
    /// Client certificate chain (PEM)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub cert: Option<PathBuf>,
    /// Private key of --cert (PEM) [default: in the same file]
    #[arg(long, value_name = "FILE", requires = "cert", value_hint = clap::ValueHint::FilePath)]
    pub key: Option<PathBuf>,
    /// Accept only the server certificate with this SHA-256 fingerprint; no CA needed
    #[arg(long, value_name = "SHA256", value_parser = fingerprint)]
    pub pin: Vec<String>,
    /// Accept a TLS stream that ends without close_notify
    ///
    /// Without this flag such an end is exit code 18, because data may be missing. An end inside a
    /// TLS record is 18 even with this flag.
    #[arg(long)]
    pub allow_truncation: bool,
}

/// Whether clients need a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ClientAuth {
    /// Reject clients without a certificate
    #[default]
    Required,
    /// Accept clients without a certificate
    Optional,
}

/// Flags of servers that use TLS.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub struct ServerTls {
    /// Accept TLS connections
    ///
    /// A connection whose handshake fails does not count for --once and --max-accepts.
    #[arg(long)]
    pub tls: bool,
    /// Server certificate chain (PEM) [default: a new self-signed certificate]
    #[arg(long, value_name = "FILE", requires = "tls", value_hint = clap::ValueHint::FilePath)]
    pub cert: Option<PathBuf>,
    /// Private key of --cert (PEM) [default: in the same file]
    #[arg(long, value_name = "FILE", requires = "cert", value_hint = clap::ValueHint::FilePath)]
    pub key: Option<PathBuf>,
    /// Application protocols to accept (ALPN), comma-separated
    #[arg(long, value_name = "NAME", requires = "tls", value_delimiter = ',',
          value_parser = protocol)]
    pub alpn: Vec<String>,
    /// Verify client certificates with the CA certificates in FILE (PEM)
    #[arg(long, value_name = "FILE", requires = "tls", value_hint = clap::ValueHint::FilePath)]
    pub client_ca: Option<PathBuf>,
    /// Whether clients need a certificate
    #[arg(long, value_name = "WHEN", requires = "client_ca", value_enum, default_value_t)]
    pub client_auth: ClientAuth,
    /// Accept a TLS stream that ends without close_notify
    ///
    /// Without this flag such an end is exit code 18, because data may be missing; pending replies
    /// are sent nevertheless. An end inside a TLS record is 18 even with this flag.
    #[arg(long, requires = "tls")]
    pub allow_truncation: bool,
}

/// What a server needs for TLS.
pub struct TlsServer {
    /// The TLS layer of each connection.
    pub layer: Arc<dyn Layer>,
    /// Bytes of stack that a thread with TLS needs.
    pub stack: usize,
    /// SHA-256 of the server's certificate, in hexadecimal.
    pub sha256: String,
    /// Whether that certificate was generated for this run.
    pub throw_away: bool,
}

impl TlsServer {
    /// Emits the fingerprint of the certificate, which clients need to trust a self-signed one.
    pub fn log_certificate(&self, report: &Report) {
        if self.throw_away {
            report.emit(&Event::Certificate { sha256: self.sha256.clone() });
        } else {
            report.step(|| format!("TLS: SHA-256 of the certificate: {}", self.sha256));
        }
    }
}

impl ClientTls {
    /// The first of these flags that was given; each of them needs TLS.
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

    /// A warning if every user can read the private key.
    pub fn warning(&self) -> Option<String> {
        readable_key(self.cert.as_deref(), self.key.as_deref())
    }

    /// These flags without those that are meant only for the server that the user named.
    pub fn without_identity(&self) -> ClientTls {
        ClientTls { server_name: None, cert: None, key: None, ..self.clone() }
    }
}

impl ServerTls {
    /// A warning if every user can read the private key.
    pub fn warning(&self) -> Option<String> {
        readable_key(self.cert.as_deref(), self.key.as_deref())
    }
}

/// Warns if users other than owner and group can read the key file, or the certificate file that
/// has the key in it.
fn readable_key(cert: Option<&Path>, key: Option<&Path>) -> Option<String> {
    let path = key.or(cert)?;
    let info = path.metadata().ok().filter(|info| info.is_file())?;
    let mode = info.permissions().mode() & 0o777;
    let text = format!("every user can read the key in {} (mode {mode:04o})", path.display());
    (mode & 0o004 != 0).then_some(text)
}

/// Parses a host name or address; a malformed one that passes is reported when it is used.
pub(super) fn server_name(word: &str) -> Result<String, String> {
    if word.is_empty() || word.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("'{word}' is not a name that a certificate could have"));
    }
    Ok(word.to_string())
}

/// Parses the name of an application protocol: 1 to 255 bytes (RFC 7301 §3.1).
pub(super) fn protocol(word: &str) -> Result<String, String> {
    if !(1..=255).contains(&word.len()) || word.chars().any(char::is_control) {
        return Err("a protocol name has 1 to 255 bytes and no control characters".to_string());
    }
    Ok(word.to_string())
}

/// Parses a SHA-256 fingerprint; colons between its bytes are optional.
pub(super) fn fingerprint(word: &str) -> Result<String, String> {
    let digits = word.bytes().filter(|byte| *byte != b':');
    if digits.clone().count() != 64 || !digits.clone().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("'{word}' is not a SHA-256 fingerprint: 64 hexadecimal digits"));
    }
    Ok(word.to_string())
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
        /// Fails with code 2: this build has no TLS.
        pub fn layer(&self, _: &str) -> Result<Arc<dyn Layer>, Failure> {
            Err(missing())
        }
    }

    impl ServerTls {
        /// Fails with code 2 if `--tls` was given: this build has no TLS.
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
    use crate::net::tls::certificate::Identity;
    use crate::net::tls::fingerprint::Sha256;
    use crate::net::tls::{OnTruncation, STACK, client, server};

    impl ClientTls {
        /// The TLS layer of a client that connects to `host`.
        ///
        /// Fails with code 26 if a file cannot be read, with 2 on a malformed value.
        pub fn layer(&self, host: &str) -> Result<Arc<dyn Layer>, Failure> {
            let identity =
                self.cert.as_deref().map(|cert| Identity::read(cert, self.key.as_deref()));
            let options = client::ClientOptions {
                server_name: self.server_name.clone().unwrap_or_else(|| host.to_string()),
                ca_file: self.ca_file.clone(),
                insecure: self.insecure,
                pins: self.pin.iter().map(|word| pin(word)).collect::<Result<_, _>>()?,
                alpn: protocols(&self.alpn),
                identity: identity.transpose()?,
                on_truncation: on_truncation(self.allow_truncation),
            };
            Ok(Arc::new(client::Client::new(options)?))
        }
    }

    impl ServerTls {
        /// The TLS layer of a server that listens on `host`, if `--tls` was given.
        ///
        /// Fails with code 26 if a file cannot be read, with 2 on a malformed value.
        pub fn serving(&self, host: &str) -> Result<Option<TlsServer>, Failure> {
            if !self.tls {
                return Ok(None);
            }
            let identity = match &self.cert {
                Some(cert) => Identity::read(cert, self.key.as_deref())?,
                None => Identity::generate_self_signed(&names(host))?,
            };
            let options = server::TlsServerOptions {
                identity,
                alpn: protocols(&self.alpn),
                client_ca: self.client_ca.clone(),
                client_optional: self.client_auth == ClientAuth::Optional,
                on_truncation: on_truncation(self.allow_truncation),
            };
            let server = server::Server::new(options)?;
            Ok(Some(TlsServer {
                sha256: server.sha256.to_string(),
                layer: Arc::new(server),
                stack: STACK,
                throw_away: self.cert.is_none(),
            }))
        }
    }

    /// The names for a generated certificate of a server that listens on `host`.
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
        let why = "not a SHA-256 fingerprint: 64 hexadecimal digits, colons optional";
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
    fn alpn_is_a_list_or_repeated() {
        let trust = client("sockit --alpn h2,http/1.1 --alpn echo").unwrap();
        assert_eq!(trust.alpn, ["h2", "http/1.1", "echo"]);
        assert_eq!(trust.first_given_flag(), Some("--alpn"));
        assert_eq!(client("sockit").unwrap().first_given_flag(), None);
    }

    #[test]
    fn key_requires_cert_and_server_flags_require_tls() {
        assert!(client("sockit --key k.pem").is_err());
        assert!(server("sockit --cert c.pem").is_err());
        assert!(server("sockit --tls --client-auth optional").is_err());
        let tls = server("sockit --tls --client-ca ca.pem").unwrap();
        assert_eq!(tls.client_auth, ClientAuth::Required);
    }

    #[test]
    fn malformed_value_is_usage_error() {
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
    fn identity_is_for_one_server() {
        let there = client("sockit --server-name n --cert c --key k --insecure --ca-file a");
        let elsewhere = there.unwrap().without_identity();
        assert_eq!((elsewhere.server_name, elsewhere.cert, elsewhere.key), (None, None, None));
        assert!(elsewhere.insecure && elsewhere.ca_file.is_some());
    }
}
