//! What a random history has of the configuration.

use jetsled_jetstream_api::{AckPolicy, Nanos, PriorityPolicy};

#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) ack_policy: AckPolicy,
    /// With flow control if acks come by it.
    pub(crate) push: bool,
    pub(crate) priority: PriorityPolicy,
    pub(crate) max_ack_pending: usize,
    pub(crate) max_deliver: u64,
    pub(crate) ack_wait_millis: i64,
    /// Milliseconds, in place of `ack_wait_millis` if there are any.
    pub(crate) backoff: &'static [i64],
    pub(crate) filter: &'static [&'static str],
}

/// How long a pin lasts without a request.
pub(crate) const PIN_MILLIS: i64 = 3000;

impl Choice {
    pub(crate) fn matches(&self, subject: &str) -> bool {
        let matches = |filter: &str| match filter.strip_suffix('*') {
            Some(start) => subject.starts_with(start),
            None => subject == filter,
        };
        self.filter.is_empty() || self.filter.iter().any(|filter| matches(filter))
    }

    /// How long a message waits for its ack after so many deliveries.
    pub(crate) fn ack_wait(&self, deliveries: u64) -> Nanos {
        let entry = usize::try_from(deliveries.saturating_sub(1)).unwrap_or(usize::MAX);
        let backoff = self.backoff.get(entry).or(self.backoff.last());
        Nanos::from_millis(backoff.copied().unwrap_or(self.ack_wait_millis))
    }

    /// Whether acks of single messages mean something.
    pub(crate) fn takes_acks(&self) -> bool {
        matches!(self.ack_policy, AckPolicy::Explicit | AckPolicy::All)
    }

    pub(crate) fn config(&self) -> String {
        let ack_policy = serde_json::to_string(&self.ack_policy).unwrap();
        let (max_ack_pending, max_deliver) = (self.max_ack_pending, self.max_deliver);
        let mut more = String::new();
        if self.push {
            more += r#","deliver_subject":"d""#;
        }
        if self.ack_policy == AckPolicy::FlowControl {
            more += r#","flow_control":true,"idle_heartbeat":500000000"#;
        }
        if self.priority != PriorityPolicy::None {
            let policy = serde_json::to_string(&self.priority).unwrap();
            let timeout = Nanos::from_millis(PIN_MILLIS).get();
            more += &format!(
                r#","priority_groups":["g"],"priority_policy":{policy},"priority_timeout":{timeout}"#
            );
        }
        let filters = serde_json::to_string(self.filter).unwrap();
        let ack_wait = Nanos::from_millis(self.ack_wait_millis).get();
        let backoff = self
            .backoff
            .iter()
            .map(|millis| Nanos::from_millis(*millis));
        let backoff = serde_json::to_string(&backoff.collect::<Vec<_>>()).unwrap();
        format!(
            r#"{{"durable_name":"C","ack_policy":{ack_policy},"filter_subjects":{filters},"ack_wait":{ack_wait},"backoff":{backoff},
                "max_ack_pending":{max_ack_pending},"max_deliver":{max_deliver}{more}}}"#
        )
    }
}
