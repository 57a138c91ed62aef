//! A client connection.
//!
//! [`Client`] is the part that others hold: its outbound queue, its subscriptions, its counters. The
//! connection's own task owns a `Session`, which parses and acts on what the task reads.

mod ack_run;
mod attentive;
mod backlog;
mod batch;
mod by_hand;
mod callout;
mod close_reason;
mod connect;
mod connection;
mod ending;
mod establish;
mod keep_alive;
mod log_name;
mod login;
mod outbound;
mod output;
mod publish;
mod publish_traced;
mod read_buffer;
mod reader;
mod reply;
mod route_cache;
mod session;
mod subscribe;
mod subscription;
mod subscriptions;
mod timers;
pub(crate) mod trace;
mod transport;
mod unheard;
mod writer;

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::Waker;

use jetsled_auth::{
    CertificateNames, ClaimedUser, PermissionSet, REDACTED, ResponseTracker, UserLimits,
};
use jetsled_protocol::encode;
use jiff::Timestamp;
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;

use crate::account::Account;
use crate::server::ServerState;

use attentive::Attention;
pub(crate) use by_hand::ByHand;
pub(crate) use close_reason::CloseReason;
pub(crate) use connect::ConnectOptions;
pub(crate) use establish::{accept, accept_websocket};
pub(crate) use login::Presented;
pub(crate) use outbound::{Counted, Outbound, Sent};
pub(crate) use output::{Output, SHARE_FROM_BYTES};
pub(crate) use subscription::{Limited, Subscription};
use subscriptions::Subscriptions;
pub(crate) use transport::Transport;

/// What others may know of and do with a client connection, from any thread.
pub(crate) struct Client {
    cid: u64,
    remote: SocketAddr,
    started: Timestamp,
    transport: Transport,
    /// Who a proxy in between says that it is. For the log only: anybody can say so.
    forwarded_for: Option<IpAddr>,
    tls: Option<TlsFacts>,
    pub(crate) server: Arc<ServerState>,
    pub(crate) outbound: Outbound,
    waker: Waker,
    signals: AtomicU8,
    attention: Attention,
    /// A `CloseReason`, 0 while open.
    close_reason: AtomicU8,
    /// Whether it takes HMSG.
    headers: AtomicBool,
    /// Whether it gets its own messages.
    echo: AtomicBool,
    /// Who it is; replaced by each CONNECT.
    login: Mutex<Arc<Login>>,
    subscriptions: Mutex<Subscriptions>,
    /// Reply subjects that it may answer; only with `allow_responses`.
    responses: Mutex<Option<Box<ResponseTracker>>>,
    tracks_responses: AtomicBool,
    /// Whether it is counted in its account.
    bound: AtomicBool,
    pub(crate) counters: ClientCounters,
}

/// What a CONNECT has settled.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) account: Arc<Account>,
    pub(crate) permissions: Option<Arc<PermissionSet>>,
    /// The user's name or key as monitoring shows it.
    pub(crate) user: Option<Arc<str>>,
    pub(crate) options: ConnectOptions,
    pub(crate) max_payload: usize,
    /// The user's own limits.
    pub(crate) user_limits: UserLimits,
    pub(crate) max_subscriptions: Option<usize>,
    /// The secrets of CONNECT.
    pub(crate) presented: Option<Box<Presented>>,
    /// What the user's claims say of it.
    pub(crate) claims: Option<Arc<ClaimedUser>>,
    /// The public key of the proxy that it came through.
    pub(crate) proxy: Option<Arc<str>>,
}

impl Login {
    /// The name that the client gave itself, as services and events are told.
    pub(crate) fn shown_user(&self) -> Cow<'_, str> {
        let has_token = || {
            let presented = self.presented.as_ref();
            presented.is_some_and(|presented| presented.has_token())
                || self.user.as_deref() == Some(REDACTED)
        };
        match (self.options.presented_user(), &self.claims) {
            (Some(given), _) => given.shown(),
            (None, Some(claims)) => Cow::Borrowed(&claims.key),
            (None, None) if has_token() => Cow::Borrowed(REDACTED),
            (None, None) => Cow::Borrowed(""),
        }
    }
}

