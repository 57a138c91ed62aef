//! A certificate for a service that has TLS on and none.

use std::fs::{OpenOptions, remove_file};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SerialNumber,
};

use super::folder;

/// How long a generated certificate is valid.
const VALID_FOR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Writes a key and a certificate that it signs itself, for `localhost` and 127.0.0.1, unless one of the files exists:
/// half a pair is the administrator's to complete.
pub(super) fn ensure(cert_file: &Path, key_file: &Path) -> io::Result<()> {
    if cert_file.exists() || key_file.exists() {
        return Ok(());
    }
    let (cert, key) = generate().map_err(io::Error::other)?;
    for file in [cert_file, key_file] {
        if let Some(parent) = file.parent() {
            folder::create_private(parent)?;
        }
    }
    write_new(key_file, 0o600, &key)?;
    write_new(cert_file, 0o644, &cert).inspect_err(|_| {
        // A key alone would keep the next start from making a pair; if it cannot go, that start says so.
        remove_file(key_file).ok();
    })
}

fn write_new(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A certificate and its key, both PEM.
fn generate() -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let now = SystemTime::now();
    params.not_before = now.into();
    params.not_after = (now + VALID_FOR).into();
    params.serial_number = Some(SerialNumber::from_slice(&rand::random::<[u8; 16]>()));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.distinguished_name = DistinguishedName::new();
    let name = &mut params.distinguished_name;
    name.push(DnType::OrganizationName, "Acme Corp");
    name.push(DnType::CommonName, "OCIS");
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use jetsled_config::TlsOptions;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_pair_is_made_once_and_can_be_served() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("data/nats");
        let (cert, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        ensure(&cert, &key).unwrap();
        assert_eq!((mode(&folder), mode(&key)), (0o700, 0o600));
        crate::tls::server_config(&TlsOptions::new(&cert, &key)).unwrap();

        let before = fs::read(&cert).unwrap();
        ensure(&cert, &key).unwrap();
        assert_eq!(fs::read(&cert).unwrap(), before);
    }

    #[test]
    fn half_a_pair_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
        fs::write(&cert, "mine").unwrap();
        ensure(&cert, &key).unwrap();
        assert!(!key.exists());
        assert_eq!(fs::read_to_string(&cert).unwrap(), "mine");
    }

    #[test]
    fn a_key_without_its_certificate_does_not_stay() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("tls.key");
        // A link to nowhere: it does not exist, and cannot be made.
        let cert = dir.path().join("tls.crt");
        std::os::unix::fs::symlink("nowhere/at/all", &cert).unwrap();
        ensure(&cert, &key).unwrap_err();
        assert!(!key.exists());
    }
}
