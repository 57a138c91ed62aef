//! What a run has: its streams and consumers, drawn from the seed.

use rand::RngExt;
use rand::rngs::SmallRng;

use crate::model::{AckPolicy, Limits};

/// Messages may come to each of these behind a stream's own first token.
pub(crate) const SUBJECTS: [&str; 5] = ["a", "b", "c", "d", "e"];

const SECOND: i64 = 1_000_000_000;

/// What schedules send goes here, behind the stream's own first token.
pub(crate) const TARGET: &str = ".target";

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Limits, old messages go.
    Log,
    /// Limits, new messages are refused.
    Full,
    /// One message a subject, roll-ups: a key-value bucket.
    KeyValue,
    /// Messages go by age and by their own TTL.
    Aging,
    WorkQueue,
    Interest,
    /// Atomic batches beside single messages.
    Batches,
    Memory,
    /// Messages add to a number.
    Counter,
    /// Messages that send others when it is time.
    Scheduled,
}

const KINDS: [Kind; 10] = [
    Kind::Log,
    Kind::Full,
    Kind::KeyValue,
    Kind::Aging,
    Kind::WorkQueue,
    Kind::Interest,
    Kind::Batches,
    Kind::Memory,
    Kind::Counter,
    Kind::Scheduled,
];

#[derive(Clone, Debug)]
pub(crate) struct StreamPlan {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) window: i64,
    /// How long delete markers stay; 0 for none.
    pub(crate) marker_ttl: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct ConsumerPlan {
    pub(crate) name: String,
    pub(crate) stream: usize,
    pub(crate) policy: AckPolicy,
    pub(crate) filter: String,
    /// Delivers by itself, to the client with this number.
    pub(crate) push: Option<usize>,
    pub(crate) max_deliver: u64,
    pub(crate) max_ack_pending: u64,
    pub(crate) priority: Priority,
    pub(crate) ordered: bool,
    pub(crate) deliver: Deliver,
}

/// With which message a consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deliver {
    All,
    /// Only what is stored from now on.
    New,
    /// The last one there is.
    Last,
    /// The last one of each subject.
    LastPerSubject,
    /// The one with this sequence.
    From(u64),
}

/// How pull requests of a consumer's group come in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// It has none.
    None,
    /// Some only when much is to be done.
    Overflow,
    /// One client only, as long as it comes.
    Pinned,
}

impl StreamPlan {
    pub(crate) fn draw(number: usize, random: &mut SmallRng) -> Self {
        let kind = KINDS[random.random_range(0..KINDS.len())];
        Self {
            name: format!("S{number}"),
            kind,
            window: [2 * SECOND, 600 * SECOND][random.random_range(0..2)],
            marker_ttl: match kind {
                Kind::Aging if random.random() => 2 * SECOND,
                _ => 0,
            },
        }
    }

    /// The stream's own first token.
    pub(crate) fn prefix(&self) -> String {
        self.name.to_lowercase()
    }

    pub(crate) fn subject(&self, random: &mut SmallRng) -> String {
        let tail = SUBJECTS[random.random_range(0..SUBJECTS.len())];
        format!("{}.{tail}", self.prefix())
    }

    /// Limits for a new or changed configuration.
    pub(crate) fn draw_limits(&self, random: &mut SmallRng) -> Limits {
        let mut limits = Limits::default();
        match self.kind {
            Kind::Log | Kind::Memory => {
                if random.random_bool(0.5) {
                    limits.msgs = random.random_range(3..60);
                }
                if random.random_bool(0.3) {
                    limits.per_subject = random.random_range(1..8);
                }
                if random.random_bool(0.3) {
                    limits.bytes = random.random_range(4_000..60_000);
                }
            }
            Kind::Full => {
                limits.discard_new = true;
                if random.random() {
                    limits.msgs = random.random_range(3..30);
                } else {
                    limits.bytes = random.random_range(4_000..60_000);
                }
            }
            Kind::KeyValue => limits.per_subject = random.random_range(1..3),
            Kind::Aging => limits.age = random.random_range(2..12) * SECOND,
            Kind::WorkQueue | Kind::Interest | Kind::Batches | Kind::Counter | Kind::Scheduled => {}
        }
        limits
    }

    /// The configuration as JSON. The version is in the description.
    pub(crate) fn config(&self, limits: &Limits, version: u64) -> String {
        let limit = |limit: u64| if limit == 0 { -1 } else { limit as i64 };
        let (name, prefix, window) = (&self.name, self.prefix(), self.window);
        // The window may not be longer than messages live.
        let window = if limits.age > 0 {
            window.min(limits.age)
        } else {
            window
        };
        let (msgs, per_subject, bytes, age) = (
            limit(limits.msgs),
            limit(limits.per_subject),
            limit(limits.bytes),
            limits.age,
        );
        let storage = if self.kind == Kind::Memory {
            "memory"
        } else {
            "file"
        };
        let discard = if limits.discard_new { "new" } else { "old" };
        let retention = match self.kind {
            Kind::WorkQueue => "workqueue",
            Kind::Interest => "interest",
            _ => "limits",
        };
        let more = match self.kind {
            Kind::Aging if self.marker_ttl > 0 => {
                r#","allow_msg_ttl":true,"subject_delete_marker_ttl":2000000000"#
            }
            Kind::Aging => r#","allow_msg_ttl":true"#,
            Kind::KeyValue => r#","allow_rollup_hdrs":true"#,
            Kind::Batches => r#","allow_atomic":true"#,
            Kind::Counter => r#","allow_msg_counter":true"#,
            Kind::Scheduled => r#","allow_msg_schedules":true"#,
            _ => "",
        };
        format!(
            r#"{{"name":"{name}","subjects":["{prefix}.>"],"description":"{version}","retention":"{retention}","storage":"{storage}","discard":"{discard}","max_msgs":{msgs},"max_msgs_per_subject":{per_subject},"max_bytes":{bytes},"max_age":{age},"duplicate_window":{window},"allow_direct":true,"num_replicas":1{more}}}"#
        )
    }
}

