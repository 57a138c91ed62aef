//! The settings themselves.

use std::fmt;

use jetsled_auth::Secret;

use crate::paths::Paths;

/// All settings, in the sections of `nats.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `nats`
    pub nats: Nats,
    /// `debug`
    pub debug: Debug,
    /// `log`
    pub log: Log,
    /// `tracing`
    pub tracing: Tracing,
}

/// The section `nats`: the server. Where a text may be empty, that means what it means to nats-server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nats {
    /// Bind address; empty is every interface.
    pub host: String,
    /// Client port; 0 is 4222, -1 any free one.
    pub port: i64,
    /// Cluster name shown to clients; empty shows none. No port is opened for it.
    pub clusterid: String,
    /// Folder of the store, which lies in its subfolder `jetstream`; empty is `nats` in the temporary folder.
    pub store_dir: String,
    /// Certificate, PEM.
    pub tls_cert: String,
    /// Its key, PEM.
    pub tls_key: String,
    /// Clients are not asked for a certificate.
    pub tls_skip_verify_client_cert: bool,
    /// Clients must use TLS.
    pub enable_tls: bool,
}

/// The section `debug`: the debug listener.
#[derive(Clone, PartialEq, Eq)]
pub struct Debug {
    /// `host:port`; an empty host is every interface.
    pub addr: String,
    /// What `/metrics` asks for; empty asks for nothing.
    pub token: String,
    /// Go profiles; not supported.
    pub pprof: bool,
    /// Pages about traces; not supported.
    pub zpages: bool,
}

/// The section `log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The lowest level shown, by name; see [`Log::level`].
    pub level: String,
    /// Text for people instead of JSON.
    pub pretty: bool,
    /// In colour; only where [`Log::pretty`].
    pub color: bool,
    /// Appended to instead of standard error, unless [`Log::pretty`]; empty is none.
    pub file: String,
}

/// The section `tracing`: read and without effect, as in oCIS's own service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tracing {
    /// Traces are wanted.
    pub enabled: bool,
    /// Kind of the collector.
    pub kind: String,
    /// Where an agent listens.
    pub endpoint: String,
    /// Where a collector listens.
    pub collector: String,
}

/// The levels of a log, the most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The program ends, and so does oCIS.
    Panic,
    /// The program ends.
    Fatal,
    /// Something failed.
    Error,
    /// Something is doubtful.
    Warn,
    /// Something happened.
    Info,
    /// For developers.
    Debug,
    /// The protocol.
    Trace,
}

impl Settings {
    pub(crate) fn new(paths: &Paths) -> Self {
        let in_base = |name: &str| paths.base.join(name).to_string_lossy().into_owned();
        Self {
            nats: Nats {
                host: "127.0.0.1".to_owned(),
                port: 9233,
                clusterid: "ocis-cluster".to_owned(),
                store_dir: in_base("nats"),
                tls_cert: in_base("nats/tls.crt"),
                tls_key: in_base("nats/tls.key"),
                tls_skip_verify_client_cert: false,
                enable_tls: false,
            },
            debug: Debug {
                addr: "127.0.0.1:9234".to_owned(),
                token: String::new(),
                pprof: false,
                zpages: false,
            },
            log: Log {
                level: String::new(),
                pretty: false,
                color: false,
                file: String::new(),
            },
            tracing: Tracing::default(),
        }
    }
}

impl Debug {
    /// What the header `Authorization` of a request for `/metrics` must be; `None` asks for nothing.
    pub fn authorization(&self) -> Option<Secret> {
        (!self.token.is_empty()).then(|| Secret::new(format!("Bearer {}", self.token)))
    }
}

impl Log {
    /// The lowest level shown. A name that is none means [`Level::Error`].
    pub fn level(&self) -> Level {
        match self.level.to_lowercase().as_str() {
            "panic" => Level::Panic,
            "fatal" => Level::Fatal,
            "warn" => Level::Warn,
            "info" => Level::Info,
            "debug" => Level::Debug,
            "trace" => Level::Trace,
            _ => Level::Error,
        }
    }
}

impl fmt::Debug for Debug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Debug")
            .field("addr", &self.addr)
            .field("token", &self.authorization())
            .field("pprof", &self.pprof)
            .field("zpages", &self.zpages)
            .finish()
    }
}
