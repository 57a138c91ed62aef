//! What a stream holds after a round, compared with what it must and may hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::consumers::Consumer;
use super::journal::{Done, Fate, NEVER, Publish, Removal, Removed, StreamState};
use super::message::Message;
use super::plan::{Retention, StreamPlan};
use super::read::FoundStream;
use super::violation::{Kind, Violation};

/// All that is known of one stream.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    pub(super) name: &'a str,
    /// `None` for one that comes and goes, which has no limits.
    pub(super) plan: Option<&'a StreamPlan>,
    pub(super) before: &'a StreamState,
    pub(super) publishes: Vec<&'a Publish>,
    pub(super) removals: Vec<&'a Removal>,
    pub(super) consumers: Vec<&'a Consumer>,
}

/// A sequence of which it is known what it is.
#[derive(Clone, Debug)]
struct At {
    message: Arc<Message>,
    issued: u64,
    settled: u64,
}

impl Expected<'_> {
    /// Compares. `after` gets what the stream holds, for the next round.
    pub(super) fn check(&self, found: &FoundStream, after: &mut StreamState) -> Vec<Violation> {
        let mut check = Check {
            expected: self,
            found,
            known: BTreeMap::new(),
            rollups: BTreeMap::new(),
            violations: Vec::new(),
        };
        check.learn();
        check.stored(after);
        check.missing();
        check.batches(after);
        check.counts(after);
        after.last = found.last;
        check.violations
    }
}

struct Check<'a> {
    expected: &'a Expected<'a>,
    found: &'a FoundStream,
    known: BTreeMap<u64, At>,
    /// By subject: the last roll-up that was acknowledged.
    rollups: BTreeMap<String, u64>,
    violations: Vec<Violation>,
}

