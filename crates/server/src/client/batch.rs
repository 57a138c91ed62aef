//! One read: every complete operation in it is acted on, then what that produced leaves.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Buf;
use jetsled_protocol::{ClientOp, GoQuoted, Parse, ParseError, parse_client_op};

use super::session::{Session, State};
use super::{CloseReason, ConnectOptions, SHARE_FROM_BYTES, attentive, trace};
use crate::events;

/// What comes after a read batch.
enum Step {
    Read,
    LogIn(Box<ConnectOptions>),
    /// The first operation was not CONNECT, and `no_auth_user` stands in.
    LogInWithout,
    Close(CloseReason),
}

impl Session {
    /// Acts on what is in the buffer, and lets go of what that produced.
    pub(super) async fn process(&mut self) -> ControlFlow<CloseReason> {
        if self.buffer.len() >= self.needed {
            self.act().await?;
            self.end_batch();
        }
        ControlFlow::Continue(())
    }

    /// Acts on every complete operation in the buffer, logins included. [`end_batch`](Session::end_batch) must follow soon, unless
    /// the connection ends.
    pub(super) async fn act(&mut self) -> ControlFlow<CloseReason> {
        loop {
            let step = self.parse_batch();
            if !matches!(step, Step::Read) {
                self.end_batch();
            }
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

    /// Acts on every complete operation in the buffer up to the first one that takes time.
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
            let repeated = match self.acks_again(input) {
                0 => self.publish_again(input),
                acks => acks,
            };
            if repeated > 0 {
                at += repeated;
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
                ClientOp::Pub(_) | ClientOp::HPub(_) => {
                    self.last_pub.remember(&op, whole);
                    self.publish_op(op, whole, None);
                    if let ClientOp::Pub(publish) = op {
                        self.expect_acks(&publish, whole);
                    }
                }
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
        self.flush.get().flush_last(&client);
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
            attentive::acted();
            let heard = !self.flush.get().holds_nothing();
            self.unheard.read(bytes, heard);
        }
        if self.active {
            let now = jiff::Timestamp::now().as_millisecond();
            self.client
                .counters
                .last_activity_millis
                .store(now.unsigned_abs(), Relaxed);
        }
    }

    fn refuse_without_login(&mut self) -> Step {
        if self.server.has_no_auth_user(self.client.transport()) {
            return Step::LogInWithout;
        }
        let reason = CloseReason::AuthenticationFailure;
        events::refused(&self.server, &self.client, reason);
        tracing::error!("{} - authentication error", self.client.log_name());
        self.reply_err("Authorization Violation");
        Step::Close(reason)
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
}
