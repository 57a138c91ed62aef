//! What a server starts from, with nats-server's defaults.

mod account;
mod auth_callout;
mod authorization;
mod doubts;
mod jetstream;
mod leafnodes;
mod operator;
mod process;
mod routes;
mod tls;
mod validate;
mod websocket;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{ConfigErrors, Environment, file};

pub use account::{
    AccountJetStreamOptions, AccountLimits, AccountOptions, MappingOptions, TraceOptions,
};
pub use auth_callout::AuthCalloutOptions;
pub use authorization::AuthorizationOptions;
pub use jetstream::{JetStreamLimits, JetStreamOptions, StoreCipher, SyncPolicy};
pub use leafnodes::LeafnodeOptions;
pub use operator::{DeletePolicy, OperatorOptions, ResolverOptions};
pub use process::{LameDuckOptions, LogOptions, MonitorLogin, MonitorOptions};
pub use routes::RouteOptions;
pub use tls::{CurvePreference, HandshakeFirst, TlsMinVersion, TlsOptions};
pub use websocket::{CookieNames, WebsocketOptions};

/// Everything that was configured, by file and command line, with defaults in place.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Under which name the program runs.
    pub program: Program,
    /// The configuration file, as named.
    pub config_file: Option<PathBuf>,
    /// `sha256:<hex>` of the file's content (its values, not its text).
    pub config_digest: Option<String>,

    /// Address of the client listener, and of the monitoring listener unless it has its own.
    pub host: String,
    /// Port of the client listener.
    pub port: Port,
    /// `host[:port]` announced in place of the listen address.
    pub client_advertise: Option<String>,
    /// `None`: the server's id.
    pub server_name: Option<String>,
    /// Name of a cluster of this server alone, shown to clients; no port is opened for it.
    pub cluster_name: Option<String>,
    /// Lower case, without duplicates, in the order given.
    pub server_tags: Vec<String>,
    /// Free key/value pairs shown in `/varz`.
    pub server_metadata: BTreeMap<String, String>,

    /// Client connections at once; `None` is unlimited.
    pub max_connections: Option<usize>,
    /// Subscriptions per connection; `None` is unlimited.
    pub max_subscriptions: Option<usize>,
    /// Tokens in one client subscription's subject; `None` is unlimited.
    pub max_subscription_tokens: Option<u8>,
    /// Bytes of one control line.
    pub max_control_line: usize,
    /// Bytes of headers and payload of one message; at most [`Options::max_pending`].
    pub max_payload: usize,
    /// Bytes queued for one connection before it is a slow consumer.
    pub max_pending: usize,
    /// Time in which a write to a client must make progress.
    pub write_deadline: Duration,
    /// Time between PINGs to an idle client.
    pub ping_interval: Duration,
    /// Unanswered PINGs before a connection counts as stale.
    pub ping_max: u32,
    /// INFO says `headers: false` and HPUB is refused.
    pub no_header_support: bool,
    /// Fast producers are not held back for slow consumers.
    pub no_fast_producer_stall: bool,
    /// Closed connections that `/connz` remembers.
    pub max_closed_clients: usize,

    /// TLS of the client listener (and `https`).
    pub tls: Option<TlsOptions>,
    /// With [`Options::tls`]: plain clients are served as well.
    pub allow_non_tls: bool,
    /// The listener for WebSocket clients.
    pub websocket: Option<WebsocketOptions>,
    /// The listener that refuses leaf nodes.
    pub leafnodes: Option<LeafnodeOptions>,
    /// Where servers of the cluster connect to, to be refused.
    pub routes: Option<RouteOptions>,

    /// The `authorization` block.
    pub authorization: AuthorizationOptions,
    /// User that connections without credentials become.
    pub no_auth_user: Option<String>,
    /// Operator mode.
    pub operator: OperatorOptions,
    /// Public nkeys of proxies whose word on a connection counts.
    pub trusted_proxies: Vec<String>,
    /// Configured accounts beside `$G` and `$SYS`, in the order given.
    pub accounts: Vec<AccountOptions>,
    /// Subject mappings of `$G`.
    pub mappings: Vec<MappingOptions>,
    /// Name of the system account; `None` with [`Options::no_system_account`], else `$SYS` unless configured.
    pub system_account: Option<String>,
    /// There is no system account.
    pub no_system_account: bool,

    /// JetStream.
    pub jetstream: JetStreamOptions,
    /// The monitoring listener.
    pub monitor: MonitorOptions,
    /// Logging.
    pub log: LogOptions,
    /// Lame duck mode.
    pub lame_duck: LameDuckOptions,
    /// File that gets the process id.
    pub pid_file: Option<PathBuf>,
    /// Directory that gets the ports file.
    pub ports_file_dir: Option<PathBuf>,
}

