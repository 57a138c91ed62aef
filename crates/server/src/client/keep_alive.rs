//! PING, PONG, and what is due when time passes.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;

use jetsled_protocol::encode;
use tokio::time::Instant;

use super::session::{Session, State};
use super::timers::Due;
use super::{CloseReason, trace};

/// What is known of whether the peer is alive.
#[derive(Debug, Default)]
pub(super) struct KeepAlive {
    /// PINGs that were not answered.
    pings_out: u32,
    ping_sent: Option<Instant>,
    /// A PING was answered; before that there is but a guess.
    knows_rtt: bool,
}

impl Session {
    pub(super) fn on_ping(&mut self) {
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

    pub(super) fn on_pong(&mut self) {
        self.keep_alive.pings_out = 0;
        self.keep_alive.knows_rtt = true;
        if let Some(sent) = self.keep_alive.ping_sent.take() {
            let nanos = u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.client.counters.rtt_nanos.store(nanos.max(1), Relaxed);
        }
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
        if was_active && self.keep_alive.knows_rtt {
            return ControlFlow::Continue(());
        }
        if self.keep_alive.pings_out >= self.server.options().ping_max {
            self.server.counters.stale_connections.fetch_add(1, Relaxed);
            tracing::debug!(
                "{} - Stale Client Connection - Closing",
                self.client.log_name()
            );
            self.reply_err("Stale Connection");
            self.end_batch();
            return ControlFlow::Break(CloseReason::StaleConnection);
        }
        self.keep_alive.pings_out += 1;
        self.keep_alive.ping_sent = Some(now);
        self.reply(encode::PING);
        if trace::is_on() {
            self.client.trace_out("PING");
        }
        self.end_batch();
        ControlFlow::Continue(())
    }
}
