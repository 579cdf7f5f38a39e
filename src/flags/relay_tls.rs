//! Flags of the relay for TLS on either side.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::client_tls::{self, ClientTls};
use super::relay_address::RelayAddress;
use super::server_tls::{ClientAuth, ServerTls, TlsServer};
use crate::error::Failure;
use crate::net::layer::Layer;

/// Flags for TLS on either side of the relay.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub struct RelayTlsFlags {
    /// Accept TLS connections from clients
    #[arg(long)]
    pub listen_tls: bool,
    /// Server certificate chain for --listen-tls (PEM) [default: a new self-signed certificate]
    #[arg(long, value_name = "FILE", requires = "listen_tls",
          value_hint = clap::ValueHint::FilePath)]
    pub cert: Option<PathBuf>,
    /// Private key of --cert (PEM) [default: in the same file]
    #[arg(long, value_name = "FILE", requires = "cert", value_hint = clap::ValueHint::FilePath)]
    pub key: Option<PathBuf>,
    /// Verify client certificates with the CA certificates in FILE (PEM)
    #[arg(long, value_name = "FILE", requires = "listen_tls",
          value_hint = clap::ValueHint::FilePath)]
    pub client_ca: Option<PathBuf>,
    /// Use TLS to the target
    #[arg(long)]
    pub tls: bool,
    /// Trust the CA certificates in FILE (PEM) for --tls instead of the system roots
    #[arg(long, value_name = "FILE", requires = "tls", value_hint = clap::ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,
    /// Do not verify the target's certificate (problems are printed as warnings)
    #[arg(long, requires = "tls")]
    pub insecure: bool,
    /// Name that the target's certificate must match [default: HOST of TARGET]
    #[arg(long, value_name = "NAME", requires = "tls", value_parser = client_tls::server_name)]
    pub server_name: Option<String>,
    /// Application protocols to offer to the target (ALPN), comma-separated
    #[arg(long, value_name = "NAME", requires = "tls", value_delimiter = ',',
          value_parser = client_tls::protocol)]
    pub alpn: Vec<String>,
    /// Accept only the target's certificate with this SHA-256 fingerprint; no CA needed
    #[arg(long, value_name = "SHA256", requires = "tls", value_parser = client_tls::fingerprint)]
    pub pin: Vec<String>,
}

impl RelayTlsFlags {
    /// The flags of the listening side, as those of a server.
    pub fn server(&self) -> ServerTls {
        ServerTls {
            tls: self.listen_tls,
            cert: self.cert.clone(),
            key: self.key.clone(),
            alpn: Vec::new(),
            client_ca: self.client_ca.clone(),
            client_auth: ClientAuth::Required,
            allow_truncation: false,
        }
    }

    /// What the listening side on `listen` needs for TLS, with `--listen-tls`.
    ///
    /// Fails as [`ServerTls::serving`] does.
    pub fn serving(&self, listen: &RelayAddress) -> Result<Option<TlsServer>, Failure> {
        let host = match listen {
            RelayAddress::Inet(address) => &address.host,
            RelayAddress::Unix(_) => "",
        };
        self.server().serving(host)
    }

    /// The TLS layer of connections to `host`, with `--tls`.
    ///
    /// Fails as [`ClientTls::layer`] does.
    pub fn layer(&self, host: &str) -> Result<Option<Arc<dyn Layer>>, Failure> {
        if !self.tls {
            return Ok(None);
        }
        let flags = ClientTls {
            ca_file: self.ca_file.clone(),
            insecure: self.insecure,
            server_name: self.server_name.clone(),
            alpn: self.alpn.clone(),
            cert: None,
            key: None,
            pin: self.pin.clone(),
            allow_truncation: false,
        };
        flags.layer(host).map(Some)
    }
}
