//! TLS flags of servers: certificate, protocols, certificates of clients.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

#[cfg(not(feature = "tls"))]
use super::client_tls::missing_tls;
#[cfg(feature = "tls")]
use super::client_tls::on_truncation;
use super::client_tls::{protocol, warn_readable_key};
use crate::error::Failure;
use crate::net::layer::Layer;
#[cfg(feature = "tls")]
use crate::net::tls::{
    certificate::Identity,
    server::{Server, TlsServerOptions},
};
use crate::report::Report;
use crate::report::event::Event;

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

impl ServerTls {
    /// Warns if every user can read the private key.
    pub fn warn_readable_key(&self, report: &Report) {
        warn_readable_key(self.key.as_deref().or(self.cert.as_deref()), report);
    }

    /// The TLS layer of a server that listens on `host`, if `--tls` was given.
    ///
    /// Fails with code 26 if a file cannot be read, with 2 on a malformed value.
    #[cfg(feature = "tls")]
    pub fn serving(&self, host: &str) -> Result<Option<TlsServer>, Failure> {
        if !self.tls {
            return Ok(None);
        }
        let identity = match &self.cert {
            Some(cert) => Identity::read(cert, self.key.as_deref())?,
            None => Identity::generate_self_signed(&names(host))?,
        };
        let server = Server::new(TlsServerOptions {
            identity,
            alpn: self.alpn.iter().map(|name| name.clone().into_bytes()).collect(),
            client_ca: self.client_ca.clone(),
            client_optional: self.client_auth == ClientAuth::Optional,
            on_truncation: on_truncation(self.allow_truncation),
        })?;
        let (sha256, throw_away) = (server.sha256.to_string(), self.cert.is_none());
        Ok(Some(TlsServer { layer: Arc::new(server), sha256, throw_away }))
    }

    /// Fails with code 2 if `--tls` was given: this build has no TLS.
    #[cfg(not(feature = "tls"))]
    pub fn serving(&self, _: &str) -> Result<Option<TlsServer>, Failure> {
        if self.tls { Err(missing_tls()) } else { Ok(None) }
    }
}

/// The names for a generated certificate of a server that listens on `host`.
#[cfg(feature = "tls")]
fn names(host: &str) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_string).to_vec();
    let own = host.split_once('%').map_or(host, |(address, _)| address);
    let is_name = own.is_ascii() && !matches!(own, "" | "*" | "::" | "0.0.0.0");
    if is_name && !names.iter().any(|name| name == own) {
        names.push(own.to_string());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        tls: ServerTls,
    }

    fn server(line: &str) -> Result<ServerTls, clap::Error> {
        Flags::try_parse_from(line.split(' ')).map(|flags| flags.tls)
    }

    #[test]
    fn server_flags_require_tls() {
        assert!(server("sockit --cert c.pem").is_err());
        assert!(server("sockit --tls --client-auth optional").is_err());
        let tls = server("sockit --tls --client-ca ca.pem").unwrap();
        assert_eq!(tls.client_auth, ClientAuth::Required);
    }
}
