//! A configuration, prepared for quick decisions.

use jetsled_jetstream_api::{
    AckPolicy, ConsumerConfig, DeliverPolicy, Nanos, PriorityPolicy, StreamSeq, Timestamp,
};
use jetsled_protocol::SubjectFilter;

/// What a consumer knows of its configuration: what its decisions need, in little room. The rest is only shown.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) ack_policy: AckPolicy,
    pub(crate) priority: PriorityPolicy,
    /// Percent of acks that are sampled.
    pub(crate) sample_percent: u8,
    pub(crate) headers_only: bool,
    /// It serves a mirror or source durably.
    pub(crate) sourcing: bool,
    /// Deliveries of a message; `u32::MAX` is unlimited.
    pub(crate) max_deliver: u32,
    pub(crate) filter: SubjectFilter,
    /// Messages that may be pending; `usize::MAX` is unlimited.
    pub(crate) max_ack_pending: usize,
    pub(crate) resets: Resets,
    ack_wait: Nanos,
    rare: Option<Box<Rare>>,
}

/// Where a reset may go back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resets {
    Anywhere,
    NotBelow(StreamSeq),
    NotBefore(Timestamp),
    /// Only to the ack floor.
    Nowhere,
}

/// What few consumers have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rare {
    backoff: Vec<Nanos>,
    /// The largest `batch` of a request; as the others, without effect unless positive.
    pub(crate) max_request_batch: i64,
    pub(crate) max_request_expires: Nanos,
    pub(crate) max_request_max_bytes: i64,
    pub(crate) priority_groups: Vec<String>,
    pub(crate) pinned_ttl: Nanos,
}

static NOTHING_RARE: Rare = Rare {
    backoff: Vec::new(),
    max_request_batch: 0,
    max_request_expires: Nanos::ZERO,
    max_request_max_bytes: 0,
    priority_groups: Vec::new(),
    pinned_ttl: Nanos::ZERO,
};

impl Rules {
    pub(crate) fn new(config: &ConsumerConfig) -> Self {
        let limited = |limit: i64| usize::try_from(limit).ok().filter(|limit| *limit > 0);
        let max_ack_pending = match config.ack_policy {
            AckPolicy::None => None,
            AckPolicy::All | AckPolicy::Explicit | AckPolicy::FlowControl => {
                limited(config.max_ack_pending)
            }
        };
        let rare = Rare {
            backoff: config.backoff.clone(),
            max_request_batch: config.max_request_batch,
            max_request_expires: config.max_request_expires,
            max_request_max_bytes: config.max_request_max_bytes,
            priority_groups: config.priority_groups.clone(),
            pinned_ttl: config.pinned_ttl,
        };
        Self {
            ack_policy: config.ack_policy,
            priority: config.priority_policy,
            sample_percent: sample_percent(&config.sample_frequency),
            headers_only: config.headers_only,
            sourcing: config.sourcing,
            max_deliver: limited(config.max_deliver)
                .and_then(|limit| u32::try_from(limit).ok())
                .unwrap_or(u32::MAX),
            filter: SubjectFilter::new(config.filters()),
            max_ack_pending: max_ack_pending.unwrap_or(usize::MAX),
            resets: Resets::new(config),
            ack_wait: config.ack_wait,
            rare: (rare != NOTHING_RARE).then(|| Box::new(rare)),
        }
    }

    #[inline]
    pub(crate) fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&NOTHING_RARE)
    }

    /// How long a message waits for its ack after this many deliveries; `None` is for ever.
    #[inline]
    pub(crate) fn ack_wait(&self, deliveries: u32) -> Option<Nanos> {
        let backoff = &self.rare().backoff;
        let wait = match backoff.len() {
            0 => self.ack_wait,
            entries => {
                let entry = (deliveries.saturating_sub(1) as usize).min(entries - 1);
                backoff.get(entry).copied().unwrap_or(self.ack_wait)
            }
        };
        (wait > Nanos::ZERO).then_some(wait)
    }

    /// Whether messages wait for their acks as long as they do under `other`.
    pub(crate) fn waits_as(&self, other: &Self) -> bool {
        self.ack_wait == other.ack_wait && self.rare().backoff == other.rare().backoff
    }

    /// Whether clients share the messages as they do under `other`.
    pub(crate) fn has_priorities_of(&self, other: &Self) -> bool {
        self.priority == other.priority
            && self.rare().priority_groups == other.rare().priority_groups
    }
}

impl Resets {
    fn new(config: &ConsumerConfig) -> Self {
        match (config.deliver_policy, config.opt_start_time) {
            (DeliverPolicy::All, _) => Self::Anywhere,
            (DeliverPolicy::ByStartSequence, _) => Self::NotBelow(config.opt_start_seq),
            (DeliverPolicy::ByStartTime, Some(time)) => Self::NotBefore(time),
            _ => Self::Nowhere,
        }
    }
}

/// Reads `30` or `30%`; the configuration was checked.
fn sample_percent(text: &str) -> u8 {
    let digits = text.strip_suffix('%').unwrap_or(text);
    digits
        .parse::<u32>()
        .map_or(0, |percent| u8::try_from(percent.min(100)).unwrap_or(100))
}
