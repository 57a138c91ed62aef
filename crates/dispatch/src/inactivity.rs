//! When a consumer that nobody uses goes away.

use jetsled_jetstream_api::{ConsumerConfig, Nanos, Timestamp};
use rand::RngExt;
use rand::rngs::SmallRng;

/// Watches for `inactive_threshold` without activity.
#[derive(Debug)]
pub(crate) struct Inactivity {
    threshold: Option<Nanos>,
    last_active: Timestamp,
    /// When to look, and perhaps to go.
    due_at: Option<Timestamp>,
}

impl Inactivity {
    /// Pull consumers run at once, push consumers from the loss of their interest on.
    pub(crate) fn new(config: &ConsumerConfig, now: Timestamp, rng: &mut SmallRng) -> Self {
        let threshold = (config.inactive_threshold > Nanos::ZERO).then(|| {
            // Nobody should learn to rely on the exact moment; observed nats-server 2.15.1, for pull consumers only.
            let jitter = if config.is_pull() {
                Nanos::from_millis(rng.random_range(100..1000))
            } else {
                Nanos::ZERO
            };
            Nanos(config.inactive_threshold.get().saturating_add(jitter.get()))
        });
        let mut inactivity = Self {
            threshold,
            last_active: now,
            due_at: None,
        };
        if config.is_pull() {
            inactivity.start(now);
        }
        inactivity
    }

    pub(crate) fn due_at(&self) -> Option<Timestamp> {
        self.due_at
    }

    /// The consumer was used. The watch moves with it when it is due.
    #[inline]
    pub(crate) fn touch(&mut self, now: Timestamp) {
        self.last_active = now;
    }

    pub(crate) fn start(&mut self, now: Timestamp) {
        self.due_at = self
            .threshold
            .map(|threshold| now.saturating_add(threshold));
    }

    pub(crate) fn stop(&mut self) {
        self.due_at = None;
    }

    pub(crate) fn is_running(&self) -> bool {
        self.due_at.is_some()
    }

    /// When the watch that is due would be over, counting from the last use.
    pub(crate) fn over_at(&self) -> Option<Timestamp> {
        self.threshold
            .map(|threshold| self.last_active.saturating_add(threshold))
    }

    /// When it would be over counting from `from`.
    pub(crate) fn over_after(&self, from: Timestamp) -> Option<Timestamp> {
        self.threshold
            .map(|threshold| from.saturating_add(threshold))
    }

    pub(crate) fn look_again_at(&mut self, at: Timestamp) {
        self.due_at = Some(at);
    }
}
