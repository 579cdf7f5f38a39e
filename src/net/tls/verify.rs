//! Certificate verification. The reason of a rejection is a [`VerifyError`].
//!
//! The chain, dates and names are verified by webpki. One rule is more lenient: a certificate that is
//! itself in the file of trusted ones needs no further signature, even if it is a certificate
//! authority's, and no alternative name: `openssl req -x509` makes such certificates.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::certificate::CertificateInfo;
use super::fingerprint::Sha256;
use super::provider;
use super::trust::{TrustAnchors, TrustPolicy, TrustSource};
use super::verify_error::{VerifyError, explain};

/// The reason also where `--insecure` has accepted the certificate before.
const BAD_HANDSHAKE_SIGNATURE: &str = "the signature of the handshake does not match the key of the \
                                       certificate, or the key is not supported (RSA below 2048 bits)";

/// Verifies the certificate of one server.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    trust: Arc<TrustPolicy>,
    provider: Arc<CryptoProvider>,
    error: Mutex<Option<VerifyError>>,
}

impl ServerVerifier {
    pub(super) fn new(trust: Arc<TrustPolicy>) -> ServerVerifier {
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

    fn verify_pin(&self, end_entity: &CertificateDer<'_>) -> Result<(), Error> {
        let fingerprint = Sha256::of(end_entity);
        if self.trust.pins.is_empty() || self.trust.pins.contains(&fingerprint) {
            return Ok(());
        }
        self.record(
            format!("the certificate is not the pinned one: its SHA-256 is {fingerprint}").into(),
        );
        Err(CertificateError::ApplicationVerificationFailure.into())
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
        let verify_by = |verifier: &dyn ServerCertVerifier| {
            verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now).map(drop)
        };
        let verified = match &self.trust.roots {
            TrustSource::PinsOnly => Ok(()),
            TrustSource::System(None) => Err(CertificateError::UnknownIssuer.into()),
            TrustSource::System(Some(system)) => verify_by(system),
            TrustSource::File(anchors) if anchors.contains(end_entity) => {
                verify_dates(end_entity, now).and_then(|()| verify_name(end_entity, name))
            }
            TrustSource::File(anchors) => verify_by(anchors.chain_verifier.as_ref()),
        };
        if let Err(error) = verified {
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
    let info = CertificateInfo::of(end_entity).ok_or(CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    match info.validity {
        (from, _) if now < from => Err(CertificateError::NotValidYet.into()),
        (_, to) if now > to => Err(CertificateError::Expired.into()),
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
