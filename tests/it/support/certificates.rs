//! Certificates for the tests.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// A certificate authority and the directory of its files.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// Certificate and key in one PEM file.
pub type PemFile = PathBuf;

impl Authority {
    /// Generates a new authority.
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        Authority { issuer, dir: TempDir::new().expect("a directory") }
    }

    /// The file of its own certificate.
    pub fn ca(&self) -> PathBuf {
        self.write("ca", &self.issuer.pem())
    }

    /// Makes a certificate for these names.
    pub fn certificate(&self, names: &[&str]) -> PemFile {
        self.certificate_with(names, |_| ())
    }

    /// Makes a certificate with parameters that `change` sets.
    pub fn certificate_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> PemFile {
        let (params, key) = params(names, change);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let pem = certificate.pem() + &key.serialize_pem();
        let count = std::fs::read_dir(self.dir.path()).map_or(0, Iterator::count);
        self.write(&format!("{}-{count}", names.join("+")), &pem)
    }

    /// Makes a self-signed certificate that is marked as an authority, as `openssl req -x509` does.
    pub fn self_signed(&self, names: &[&str]) -> PemFile {
        let (params, key) = params(names, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        });
        let certificate = params.self_signed(&key).expect("a certificate");
        self.write("self-signed", &(certificate.pem() + &key.serialize_pem()))
    }

    /// The path of a file beside the certificates.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(&format!("{name}.pem"));
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("our file");
        path
    }
}

fn params(
    names: &[&str],
    change: impl FnOnce(&mut CertificateParams),
) -> (CertificateParams, KeyPair) {
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, "subject");
    change(&mut params);
    (params, KeyPair::generate().expect("a key"))
}
