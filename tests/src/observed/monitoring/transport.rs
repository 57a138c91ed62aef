//! TLS below the client protocol.

use std::fs;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use jetsled_testkit::Peer;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Certificates for one run, by the names that configurations give them.
pub(super) struct Certificates {
    pub(super) ca: String,
    pub(super) server: (String, String),
    pub(super) client: (String, String),
}

impl Certificates {
    pub(super) fn create() -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let paths = crate::certificates::Certificates::create(dir.path())?;
        let read = |path: &Path| fs::read_to_string(path);
        Ok(Self {
            ca: read(&paths.ca)?,
            server: (read(&paths.cert)?, read(&paths.key)?),
            client: (read(&paths.cert)?, read(&paths.key)?),
        })
    }
}

/// Connects, reads INFO in the clear, and does the handshake. One cipher suite is offered, so that it is the same everywhere.
pub(super) fn over_tls(
    address: SocketAddr,
    certificates: &Certificates,
) -> io::Result<(Peer, String)> {
    let mut stream = Peer::socket(address)?;
    let info = line(&mut stream)?;
    let mut provider = ring::default_provider();
    provider
        .cipher_suites
        .retain(|suite| suite.suite() == rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    let mut roots = RootCertStore::empty();
    let invalid = io::Error::other;
    for certificate in CertificateDer::pem_slice_iter(certificates.ca.as_bytes()) {
        roots
            .add(certificate.map_err(invalid)?)
            .map_err(io::Error::other)?;
    }
    let chain = CertificateDer::pem_slice_iter(certificates.client.0.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(invalid)?;
    let key = PrivateKeyDer::from_pem_slice(certificates.client.1.as_bytes()).map_err(invalid)?;
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(io::Error::other)?;
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let socket = stream.try_clone()?;
    Ok((Peer::over(socket, StreamOwned::new(tls, stream)), info))
}

/// A line without its end, byte by byte: what follows belongs to somebody else.
fn line(stream: &mut TcpStream) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.extend(byte);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}
