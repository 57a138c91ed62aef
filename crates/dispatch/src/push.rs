//! What only push consumers have: a deliver subject with interest or without, heartbeats, flow control, a rate limit.

use bytes::Bytes;
use jetsled_jetstream_api::{ConsumerConfig, Nanos, Timestamp};

use crate::flow_control::FlowControl;
use crate::pace::RateLimit;
use crate::view::Interest;

/// The push side of a consumer.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) subject: Bytes,
    /// The queue group whose members count as listeners.
    group: Option<Bytes>,
    /// Members of the one that was configured when the deliver subject was taken count as well: an update of the group alone
    /// does not stop deliveries to them (observed nats-server 2.15.1, which then waits for a restart to count the others).
    first_group: Option<Bytes>,
    /// Whether somebody listens on the deliver subject, as of that generation of interest.
    pub(crate) active: bool,
    generation: Option<u64>,
    heartbeat: Nanos,
    pub(crate) heartbeat_at: Option<Timestamp>,
    pub(crate) flow_control: Option<FlowControl>,
    pub(crate) rate_limit: Option<RateLimit>,
}

/// How interest in the deliver subject changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InterestChange {
    Came,
    Left,
    None,
}

impl Push {
    pub(crate) fn new(config: &ConsumerConfig, burst: u64, now: Timestamp) -> Self {
        let mut push = Self {
            subject: Bytes::new(),
            group: None,
            first_group: None,
            active: false,
            generation: None,
            heartbeat: Nanos::ZERO,
            heartbeat_at: None,
            flow_control: config.flow_control.then(FlowControl::new),
            rate_limit: None,
        };
        push.configure(config, burst, now);
        push.first_group.clone_from(&push.group);
        push.restart_heartbeat(now);
        push
    }

    /// Takes what an update may change.
    pub(crate) fn configure(&mut self, config: &ConsumerConfig, burst: u64, now: Timestamp) {
        if *self.subject != *config.deliver_subject.as_bytes() {
            self.subject = Bytes::copy_from_slice(config.deliver_subject.as_bytes());
            self.first_group = self.group.take();
        }
        self.group = (!config.deliver_group.is_empty())
            .then(|| Bytes::copy_from_slice(config.deliver_group.as_bytes()));
        self.generation = None;
        self.heartbeat = config.heartbeat;
        self.rate_limit = RateLimit::new(config.rate_limit, burst, now);
    }

    /// Looks whether somebody listens, if that may have changed. A subscription with wildcards does not count: whoever
    /// listens to everything should not drain consumers (observed nats-server 2.15.1).
    #[inline]
    pub(crate) fn refresh_interest(&mut self, interest: &dyn Interest) -> InterestChange {
        let generation = interest.generation();
        if self.generation == Some(generation) {
            return InterestChange::None;
        }
        self.generation = Some(generation);
        let was_active = self.active;
        let listens =
            |group: &Option<Bytes>| interest.has_subscriber(&self.subject, group.as_deref());
        self.active =
            listens(&self.group) || self.first_group != self.group && listens(&self.first_group);
        match (was_active, self.active) {
            (false, true) => InterestChange::Came,
            (true, false) => InterestChange::Left,
            _ => InterestChange::None,
        }
    }

    /// A delivery reached nobody: look again before the next.
    pub(crate) fn doubt_interest(&mut self) {
        self.generation = None;
    }

    #[inline]
    pub(crate) fn restart_heartbeat(&mut self, now: Timestamp) {
        if self.heartbeat > Nanos::ZERO {
            self.heartbeat_at = Some(now.saturating_add(self.heartbeat));
        }
    }
}
