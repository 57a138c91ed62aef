//! What every part of a running server shares.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hashbrown::HashMap;
use jetsled_auth::{Authenticator, GLOBAL_ACCOUNT, Identity, UserLimits};
use jetsled_config::{AccountLimits, Options};
use nkeys::{KeyPair, XKey};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::connections::FIRST_CID;
use super::sharing::wire_configured;
use super::tls_state::TlsState;
use super::websocket_state::WebsocketState;
use super::{ServerCounters, StartError};
use crate::account::Account;
use crate::client::{Client, ConnectOptions, Login, Presented, Transport};
use crate::events::{self, EventQueue};
use crate::jetstream::JetStream;
use crate::monitor::MonitorFacts;
use crate::operator::OperatorMode;

/// What every part of a running server shares.
#[derive(Debug)]
pub(crate) struct ServerState {
    id: String,
    name: String,
    options: RwLock<Arc<Options>>,
    authenticator: RwLock<Arc<Authenticator>>,
    operator: RwLock<Option<Arc<OperatorMode>>>,
    key: KeyPair,
    /// For encrypted requests to an authorization service.
    curve_key: XKey,
    tls: Mutex<Option<TlsState>>,
    /// The listener for WebSocket, if there is one.
    websocket: Option<WebsocketState>,
    pub(super) accounts: RwLock<HashMap<Arc<str>, Arc<Account>>>,
    /// Held while what accounts share is found out and comes into force: what came last is the newest. Accounts' sublists are locked
    /// meanwhile, one at a time.
    pub(super) wiring: Mutex<()>,
    /// The account of connections that need no credentials, `$G`.
    global: Arc<Account>,
    /// The system account, `$SYS` unless configured otherwise.
    system: Option<Arc<Account>>,
    anonymous: Arc<Login>,
    jetstream: OnceLock<JetStream>,
    client_address: OnceLock<SocketAddr>,
    leafnode_address: OnceLock<SocketAddr>,
    route_address: OnceLock<SocketAddr>,
    pub(super) clients: Mutex<HashMap<u64, Arc<Client>>>,
    /// Signalled when the last client has gone.
    pub(super) no_clients: Notify,
    events: Arc<EventQueue>,
    /// Signalled when a service of one account was asked by another.
    pub(super) awaited: Arc<Notify>,
    pub(super) next_cid: AtomicU64,
    pub(super) lame_duck: AtomicBool,
    pub(super) stopping: AtomicBool,
    pub(crate) counters: ServerCounters,
    pub(crate) monitoring: MonitorFacts,
}

impl ServerState {
    pub(crate) fn new(options: Options) -> Result<Self, StartError> {
        let authenticator = Authenticator::new(options.auth_config())?;
        let tls = TlsState::of(options.tls.as_ref())?;
        let websocket = WebsocketState::of(&options)?;
        let operator = OperatorMode::new(&options.operator)?.map(Arc::new);
        let key = KeyPair::new_server();
        let id = key.public_key();
        let name = options.server_name.clone().unwrap_or_else(|| id.clone());

        let is_system = |name: &str| options.system_account.as_deref() == Some(name);
        let mut accounts = HashMap::new();
        let configured = options
            .accounts
            .iter()
            .map(|account| (&account.name, &account.limits));
        for (name, limits) in configured {
            let account = Arc::new(Account::new(
                Arc::clone(name),
                limits.clone(),
                is_system(name),
            ));
            accounts.insert(Arc::clone(name), account);
        }
        let mut account = |name: &str| {
            let name: Arc<str> = name.into();
            let fresh = || {
                let limits = AccountLimits::default();
                Arc::new(Account::new(Arc::clone(&name), limits, is_system(&name)))
            };
            Arc::clone(accounts.entry(Arc::clone(&name)).or_insert_with(fresh))
        };
        let global = account(GLOBAL_ACCOUNT);
        let system = options.system_account.as_deref().map(&mut account);
        let anonymous = Arc::new(Login {
            account: Arc::clone(&global),
            permissions: None,
            user: None,
            options: ConnectOptions::default(),
            max_payload: options.max_payload,
            user_limits: UserLimits::default(),
            max_subscriptions: options.max_subscriptions,
            presented: None,
            claims: None,
            proxy: None,
        });
        let awaited = Arc::new(Notify::new());
        wire_configured(&accounts, &options, &awaited);
        for configured in &options.accounts {
            if let (Some(account), Some(trace)) =
                (accounts.get(&configured.name), &configured.trace)
            {
                account.set_trace_destination(Some(trace.clone()));
            }
        }
        let monitoring = MonitorFacts::new(options.max_closed_clients);
        Ok(Self {
            id,
            name,
            options: RwLock::new(Arc::new(options)),
            authenticator: RwLock::new(Arc::new(authenticator)),
            operator: RwLock::new(operator),
            key,
            curve_key: XKey::new(),
            tls: Mutex::new(tls),
            websocket,
            accounts: RwLock::new(accounts),
            wiring: Mutex::new(()),
            global,
            system,
            anonymous,
            jetstream: OnceLock::new(),
            client_address: OnceLock::new(),
            leafnode_address: OnceLock::new(),
            route_address: OnceLock::new(),
            clients: Mutex::new(HashMap::new()),
            no_clients: Notify::new(),
            events: Arc::new(EventQueue::new()),
            awaited,
            next_cid: AtomicU64::new(FIRST_CID),
            lame_duck: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            counters: ServerCounters::default(),
            monitoring,
        })
    }

