//! The streams and consumers that are always there, of the kinds that users have.

use serde_json::{Value, json};

/// Who takes messages out of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retention {
    Limits,
    WorkQueue,
    Interest,
}

/// A stream that stays.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamPlan {
    pub(super) name: &'static str,
    pub(super) retention: Retention,
    /// 0 is no limit.
    pub(super) max_msgs: u64,
    pub(super) max_bytes: u64,
    pub(super) per_subject: u64,
    /// Refuses what is too much, instead of removing the oldest.
    pub(super) discard_new: bool,
}

/// A consumer that stays, with a worker of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConsumerPlan {
    pub(super) stream: &'static str,
    pub(super) name: &'static str,
    pub(super) is_push: bool,
    pub(super) ack_all: bool,
}

pub(super) const EVENTS: &str = "EVENTS";
pub(super) const WORK: &str = "WORK";
pub(super) const INTEREST: &str = "INTEREST";
pub(super) const STATE: &str = "KV_state";
pub(super) const BATCHES: &str = "BATCHES";
pub(super) const CHAIN: &str = "CHAIN";
pub(super) const BULK: &str = "BULK";

const PLAIN: StreamPlan = StreamPlan {
    name: EVENTS,
    retention: Retention::Limits,
    max_msgs: 0,
    max_bytes: 0,
    per_subject: 0,
    discard_new: false,
};

pub(super) const STREAMS: [StreamPlan; 7] = [
    StreamPlan {
        max_msgs: 2000,
        ..PLAIN
    },
    StreamPlan {
        name: WORK,
        retention: Retention::WorkQueue,
        max_msgs: 1000,
        discard_new: true,
        ..PLAIN
    },
    StreamPlan {
        name: INTEREST,
        retention: Retention::Interest,
        max_msgs: 1500,
        ..PLAIN
    },
    StreamPlan {
        name: STATE,
        per_subject: 5,
        ..PLAIN
    },
    StreamPlan {
        name: BATCHES,
        max_msgs: 1500,
        ..PLAIN
    },
    StreamPlan {
        name: CHAIN,
        max_msgs: 1000,
        ..PLAIN
    },
    StreamPlan {
        name: BULK,
        max_bytes: 8 << 20,
        ..PLAIN
    },
];

const fn pull(stream: &'static str, name: &'static str) -> ConsumerPlan {
    ConsumerPlan {
        stream,
        name,
        is_push: false,
        ack_all: false,
    }
}

pub(super) const CONSUMERS: [ConsumerPlan; 7] = [
    pull(EVENTS, "puller"),
    ConsumerPlan {
        is_push: true,
        ..pull(EVENTS, "pushed")
    },
    ConsumerPlan {
        ack_all: true,
        ..pull(CHAIN, "all")
    },
    pull(WORK, "worker"),
    pull(INTEREST, "one"),
    ConsumerPlan {
        is_push: true,
        ..pull(INTEREST, "other")
    },
    pull(BATCHES, "puller"),
];

/// After so long a message comes again: soon, so that a forgotten ack is noticed.
pub(super) const ACK_WAIT_MILLIS: u64 = 500;

impl StreamPlan {
    pub(super) fn of(name: &str) -> Option<&'static Self> {
        STREAMS.iter().find(|plan| plan.name == name)
    }

    pub(super) fn subjects(&self) -> String {
        match self.name {
            STATE => "$KV.state.>".to_owned(),
            name => format!("{name}.>"),
        }
    }

    pub(super) fn config(&self, description: &str) -> Value {
        let limit = |value: u64| if value == 0 { json!(-1) } else { json!(value) };
        json!({
            "name": self.name,
            "description": description,
            "subjects": [self.subjects()],
            "storage": "file",
            "retention": match self.retention {
                Retention::Limits => "limits",
                Retention::WorkQueue => "workqueue",
                Retention::Interest => "interest",
            },
            "discard": if self.discard_new { "new" } else { "old" },
            "max_msgs": limit(self.max_msgs),
            "max_bytes": limit(self.max_bytes),
            "max_msgs_per_subject": limit(self.per_subject),
            "max_age": 0,
            "max_msg_size": -1,
            "max_consumers": -1,
            "num_replicas": 1,
            "duplicate_window": 600_000_000_000_u64,
            "allow_direct": true,
            "allow_rollup_hdrs": true,
            "allow_atomic": self.name == BATCHES,
            "deny_delete": self.name == STATE,
        })
    }
}

impl ConsumerPlan {
    pub(super) fn deliver_subject(&self) -> String {
        format!("deliver.{}.{}", self.stream, self.name)
    }

    pub(super) fn config(&self, description: &str) -> Value {
        let mut config = json!({
            "durable_name": self.name,
            "name": self.name,
            "description": description,
            "deliver_policy": "all",
            "ack_policy": if self.ack_all { "all" } else { "explicit" },
            "ack_wait": ACK_WAIT_MILLIS * 1_000_000,
            "max_ack_pending": 200,
            "replay_policy": "instant",
        });
        if self.is_push {
            config["deliver_subject"] = json!(self.deliver_subject());
        }
        config
    }
}
