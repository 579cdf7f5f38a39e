//! Flags of the relay: where it listens, its target, and TLS on either side.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::tls::{ClientAuth, ClientTls, ServerTls, TlsServer};
use crate::error::{Failure, Phase};
use crate::net::endpoint::Endpoint;
use crate::net::layer::Layer;
use crate::net::unix::UnixAddress;
use crate::resolver::host_port::split_host_port;
use crate::resolver::is_localhost;

/// Bytes of stack that a thread needs for TLS.
#[cfg(feature = "tls")]
const STACK: usize = crate::net::tls::STACK;
#[cfg(not(feature = "tls"))]
const STACK: usize = 0;
/// The prefix of an address that is a Unix socket.
const UNIX: &str = "unix:";

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// Host and port; the empty host is every interface.
    Inet(String, String),
    /// A Unix socket.
    Unix(UnixAddress),
}

/// An address to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetAddress {
    /// Host and port.
    Inet(Endpoint),
    /// A Unix socket.
    Unix(UnixAddress),
}

impl ListenAddress {
    /// Parses `PORT`, `HOST:PORT`, `:PORT`, `*:PORT` or `unix:PATH`.
    ///
    /// Fails with exit code 2 on anything else.
    pub fn parse(word: &str) -> Result<ListenAddress, Failure> {
        if let Some(path) = word.strip_prefix(UNIX) {
            return Ok(ListenAddress::Unix(UnixAddress::read(OsStr::new(path))));
        }
        if !word.is_empty() && !word.contains([':', '[', '.', '/']) {
            return Ok(ListenAddress::Inet("127.0.0.1".to_string(), word.to_string()));
        }
        match split_host_port(word)? {
            (host, Some(port)) if !port.is_empty() => {
                Ok(ListenAddress::Inet(host.to_string(), port.to_string()))
            }
            _ => Err(Failure::usage(Phase::Port, word, "the port to listen on is missing")
                .with_hint("write PORT, HOST:PORT, :PORT or unix:PATH")),
        }
    }

    /// Whether a connection to `target` would arrive here, as far as the words show: a loop.
    pub fn is_same_as(&self, target: &TargetAddress) -> bool {
        match (self, target) {
            (ListenAddress::Unix(listen), TargetAddress::Unix(target)) => listen == target,
            (ListenAddress::Inet(host, port), TargetAddress::Inet(target)) => {
                let same_port = port == &target.port;
                same_port && (is_same_host(host, &target.host))
            }
            _ => false,
        }
    }
}

/// Whether a listener on `listen` accepts connections to `target`.
fn is_same_host(listen: &str, target: &str) -> bool {
    let address = |host: &str| host.parse::<std::net::IpAddr>().ok().map(|ip| ip.to_canonical());
    let is_local = |host: &str| {
        is_localhost(host)
            || address(host).is_some_and(|ip| ip.is_loopback() || ip.is_unspecified())
    };
    let is_any =
        matches!(listen, "" | "*") || address(listen).is_some_and(|ip| ip.is_unspecified());
    // localhost is 127.0.0.1 or ::1, and 0.0.0.0 as a target is this machine.
    let is_standard = |host: &str| {
        is_localhost(host)
            || address(host).is_some_and(|ip| {
                matches!(ip.to_string().as_str(), "127.0.0.1" | "::1" | "0.0.0.0" | "::")
            })
    };
    listen.eq_ignore_ascii_case(target)
        || (is_any && is_local(target))
        || (is_standard(listen) && is_standard(target) && !is_other_family(listen, target))
}

/// Whether both are addresses, of different families.
fn is_other_family(one: &str, other: &str) -> bool {
    let family = |host: &str| host.parse::<std::net::IpAddr>().ok().map(|ip| ip.is_ipv4());
    matches!((family(one), family(other)), (Some(one), Some(other)) if one != other)
}

impl TargetAddress {
    /// Parses `HOST:PORT` or `unix:PATH`.
    ///
    /// Fails with exit code 2 on anything else.
    pub fn parse(word: &str) -> Result<TargetAddress, Failure> {
        match word.strip_prefix(UNIX) {
            Some(path) => Ok(TargetAddress::Unix(UnixAddress::read(OsStr::new(path)))),
            None => Endpoint::parse(word).map(TargetAddress::Inet),
        }
    }

    /// The host and port that a dialer needs; for a Unix socket a name for error lines.
    pub fn endpoint(&self) -> Endpoint {
        match self {
            TargetAddress::Inet(endpoint) => endpoint.clone(),
            TargetAddress::Unix(name) => {
                Endpoint { host: name.to_string(), port: "unix".to_string() }
            }
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Inet(host, port) => write!(f, "{host}:{port}"),
            ListenAddress::Unix(name) => write!(f, "{UNIX}{name}"),
        }
    }
}

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
    #[arg(long, value_name = "NAME", requires = "tls", value_parser = super::tls::server_name)]
    pub server_name: Option<String>,
    /// Application protocols to offer to the target (ALPN), comma-separated
    #[arg(long, value_name = "NAME", requires = "tls", value_delimiter = ',',
          value_parser = super::tls::protocol)]
    pub alpn: Vec<String>,
    /// Accept only the target's certificate with this SHA-256 fingerprint; no CA needed
    #[arg(long, value_name = "SHA256", requires = "tls", value_parser = super::tls::fingerprint)]
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
    pub fn serving(&self, listen: &ListenAddress) -> Result<Option<TlsServer>, Failure> {
        let host = match listen {
            ListenAddress::Inet(host, _) => host,
            ListenAddress::Unix(_) => "",
        };
        self.server().serving(host)
    }

    /// Bytes of stack that a thread needs for TLS on either side.
    pub fn stack(&self) -> usize {
        if self.tls || self.listen_tls { STACK } else { 0 }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    #[test]
    fn listen_address_has_127_0_0_1_as_default_host() {
        for (word, shown) in [
            ("8080", "127.0.0.1:8080"),
            ("http", "127.0.0.1:http"),
            ("0", "127.0.0.1:0"),
            (":8080", ":8080"),
            ("*:8080", "*:8080"),
            ("localhost:8080", "localhost:8080"),
            ("[::1]:8080", "::1:8080"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("unix:@a", "unix:@a"),
        ] {
            assert_eq!(ListenAddress::parse(word).unwrap().to_string(), shown);
        }
        for word in ["", "::1", "127.0.0.1", "a:b:c", "host:", "http://a:1"] {
            assert_eq!(ListenAddress::parse(word).unwrap_err().code, ExitCode::Usage, "{word}");
        }
    }

    #[test]
    fn visible_loop_is_found() {
        let is_loop = |listen: &str, target: &str| {
            let target = TargetAddress::parse(target).unwrap();
            ListenAddress::parse(listen).unwrap().is_same_as(&target)
        };
        for (listen, target) in [
            ("8080", "127.0.0.1:8080"),
            ("8080", "localhost:8080"),
            (":8080", "127.0.0.2:8080"),
            ("*:8080", "[::1]:8080"),
            ("db:1", "DB:1"),
            ("[::1]:8080", "localhost:8080"),
            ("unix:/a", "unix:/a"),
        ] {
            assert!(is_loop(listen, target), "{listen} {target}");
        }
        for (listen, target) in [
            ("8080", "127.0.0.1:8081"),
            ("8080", "127.0.0.2:8080"),
            (":8080", "db:8080"),
            ("8080", "[::1]:8080"),
            ("unix:/a", "unix:/b"),
        ] {
            assert!(!is_loop(listen, target), "{listen} {target}");
        }
    }
}
