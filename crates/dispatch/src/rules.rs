//! A configuration, prepared for quick decisions.

use jetsled_jetstream_api::{AckPolicy, ConsumerConfig, Nanos, PriorityPolicy};
use jetsled_protocol::SubjectFilter;

/// What a consumer asks its configuration for with every message.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) ack_policy: AckPolicy,
    pub(crate) filter: SubjectFilter,
    /// Messages that may be pending; `usize::MAX` is unlimited.
    pub(crate) max_ack_pending: usize,
    /// Deliveries of a message; `u32::MAX` is unlimited.
    pub(crate) max_deliver: u32,
    pub(crate) priority: PriorityPolicy,
    /// Percent of acks that are sampled.
    pub(crate) sample_percent: u32,
    ack_wait: Nanos,
    backoff: Vec<Nanos>,
}

impl Rules {
    pub(crate) fn new(config: &ConsumerConfig) -> Self {
        let limited = |limit: i64| usize::try_from(limit).ok().filter(|limit| *limit > 0);
        let max_ack_pending = match config.ack_policy {
            AckPolicy::None => None,
            AckPolicy::All | AckPolicy::Explicit | AckPolicy::FlowControl => {
                limited(config.max_ack_pending)
            }
        };
        Self {
            ack_policy: config.ack_policy,
            filter: SubjectFilter::new(config.filters()),
            max_ack_pending: max_ack_pending.unwrap_or(usize::MAX),
            max_deliver: limited(config.max_deliver)
                .and_then(|limit| u32::try_from(limit).ok())
                .unwrap_or(u32::MAX),
            priority: config.priority_policy,
            sample_percent: sample_percent(&config.sample_frequency),
            ack_wait: config.ack_wait,
            backoff: config.backoff.clone(),
        }
    }

    /// How long a message waits for its ack after this many deliveries; `None` is for ever.
    #[inline]
    pub(crate) fn ack_wait(&self, deliveries: u32) -> Option<Nanos> {
        let wait = match self.backoff.len() {
            0 => self.ack_wait,
            entries => {
                let entry = (deliveries.saturating_sub(1) as usize).min(entries - 1);
                self.backoff.get(entry).copied().unwrap_or(self.ack_wait)
            }
        };
        (wait > Nanos::ZERO).then_some(wait)
    }
}

/// Reads `30` or `30%`; the configuration was checked.
fn sample_percent(text: &str) -> u32 {
    let digits = text.strip_suffix('%').unwrap_or(text);
    digits.parse::<u32>().unwrap_or(0).min(100)
}
