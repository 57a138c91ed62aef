//! Starting and stopping a server.

mod builder;
mod by_hand;
mod connections;
mod pid_file;
mod ports_file;
mod reload;
mod reload_service;
mod sharing;
mod state;
mod stats;
mod tls_state;
mod websocket_state;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jetsled_config::{HandshakeFirst, JetStreamOptions, Options, Program, SyncPolicy};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::client::Transport;
use crate::events;
use crate::jetstream::{self, JetStream};
use crate::listener::{ListenError, Listener};
use crate::monitor::{Monitor, MonitorError};
use crate::operator::ResolverError;
use crate::other_servers;
use crate::tls::TlsError;

pub use builder::ServerBuilder;
pub use by_hand::{ServerByHand, SessionByHand};
pub use reload::ReloadFailed;
pub use reload_service::ReloadRequest;
pub(crate) use state::ServerState;
pub(crate) use stats::ServerCounters;

/// How long an orderly stop waits for connections to end.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// A system's reason in lower case and without its number, as Go says it.
fn without_number(error: &io::Error) -> String {
    let text = error.to_string().to_lowercase();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// A running server. Dropping it leaves its connections running; call [`Server::shutdown`].
#[derive(Debug)]
pub struct Server {
    state: Arc<ServerState>,
    client_address: SocketAddr,
    /// The listeners for clients.
    accepting: Vec<JoinHandle<()>>,
    expiring: JoinHandle<()>,
    telling: JoinHandle<()>,
    ports_file: Mutex<Option<PathBuf>>,
    monitor: Option<Monitor>,
}

/// Why a server did not start. `Display` is the text of nats-server's fatal log line.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The options contradict each other.
    #[error(transparent)]
    Options(jetsled_config::ConfigErrors),
    /// The users or their permissions cannot be used.
    #[error(transparent)]
    Auth(#[from] jetsled_auth::AuthConfigError),
    /// Accounts could not be looked for.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    /// Certificates or TLS settings cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A listening socket could not be made.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The listening socket for WebSocket could not be made.
    #[error("Unable to listen for websocket connections: {}", .0.reason())]
    ListenWebsocket(ListenError),
    /// The listening socket that refuses leaf nodes could not be made.
    #[error("Unable to listen for leafnode connections: {}", .0.reason())]
    ListenLeafnodes(ListenError),
    /// The listening socket that refuses routes could not be made.
    #[error("Unable to listen for route connections: {}", .0.reason())]
    ListenRoutes(ListenError),
    /// Monitoring could not be started.
    #[error("Can't start monitoring: {0}")]
    Monitor(#[from] MonitorError),
    /// The store could not be opened.
    #[error("Can't start JetStream: {0}")]
    JetStream(jetstream::StartError),
    /// Where the store should be lies that of a nats-server; says how to carry it over.
    #[error("Can't start JetStream: {0}")]
    ForeignStore(String),
    /// The pid file could not be written.
    #[error("Could not write pidfile: open {path}: {}", without_number(source), path = path.display())]
    PidFile {
        /// Its name.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl Server {
    /// A server inside a Rust program or test.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    /// Starts a server in the current tokio runtime; returns when clients can connect. The options are taken as they are:
    /// [`Options::validate`] them first, or use [`Server::builder`].
    ///
    /// # Errors
    ///
    /// When a socket, the store, a certificate or a file cannot be had.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let state = Arc::new(ServerState::new(options)?);
        let options = state.options();
        log_banner(&state);
        if let Some(path) = &options.pid_file {
            pid_file::write(path).map_err(|source| StartError::PidFile {
                path: path.clone(),
                source,
            })?;
        }
        events::listen(&state);
        let monitor = Monitor::start(&state).await?;
        if options.jetstream.enabled {
            let begun = Instant::now();
            tracing::info!("Starting JetStream");
            let opened = JetStream::open(&state.options()).map_err(StartError::JetStream)?;
            let started = JetStream::start(&state, opened).map_err(StartError::JetStream)?;
            log_jetstream(&options.jetstream, begun);
            state.set_jetstream(started);
        }
        if let Err(error) = state.load_accounts().await {
            state.stop_jetstream();
            return Err(error.into());
        }
        let websocket = match bind_websocket(&state).await {
            Ok(listener) => listener,
            Err(error) => {
                state.stop_jetstream();
                return Err(StartError::ListenWebsocket(error));
            }
        };
        let leafnodes = match other_servers::bind_leafnodes(&state).await {
            Ok(listener) => listener,
            Err(error) => {
                state.stop_jetstream();
                return Err(StartError::ListenLeafnodes(error));
            }
        };
        let routes = match other_servers::bind_routes(&state).await {
            Ok(listener) => listener,
            Err(error) => {
                state.stop_jetstream();
                return Err(StartError::ListenRoutes(error));
            }
        };
        let listener = match Listener::bind(&options.host, options.port.to_bind()).await {
            Ok(listener) => listener,
            Err(error) => {
                state.stop_jetstream();
                return Err(error.into());
            }
        };
        let client_address = listener.address();
        state.set_client_address(client_address);
        tracing::info!("Listening for client connections on {}", listener.name());
        if options.tls.is_some() {
            let how = if options.allow_non_tls {
                "available"
            } else {
                "required"
            };
            tracing::info!("TLS {how} for client connections");
        }
        if let Some(tls) = &options.tls
            && matches!(tls.handshake_first, HandshakeFirst::Always)
        {
            tracing::warn!(
                "Clients that are not using \"TLS Handshake First\" option will fail to connect"
            );
        }
        tracing::info!("Server is ready");
        let mut accepting = vec![tokio::spawn(
            listener.run(Arc::clone(&state), Transport::Tcp),
        )];
        if let Some(websocket) = websocket {
            let running = websocket.run(Arc::clone(&state), Transport::Websocket);
            accepting.push(tokio::spawn(running));
        }
        for (listener, refusal) in [
            (leafnodes, other_servers::NO_LEAF_NODES),
            (routes, other_servers::NO_ROUTES),
        ] {
            if let Some(listener) = listener {
                let running = other_servers::refuse_all(listener.into_tcp(), refusal);
                accepting.push(tokio::spawn(running));
            }
        }
        let telling = tokio::spawn(events::run(Arc::clone(&state)));
        let expiring = tokio::spawn({
            let state = Arc::clone(&state);
            async move { state.expire_responses().await }
        });
        let ports_file = options
            .ports_file_dir
            .as_deref()
            .and_then(|dir| ports_file::write(dir, &state, monitor.as_ref()));
        Ok(Self {
            state,
            client_address,
            accepting,
            expiring,
            telling,
            ports_file: Mutex::new(ports_file),
            monitor,
        })
    }

    /// Where clients connect to.
    pub fn client_address(&self) -> SocketAddr {
        self.client_address
    }

    /// Where WebSocket clients connect to, if there is such a listener.
    pub fn websocket_address(&self) -> Option<SocketAddr> {
        self.state.websocket()?.address()
    }

    /// Where leaf nodes are refused, if there is such a listener.
    pub fn leafnode_address(&self) -> Option<SocketAddr> {
        self.state.leafnode_address()
    }

    /// Where routes are refused, if there is such a listener.
    pub fn route_address(&self) -> Option<SocketAddr> {
        self.state.route_address()
    }

    /// Where monitoring listens, if it is on.
    pub fn monitor_address(&self) -> Option<SocketAddr> {
        self.monitor.as_ref().map(Monitor::address)
    }

    /// A URL for clients on this machine: `nats://127.0.0.1:4222`, `tls://...` where plain clients are not served.
    pub fn client_url(&self) -> String {
        let options = self.state.options();
        let scheme = match options.tls {
            Some(_) if !options.allow_non_tls => "tls",
            _ => "nats",
        };
        format!("{scheme}://{}", reachable(self.client_address))
    }

    /// What the server is made of.
    pub(crate) fn state(&self) -> &Arc<ServerState> {
        &self.state
    }

    /// The server's id, a public nkey.
    pub fn id(&self) -> &str {
        self.state.id()
    }

    /// Tells somebody who has just started the program by hand what to try next.
    pub(crate) fn greet(&self) {
        let options = self.state.options();
        if options.program != Program::Jetsled || options.config_file.is_some() {
            return;
        }
        let address = reachable(self.client_address);
        tracing::info!(
            "Try it with any NATS client: nats --server nats://{address} pub greet hello"
        );
        if options.jetstream.enabled {
            let dir = options.jetstream.store_dir();
            tracing::info!("Streams are kept in {}", dir.display());
        } else {
            tracing::info!("Streams are off: add --jetstream --store_dir DIR to keep messages");
        }
    }

    /// Whether there is a configuration file that can be read again.
    pub(crate) fn has_config_file(&self) -> bool {
        self.state.options().config_file.is_some()
    }

    /// Where requests of clients of the system account to read the configuration again come out. Each is answered with
    /// what became of it.
    pub fn reload_requests(&self) -> mpsc::Receiver<ReloadRequest> {
        reload_service::serve(&self.state)
    }

    /// Lame duck mode: no new connections, clients are told at once, and are closed one by one after the grace period,
    /// spread over the configured duration. Returns when the last is gone; [`shutdown`](Server::shutdown) should follow.
    pub async fn lame_duck(&self) {
        tracing::info!("Entering lame duck mode, stop accepting new clients");
        self.stop_accepting();
        events::tell(&self.state, "LAMEDUCK");
        self.state.enter_lame_duck();
        let options = self.state.options();
        let clients = self.state.clients();
        if clients.is_empty() {
            return;
        }
        tokio::time::sleep(options.lame_duck.grace_period).await;
        tracing::info!("Closing existing clients");
        let clients = self.state.clients();
        let duration = options
            .lame_duck
            .duration
            .saturating_sub(options.lame_duck.grace_period);
        let count = u32::try_from(clients.len().max(1)).unwrap_or(u32::MAX);
        let step = (duration / count).min(Duration::from_secs(1));
        for client in clients {
            client.close(crate::client::CloseReason::ServerShutdown);
            tokio::time::sleep(step.mul_f64(rand::random_range(0.5..1.0))).await;
        }
    }

    fn stop_accepting(&self) {
        for listener in &self.accepting {
            listener.abort();
        }
    }

    /// Stops: closes the listeners and all connections, then JetStream. What was acknowledged is durable before and after.
    pub async fn shutdown(self) {
        tracing::info!("Initiating Shutdown...");
        self.stop_accepting();
        self.expiring.abort();
        self.telling.abort();
        events::tell(&self.state, "SHUTDOWN");
        drop(self.monitor);
        if let Some(jetstream) = self.state.jetstream() {
            jetstream.announce_shutdown();
        }
        self.state.close_clients(CLOSE_WITHIN).await;
        for listener in self.accepting {
            // It was told to end, and has: its socket is closed.
            let _ended = listener.await;
        }
        self.state.stop_jetstream();
        ports_file::remove(self.ports_file.into_inner());
        tracing::info!("Server Exiting..");
    }
}

/// Binds the WebSocket listener, if there is to be one, and says so.
async fn bind_websocket(state: &ServerState) -> Result<Option<Listener>, ListenError> {
    let options = state.options();
    let (Some(websocket), Some(shared)) = (&options.websocket, state.websocket()) else {
        return Ok(None);
    };
    let listener = Listener::bind(&websocket.host, websocket.port.to_bind()).await?;
    shared.set_address(listener.address());
    let scheme = if websocket.tls.is_some() { "wss" } else { "ws" };
    tracing::info!(
        "Listening for websocket clients on {scheme}://{}",
        listener.name()
    );
    if websocket.tls.is_none() {
        tracing::warn!("Websocket not configured with TLS. DO NOT USE IN PRODUCTION!");
    }
    Ok(Some(listener))
}

fn log_jetstream(options: &JetStreamOptions, begun: Instant) {
    let size = |limit: Option<u64>| match limit {
        None => "unlimited".to_owned(),
        Some(bytes) => format!("{bytes} bytes"),
    };
    tracing::info!("---------------- JETSTREAM ----------------");
    tracing::info!("  Strict:          {}", options.strict);
    tracing::info!("  Max Memory:      {}", size(options.max_memory_store));
    tracing::info!("  Max Storage:     {}", size(options.max_file_store));
    tracing::info!(
        "  Store Directory: {:?}",
        options.store_dir().display().to_string()
    );
    if let Some(domain) = &options.domain {
        tracing::info!("  Domain:          {domain}");
    }
    if options.encryption_key.is_some() {
        tracing::info!("  Encryption:      {}", options.cipher);
    }
    tracing::info!("  API Level:       {}", crate::info::API_LEVEL);
    match options.sync {
        SyncPolicy::BeforeAck => tracing::info!("  Sync:            before each ack"),
        SyncPolicy::Every(interval) => tracing::warn!(
            "  Sync:            every {interval:?}: a power cut can take back what was acknowledged since"
        ),
    }
    tracing::info!("-------------------------------------------");
    tracing::info!("Took {:?} to start JetStream", begun.elapsed());
}

fn log_banner(state: &ServerState) {
    let options = state.options();
    tracing::info!("Starting {}", program_name(options.program));
    tracing::info!("  Version:  {}", crate::VERSION);
    tracing::info!("  Jetsled:  {}", env!("CARGO_PKG_VERSION"));
    if let Some(cluster) = &options.cluster_name {
        tracing::info!("  Cluster:  {cluster}");
    }
    tracing::info!("  Name:     {}", state.name());
    tracing::info!("  ID:       {}", state.id());
    if let (Some(file), Some(digest)) = (&options.config_file, &options.config_digest) {
        tracing::info!("Using configuration file: {} ({digest})", file.display());
    }
    for doubt in options.doubts() {
        tracing::warn!("{doubt}");
    }
}

/// An address that a client on this machine can use.
pub(crate) fn reachable(bound: SocketAddr) -> SocketAddr {
    if bound.ip().is_unspecified() {
        // Wildcards take both families.
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), bound.port())
    } else {
        bound
    }
}

fn program_name(program: Program) -> &'static str {
    match program {
        Program::Jetsled => "jetsled",
        Program::NatsServer => "nats-server",
    }
}