impl Check<'_> {
    fn fail(&mut self, kind: Kind, what: String) {
        let what = format!("{}: {what}", self.expected.name);
        self.violations.push(Violation { kind, what });
    }

    /// Which message each sequence is, as far as the server has told.
    fn learn(&mut self) {
        let before = self.expected.before;
        for (seq, message) in &before.messages {
            let at = At {
                message: Arc::clone(message),
                issued: 0,
                settled: 0,
            };
            self.known.insert(*seq, at);
        }
        for publish in &self.expected.publishes {
            let Fate::Stored(seq) = publish.fate else {
                continue;
            };
            if publish.message.is_rollup {
                let subject = publish.message.subject.clone();
                let last = self.rollups.entry(subject).or_default();
                *last = seq.max(*last);
            }
            if let Some(at) = self.known.get_mut(&seq) {
                if at.message.number == publish.message.number {
                    at.issued = at.issued.min(publish.issued);
                    at.settled = at.settled.min(publish.settled);
                } else {
                    let numbers = (at.message.number, publish.message.number);
                    self.fail(Kind::Twice, format!("{seq} was given to {numbers:?}"));
                }
                continue;
            }
            if seq > before.last {
                let at = At {
                    message: Arc::clone(&publish.message),
                    issued: publish.issued,
                    settled: publish.settled,
                };
                self.known.insert(seq, at);
            } else if !publish.message.has_id {
                // With an id it is a duplicate of one that was removed before.
                let number = publish.message.number;
                self.fail(Kind::Twice, format!("{seq} was given again, to {number}"));
            }
        }
    }

    /// Each message that is there: it is what it was, and it may be there.
    fn stored(&mut self, after: &mut StreamState) {
        let (expected, found) = (self.expected, self.found);
        let mut attempts: BTreeMap<u64, Vec<&Publish>> = BTreeMap::new();
        for publish in &expected.publishes {
            let number = publish.message.number;
            attempts.entry(number).or_default().push(publish);
        }
        let mut places: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (seq, stored) in &found.messages {
            let number = Message::number_of(&stored.payload);
            let tried = number.and_then(|number| attempts.get(&number));
            let at = match (self.known.get(seq), tried) {
                (Some(at), _) => at.clone(),
                (None, Some(tried)) => At {
                    message: Arc::clone(&tried[0].message),
                    issued: tried[0].issued,
                    settled: NEVER,
                },
                (None, None) => {
                    let kind = if *seq <= expected.before.last {
                        Kind::CameBack
                    } else {
                        Kind::Altered
                    };
                    let what = format!("{seq} is {number:?}, which nobody has sent");
                    self.fail(kind, what);
                    continue;
                }
            };
            let is_same = at
                .message
                .is(&stored.subject, &stored.headers, &stored.payload);
            if !is_same {
                let (wanted, subject) = (&at.message, &stored.subject);
                let what = format!("{seq} is {number:?} on {subject}, should be {wanted:?}");
                self.fail(Kind::Altered, what);
            }
            if !self.known.contains_key(seq) {
                let may_be = |publish: &&&Publish| publish.fate == Fate::Unknown;
                if *seq <= expected.before.last {
                    self.fail(Kind::CameBack, format!("{seq} was not there before"));
                } else if !tried.is_some_and(|tried| tried.iter().any(|one| may_be(&one))) {
                    let what = format!("{seq} is {number:?}, which is not to be there");
                    self.fail(Kind::CameBack, what);
                }
            }
            if let Some(why) = self.must_be_gone(*seq, &at) {
                self.fail(Kind::CameBack, format!("{seq} is there after {why}"));
            }
            if self.is_done(*seq) {
                self.fail(Kind::StillThere, format!("{seq}"));
            }
            places.entry(at.message.number).or_default().push(*seq);
            after.messages.insert(*seq, at.message);
        }
        for (number, seqs) in places.into_iter().filter(|(_, seqs)| seqs.len() > 1) {
            self.fail(
                Kind::Twice,
                format!("message {number} is stored as {seqs:?}"),
            );
        }
    }

    /// Why a message cannot be there.
    fn must_be_gone(&self, seq: u64, at: &At) -> Option<String> {
        let subject = &at.message.subject;
        let removal = self.expected.removals.iter().find(|removal| {
            removal.fate == Done::Confirmed
                && match removal.what {
                    Removed::Keep => false,
                    Removed::Message(at) => at == seq,
                    _ => at.settled < removal.issued && removal.what.hits(seq, subject),
                }
        });
        if let Some(removal) = removal {
            return Some(format!("{removal:?}"));
        }
        if let Some(rollup) = self.rollups.get(subject).filter(|rollup| **rollup > seq) {
            return Some(format!("the roll-up {rollup}"));
        }
        None
    }

    /// Whether its consumers are done with it and have been told so.
    fn is_done(&self, seq: u64) -> bool {
        let consumers = &self.expected.consumers;
        match self.expected.plan.map(|plan| plan.retention) {
            Some(Retention::WorkQueue) => consumers.iter().any(|one| one.is_confirmed(seq)),
            Some(Retention::Interest) => consumers.iter().all(|one| one.is_confirmed(seq)),
            _ => false,
        }
    }

    /// Each acknowledged message that is not there.
    fn missing(&mut self) {
        let behind = Behind::new(self);
        let missing: Vec<_> = self
            .known
            .iter()
            .filter(|(seq, _)| !self.found.messages.contains_key(seq))
            .filter(|(seq, at)| !self.may_be_gone(**seq, at, &behind))
            .map(|(seq, at)| (*seq, at.message.number))
            .collect();
        for (seq, number) in missing {
            self.fail(Kind::Lost, format!("{seq}, message {number}, is lost"));
        }
    }

    fn may_be_gone(&self, seq: u64, at: &At, behind: &Behind<'_>) -> bool {
        let removals = &self.expected.removals;
        let removed = removals.iter().any(|removal| {
            removal.fate != Done::Refused
                && removal.settled > at.issued
                && removal.what.hits(seq, &at.message.subject)
        });
        removed || behind.may_take(seq, &at.message) || self.may_be_done(seq)
    }

    /// Whether consumers may be done with it.
    fn may_be_done(&self, seq: u64) -> bool {
        let consumers = &self.expected.consumers;
        match self.expected.plan.map(|plan| plan.retention) {
            Some(Retention::WorkQueue) => consumers.iter().any(|one| one.is_sent(seq)),
            Some(Retention::Interest) => consumers.iter().all(|one| one.is_sent(seq)),
            _ => false,
        }
    }

    /// All of a batch is there, or nothing.
    fn batches(&mut self, after: &StreamState) {
        let mut batches: BTreeMap<u64, Vec<&Publish>> = BTreeMap::new();
        for publish in &self.expected.publishes {
            if let Some(batch) = publish.batch {
                batches.entry(batch).or_default().push(publish);
            }
        }
        let numbers = after.messages.iter();
        let place: BTreeMap<u64, u64> = numbers
            .map(|(seq, message)| (message.number, *seq))
            .collect();
        let behind = Behind::new(self);
        let mut torn = Vec::new();
        for (batch, members) in batches {
            let there = (0..).zip(&members);
            let there = there
                .filter_map(|(index, member)| Some((index, *place.get(&member.message.number)?)));
            let Some((index, seq)) = there.min_by_key(|(index, _)| *index) else {
                continue;
            };
            for (other, member) in (0..).zip(&members) {
                let wanted = (seq + other).saturating_sub(index);
                let at = At {
                    message: Arc::clone(&member.message),
                    issued: member.issued,
                    settled: member.settled,
                };
                if place.get(&member.message.number) != Some(&wanted)
                    && !self.may_be_gone(wanted, &at, &behind)
                {
                    torn.push(format!("of batch {batch} {seq} is there, {wanted} is not"));
                    break;
                }
            }
        }
        for what in torn {
            self.fail(Kind::TornBatch, what);
        }
    }

    /// What the stream says of itself.
    fn counts(&mut self, after: &StreamState) {
        let found = self.found;
        let told = self.known.keys().next_back().copied().unwrap_or(0);
        let told = told.max(self.expected.before.last);
        if found.last < told {
            let last = found.last;
            self.fail(Kind::Twice, format!("last sequence {last}, was {told}"));
        }
        let counted = found.messages.len() as u64;
        if found.count != counted {
            let what = format!("says it has {} messages, has {counted}", found.count);
            self.fail(Kind::Lost, what);
        }
        let most = self.expected.plan.map_or(0, |plan| plan.max_msgs);
        if most > 0 && counted > most {
            let what = format!("has {counted} messages, the limit is {most}");
            self.fail(Kind::CameBack, what);
        }
        let mut last_of: BTreeMap<&str, u64> = BTreeMap::new();
        for (seq, message) in &after.messages {
            last_of.insert(&message.subject, *seq);
        }
        for (subject, last) in &found.last_of {
            let wanted = last_of.get(subject.as_str()).copied();
            if *last != wanted {
                let what = format!("last of {subject} is {last:?}, should be {wanted:?}");
                self.fail(Kind::Lost, what);
            }
        }
    }
}

