//! Random histories: publishes, pulls, acks of every kind, time, restarts, crashes, purges and new configurations.

use jetsled_jetstream_api::{AckPolicy, PriorityPolicy};
use proptest::prelude::*;

use crate::choice::Choice;
use crate::model::Model;
use crate::requests::{Asked, Client};

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Store {
        subject: &'static str,
    },
    Pull {
        batch: u64,
        no_wait: bool,
        expires_millis: u64,
        asked: Asked,
    },
    /// Acks some delivered message; `at` picks it, `payload` is the kind.
    Ack {
        at: usize,
        payload: &'static str,
    },
    Advance {
        millis: i64,
    },
    Remove {
        at: usize,
    },
    Purge {
        at: usize,
    },
    PurgeSubject {
        subject: &'static str,
    },
    Limit {
        max_ack_pending: usize,
    },
    MaxDeliver {
        max_deliver: u64,
    },
    AckWait {
        millis: i64,
    },
    Filter {
        filter: &'static [&'static str],
    },
    Pause {
        millis: i64,
    },
    Unpin,
    /// The subscriber has processed everything up to an unacked message.
    AnswerFlowControl {
        at: usize,
    },
    /// `back` is a distance from the last sequence; `None` is the ack floor.
    Reset {
        back: Option<u64>,
    },
    /// A delivery reached nobody.
    Lose {
        at: usize,
    },
    /// Somebody listens on the deliver subject, or nobody does.
    Listen {
        listens: bool,
    },
    Checkpoint,
    /// A clean restart.
    Restart,
    /// A power cut: only this share of what was logged since the last one is on disk.
    Crash {
        percent: usize,
    },
}

const SUBJECTS: [&str; 3] = ["m.1", "m.2", "x"];
const FILTERS: [&[&str]; 5] = [&["m.*"], &["m.1"], &["m.2", "x"], &[], &["nothing"]];

fn step() -> impl Strategy<Value = Step> {
    let payload = prop_oneof![
        6 => Just(""),
        2 => Just("-NAK"),
        1 => Just("-NAK 1500ms"),
        1 => Just("+WPI"),
        1 => Just("+TERM"),
        1 => Just("+NXT 2"),
    ];
    let subject = || proptest::sample::select(&SUBJECTS);
    let pull = (1..8_u64, any::<bool>(), 0..3_u64, asked());
    prop_oneof![
        8 => subject().prop_map(|subject| Step::Store { subject }),
        5 => pull.prop_map(|(batch, no_wait, expires, asked)| Step::Pull {
            batch,
            no_wait,
            expires_millis: expires * 900,
            asked,
        }),
        9 => (any::<usize>(), payload).prop_map(|(at, payload)| Step::Ack { at, payload }),
        4 => (1..2500_i64).prop_map(|millis| Step::Advance { millis }),
        1 => any::<usize>().prop_map(|at| Step::Remove { at }),
        1 => any::<usize>().prop_map(|at| Step::Purge { at }),
        1 => subject().prop_map(|subject| Step::PurgeSubject { subject }),
        1 => (1..6_usize).prop_map(|max_ack_pending| Step::Limit { max_ack_pending }),
        1 => (1..5_u64).prop_map(|max_deliver| Step::MaxDeliver { max_deliver }),
        1 => (200..3000_i64).prop_map(|millis| Step::AckWait { millis }),
        1 => proptest::sample::select(&FILTERS).prop_map(|filter| Step::Filter { filter }),
        1 => (0..2000_i64).prop_map(|millis| Step::Pause { millis }),
        1 => Just(Step::Unpin),
        3 => any::<usize>().prop_map(|at| Step::AnswerFlowControl { at }),
        1 => proptest::option::of(0..6_u64).prop_map(|back| Step::Reset { back }),
        1 => any::<usize>().prop_map(|at| Step::Lose { at }),
        1 => any::<bool>().prop_map(|listens| Step::Listen { listens }),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Restart),
        2 => (0..=100_usize).prop_map(|percent| Step::Crash { percent }),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    let client = proptest::sample::select(&[Client::New, Client::Pinned, Client::Stranger][..]);
    (0..4_u64, 0..3_u64, 0..3_u64, client).prop_map(
        |(priority, min_pending, min_ack_pending, client)| Asked {
            priority,
            min_pending,
            min_ack_pending,
            client,
        },
    )
}

/// How messages get to clients, and how they are acked.
fn mode() -> impl Strategy<Value = (AckPolicy, bool, PriorityPolicy)> {
    let ack_policy = prop_oneof![
        4 => Just(AckPolicy::Explicit),
        1 => Just(AckPolicy::All),
        1 => Just(AckPolicy::None),
    ];
    let priority = prop_oneof![
        3 => Just(PriorityPolicy::None),
        1 => Just(PriorityPolicy::Overflow),
        1 => Just(PriorityPolicy::PinnedClient),
        1 => Just(PriorityPolicy::Prioritized),
    ];
    prop_oneof![
        6 => (ack_policy.clone(), priority).prop_map(|(acks, priority)| (acks, false, priority)),
        2 => ack_policy.prop_map(|acks| (acks, true, PriorityPolicy::None)),
        1 => Just((AckPolicy::FlowControl, true, PriorityPolicy::None)),
    ]
}

fn choice() -> impl Strategy<Value = Choice> {
    let backoff = prop_oneof![
        3 => Just(&[][..]),
        1 => Just(&[300, 1200][..]),
    ];
    (mode(), 1..6_usize, 2..5_u64, backoff).prop_map(
        |((ack_policy, push, priority), max_ack_pending, max_deliver, backoff)| Choice {
            ack_policy,
            push,
            priority,
            max_ack_pending,
            max_deliver,
            ack_wait_millis: 1000,
            backoff,
            filter: FILTERS[0],
        },
    )
}

proptest! {
    // `PROPTEST_CASES` makes it long.
    #[test]
    fn histories_keep_every_promise(
        choice in choice(),
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut model = Model::new(choice);
        for step in &steps {
            model.run(step);
        }
        model.finish();
    }
}
