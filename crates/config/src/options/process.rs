use std::{path::PathBuf, time::Duration};

use jetsled_auth::Secret;

use crate::Port;

/// The monitoring listener.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MonitorOptions {
    /// `None`: the client listener's host.
    pub host: Option<String>,
    /// HTTP; not together with [`MonitorOptions::https_port`].
    pub http_port: Option<Port>,
    /// HTTPS, with the client listener's certificate.
    pub https_port: Option<Port>,
    /// Prefix of all paths, without a trailing slash; empty for none.
    pub base_path: String,
    /// Who may ask; `None` is everybody.
    pub login: Option<MonitorLogin>,
    /// The dashboard shows messages: to who has logged in or, without [`MonitorOptions::login`], on this machine alone.
    pub message_peek: bool,
}

/// User and password for the monitoring listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorLogin {
    /// The user's name.
    pub user: String,
    /// The password, or its bcrypt hash.
    pub password: Secret,
}

/// Where log lines go and what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// `None`: standard error.
    pub file: Option<PathBuf>,
    /// Bytes after which the file is rotated.
    pub size_limit: Option<u64>,
    /// Files kept, the current one included.
    pub max_files: Option<usize>,
    /// Lines begin with date and time.
    pub timestamps: bool,
    /// They are UTC.
    pub utc: bool,
    /// `[DBG]` lines.
    pub debug: bool,
    /// `[TRC]` lines: the protocol.
    pub trace: bool,
    /// With `trace`: the system account as well.
    pub trace_verbose: bool,
    /// With `trace`: headers only, no payloads.
    pub trace_headers: bool,
    /// Bytes of a payload shown in a trace; `None` is all.
    pub max_traced_msg_len: Option<usize>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            file: None,
            size_limit: None,
            max_files: None,
            timestamps: true,
            utc: false,
            debug: false,
            trace: false,
            trace_verbose: false,
            trace_headers: false,
            max_traced_msg_len: None,
        }
    }
}

/// Lame duck mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LameDuckOptions {
    /// Time over which clients are disconnected, the grace period included; at least 30 s.
    pub duration: Duration,
    /// Time before the first is disconnected; less than the duration.
    pub grace_period: Duration,
}

impl Default for LameDuckOptions {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(120),
            grace_period: Duration::from_secs(10),
        }
    }
}
