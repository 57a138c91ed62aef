//! TLS settings as rustls takes them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jetsled_config::{CurvePreference, TlsMinVersion, TlsOptions};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{NamedGroup, RootCertStore, ServerConfig, SupportedCipherSuite};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// TLS settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file could not be read.
    #[error("error reading {}: {source}", path.display())]
    Pem {
        /// Its name.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A PEM file without a certificate.
    #[error("no certificate found in {}", .0.display())]
    NoCertificate(PathBuf),
    /// Client certificates are to be verified without a `ca_file`, and the system has no roots.
    #[error(
        "tls verify without a ca_file takes the system's root certificates, and none were found"
    )]
    NoRoots,
    /// A certificate that cannot be a root.
    #[error("error parsing root certificate in {}: {source}", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// No root can be used to verify clients.
    #[error("error verifying client certificates: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// None of the curves is available.
    #[error(
        "none of the configured curve_preferences is available: X25519, CurveP256 and CurveP384 are"
    )]
    NoCurve,
    /// Certificate and key do not fit, or the settings contradict each other.
    #[error("error parsing X509 certificate/key pair: {0}")]
    Config(#[from] rustls::Error),
}

/// The server's side of TLS for one listener.
pub(crate) fn server_config(options: &TlsOptions) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(CryptoProvider {
        cipher_suites: cipher_suites(&options.cipher_suites),
        kx_groups: curves(&options.curve_preferences)?,
        ..ring::default_provider()
    });
    let versions = match options.min_version {
        TlsMinVersion::Tls12 => &[&TLS13, &TLS12][..],
        TlsMinVersion::Tls13 => &[&TLS13][..],
    };
    let chain = certificates(&options.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&options.key_file).map_err(|source| TlsError::Pem {
        path: options.key_file.clone(),
        source,
    })?;
    let verifier = verifier(options, &provider)?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// Whether the peer's own certificate is one that may be used; all are unless some are pinned.
pub(crate) fn is_pinned(options: &TlsOptions, chain: &[CertificateDer<'_>]) -> bool {
    options.pinned_certs.is_empty()
        || chain
            .first()
            .and_then(|certificate| jetsled_auth::public_key_digest(certificate))
            .is_some_and(|digest| options.pinned_certs.contains(&digest))
}

fn verifier(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    if !options.verify {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let (roots, are_told) = match &options.ca_file {
        Some(path) => (roots_of(path)?, true),
        None => (system_roots()?, false),
    };
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    // A client need not hear the names of some hundred authorities.
    let builder = if are_told {
        builder
    } else {
        builder.clear_root_hint_subjects()
    };
    Ok(builder.build()?)
}

fn roots_of(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|source| TlsError::Root {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    Ok(roots)
}

pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Pem {
        path: path.to_owned(),
        source,
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}

/// The registered name of a suite, which Go uses; rustls' own differ for TLS 1.3.
pub(crate) fn cipher_suite_name(suite: rustls::CipherSuite) -> String {
    let name = format!("{suite:?}");
    match name.strip_prefix("TLS13_") {
        Some(rest) => format!("TLS_{rest}"),
        None => name,
    }
}

/// Configured names choose among the suites of TLS 1.2; those of TLS 1.3 are always on, as in Go. Names of suites that
/// are not to be had (CBC, 3DES) are passed over: configurations list them beside better ones.
fn cipher_suites(names: &[String]) -> Vec<SupportedCipherSuite> {
    let wanted = |suite: &SupportedCipherSuite| {
        let name = cipher_suite_name(suite.suite());
        names.is_empty()
            || matches!(suite, SupportedCipherSuite::Tls13(_))
            || names.iter().any(|wanted| {
                // Go knows the ChaCha suites by a shorter name too.
                *wanted == name || format!("{wanted}_SHA256") == name
            })
    };
    ring::ALL_CIPHER_SUITES
        .iter()
        .copied()
        .filter(wanted)
        .collect()
}

fn curves(preferences: &[CurvePreference]) -> Result<Vec<&'static dyn SupportedKxGroup>, TlsError> {
    if preferences.is_empty() {
        return Ok(ring::ALL_KX_GROUPS.to_vec());
    }
    let groups: Vec<_> = preferences
        .iter()
        .filter_map(|preference| {
            let wanted = match preference {
                CurvePreference::X25519 => NamedGroup::X25519,
                CurvePreference::P256 => NamedGroup::secp256r1,
                CurvePreference::P384 => NamedGroup::secp384r1,
                CurvePreference::P521 => NamedGroup::secp521r1,
                CurvePreference::X25519MlKem768 => NamedGroup::X25519MLKEM768,
                CurvePreference::SecP256r1MlKem768 => NamedGroup::secp256r1MLKEM768,
                CurvePreference::SecP384r1MlKem1024 => return None,
            };
            ring::ALL_KX_GROUPS
                .iter()
                .copied()
                .find(|group| group.name() == wanted)
        })
        .collect();
    if groups.is_empty() {
        Err(TlsError::NoCurve)
    } else {
        Ok(groups)
    }
}
