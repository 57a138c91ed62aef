//! The one timer of a connection.
//!
//! It is never touched by traffic: a tick looks whether there was any since the last one. So a busy
//! connection costs the timer wheel as little as an idle one.

use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

/// What a connection's timer is for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nobody has authenticated in time.
    AuthTimeout,
    /// Look whether the peer is alive.
    Ping,
    /// The socket has not taken what was queued at the last look.
    WriteDeadline,
    /// The user's claims end.
    Expiry,
}

/// The moments that a connection waits for.
#[derive(Debug)]
pub(super) struct Timers {
    auth: Option<Instant>,
    ping: Instant,
    write: Option<Instant>,
    expiry: Option<Instant>,
    ping_interval: Duration,
}

impl Timers {
    /// `auth_timeout` runs only where a login is required.
    pub(super) fn new(
        now: Instant,
        auth_timeout: Option<Duration>,
        ping_interval: Duration,
    ) -> Self {
        Self {
            auth: auth_timeout.map(|timeout| now + timeout),
            ping: now + ping_interval,
            write: None,
            expiry: None,
            ping_interval,
        }
    }

    /// CONNECT was processed: no more authentication timeout, and the first PING, which measures the round trip,
    /// comes early, spread over some time (nats-server 2.15: 2 s and up to a fifth more).
    pub(super) fn connected(&mut self, now: Instant) {
        self.auth = None;
        let first = self.ping_interval.min(Duration::from_secs(2));
        self.ping = now + first.mul_f64(rand::rng().random_range(1.0..1.2));
    }

    /// The tick of [`Due::Ping`] was handled.
    pub(super) fn ping_again(&mut self, now: Instant) {
        self.ping = now + self.ping_interval;
    }

    /// Starts or stops the write deadline.
    pub(super) fn set_write_deadline(&mut self, deadline: Option<Instant>) {
        self.write = deadline;
    }

    /// The time between PINGs from the next one on.
    pub(super) fn set_ping_interval(&mut self, interval: Duration) {
        self.ping_interval = interval;
    }

    /// When the login ends by itself.
    pub(super) fn set_expiry(&mut self, at: Option<Instant>) {
        self.expiry = at;
    }

    /// The next moment and what for.
    pub(super) fn next(&self) -> (Instant, Due) {
        let mut next = (self.ping, Due::Ping);
        for (at, due) in [
            (self.auth, Due::AuthTimeout),
            (self.write, Due::WriteDeadline),
            (self.expiry, Due::Expiry),
        ] {
            if let Some(at) = at.filter(|at| *at < next.0) {
                next = (at, due);
            }
        }
        next
    }
}