/// What may have been stored behind a message, and so have taken its place.
struct Behind<'a> {
    plan: Option<&'a StreamPlan>,
    last: u64,
    by_subject: BTreeMap<&'a str, Vec<u64>>,
    /// By sequence: the bytes from there on.
    bytes: BTreeMap<u64, u64>,
    rollups: BTreeMap<&'a str, u64>,
}

impl<'a> Behind<'a> {
    fn new(check: &'a Check<'_>) -> Self {
        let mut behind = Self {
            plan: check.expected.plan,
            last: check.found.last,
            by_subject: BTreeMap::new(),
            bytes: BTreeMap::new(),
            rollups: BTreeMap::new(),
        };
        // Of an unanswered one the place is not known: it may be the last.
        let unknown = check.expected.publishes.iter();
        let unknown = unknown.filter(|publish| publish.fate == Fate::Unknown);
        let known = check.known.iter().map(|(seq, at)| (*seq, &*at.message));
        let all = known.chain(unknown.map(|publish| (NEVER, &*publish.message)));
        let mut sizes: BTreeMap<u64, u64> = BTreeMap::new();
        for (seq, message) in all {
            let on = behind.by_subject.entry(&message.subject).or_default();
            on.push(seq);
            *sizes.entry(seq).or_default() += message.size();
            if message.is_rollup {
                let last = behind.rollups.entry(&message.subject).or_default();
                *last = seq.max(*last);
            }
        }
        let mut sum = 0;
        for (seq, size) in sizes.into_iter().rev() {
            sum += size;
            behind.bytes.insert(seq, sum);
        }
        behind
    }

    fn may_take(&self, seq: u64, message: &Message) -> bool {
        let subject = message.subject.as_str();
        if self
            .rollups
            .get(subject)
            .is_some_and(|rollup| *rollup > seq)
        {
            return true;
        }
        let Some(plan) = self.plan.filter(|plan| !plan.discard_new) else {
            return false;
        };
        let on_subject = self.by_subject.get(subject).map_or(0, |seqs| {
            seqs.iter().filter(|other| **other > seq).count() as u64
        });
        let bytes = self.bytes.range(seq..).next().map_or(0, |(_, sum)| *sum);
        (plan.max_msgs > 0 && self.last.saturating_sub(seq) >= plan.max_msgs)
            || (plan.per_subject > 0 && on_subject >= plan.per_subject)
            || (plan.max_bytes > 0 && bytes > plan.max_bytes)
    }
}

#[cfg(test)]
mod tests;