/// What monitoring shows of a TLS connection.
#[derive(Clone, Debug)]
pub(crate) struct TlsFacts {
    pub(crate) version: &'static str,
    pub(crate) cipher_suite: String,
    /// The peer's certificates, its own first; empty if none was asked for.
    pub(crate) peer_certificates: Arc<[CertificateDer<'static>]>,
    pub(crate) handshake_first: bool,
}

/// What a connection has done so far; written at the end of each read batch.
#[derive(Debug, Default)]
pub(crate) struct ClientCounters {
    pub(crate) in_messages: AtomicU64,
    pub(crate) in_bytes: AtomicU64,
    pub(crate) stalls: AtomicU64,
    /// Milliseconds since the epoch.
    pub(crate) last_activity_millis: AtomicU64,
    /// Nanoseconds; 0: unknown.
    pub(crate) rtt_nanos: AtomicU64,
}

/// Asks the connection's task to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The connection is to be closed, for the reason set.
    Close = 1,
    /// The socket was full while somebody wrote: wait until it takes more.
    WriteBlocked = 2,
    /// INFO has changed.
    Info = 4,
    /// This connection alone is told that the server is about to leave.
    LameDuck = 8,
    /// Users or accounts have changed: is the connection still what it was?
    Recheck = 16,
    /// Limits and times have changed.
    Options = 32,
}

impl Client {
    /// The connection's number, unique in this server's life.
    pub(crate) fn cid(&self) -> u64 {
        self.cid
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        self.remote
    }

    pub(crate) fn started(&self) -> Timestamp {
        self.started
    }

    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    fn forwarded_for(&self) -> Option<IpAddr> {
        self.forwarded_for
    }

