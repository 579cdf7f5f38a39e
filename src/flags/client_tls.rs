//! TLS flags of clients: trust, certificate, protocols.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::error::{Failure, Phase};
use crate::net::layer::Layer;
#[cfg(feature = "tls")]
use crate::net::tls::{
    OnTruncation,
    certificate::Identity,
    client::{Client, ClientOptions},
    fingerprint::Sha256,
};
use crate::report::Report;

/// What a word is that is no fingerprint.
const NO_FINGERPRINT: &str = "not a SHA-256 fingerprint: 64 hexadecimal digits";

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

impl ClientTls {
    /// Fails with code 2 if one of these flags is given: each of them needs `--tls`.
    pub fn reject(&self) -> Result<(), Failure> {
        match self.first_given_flag() {
            Some(flag) => Err(Failure::usage(Phase::Tls, flag, "requires --tls")),
            None => Ok(()),
        }
    }

    fn first_given_flag(&self) -> Option<&'static str> {
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

    /// Warns if every user can read the private key.
    pub fn warn_readable_key(&self, report: &Report) {
        warn_readable_key(self.key.as_deref().or(self.cert.as_deref()), report);
    }

    /// These flags without those that are meant only for the server that the user named.
    pub fn without_identity(&self) -> ClientTls {
        ClientTls { server_name: None, cert: None, key: None, ..self.clone() }
    }

    /// The TLS layer of a client that connects to `host`.
    ///
    /// Fails with code 26 if a file cannot be read, with 2 on a malformed value.
    #[cfg(feature = "tls")]
    pub fn layer(&self, host: &str) -> Result<Arc<dyn Layer>, Failure> {
        let identity = self.cert.as_deref().map(|cert| Identity::read(cert, self.key.as_deref()));
        let pin = |word: &String| {
            Sha256::parse(word).ok_or_else(|| Failure::usage(Phase::Tls, "--pin", NO_FINGERPRINT))
        };
        let options = ClientOptions {
            server_name: self.server_name.clone().unwrap_or_else(|| host.to_string()),
            ca_file: self.ca_file.clone(),
            insecure: self.insecure,
            pins: self.pin.iter().map(pin).collect::<Result<_, _>>()?,
            alpn: self.alpn.iter().map(|name| name.clone().into_bytes()).collect(),
            identity: identity.transpose()?,
            on_truncation: on_truncation(self.allow_truncation),
        };
        Ok(Arc::new(Client::new(options)?))
    }

    /// Fails with code 2: this build has no TLS.
    #[cfg(not(feature = "tls"))]
    pub fn layer(&self, _: &str) -> Result<Arc<dyn Layer>, Failure> {
        Err(missing_tls())
    }
}

/// The failure of `--tls` in a build without it.
#[cfg(not(feature = "tls"))]
pub(super) fn missing_tls() -> Failure {
    Failure::usage(Phase::Tls, "--tls", "built without feature tls")
}

/// What an end without close_notify is.
#[cfg(feature = "tls")]
pub(super) fn on_truncation(allowed: bool) -> OnTruncation {
    if allowed { OnTruncation::End } else { OnTruncation::Fail }
}

/// Warns if users other than owner and group can read the file that has the key in it.
pub(super) fn warn_readable_key(path: Option<&Path>, report: &Report) {
    let Some(path) = path else { return };
    let Some(info) = path.metadata().ok().filter(|info| info.is_file()) else { return };
    let mode = info.permissions().mode() & 0o777;
    if mode & 0o004 != 0 {
        let path = path.display();
        report.warn(None, format!("every user can read the key in {path} (mode {mode:04o})"));
    }
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
        return Err(format!("'{word}' is {NO_FINGERPRINT}"));
    }
    Ok(word.to_string())
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

    fn client(line: &str) -> Result<ClientTls, clap::Error> {
        Client::try_parse_from(line.split(' ')).map(|client| client.trust)
    }

    #[test]
    fn alpn_is_a_list_or_repeated() {
        let trust = client("sockit --alpn h2,http/1.1 --alpn echo").unwrap();
        assert_eq!(trust.alpn, ["h2", "http/1.1", "echo"]);
        assert_eq!(trust.first_given_flag(), Some("--alpn"));
        assert_eq!(client("sockit").unwrap().first_given_flag(), None);
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
        assert!(client("sockit --key k.pem").is_err());
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
