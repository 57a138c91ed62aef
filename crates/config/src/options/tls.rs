use std::{collections::BTreeSet, path::PathBuf, time::Duration};

/// A `tls` block of a listener. File names are relative to the process' working directory.
#[derive(Debug, Clone, PartialEq)]
pub struct TlsOptions {
    /// The certificate chain, PEM.
    pub cert_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
    /// Roots for client certificates, PEM; `None` takes the system's.
    pub ca_file: Option<PathBuf>,
    /// Clients must present a certificate that verifies.
    pub verify: bool,
    /// And users are recognised by it.
    pub verify_and_map: bool,
    /// SHA-256 of the public keys (SubjectPublicKeyInfo) that client certificates may have, lower-case hex; empty is any.
    pub pinned_certs: BTreeSet<String>,
    /// Time for the handshake.
    pub timeout: Duration,
    /// Whether the handshake comes before INFO.
    pub handshake_first: HandshakeFirst,
    /// Lowest protocol version.
    pub min_version: TlsMinVersion,
    /// TLS 1.2 suites by their IANA names, as configured; empty is the default set. Those that the TLS library does
    /// not have are left out (with a warning), and at least one must remain.
    pub cipher_suites: Vec<String>,
    /// Key exchange groups in order of preference; empty is the default set.
    pub curve_preferences: Vec<CurvePreference>,
}

impl TlsOptions {
    /// A certificate and its key, everything else by default.
    pub fn new(cert_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        Self {
            cert_file: cert_file.into(),
            key_file: key_file.into(),
            ca_file: None,
            verify: false,
            verify_and_map: false,
            pinned_certs: BTreeSet::new(),
            timeout: Duration::from_secs(2),
            handshake_first: HandshakeFirst::default(),
            min_version: TlsMinVersion::default(),
            cipher_suites: Vec::new(),
            curve_preferences: Vec::new(),
        }
    }
}

/// `handshake_first`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HandshakeFirst {
    /// INFO goes first, in plain text.
    #[default]
    Never,
    /// The handshake goes first.
    Always,
    /// The server waits this long for the client's first byte, then sends INFO. `auto` is 50 ms.
    Fallback(Duration),
}

/// `min_version`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMinVersion {
    /// TLS 1.2
    #[default]
    Tls12,
    /// TLS 1.3
    Tls13,
}

/// A name in `curve_preferences`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CurvePreference {
    /// `X25519MLKEM768`
    X25519MlKem768,
    /// `SecP256r1MLKEM768`
    SecP256r1MlKem768,
    /// `SecP384r1MLKEM1024`
    SecP384r1MlKem1024,
    /// `X25519`
    X25519,
    /// `CurveP256`
    P256,
    /// `CurveP384`
    P384,
    /// `CurveP521`
    P521,
}

impl CurvePreference {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "X25519MLKEM768" => Self::X25519MlKem768,
            "SecP256r1MLKEM768" => Self::SecP256r1MlKem768,
            "SecP384r1MLKEM1024" => Self::SecP384r1MlKem1024,
            "X25519" => Self::X25519,
            "CurveP256" => Self::P256,
            "CurveP384" => Self::P384,
            "CurveP521" => Self::P521,
            _ => return None,
        })
    }
}