    /// Other options come into force.
    pub(super) fn replace(
        &self,
        options: Options,
        authenticator: Authenticator,
        tls: Option<TlsState>,
        operator: Option<Arc<OperatorMode>>,
    ) {
        *self.options.write() = Arc::new(options);
        *self.authenticator.write() = Arc::new(authenticator);
        *self.tls.lock() = tls;
        *self.operator.write() = operator;
    }

    /// Lets accounts be found no more whose name is not kept; answers which.
    pub(super) fn retain_accounts(&self, is_kept: impl Fn(&str) -> bool) -> Vec<Arc<Account>> {
        let mut accounts = self.accounts.write();
        let gone = accounts.extract_if(|name, _| !is_kept(name));
        gone.map(|(_, account)| account).collect()
    }

    /// The server's public nkey.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The configured name, else the id.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The options in force.
    pub(crate) fn options(&self) -> Arc<Options> {
        Arc::clone(&self.options.read())
    }

    /// What decides logins over this transport.
    pub(crate) fn authenticator(&self, transport: Transport) -> Arc<Authenticator> {
        match (transport, &self.websocket) {
            (Transport::Websocket, Some(websocket)) => websocket.authenticator(),
            _ => Arc::clone(&self.authenticator.read()),
        }
    }

    /// The listener for WebSocket, if there is one.
    pub(crate) fn websocket(&self) -> Option<&WebsocketState> {
        self.websocket.as_ref()
    }

    /// Operator mode, if it is on.
    pub(crate) fn operator(&self) -> Option<Arc<OperatorMode>> {
        self.operator.read().clone()
    }

    /// Whether a connection must present something.
    pub(crate) fn requires_login(&self, transport: Transport) -> bool {
        self.operator.read().is_some() || self.authenticator(transport).is_required()
    }

    /// Whether INFO must carry a nonce to sign.
    pub(crate) fn needs_nonce(&self) -> bool {
        self.operator.read().is_some() || self.authenticator.read().needs_nonce()
    }

    /// The server's key, whose public half is its id.
    pub(crate) fn key(&self) -> &KeyPair {
        &self.key
    }

    /// The server's curve key.
    pub(crate) fn curve_key(&self) -> &XKey {
        &self.curve_key
    }

    pub(crate) fn tls(&self) -> Option<TlsAcceptor> {
        self.tls.lock().as_mut().map(TlsState::acceptor)
    }

    /// When the certificate of the client listener ends.
    pub(crate) fn certificate_end(&self) -> Option<jiff::Timestamp> {
        self.tls.lock().as_ref()?.certificate_end()
    }

    /// The way to the task that sends events and answers requests.
    pub(crate) fn events(&self) -> &Arc<EventQueue> {
        &self.events
    }

    /// `$G`.
    pub(crate) fn global(&self) -> &Arc<Account> {
        &self.global
    }

    /// The system account, unless it is configured away.
    pub(crate) fn system(&self) -> Option<&Arc<Account>> {
        self.system.as_ref()
    }

    pub(crate) fn is_system(&self, account: &Arc<Account>) -> bool {
        self.system
            .as_ref()
            .is_some_and(|system| Arc::ptr_eq(system, account))
    }

    pub(crate) fn account(&self, name: &str) -> Option<Arc<Account>> {
        self.accounts.read().get(name).cloned()
    }

    /// An account, made now if there is none of this name.
    pub(crate) fn account_or_new(&self, name: &str) -> Arc<Account> {
        if let Some(account) = self.account(name) {
            return account;
        }
        let mut accounts = self.accounts.write();
        let name: Arc<str> = name.into();
        let is_system = self.options().system_account.as_deref() == Some(&name);
        let fresh = || {
            let limits = AccountLimits::default();
            Arc::new(Account::new(Arc::clone(&name), limits, is_system))
        };
        let account = Arc::clone(accounts.entry(Arc::clone(&name)).or_insert_with(fresh));
        drop(accounts);
        events::listen_in(self, &account);
        account
    }

