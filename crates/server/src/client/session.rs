//! A connection without its socket: what it is and knows, and what it is told by others.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::BytesMut;
use jetsled_protocol::{LastPub, Limits};
use tokio::time::Instant;

use super::attentive::Habit;
use super::keep_alive::KeepAlive;
use super::route_cache::RouteCache;
use super::timers::Timers;
use super::unheard::Unheard;
use super::{Client, CloseReason, Login, Signal, read_buffer};
use crate::monitor::EndedSubscriptions;
use crate::routing::LentFlushSet;
use crate::routing::admission::Principal;
use crate::server::ServerState;
use crate::websocket::Cookies;

pub(super) struct Session {
    pub(super) client: Arc<Client>,
    pub(super) server: Arc<ServerState>,
    pub(super) buffer: BytesMut,
    /// The last read filled the buffer: there is probably more.
    pub(super) buffer_was_full: bool,
    /// Bytes without which parsing `buffer` again is useless.
    pub(super) needed: usize,
    pub(super) last_pub: LastPub,
    pub(super) routes: RouteCache,
    /// The last published subject that was rewritten.
    pub(super) mapped: Vec<u8>,
    pub(super) flush: LentFlushSet,
    /// Where the connection's own slot in `flush` was the last time.
    pub(super) own_slot: usize,
    pub(super) login: Arc<Login>,
    pub(super) limits: Limits,
    pub(super) nonce: Option<String>,
    /// What stands in for what CONNECT does not say.
    pub(super) cookies: Option<Box<Cookies>>,
    pub(super) state: State,
    pub(super) timers: Timers,
    pub(super) habit: Habit,
    pub(super) unheard: Unheard,
    /// There was inbound activity since the last ping tick.
    pub(super) active: bool,
    pub(super) keep_alive: KeepAlive,
    /// While the socket is full: the position in the output that the write deadline is for.
    pub(super) blocked_until: Option<u64>,
    pub(super) in_messages: u64,
    pub(super) in_bytes: u64,
    /// For monitoring of closed connections.
    pub(super) ended_subscriptions: EndedSubscriptions,
    pub(super) has_left: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing but CONNECT is accepted.
    MustLogIn,
    /// No CONNECT yet, and none is needed.
    Anonymous,
    /// CONNECT was accepted; the first PING after it is answered with an INFO too.
    Connected,
    /// That INFO was sent.
    Greeted,
}

/// What the accepting task hands over.
pub(super) struct Parts {
    pub(super) client: Arc<Client>,
    pub(super) nonce: Option<String>,
    pub(super) cookies: Option<Box<Cookies>>,
    pub(super) must_log_in: bool,
}

impl Session {
    pub(super) fn new(parts: Parts) -> Self {
        let server = Arc::clone(&parts.client.server);
        let options = server.options();
        let login = parts.client.login();
        let transport = parts.client.transport();
        let auth_timeout = parts.must_log_in.then(|| server.auth_timeout_of(transport));
        let mut session = Self {
            limits: Limits {
                max_control_line: options.max_control_line,
                max_payload: login.max_payload,
                headers: false,
            },
            timers: Timers::new(
                Instant::now(),
                auth_timeout,
                server.ping_interval_of(transport),
            ),
            state: if parts.must_log_in {
                State::MustLogIn
            } else {
                State::Anonymous
            },
            flush: LentFlushSet::new(&parts.client, options.no_fast_producer_stall),
            client: parts.client,
            nonce: parts.nonce,
            cookies: parts.cookies,
            login,
            server,
            buffer: BytesMut::new(),
            buffer_was_full: false,
            needed: 1,
            last_pub: LastPub::default(),
            routes: RouteCache::default(),
            mapped: Vec::new(),
            own_slot: 0,
            habit: Habit::default(),
            unheard: Unheard::default(),
            active: false,
            keep_alive: KeepAlive::default(),
            blocked_until: None,
            in_messages: 0,
            in_bytes: 0,
            ended_subscriptions: EndedSubscriptions::default(),
            has_left: false,
        };
        session.routes.begin_anew(&session.login.account);
        session
    }

    /// Called before the connection waits: gives back what only a busy one needs.
    pub(super) fn park(&mut self) {
        read_buffer::park(&mut self.buffer);
        self.flush.park();
    }

    pub(super) fn principal<'a>(server: &ServerState, login: &'a Login) -> Principal<'a> {
        Principal {
            permissions: login.permissions.as_deref(),
            is_system: server.is_system(&login.account),
        }
    }

    pub(super) async fn on_signals(&mut self, signals: u8) -> ControlFlow<CloseReason> {
        if signals & Signal::Close as u8 != 0 {
            let reason = self
                .client
                .close_reason()
                .unwrap_or(CloseReason::ServerShutdown);
            return ControlFlow::Break(reason);
        }
        if signals & Signal::WriteBlocked as u8 != 0 && self.blocked_until.is_none() {
            self.watch_writes();
        }
        if signals & (Signal::Recheck as u8 | Signal::Options as u8) != 0 {
            self.take_options();
        }
        if signals & Signal::Recheck as u8 != 0 {
            // Boxed: rare, and much larger than what a connection needs otherwise.
            Box::pin(self.recheck()).await?;
        }
        let must_leave = signals & Signal::LameDuck as u8 != 0;
        if (signals & Signal::Info as u8 != 0 || must_leave)
            && self.state == State::Greeted
            && self.login.options.protocol >= 1
        {
            self.send_info(false, must_leave);
            self.end_batch();
        }
        ControlFlow::Continue(())
    }

    /// Takes over limits and times that may have changed.
    fn take_options(&mut self) {
        let options = self.server.options();
        self.limits.max_control_line = options.max_control_line;
        let transport = self.client.transport();
        self.timers
            .set_ping_interval(self.server.ping_interval_of(transport));
        self.flush
            .set_drop_instead_of_stall(options.no_fast_producer_stall);
        let max_payload = self.server.max_payload_of(&self.login);
        if max_payload != self.login.max_payload {
            let login = Login {
                max_payload,
                ..(*self.login).clone()
            };
            self.login = Arc::new(login);
            self.limits.max_payload = max_payload;
            self.client.replace_login(&self.login);
        }
    }
}
