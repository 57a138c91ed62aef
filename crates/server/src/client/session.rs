//! A connection without its socket: parse, act, flush; and the timers.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::{Buf, BytesMut};
use jetsled_protocol::{
    ClientOp, GoQuoted, LastPub, Limits, Parse, ParseError, encode, parse_client_op,
};
use tokio::time::Instant;

use super::outbound::Resumed;
use super::route_cache::RouteCache;
use super::timers::{Due, Timers};
use super::{Client, CloseReason, ConnectOptions, Login, SHARE_FROM_BYTES, Signal, trace};
use crate::info::InfoFor;
use crate::monitor::EndedSubscriptions;
use crate::routing::FlushSet;
use crate::routing::admission::Principal;
use crate::server::ServerState;
use crate::websocket::Cookies;

pub(super) struct Session {
    pub(super) client: Arc<Client>,
    pub(super) server: Arc<ServerState>,
    pub(super) buffer: BytesMut,
    /// Bytes without which parsing `buffer` again is useless.
    pub(super) needed: usize,
    last_pub: LastPub,
    pub(super) routes: RouteCache,
    /// The last published subject that was rewritten.
    pub(super) mapped: Vec<u8>,
    pub(super) flush: FlushSet,
    /// Where the connection's own slot in `flush` was the last time.
    own_slot: usize,
    pub(super) login: Arc<Login>,
    pub(super) limits: Limits,
    pub(super) nonce: Option<String>,
    /// What stands in for what CONNECT does not say.
    cookies: Option<Box<Cookies>>,
    pub(super) state: State,
    pub(super) timers: Timers,
    /// There was inbound activity since the last ping tick.
    pub(super) active: bool,
    pings_out: u32,
    ping_sent: Option<Instant>,
    /// A PING was answered; before that there is but a guess.
    knows_rtt: bool,
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

/// What comes after a read batch.
enum Step {
    Read,
    LogIn(Box<ConnectOptions>),
    /// The first operation was not CONNECT, and `no_auth_user` stands in.
    LogInWithout,
    Close(CloseReason),
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
            flush: FlushSet::for_producer(&parts.client, options.no_fast_producer_stall),
            client: parts.client,
            nonce: parts.nonce,
            cookies: parts.cookies,
            login,
            server,
            buffer: BytesMut::new(),
            needed: 1,
            last_pub: LastPub::default(),
            routes: RouteCache::default(),
            mapped: Vec::new(),
            own_slot: 0,
            active: false,
            pings_out: 0,
            ping_sent: None,
            knows_rtt: false,
            blocked_until: None,
            in_messages: 0,
            in_bytes: 0,
            ended_subscriptions: EndedSubscriptions::default(),
            has_left: false,
        };
        session.routes.begin_anew(&session.login.account);
        session
    }

    /// Acts on what is in the buffer.
    pub(super) async fn process(&mut self) -> ControlFlow<CloseReason> {
        if self.buffer.len() < self.needed {
            return ControlFlow::Continue(());
        }
        loop {
            let step = self.parse_batch();
            self.end_batch();
            match step {
                Step::Read => return ControlFlow::Continue(()),
                Step::Close(reason) => return ControlFlow::Break(reason),
                Step::LogIn(options) => Box::pin(self.log_in(*options, State::Connected)).await?,
                Step::LogInWithout => {
                    Box::pin(self.log_in(ConnectOptions::default(), State::Anonymous)).await?
                }
            }
        }
    }

    /// Acts on every complete operation in the buffer.
    fn parse_batch(&mut self) -> Step {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.routes.begin(&self.login.account);
        let trace = trace::is_on();
        let mut at = 0;
        let step = loop {
            let input = buffer.get(at..).unwrap_or_default();
            if input.is_empty() {
                self.needed = 1;
                break Step::Read;
            }
            if self.state == State::MustLogIn
                && !input
                    .first()
                    .is_some_and(|verb| verb.eq_ignore_ascii_case(&b'c'))
            {
                break self.refuse_without_login();
            }
            if let Some((publish, consumed)) = self.last_pub.again(input, &self.limits) {
                at += consumed;
                let op = ClientOp::Pub(publish);
                if trace {
                    self.client.trace_in(&op);
                }
                self.publish_op(op, input.get(..consumed).unwrap_or_default(), None);
                continue;
            }
            let (op, consumed) = match parse_client_op(input, &self.limits) {
                Parse::Op { op, consumed } => (op, consumed),
                Parse::Incomplete { needed } => {
                    self.needed = needed;
                    break Step::Read;
                }
                Parse::Error(error) => break Step::Close(self.protocol_error(error)),
            };
            let large = match op {
                ClientOp::Pub(publish) => publish.payload.len() >= SHARE_FROM_BYTES,
                ClientOp::HPub(publish) => publish.payload.len() >= SHARE_FROM_BYTES,
                _ => false,
            };
            if large {
                // Split off, the operation becomes a shared slice that destinations need not copy.
                buffer.advance(at);
                let whole = buffer.split_to(consumed).freeze();
                at = 0;
                if let Parse::Op { op, .. } = parse_client_op(&whole, &self.limits) {
                    if trace {
                        self.client.trace_in(&op);
                    }
                    self.publish_op(op, &whole, Some(&whole));
                }
                continue;
            }
            at += consumed;
            if trace {
                self.client.trace_in(&op);
            }
            let whole = input.get(..consumed).unwrap_or_default();
            match op {
                ClientOp::Pub(publish) => {
                    self.last_pub.remember(&publish, whole);
                    self.publish_op(op, whole, None);
                }
                ClientOp::HPub(_) => self.publish_op(op, whole, None),
                ClientOp::Sub(sub) => self.subscribe(sub),
                ClientOp::Unsub(unsub) => self.unsubscribe(unsub),
                ClientOp::Ping => self.on_ping(),
                ClientOp::Pong => self.on_pong(),
                ClientOp::Ok => {}
                ClientOp::Connect(json) => {
                    let mut options = self.login.options.clone();
                    match options.update(json) {
                        Ok(()) => {
                            if let Some(cookies) = &self.cookies {
                                cookies.complete(&mut options);
                            }
                            break Step::LogIn(Box::new(options));
                        }
                        Err(error) => {
                            tracing::error!("{} - {error}", self.client.log_name());
                            break Step::Close(CloseReason::ProtocolViolation);
                        }
                    }
                }
                ClientOp::Err(text) => {
                    tracing::error!(
                        "{} - Client Error {}",
                        self.client.log_name(),
                        String::from_utf8_lossy(text)
                    );
                    break Step::Close(CloseReason::ParseError);
                }
                ClientOp::Info(json) => {
                    if let Err(error) = serde_json::from_slice::<serde_json::Map<_, _>>(json) {
                        tracing::error!("{} - malformed INFO: {error}", self.client.log_name());
                        break Step::Close(CloseReason::ProtocolViolation);
                    }
                }
            }
        };
        buffer.advance(at);
        self.buffer = buffer;
        step
    }

    /// Adds up what the batch did, and lets go of what it produced.
    pub(super) fn end_batch(&mut self) {
        self.settle_counts();
        let client = Arc::clone(&self.client);
        self.flush.flush_last(&client);
    }

    /// Adds up what was done so far.
    pub(super) fn settle_counts(&mut self) {
        self.routes.end_batch();
        let messages = std::mem::take(&mut self.in_messages);
        let bytes = std::mem::take(&mut self.in_bytes);
        if messages > 0 {
            self.client
                .counters
                .in_messages
                .fetch_add(messages, Relaxed);
            self.client.counters.in_bytes.fetch_add(bytes, Relaxed);
            self.login.account.counters.add_batch(messages, bytes);
            self.server.counters.add_batch(messages, bytes);
        }
        if self.active {
            let now = jiff::Timestamp::now().as_millisecond();
            self.client
                .counters
                .last_activity_millis
                .store(now.unsigned_abs(), Relaxed);
        }
    }

    /// Queues bytes for this connection, behind what it is to get already.
    pub(super) fn reply(&mut self, bytes: &[u8]) {
        self.flush
            .slot(&self.client, &mut self.own_slot)
            .output
            .copy(bytes);
    }

    pub(super) fn reply_ok(&mut self) {
        if self.login.options.verbose {
            self.reply(encode::OK);
            if trace::is_on() {
                self.client.trace_out("OK");
            }
        }
    }

    pub(super) fn reply_err(&mut self, text: &str) {
        if trace::is_on() {
            self.client.trace_out(format_args!("-ERR {text}"));
        }
        let output = &mut self.flush.slot(&self.client, &mut self.own_slot).output;
        output.with_room(text.len() + 9, |out| encode::err(text, out));
    }

    pub(super) fn principal<'a>(server: &ServerState, login: &'a Login) -> Principal<'a> {
        Principal {
            permissions: login.permissions.as_deref(),
            is_system: server.is_system(&login.account),
        }
    }

    fn protocol_error(&mut self, error: ParseError<'_>) -> CloseReason {
        match error {
            // Behind the verb there may be a secret.
            ParseError::UnknownOperation { snippet } => {
                let verb = snippet.split(|byte| !byte.is_ascii_alphanumeric()).next();
                tracing::error!(
                    "{} - parser ERROR: unknown protocol operation: {}",
                    self.client.log_name(),
                    GoQuoted(verb.unwrap_or_default())
                );
            }
            _ => tracing::error!("{} - {error}", self.client.log_name()),
        }
        if let Some(text) = error.err_text() {
            self.reply_err(text);
        }
        match error {
            ParseError::MaxControlLine { .. } => CloseReason::MaxControlLineExceeded,
            ParseError::MaxPayload { .. } => CloseReason::MaxPayloadExceeded,
            _ => CloseReason::ProtocolViolation,
        }
    }

    fn refuse_without_login(&mut self) -> Step {
        if self.server.has_no_auth_user(self.client.transport()) {
            return Step::LogInWithout;
        }
        tracing::error!("{} - authentication error", self.client.log_name());
        self.reply_err("Authorization Violation");
        Step::Close(CloseReason::AuthenticationFailure)
    }

    fn on_ping(&mut self) {
        self.active = true;
        self.reply(encode::PONG);
        if trace::is_on() {
            self.client.trace_out("PONG");
        }
        if self.state == State::Connected {
            self.state = State::Greeted;
            if self.login.options.protocol >= 1 {
                self.send_info(true, false);
            }
        }
    }

    fn on_pong(&mut self) {
        self.pings_out = 0;
        self.knows_rtt = true;
        if let Some(sent) = self.ping_sent.take() {
            let nanos = u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.client.counters.rtt_nanos.store(nanos.max(1), Relaxed);
        }
    }

    fn send_info(&mut self, connect_info: bool, must_leave: bool) {
        let json = self.server.info(&InfoFor {
            cid: self.client.cid(),
            remote: self.client.remote().ip(),
            transport: self.client.transport(),
            is_first: false,
            nonce: None,
            login: connect_info.then_some(&*self.login),
            must_leave,
        });
        let output = &mut self.flush.slot(&self.client, &mut self.own_slot).output;
        output.with_room(json.len() + 8, |out| encode::info(&json, out));
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

    pub(super) fn on_writable(&mut self) -> ControlFlow<CloseReason> {
        match self.client.outbound.resume() {
            Resumed::Drained => {
                self.blocked_until = None;
                self.timers.set_write_deadline(None);
            }
            Resumed::Blocked => {
                let (_, written) = self.client.outbound.progress();
                if self.blocked_until.is_some_and(|until| written >= until) {
                    self.watch_writes();
                }
            }
            Resumed::Failed => return ControlFlow::Break(CloseReason::WriteError),
        }
        ControlFlow::Continue(())
    }

    /// Gives the socket until the write deadline to take all that waits now.
    fn watch_writes(&mut self) {
        let (accepted, _) = self.client.outbound.progress();
        self.blocked_until = Some(accepted);
        let deadline = Instant::now() + self.server.options().write_deadline;
        self.timers.set_write_deadline(Some(deadline));
    }

    pub(super) fn on_due(&mut self, due: Due) -> ControlFlow<CloseReason> {
        match due {
            Due::AuthTimeout => {
                self.reply_err("Authentication Timeout");
                self.end_batch();
                ControlFlow::Break(CloseReason::AuthenticationTimeout)
            }
            Due::WriteDeadline => {
                self.server.count_slow_consumer(&self.client);
                tracing::info!(
                    "{} - Slow Consumer Detected: WriteDeadline of {:?} exceeded with {} total bytes.",
                    self.client.log_name(),
                    self.server.options().write_deadline,
                    self.client.outbound.pending()
                );
                ControlFlow::Break(CloseReason::SlowConsumerWriteDeadline)
            }
            Due::Expiry => {
                self.reply_err("User Authentication Expired");
                self.end_batch();
                ControlFlow::Break(CloseReason::AuthenticationExpired)
            }
            Due::Ping => self.on_ping_tick(),
        }
    }

    fn on_ping_tick(&mut self) -> ControlFlow<CloseReason> {
        let now = Instant::now();
        self.timers.ping_again(now);
        let was_active = std::mem::take(&mut self.active);
        if !was_active {
            // An idle connection keeps no routes.
            self.routes.release();
        }
        if was_active && self.knows_rtt {
            return ControlFlow::Continue(());
        }
        if self.pings_out >= self.server.options().ping_max {
            self.server.counters.stale_connections.fetch_add(1, Relaxed);
            tracing::debug!(
                "{} - Stale Client Connection - Closing",
                self.client.log_name()
            );
            self.reply_err("Stale Connection");
            self.end_batch();
            return ControlFlow::Break(CloseReason::StaleConnection);
        }
        self.pings_out += 1;
        self.ping_sent = Some(now);
        self.reply(encode::PING);
        if trace::is_on() {
            self.client.trace_out("PING");
        }
        self.end_batch();
        ControlFlow::Continue(())
    }
}
