//! What is trusted: the roots of the system, the certificates of a file, or pinned ones only.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::fingerprint::Sha256;
use super::{certificate, provider};
use crate::error::Failure;

/// What a client requires of the certificate of a server.
#[derive(Debug)]
pub(super) struct TrustPolicy {
    pub roots: TrustSource,
    /// If there are any, the certificate is one of these.
    pub pins: Vec<Sha256>,
    /// Accepts everything but a wrong pin, and records what would have failed.
    pub insecure: bool,
}

/// The certificates that a client trusts.
#[derive(Debug)]
pub(super) enum TrustSource {
    /// The roots of the system; `None` where it has none.
    System(Option<rustls_platform_verifier::Verifier>),
    /// The certificates of a file.
    File(TrustAnchors<dyn ServerCertVerifier>),
    /// Pinned certificates only.
    PinsOnly,
}

impl TrustSource {
    /// The certificates of a file, the pins only, or the roots of the system; fails as
    /// [`TrustAnchors::of_servers`] does.
    pub fn load(ca_file: Option<&Path>, pins: &[Sha256]) -> Result<TrustSource, Failure> {
        if let Some(path) = ca_file {
            return Ok(TrustSource::File(TrustAnchors::of_servers(path)?));
        }
        if !pins.is_empty() {
            return Ok(TrustSource::PinsOnly);
        }
        let system = rustls_platform_verifier::Verifier::new(provider());
        if let Err(why) = &system {
            tracing::debug!(%why, "no system roots");
        }
        Ok(TrustSource::System(system.ok()))
    }
}

/// The certificates of a file, and the verifier of chains to one of them.
#[derive(Debug)]
pub(super) struct TrustAnchors<V: ?Sized> {
    certificates: Vec<CertificateDer<'static>>,
    pub chain_verifier: Arc<V>,
}

impl TrustAnchors<dyn ServerCertVerifier> {
    /// Trusts the certificates of a file (PEM) for servers.
    ///
    /// Fails at [`Phase::File`](crate::error::Phase::File) with 26 when it has no usable certificate.
    pub fn of_servers(path: &Path) -> Result<Self, Failure> {
        Self::load(path, |roots| {
            let built = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
            Ok(built.map_err(|e| e.to_string())?)
        })
    }
}

impl TrustAnchors<dyn ClientCertVerifier> {
    /// As [`TrustAnchors::of_servers`], for clients; accepts clients without a certificate if
    /// `optional`.
    pub fn of_clients(path: &Path, optional: bool) -> Result<Self, Failure> {
        Self::load(path, |roots| {
            let builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
            let builder = if optional { builder.allow_unauthenticated() } else { builder };
            builder.build().map_err(|e| e.to_string())
        })
    }
}

impl<V: ?Sized> TrustAnchors<V> {
    fn load(
        path: &Path,
        build: impl FnOnce(Arc<RootCertStore>) -> Result<Arc<V>, String>,
    ) -> Result<Self, Failure> {
        let certificates = certificate::read(path)?;
        let mut roots = RootCertStore::empty();
        let chain_verifier = match roots.add_parsable_certificates(certificates.iter().cloned()) {
            (0, _) => Err("it has no usable certificate".to_string()),
            _ => build(Arc::new(roots)),
        };
        let chain_verifier = chain_verifier.map_err(|why| certificate::unreadable(path, &why))?;
        Ok(TrustAnchors { certificates, chain_verifier })
    }

    /// Whether `certificate` is itself one of the trusted.
    pub fn contains(&self, certificate: &CertificateDer<'_>) -> bool {
        self.certificates.contains(certificate)
    }
}
