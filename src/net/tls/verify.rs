//! Is this peer the one that was meant? Every verdict about a certificate is made here; its reason
//! in words a person can act on is a [`Finding`].
//!
//! The path to a root, dates and names are checked by webpki. One thing is more lenient: a
//! certificate that is itself in the file of trusted ones needs no further signature, even if it
//! calls itself an authority, and no alternative name, as those that `openssl req -x509` makes.

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
use super::finding::{Finding, why};

/// Whom a client believes.
#[derive(Debug, Clone)]
pub(super) enum TrustSource {
    /// The roots of the system; `None` where it has none.
    System(Option<Arc<rustls_platform_verifier::Verifier>>),
    /// The certificates of a file.
    File(TrustAnchors<dyn ServerCertVerifier>),
    /// Nobody but the pinned.
    PinsOnly,
}

/// The certificates of a file, and what checks the way to one of them.
#[derive(Debug)]
pub(super) struct TrustAnchors<V: ?Sized> {
    certificates: Arc<[CertificateDer<'static>]>,
    path: Arc<V>,
}

impl<V: ?Sized> Clone for TrustAnchors<V> {
    fn clone(&self) -> Self {
        TrustAnchors { certificates: self.certificates.clone(), path: self.path.clone() }
    }
}

impl TrustAnchors<dyn ServerCertVerifier> {
    /// Trust in these certificates, as a client.
    pub(super) fn of_servers(
        certificates: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let roots = roots(&certificates)?;
        let path = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        let path = path.map_err(|e| e.to_string())?;
        Ok(TrustAnchors { certificates: certificates.into(), path })
    }
}

impl TrustAnchors<dyn ClientCertVerifier> {
    /// Trust in these certificates, as a server; a client without one is welcome if `optional`.
    pub(super) fn of_clients(
        certificates: Vec<CertificateDer<'static>>,
        optional: bool,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let roots = roots(&certificates)?;
        let builder = rustls::server::WebPkiClientVerifier::builder_with_provider(roots, provider);
        let builder = if optional { builder.allow_unauthenticated() } else { builder };
        let path = builder.build().map_err(|e| e.to_string())?;
        Ok(TrustAnchors { certificates: certificates.into(), path })
    }
}

impl<V: ?Sized> TrustAnchors<V> {
    fn holds(&self, certificate: &CertificateDer<'_>) -> bool {
        self.certificates.iter().any(|anchor| anchor == certificate)
    }
}

fn roots(certificates: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates.iter().cloned()) {
        (0, _) => Err("no usable certificate in it".to_string()),
        _ => Ok(Arc::new(roots)),
    }
}

/// A client's judge of one server.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    pub(super) trust: TrustSource,
    pub(super) pins: Vec<Sha256>,
    /// Lets everything but a wrong pin pass, and remembers what would have failed.
    pub(super) insecure: bool,
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) finding: Mutex<Option<Finding>>,
}

impl ServerVerifier {
    /// What was wrong, or would have been.
    pub(super) fn verify_error(&self) -> Option<Finding> {
        self.finding.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn found(&self, finding: Finding) {
        *self.finding.lock().unwrap_or_else(PoisonError::into_inner) = Some(finding);
    }

    fn path(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        let unknown = || Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        match &self.trust {
            TrustSource::PinsOnly => Ok(()),
            TrustSource::System(None) => unknown(),
            TrustSource::System(Some(system)) => {
                system.verify_server_cert(end_entity, intermediates, name, ocsp, now).map(drop)
            }
            TrustSource::File(anchors) if anchors.holds(end_entity) => {
                dates(end_entity, now)?;
                check_name(end_entity, name)
            }
            TrustSource::File(anchors) => anchors
                .path
                .verify_server_cert(end_entity, intermediates, name, ocsp, now)
                .map(drop),
        }
    }

    fn pinned(&self, end_entity: &CertificateDer<'_>) -> Result<(), Error> {
        let print = sha256(end_entity);
        if self.pins.is_empty() || self.pins.contains(&print) {
            return Ok(());
        }
        self.found(format!("the certificate is not the pinned one: its SHA-256 is {print}").into());
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
        self.pinned(end_entity)?;
        match self.path(end_entity, intermediates, name, ocsp, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(error) => {
                self.found(why(
                    &error,
                    end_entity,
                    Some(name),
                    matches!(self.trust, TrustSource::System(None)),
                ));
                if self.insecure { Ok(ServerCertVerified::assertion()) } else { Err(error) }
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A server's judge of its clients.
#[derive(Debug)]
pub(super) struct ClientVerifier(pub(super) TrustAnchors<dyn ClientCertVerifier>);

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.0.path.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.path.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.0.holds(own) {
            true => dates(own, now).map(|()| ClientCertVerified::assertion()),
            false => self.0.path.verify_client_cert(own, others, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.path.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.path.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.path.supported_verify_schemes()
    }
}

/// Whether now is within a certificate's own dates.
fn dates(own: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let bad = |error| Err(Error::InvalidCertificate(error));
    let Some(told) = CertificateInfo::of(own) else { return bad(CertificateError::BadEncoding) };
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    match told.validity {
        (from, _) if now < from => bad(CertificateError::NotValidYet),
        (_, to) if now > to => bad(CertificateError::Expired),
        _ => Ok(()),
    }
}

/// Checks the name of a certificate that is itself trusted. Where it has no alternative names, its
/// common name is one, as for OpenSSL.
fn check_name(own: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
    let parsed = ParsedCertificate::try_from(own)?;
    let only_name = CertificateInfo::of(own).filter(|told| told.names.is_empty());
    let only_name = only_name.and_then(|told| told.common_name);
    match only_name.is_some_and(|only| only.eq_ignore_ascii_case(&name.to_str())) {
        true => Ok(()),
        false => verify_server_name(&parsed, name),
    }
}