impl Options {
    /// What a configuration file says, defaults in place of what it does not, as `nats-server -c FILE` starts from.
    ///
    /// # Errors
    /// Everything that is wrong with the file, but only the first thing if its syntax is.
    pub fn from_file(path: &Path) -> Result<Self, ConfigErrors> {
        let mut options = Self::default();
        file::read(path, &mut options, &Environment::PROCESS)?;
        options.validate()?;
        Ok(options)
    }
}

/// Under which name the program runs: it decides what happens when nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `jetsled`: JetStream is on, with a default store directory, unless a flag or the file speaks of JetStream.
    Jetsled,
    /// `nats-server` (a renamed or linked executable): exactly its behaviour.
    NatsServer,
}

impl Program {
    /// Decides by the executable's base name; whatever begins with `nats-server` stands in for it.
    pub(crate) fn of(executable: &str) -> Self {
        let name = executable.rsplit(['/', '\\']).next().unwrap_or_default();
        if name.starts_with("nats-server") {
            Self::NatsServer
        } else {
            Self::Jetsled
        }
    }

    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jetsled => "jetsled",
            Self::NatsServer => "nats-server",
        }
    }

    /// What `-v` prints. Tools take the first version number in it.
    pub(crate) fn version_line(self) -> String {
        match self {
            Self::Jetsled => format!(
                "jetsled: v{NATS_VERSION} (jetsled {})",
                env!("CARGO_PKG_VERSION")
            ),
            Self::NatsServer => format!("nats-server: v{NATS_VERSION}"),
        }
    }
}

/// The nats-server version whose behaviour is followed; clients and tools decide by it what they may use.
pub const NATS_VERSION: &str = "2.15.1";

/// A TCP port to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// Configured as `-1`: any free one.
    Random,
    /// This one.
    Fixed(u16),
}

impl Port {
    /// Reads a configured number: -1 is any free port, 0 is none. Gives the number back if it is no port.
    pub(crate) fn from_number(number: i64) -> Result<Option<Self>, i64> {
        match number {
            -1 => Ok(Some(Self::Random)),
            0 => Ok(None),
            _ => u16::try_from(number)
                .map(|port| Some(Self::Fixed(port)))
                .map_err(|_| number),
        }
    }

    /// The number as configured: -1 for any free one.
    pub fn to_config(self) -> i32 {
        match self {
            Self::Random => -1,
            Self::Fixed(port) => port.into(),
        }
    }

    /// The number to bind: 0 lets the system choose.
    pub fn to_bind(self) -> u16 {
        match self {
            Self::Random => 0,
            Self::Fixed(port) => port,
        }
    }
}

/// What is wrong with a cluster's name that has them.
pub(crate) const CLUSTER_NAME_WITH_BLANKS: &str = "cluster name cannot contain spaces";

impl Default for Options {
    fn default() -> Self {
        Self {
            program: Program::NatsServer,
            config_file: None,
            config_digest: None,
            host: "0.0.0.0".to_owned(),
            port: Port::Fixed(4222),
            client_advertise: None,
            server_name: None,
            cluster_name: None,
            server_tags: Vec::new(),
            server_metadata: BTreeMap::new(),
            max_connections: Some(65_536),
            max_subscriptions: None,
            max_subscription_tokens: None,
            max_control_line: 4096,
            max_payload: 1 << 20,
            max_pending: 64 << 20,
            write_deadline: Duration::from_secs(10),
            ping_interval: Duration::from_secs(120),
            ping_max: 2,
            no_header_support: false,
            no_fast_producer_stall: false,
            max_closed_clients: 10_000,
            tls: None,
            allow_non_tls: false,
            websocket: None,
            leafnodes: None,
            routes: None,
            authorization: AuthorizationOptions::default(),
            no_auth_user: None,
            operator: OperatorOptions::default(),
            trusted_proxies: Vec::new(),
            accounts: Vec::new(),
            mappings: Vec::new(),
            system_account: Some(jetsled_auth::DEFAULT_SYSTEM_ACCOUNT.to_owned()),
            no_system_account: false,
            jetstream: JetStreamOptions::default(),
            monitor: MonitorOptions::default(),
            log: LogOptions::default(),
            lame_duck: LameDuckOptions::default(),
            pid_file: None,
            ports_file_dir: None,
        }
    }
}