    /// All accounts.
    pub(crate) fn accounts(&self) -> Vec<Arc<Account>> {
        self.accounts.read().values().cloned().collect()
    }

    /// Closes the ways back from services that did not answer in time, for ever.
    pub(super) async fn expire_responses(&self) {
        loop {
            self.awaited.notified().await;
            while self
                .accounts()
                .iter()
                .any(|account| account.responses.is_awaiting())
            {
                tokio::time::sleep(EXPIRE_EVERY).await;
                let now = Instant::now();
                for account in self.accounts() {
                    account.responses.expire(&account, now);
                }
            }
        }
    }

    /// JetStream, once it has started.
    pub(crate) fn jetstream(&self) -> Option<&JetStream> {
        self.jetstream.get()
    }

    pub(super) fn set_jetstream(&self, jetstream: JetStream) {
        // Called once.
        self.jetstream.set(jetstream).ok();
    }

    pub(super) fn stop_jetstream(&self) {
        if let Some(jetstream) = self.jetstream.get() {
            jetstream.shutdown();
        }
    }

    /// Host and port as INFO shows them.
    pub(crate) fn advertised(&self) -> (String, u16) {
        let options = self.options();
        let bound = self.client_address.get().map_or(0, SocketAddr::port);
        let Some(advertise) = &options.client_advertise else {
            return (options.host.clone(), bound);
        };
        match advertise.rsplit_once(':') {
            Some((host, port)) => match port.parse() {
                Ok(port) => (host.trim_matches(['[', ']']).to_owned(), port),
                Err(_) => (advertise.clone(), bound),
            },
            None => (advertise.clone(), bound),
        }
    }

    /// Whether clients can connect.
    pub(crate) fn is_ready(&self) -> bool {
        self.client_address.get().is_some()
    }

    /// Where clients connect to, once they can.
    pub(super) fn client_address(&self) -> Option<SocketAddr> {
        self.client_address.get().copied()
    }

    pub(super) fn set_client_address(&self, address: SocketAddr) {
        // Called once.
        self.client_address.set(address).ok();
    }

    /// Where leaf nodes are refused, if there is such a listener.
    pub(crate) fn leafnode_address(&self) -> Option<SocketAddr> {
        self.leafnode_address.get().copied()
    }

    /// Where routes are refused, if there is such a listener.
    pub(crate) fn route_address(&self) -> Option<SocketAddr> {
        self.route_address.get().copied()
    }

    pub(crate) fn set_route_address(&self, address: SocketAddr) {
        // Called once.
        self.route_address.set(address).ok();
    }

    pub(crate) fn set_leafnode_address(&self, address: SocketAddr) {
        // Called once.
        self.leafnode_address.set(address).ok();
    }

    /// A challenge to sign: 15 characters.
    pub(crate) fn new_nonce(&self) -> String {
        URL_SAFE_NO_PAD.encode(rand::random::<[u8; 11]>())
    }

    /// Who a connection is before its CONNECT.
    pub(crate) fn anonymous_login(&self) -> Arc<Login> {
        Arc::clone(&self.anonymous)
    }

    /// What an authenticated CONNECT amounts to; `None` if there is no such account.
    pub(crate) fn login(&self, identity: Identity, options: &ConnectOptions) -> Option<Arc<Login>> {
        let account = self.account(&identity.account)?;
        let configured = self.options();
        let limits = account.limits();
        let smallest = |a: Option<usize>, b: Option<usize>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let max_payload = max_payload(&configured, &account, identity.limits);
        let max_subscriptions = smallest(
            configured.max_subscriptions,
            smallest(limits.max_subscriptions, identity.limits.max_subscriptions),
        );
        let mut kept = options.clone();
        let presented = Presented::take(&mut kept);
        Some(Arc::new(Login {
            account,
            permissions: identity.permissions,
            user: identity.user,
            options: kept,
            max_payload,
            user_limits: identity.limits,
            max_subscriptions,
            presented,
            claims: identity.claims,
            proxy: identity.proxy,
        }))
    }

    /// What an account is shown as: the name in its claims, else its own.
    pub(crate) fn name_tag(&self, account: &str) -> String {
        self.operator()
            .and_then(|operator| operator.claims(account))
            .map_or_else(|| account.to_owned(), |claims| claims.name.clone())
    }

    /// The largest message of a connection under the limits in force.
    pub(crate) fn max_payload_of(&self, login: &Login) -> usize {
        max_payload(&self.options(), &login.account, login.user_limits)
    }
}

/// The smallest limit holds.
fn max_payload(options: &Options, account: &Account, user: UserLimits) -> usize {
    [account.limits().max_payload, user.max_payload]
        .into_iter()
        .flatten()
        .fold(options.max_payload, usize::min)
}

/// How exactly response thresholds are kept.
const EXPIRE_EVERY: Duration = Duration::from_millis(100);
