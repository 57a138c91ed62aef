//! A consumer as its worker knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::message::Message;
use super::plan::ConsumerPlan;
use super::read::ConsumerInfo;
use super::violation::{Kind, Violation};

/// What a worker has done with a consumer's messages.
#[derive(Clone, Debug)]
pub(super) struct Consumer {
    pub(super) plan: ConsumerPlan,
    /// Acks and terms that were sent, answered or not.
    sent: BTreeSet<u64>,
    confirmed: BTreeSet<u64>,
    /// Delivered in this round.
    pub(super) seen: BTreeSet<u64>,
    /// How many acks were confirmed in this round.
    pub(super) acks: u64,
    pub(super) violations: Vec<Violation>,
}

impl Consumer {
    pub(super) fn new(plan: ConsumerPlan) -> Self {
        Self {
            plan,
            sent: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            seen: BTreeSet::new(),
            acks: 0,
            violations: Vec::new(),
        }
    }

    pub(super) fn deliver(&mut self, seq: u64) {
        self.seen.insert(seq);
        if self.is_confirmed(seq) {
            let (stream, name) = (self.plan.stream, self.plan.name);
            self.violations.push(Violation {
                kind: Kind::Redelivered,
                what: format!("{stream}/{name}: {seq} came again after its confirmed ack"),
            });
        }
    }

    pub(super) fn send_ack(&mut self, seq: u64) {
        self.sent.insert(seq);
    }

    pub(super) fn confirm(&mut self, seq: u64) {
        self.acks += 1;
        self.confirmed.insert(seq);
    }

    /// Whether an ack was sent that settles this sequence.
    pub(super) fn is_sent(&self, seq: u64) -> bool {
        contains(&self.sent, self.plan.ack_all, seq)
    }

    /// Whether such an ack was confirmed.
    pub(super) fn is_confirmed(&self, seq: u64) -> bool {
        contains(&self.confirmed, self.plan.ack_all, seq)
    }

    /// From now on the stream has these messages and the consumer is there; what is not there cannot come again.
    pub(super) fn settle(&mut self, messages: &BTreeMap<u64, Arc<Message>>) {
        self.seen.clear();
        self.acks = 0;
        let last = (self.sent.last().copied(), self.confirmed.last().copied());
        self.sent.retain(|seq| messages.contains_key(seq));
        self.confirmed.retain(|seq| messages.contains_key(seq));
        if self.plan.ack_all {
            self.sent.extend(last.0);
            self.confirmed.extend(last.1);
        }
    }
}

/// With `ack_all` an ack counts for everything before it.
fn contains(acks: &BTreeSet<u64>, ack_all: bool, seq: u64) -> bool {
    if ack_all {
        acks.last().is_some_and(|last| seq <= *last)
    } else {
        acks.contains(&seq)
    }
}

/// What a consumer that was just started may show.
pub(super) fn check(
    info: &ConsumerInfo,
    worked: Option<&Consumer>,
    stream: &str,
    last: u64,
    messages: &BTreeMap<u64, impl Sized>,
) -> Option<Violation> {
    let fail = |what: String| {
        Some(Violation {
            kind: Kind::Beyond,
            what: format!("{stream}, last sequence {last}, consumer {info:?}: {what}"),
        })
    };
    if info.delivered > last {
        return fail("delivered beyond the stream".to_owned());
    }
    if info.floor > info.delivered {
        return fail("ack floor beyond what was delivered".to_owned());
    }
    let is_sent = |seq: &u64| worked.is_some_and(|consumer| consumer.is_sent(*seq));
    match messages.range(..=info.floor).find(|(seq, _)| !is_sent(seq)) {
        Some((seq, _)) => fail(format!("ack floor beyond {seq}, for which no ack was sent")),
        None => None,
    }
}
