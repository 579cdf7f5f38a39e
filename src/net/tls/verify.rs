//! Certificate verification. The reason of a rejection is a [`VerifyError`].
//!
//! The chain, dates and names are verified by webpki. One rule is more lenient: a certificate that is
//! itself in the file of trusted ones needs no further signature, even if it is a certificate
//! authority's, and no alternative name: `openssl req -x509` makes such certificates.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use super::certificate::{CertificateInfo, Sha256, sha256};
use super::provider;
use super::verify_error::{VerifyError, explain};

/// The reason also where `--insecure` has accepted the certificate before.
const BAD_HANDSHAKE_SIGNATURE: &str = "the signature of the handshake does not match the key of the \
                                       certificate, or the key is not supported (RSA below 2048 bits)";

/// The certificates that a client trusts.
#[derive(Debug, Clone)]
pub(super) enum TrustSource {
    /// The roots of the system; `None` where it has none.
    System(Option<Arc<rustls_platform_verifier::Verifier>>),
    /// The certificates of a file.
    File(TrustAnchors<dyn ServerCertVerifier>),
    /// Pinned certificates only.
    PinsOnly,
}

/// The certificates of a file, and the verifier of chains to one of them.
#[derive(Debug)]
pub(super) struct TrustAnchors<V: ?Sized> {
    certificates: Arc<[CertificateDer<'static>]>,
    chain_verifier: Arc<V>,
}

impl<V: ?Sized> Clone for TrustAnchors<V> {
    fn clone(&self) -> Self {
        TrustAnchors {
            certificates: self.certificates.clone(),
            chain_verifier: self.chain_verifier.clone(),
        }
    }
}

impl TrustAnchors<dyn ServerCertVerifier> {
    /// Trusts these certificates for servers.
    pub(super) fn of_servers(
        certificates: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let roots = roots(&certificates)?;
        let built = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        let chain_verifier = built.map_err(|e| e.to_string())?;
        Ok(TrustAnchors { certificates: certificates.into(), chain_verifier })
    }
}

impl TrustAnchors<dyn ClientCertVerifier> {
    /// Trusts these certificates for clients; accepts clients without one if `optional`.
    pub(super) fn of_clients(
        certificates: Vec<CertificateDer<'static>>,
        optional: bool,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let roots = roots(&certificates)?;
        let builder = rustls::server::WebPkiClientVerifier::builder_with_provider(roots, provider);
        let builder = if optional { builder.allow_unauthenticated() } else { builder };
        let chain_verifier = builder.build().map_err(|e| e.to_string())?;
        Ok(TrustAnchors { certificates: certificates.into(), chain_verifier })
    }
}

impl<V: ?Sized> TrustAnchors<V> {
    fn contains(&self, certificate: &CertificateDer<'_>) -> bool {
        self.certificates.iter().any(|anchor| anchor == certificate)
    }
}

fn roots(certificates: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates.iter().cloned()) {
        (0, _) => Err("it has no usable certificate".to_string()),
        _ => Ok(Arc::new(roots)),
    }
}

/// What a client requires of the certificate of a server.
#[derive(Debug, Clone)]
pub(super) struct TrustPolicy {
    pub(super) roots: TrustSource,
    /// If there are any, the certificate is one of these.
    pub(super) pins: Vec<Sha256>,
    /// Accepts everything but a wrong pin, and records what would have failed.
    pub(super) insecure: bool,
}

/// What a server has sent to prove its identity, and when.
struct ServerChain<'a> {
    end_entity: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    name: &'a ServerName<'a>,
    ocsp: &'a [u8],
    now: UnixTime,
}

impl ServerChain<'_> {
    fn verify_by(&self, verifier: &dyn ServerCertVerifier) -> Result<(), Error> {
        let ServerChain { end_entity, intermediates, name, ocsp, now } = self;
        verifier.verify_server_cert(end_entity, intermediates, name, ocsp, *now).map(drop)
    }
}

/// Verifies the certificate of one server.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    trust: TrustPolicy,
    provider: Arc<CryptoProvider>,
    error: Mutex<Option<VerifyError>>,
}

impl ServerVerifier {
    pub(super) fn new(trust: TrustPolicy) -> ServerVerifier {
        ServerVerifier { trust, provider: provider(), error: Mutex::default() }
    }

    /// What failed, or would have failed.
    pub(super) fn verify_error(&self) -> Option<VerifyError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn record(&self, error: VerifyError) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn record_bad_signature(&self, error: &Error) {
        if matches!(error, Error::InvalidCertificate(CertificateError::BadSignature)) {
            self.record(BAD_HANDSHAKE_SIGNATURE.to_string().into());
        }
    }

    fn verify_chain(&self, chain: &ServerChain<'_>) -> Result<(), Error> {
        let unknown = || Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        match &self.trust.roots {
            TrustSource::PinsOnly => Ok(()),
            TrustSource::System(None) => unknown(),
            TrustSource::System(Some(system)) => chain.verify_by(system.as_ref()),
            TrustSource::File(anchors) if anchors.contains(chain.end_entity) => {
                verify_dates(chain.end_entity, chain.now)?;
                verify_name(chain.end_entity, chain.name)
            }
            TrustSource::File(anchors) => chain.verify_by(anchors.chain_verifier.as_ref()),
        }
    }

    fn verify_pin(&self, end_entity: &CertificateDer<'_>) -> Result<(), Error> {
        let fingerprint = sha256(end_entity);
        if self.trust.pins.is_empty() || self.trust.pins.contains(&fingerprint) {
            return Ok(());
        }
        self.record(
            format!("the certificate is not the pinned one: its SHA-256 is {fingerprint}").into(),
        );
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify_pin(end_entity)?;
        let chain = ServerChain { end_entity, intermediates, name, ocsp, now };
        if let Err(error) = self.verify_chain(&chain) {
            let rootless = matches!(self.trust.roots, TrustSource::System(None));
            self.record(explain(&error, end_entity, Some(name), rootless));
            if !self.trust.insecure {
                return Err(error);
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
            .inspect_err(|error| self.record_bad_signature(error))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
            .inspect_err(|error| self.record_bad_signature(error))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies the certificates of clients.
#[derive(Debug)]
pub(super) struct ClientVerifier(pub(super) TrustAnchors<dyn ClientCertVerifier>);

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.0.chain_verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.chain_verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.0.contains(end_entity) {
            return verify_dates(end_entity, now).map(|()| ClientCertVerified::assertion());
        }
        self.0.chain_verifier.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.chain_verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.chain_verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.chain_verifier.supported_verify_schemes()
    }
}

/// Verifies the validity dates of a certificate that is itself trusted.
fn verify_dates(end_entity: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let bad = |error| Err(Error::InvalidCertificate(error));
    let Some(info) = CertificateInfo::of(end_entity) else {
        return bad(CertificateError::BadEncoding);
    };
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    match info.validity {
        (from, _) if now < from => bad(CertificateError::NotValidYet),
        (_, to) if now > to => bad(CertificateError::Expired),
        _ => Ok(()),
    }
}

/// Verifies the name of a certificate that is itself trusted. Without alternative names its common
/// name counts, as for OpenSSL.
fn verify_name(end_entity: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
    let parsed = ParsedCertificate::try_from(end_entity)?;
    let common_name = CertificateInfo::of(end_entity)
        .filter(|info| info.names.is_empty())
        .and_then(|info| info.common_name);
    if common_name.is_some_and(|common| common.eq_ignore_ascii_case(&name.to_str())) {
        return Ok(());
    }
    verify_server_name(&parsed, name)
}