impl ConsumerPlan {
    /// A consumer of a stream, for one of `clients` if it is to deliver by itself.
    pub(crate) fn draw(
        stream: usize,
        plan: &StreamPlan,
        clients: usize,
        number: usize,
        random: &mut SmallRng,
    ) -> Self {
        let by_interest = matches!(plan.kind, Kind::WorkQueue | Kind::Interest);
        let policy = match random.random_range(0..6) {
            0 if !by_interest => AckPolicy::None,
            1 if plan.kind != Kind::WorkQueue => AckPolicy::All,
            _ => AckPolicy::Explicit,
        };
        let subject = plan.subject(random);
        let deliver = match random.random_range(0..8) {
            _ if by_interest => Deliver::All,
            0 => Deliver::New,
            1 => Deliver::Last,
            2 => Deliver::LastPerSubject,
            3 => Deliver::From(random.random_range(1..40)),
            _ => Deliver::All,
        };
        let filter = if random.random_bool(0.3) {
            subject
        } else if deliver == Deliver::LastPerSubject {
            format!("{}.>", plan.prefix())
        } else {
            String::new()
        };
        let push = random
            .random_bool(0.3)
            .then(|| random.random_range(0..clients));
        let max_deliver = if !by_interest && random.random_bool(0.15) {
            3
        } else {
            0
        };
        Self {
            name: format!("{}_C{number}", plan.name),
            stream,
            policy,
            filter,
            push,
            max_deliver,
            max_ack_pending: [1000, 20, 5][random.random_range(0..3)],
            priority: match random.random_range(0..7) {
                0 if push.is_none() && policy == AckPolicy::Explicit => Priority::Overflow,
                1 if push.is_none() && policy == AckPolicy::Explicit => Priority::Pinned,
                _ => Priority::None,
            },
            ordered: push.is_some() && policy == AckPolicy::None && random.random(),
            deliver,
        }
    }

    /// This client asks for messages only when so many are to be delivered.
    pub(crate) fn min_pending(&self, client: usize) -> u64 {
        match self.priority {
            Priority::Overflow if client % 2 == 1 => 4,
            _ => 0,
        }
    }

    pub(crate) fn deliver_subject(&self) -> String {
        match self.push {
            Some(client) => format!("_DELIVER.{client}.{}", self.name),
            None => String::new(),
        }
    }

    /// The request that creates or updates it.
    pub(crate) fn config(&self, stream: &str, version: u64) -> String {
        let name = &self.name;
        let policy = match self.policy {
            AckPolicy::None => "none",
            AckPolicy::All => "all",
            AckPolicy::Explicit => "explicit",
        };
        let mut more = match self.deliver {
            Deliver::From(seq) => format!(r#","opt_start_seq":{seq}"#),
            _ => String::new(),
        };
        let deliver = match self.deliver {
            Deliver::All => "all",
            Deliver::New => "new",
            Deliver::Last => "last",
            Deliver::LastPerSubject => "last_per_subject",
            Deliver::From(_) => "by_start_sequence",
        };
        if !self.filter.is_empty() {
            more.push_str(&format!(r#","filter_subject":"{}""#, self.filter));
        }
        if self.push.is_some() {
            more.push_str(&format!(
                r#","deliver_subject":"{}""#,
                self.deliver_subject()
            ));
        }
        if self.ordered {
            more.push_str(r#","flow_control":true,"idle_heartbeat":1000000000"#);
        }
        more.push_str(match self.priority {
            Priority::None => "",
            Priority::Overflow => r#","priority_policy":"overflow","priority_groups":["g"]"#,
            Priority::Pinned => {
                r#","priority_policy":"pinned_client","priority_groups":["g"],"priority_timeout":4000000000"#
            }
        });
        if self.max_deliver > 0 {
            more.push_str(&format!(r#","max_deliver":{}"#, self.max_deliver));
        }
        if self.policy != AckPolicy::None {
            let max = self.max_ack_pending;
            more.push_str(&format!(
                r#","ack_wait":2000000000,"max_ack_pending":{max}"#
            ));
        }
        format!(
            r#"{{"stream_name":"{stream}","config":{{"durable_name":"{name}","name":"{name}","description":"{version}","deliver_policy":"{deliver}","ack_policy":"{policy}","replay_policy":"instant"{more}}}}}"#
        )
    }
}
