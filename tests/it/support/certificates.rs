//! Certificates for the tests, made where they are needed and gone with their directory.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// An authority that signs whatever a test wants, and the directory its papers lie in.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// Certificate and key in one PEM file.
pub type PemFile = PathBuf;

impl Authority {
    /// An authority nobody knows yet.
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        Authority { issuer, dir: TempDir::new().expect("a directory") }
    }

    /// Its own certificate, for those who are to believe it.
    pub fn ca(&self) -> PathBuf {
        self.write("ca", &self.issuer.pem())
    }

    /// A paper for these names.
    pub fn certificate(&self, names: &[&str]) -> PemFile {
        self.certificate_with(names, |_| ())
    }

    /// The same, changed before it is signed.
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

    /// A paper that signs itself, and calls itself an authority as `openssl req -x509` does.
    pub fn self_signed(&self, names: &[&str]) -> PemFile {
        let (params, key) = params(names, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        });
        let certificate = params.self_signed(&key).expect("a certificate");
        self.write("self-signed", &(certificate.pem() + &key.serialize_pem()))
    }

    /// A file beside the papers.
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
    params.distinguished_name.push(DnType::CommonName, "somebody");
    change(&mut params);
    (params, KeyPair::generate().expect("a key"))
}
