//! A certificate authority and a certificate for this machine, made for one test run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// PEM files in one directory.
#[derive(Debug)]
pub struct Certificates {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// A certificate for `localhost` and 127.0.0.1.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes `ca.pem`, `server.pem` and `server-key.pem` in `dir`.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn create(dir: &Path) -> io::Result<Self> {
        let paths = Self {
            ca: dir.join("ca.pem"),
            cert: dir.join("server.pem"),
            key: dir.join("server-key.pem"),
        };
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority
            .distinguished_name
            .push(DnType::CommonName, "jetsled test authority");
        let authority = KeyPair::generate()
            .and_then(|key| CertifiedIssuer::self_signed(authority, key))
            .map_err(io::Error::other)?;
        let server = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])
            .map_err(io::Error::other)?;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let cert = server
            .signed_by(&key, &authority)
            .map_err(io::Error::other)?;
        fs::write(&paths.ca, authority.pem())?;
        fs::write(&paths.cert, cert.pem())?;
        fs::write(&paths.key, key.serialize_pem())?;
        Ok(paths)
    }

    /// The server's `tls` block.
    pub fn server_config(&self) -> String {
        format!(
            "tls {{ cert_file: {:?}, key_file: {:?} }}\n",
            self.cert, self.key
        )
    }
}