    pub(crate) fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_ref()
    }

    /// Who the connection is now.
    pub(crate) fn login(&self) -> Arc<Login> {
        Arc::clone(&self.login.lock())
    }

    pub(crate) fn takes_headers(&self) -> bool {
        self.headers.load(Ordering::Relaxed)
    }

    pub(crate) fn echoes(&self) -> bool {
        self.echo.load(Ordering::Relaxed)
    }

    /// Closes the connection; the first reason given holds.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.close_reason
            .compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire)
            .ok();
        self.signal(Signal::Close);
    }

    /// Tells the peer why before closing.
    pub(crate) fn close_saying(&self, text: &str, reason: CloseReason) {
        let mut output = Output::default();
        output.with_room(text.len() + 9, |out| encode::err(text, out));
        self.after_send(self.outbound.send(&mut output, Counted::default()));
        self.close(reason);
    }

    /// The names in the peer's verified certificate.
    fn certificate_names(&self) -> Option<CertificateNames> {
        let certificate = self.tls.as_ref()?.peer_certificates.first()?;
        CertificateNames::from_der(certificate).ok()
    }

    pub(crate) fn is_bound(&self) -> bool {
        self.bound.load(Ordering::Acquire)
    }

    pub(crate) fn set_bound(&self) {
        self.bound.store(true, Ordering::Release);
    }

    /// Why it is being closed, once it is.
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        CloseReason::from_code(self.close_reason.load(Ordering::Acquire))
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.close_reason.load(Ordering::Acquire) != 0
    }

    /// Something was sent to this connection alone by a connection's task, its own (`by_itself`) or another one: the answer may be worth
    /// waiting for.
    pub(crate) fn expects_answer(&self, by_itself: bool) {
        if self.attention.sent() && !by_itself {
            self.waker.wake_by_ref();
        }
    }

    /// Wakes the connection's task, if it has not been for this signal already.
    pub(crate) fn signal(&self, signal: Signal) {
        let before = self.signals.fetch_or(signal as u8, Ordering::AcqRel);
        if before & signal as u8 == 0 {
            self.waker.wake_by_ref();
        }
    }

    /// Whether deliveries with a reply subject must be noted with [`Client::note_reply`].
    pub(crate) fn tracks_responses(&self) -> bool {
        self.tracks_responses.load(Ordering::Relaxed)
    }

    /// Notes that a message that may be answered goes to this connection.
    pub(crate) fn note_reply(&self, reply: &[u8]) {
        if let Some(tracker) = self.responses.lock().as_mut() {
            tracker.delivered(reply, std::time::Instant::now());
        }
    }

    /// Whether a response on `subject` is allowed; if so, it is counted.
    pub(crate) fn take_response(&self, subject: &[u8]) -> bool {
        self.tracks_responses()
            && self
                .responses
                .lock()
                .as_mut()
                .is_some_and(|tracker| tracker.take(subject, std::time::Instant::now()))
    }

    /// Takes over what a CONNECT has settled.
    fn become_login(&self, login: &Arc<Login>, headers: bool) {
        let responses = login
            .permissions
            .as_ref()
            .and_then(|permissions| permissions.responses());
        *self.responses.lock() =
            responses.map(|permission| Box::new(ResponseTracker::new(permission)));
        self.tracks_responses
            .store(responses.is_some(), Ordering::Relaxed);
        self.headers.store(headers, Ordering::Relaxed);
        self.echo.store(login.options.echo, Ordering::Relaxed);
        *self.login.lock() = Arc::clone(login);
    }

    /// Until a PING is answered the time that CONNECT took stands for the round trip time (observed nats-server 2.15.1).
    fn guess_rtt(&self) {
        let took = Timestamp::now().duration_since(self.started).as_nanos();
        let nanos = u64::try_from(took).unwrap_or(1).max(1);
        self.counters
            .rtt_nanos
            .compare_exchange(0, nanos, Ordering::Relaxed, Ordering::Relaxed)
            .ok();
    }

    /// Keeps how a client whose login is refused describes itself.
    fn note_refused(&self, options: &ConnectOptions) {
        let before = self.login();
        let has_token_only = options.presented_user().is_none() && !options.auth_token.is_empty();
        *self.login.lock() = Arc::new(Login {
            account: Arc::clone(&before.account),
            // They hold for its subscriptions, for as long as these are there.
            permissions: before.permissions.clone(),
            user: has_token_only.then(|| REDACTED.into()),
            options: options.without_secrets(),
            max_payload: before.max_payload,
            user_limits: before.user_limits,
            max_subscriptions: before.max_subscriptions,
            presented: None,
            claims: None,
            proxy: None,
        });
    }

    /// Takes over a login that differs in limits only, or that nothing else is settled of.
    fn replace_login(&self, login: &Arc<Login>) {
        *self.login.lock() = Arc::clone(login);
    }

    /// The subscription that the client calls `sid`.
    fn subscription(&self, sid: &[u8]) -> Option<Arc<Subscription>> {
        self.subscriptions.lock().get(sid).cloned()
    }

    /// Notes a new subscription; `false` if its sid is in use.
    ///
    /// A subscription that has had its last message no longer uses its sid: the client may see that message, and use
    /// the sid again, before the subscription is taken out.
    fn remember(&self, subscription: &Arc<Subscription>) -> bool {
        let mut subscriptions = self.subscriptions.lock();
        let current = subscriptions.get(subscription.sid());
        if current.is_some_and(|current| !current.is_exhausted()) {
            return false;
        }
        let replaced = subscriptions.insert(subscription);
        drop(subscriptions);
        if let Some(replaced) = replaced {
            self.login().account.remove_subscription(&replaced);
        }
        true
    }

    /// Its subscriptions at this moment.
    pub(crate) fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        self.subscriptions.lock().iter().cloned().collect()
    }

    /// How many subscriptions it has.
    pub(crate) fn subscription_count(&self) -> usize {
        self.subscriptions.lock().len()
    }

    /// Removes a subscription; tells whether it was still there.
    pub(crate) fn unsubscribe(&self, subscription: &Arc<Subscription>) -> bool {
        let removed = self.subscriptions.lock().remove(subscription);
        if removed {
            self.login().account.remove_subscription(subscription);
        }
        removed
    }

    /// Removes all subscriptions.
    pub(crate) fn unsubscribe_all(&self) {
        let all = std::mem::take(&mut *self.subscriptions.lock());
        let account = Arc::clone(&self.login().account);
        for subscription in all.iter() {
            account.remove_subscription(subscription);
        }
    }

    /// Handles what became of bytes given to the outbound queue.
    pub(crate) fn after_send(&self, sent: Sent) {
        match sent {
            Sent::Done | Sent::Behind | Sent::Stalled | Sent::Closed => {}
            Sent::HandedOver => self.signal(Signal::WriteBlocked),
            Sent::TooMuch => {
                self.server.count_slow_consumer(self);
                tracing::info!(
                    "{} - Slow Consumer Detected: MaxPending of {} Exceeded",
                    self.log_name(),
                    self.server.options().max_pending
                );
                self.close(CloseReason::SlowConsumerPendingBytes);
            }
            Sent::Failed => self.close(CloseReason::WriteError),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("cid", &self.cid)
            .finish_non_exhaustive()
    }
}
