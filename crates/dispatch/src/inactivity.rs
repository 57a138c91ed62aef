//! When a consumer that nobody uses goes away.

use jetsled_jetstream_api::{ConsumerConfig, Nanos, Timestamp};
use rand::RngExt;

use crate::random::Random;

/// Watches for `inactive_threshold` without activity.
#[derive(Debug)]
pub(crate) struct Inactivity {
    /// As configured; zero is for ever.
    threshold: Nanos,
    /// Added to it: nobody should learn to rely on the exact moment.
    jitter: Nanos,
    last_active: Timestamp,
    /// When to look, and perhaps to go.
    due_at: Option<Timestamp>,
}

impl Inactivity {
    /// Pull consumers run at once, push consumers from the loss of their interest on.
    pub(crate) fn new(config: &ConsumerConfig, now: Timestamp, random: &mut Random) -> Self {
        let threshold = config.inactive_threshold;
        // Observed nats-server 2.15.1, for pull consumers only.
        let jitter = if threshold > Nanos::ZERO && config.is_pull() {
            Nanos::from_millis(random.rng().random_range(100..1000))
        } else {
            Nanos::ZERO
        };
        let mut inactivity = Self {
            threshold,
            jitter,
            last_active: now,
            due_at: None,
        };
        if config.is_pull() {
            inactivity.start(now);
        }
        inactivity
    }

    /// Takes another threshold.
    pub(crate) fn configure(
        &mut self,
        config: &ConsumerConfig,
        now: Timestamp,
        random: &mut Random,
    ) {
        if config.inactive_threshold != self.threshold {
            *self = Self::new(config, now, random);
        }
    }

    pub(crate) fn due_at(&self) -> Option<Timestamp> {
        self.due_at
    }

    /// The consumer was used. The watch moves with it when it is due.
    #[inline]
    pub(crate) fn touch(&mut self, now: Timestamp) {
        self.last_active = now;
    }

    /// An ack came in. It brings the watch forward, too, which may be meant to look much later, for a message that is acked now.
    #[inline]
    pub(crate) fn acked(&mut self, now: Timestamp) {
        self.touch(now);
        if let (Some(due_at), Some(over_at)) = (self.due_at, self.over_at()) {
            self.due_at = Some(due_at.min(over_at));
        }
    }

    /// A request that waited until `expires` is over: its client was there all the time.
    pub(crate) fn waited_until(&mut self, expires: Timestamp) {
        self.last_active = self.last_active.max(expires);
    }

    pub(crate) fn start(&mut self, now: Timestamp) {
        self.due_at = self.over_after(now);
    }

    pub(crate) fn stop(&mut self) {
        self.due_at = None;
    }

    pub(crate) fn is_running(&self) -> bool {
        self.due_at.is_some()
    }

    /// When the watch that is due would be over, counting from the last use.
    pub(crate) fn over_at(&self) -> Option<Timestamp> {
        self.over_after(self.last_active)
    }

    /// When it would be over counting from `from`.
    pub(crate) fn over_after(&self, from: Timestamp) -> Option<Timestamp> {
        let threshold = Nanos(self.threshold.get().saturating_add(self.jitter.get()));
        (self.threshold > Nanos::ZERO).then(|| from.saturating_add(threshold))
    }

    pub(crate) fn look_again_at(&mut self, at: Timestamp) {
        self.due_at = Some(at);
    }
}
