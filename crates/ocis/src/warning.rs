//! What oCIS passes over in silence, and what an administrator may have meant otherwise.

use std::path::PathBuf;

/// Something about the settings that an administrator should know. The service starts all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// A file that is there and cannot be read; it counts as missing.
    #[error("{} is ignored: {reason}", path.display())]
    FileIgnored {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A key that nothing reads.
    #[error("{}: there is no setting {key}: it is ignored", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key with those above it.
        key: String,
    },
    /// A variable whose value does not fit; the value below it in precedence stays.
    #[error("{variable} is {value:?}, not {expected}: it is ignored")]
    VariableIgnored {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A variable that documentation names and nothing reads.
    #[error("{variable} has no effect: {instead}")]
    OtherName {
        /// Its name.
        variable: &'static str,
        /// What has.
        instead: &'static str,
    },
    /// Tracing is switched on.
    #[error("tracing has no effect on the nats service, here as in oCIS")]
    NoTracing,
    /// TLS is on, and clients must show a certificate.
    #[error(
        "clients must present a certificate that the system's roots verify, and no oCIS service can: set \
         NATS_TLS_SKIP_VERIFY_CLIENT_CERT=true, unless other clients are meant"
    )]
    ClientCertificates,
    /// The log file is not used.
    #[error("log.file has no effect while log.pretty is true")]
    NoLogFile,
}

/// Names that the service's documentation has, and what works.
pub(crate) const OTHER_NAMES: &[(&str, &str)] = &[
    (
        "ENABLE_TLS",
        "NATS_EVENTS_ENABLE_TLS or OCIS_EVENTS_ENABLE_TLS switch TLS on",
    ),
    (
        "OCIS_TLS_CERT",
        "NATS_TLS_CERT names the certificate, there is no global variable for it",
    ),
    (
        "OCIS_TLS_KEY",
        "NATS_TLS_KEY names the key, there is no global variable for it",
    ),
];
