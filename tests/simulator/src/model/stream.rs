//! What clients know of a stream, and what it must therefore hold.

use std::collections::{BTreeMap, BTreeSet};

use super::content::Content;
use super::expected::LastTold;
use super::limits::Limits;
use super::publish::{Publish, Rollup};
use super::{counter, marker, schedule};
use crate::payload::payload;
use crate::plan::{Kind, StreamPlan};

/// A stream as its clients know it.
#[derive(Debug)]
pub(crate) struct StreamModel {
    pub(crate) name: String,
    pub(crate) in_memory: bool,
    /// Whether messages leave when consumers have them.
    pub(crate) by_interest: bool,
    /// Whether messages add to counters.
    pub(crate) counts: bool,
    pub(crate) window: i64,
    /// How long delete markers stand for what has ended; 0 if there are none.
    pub(super) marker_ttl: i64,
    /// Its creation as the server has told it: another time is another stream.
    pub(crate) created: Option<String>,
    /// The limits that were, or may have been, in force at some time.
    pub(crate) limits: Vec<Limits>,
    /// The number that the description must show, and one that it may show instead.
    pub(crate) version: u64,
    pub(crate) maybe_version: Option<u64>,
    pub(crate) publishes: BTreeMap<u32, Publish>,
    pub(crate) batches: BTreeMap<u32, Batch>,
    /// Which message a sequence was, for what was told by the server and must stay so.
    pub(crate) known: BTreeMap<u64, u32>,
    pub(crate) last_known: u64,
    /// What counters were told to be at a sequence.
    pub(super) totals: BTreeMap<u64, i128>,
    /// By sequence, what schedules have sent: which schedule, and when it said that it would send again.
    pub(super) sent: BTreeMap<u64, (u32, Option<i64>)>,
    /// Sequences that are delete markers.
    pub(super) markers: BTreeSet<u64>,
    pub(super) last_told: Vec<LastTold>,
    /// Since when nothing has kept schedules from sending.
    pub(crate) awake_since: i64,
    /// The end of the run has come: what is due has been sent.
    pub(crate) is_final: bool,
    pub(crate) removals: Vec<Removal>,
    /// Bits of the log were flipped: messages may be lost, none may be altered.
    pub(crate) damaged: bool,
    /// The server has said so when it started.
    pub(crate) is_reported: bool,
    /// Bits were flipped at this start: in the log's last commit that looks like a write that was not finished.
    pub(crate) may_be_cut: bool,
}

/// An atomic batch.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) members: Vec<u32>,
    pub(crate) is_refused: bool,
}

/// Something that a client asked to be removed.
#[derive(Clone, Debug)]
pub(crate) struct Removal {
    pub(crate) what: Removed,
    pub(crate) issued: u64,
    /// When it was known to be done, or to have failed.
    pub(crate) settled: Option<u64>,
    pub(crate) is_confirmed: bool,
    pub(crate) is_refused: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Removed {
    Message(u64),
    Everything,
    Subject(String),
    Below(u64),
    Keep(u64),
}

/// A message that was recognized.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    Message {
        /// Which it is; of what a schedule has sent, the schedule.
        id: u32,
        /// What the counter is with it.
        total: Option<i128>,
        /// A schedule has sent it, and says when it sends again.
        sent: Option<Option<i64>>,
    },
    /// A delete marker.
    Marker,
}

/// Whether consumers' acks may have removed a message of this sequence, published at this event.
pub(crate) type ByConsumers<'a> = &'a dyn Fn(u64, &Publish) -> bool;

impl StreamModel {
    pub(crate) fn new(plan: &StreamPlan) -> Self {
        Self {
            name: plan.name.clone(),
            in_memory: plan.kind == Kind::Memory,
            by_interest: matches!(plan.kind, Kind::WorkQueue | Kind::Interest),
            counts: plan.kind == Kind::Counter,
            window: plan.window,
            marker_ttl: plan.marker_ttl,
            created: None,
            limits: Vec::new(),
            version: 0,
            maybe_version: None,
            publishes: BTreeMap::new(),
            batches: BTreeMap::new(),
            known: BTreeMap::new(),
            last_known: 0,
            totals: BTreeMap::new(),
            sent: BTreeMap::new(),
            markers: BTreeSet::new(),
            last_told: Vec::new(),
            awake_since: 0,
            is_final: false,
            removals: Vec::new(),
            damaged: false,
            is_reported: false,
            may_be_cut: false,
        }
    }

    /// What the server has told of a sequence.
    pub(crate) fn learn(&mut self, seq: u64, id: u32) -> Result<(), String> {
        let name = &self.name;
        if self.markers.contains(&seq) && !self.damaged {
            return Err(format!(
                "{name}: sequence {seq} is message {id}, was a marker"
            ));
        }
        if self.in_memory || self.damaged {
            self.known.insert(seq, id);
        } else if let Some(before) = self.known.insert(seq, id)
            && before != id
        {
            return Err(format!(
                "{name}: sequence {seq} is message {id}, was {before}"
            ));
        }
        self.last_known = self.last_known.max(seq);
        Ok(())
    }

    /// As [`StreamModel::learn`], of a message that was seen.
    pub(crate) fn learn_told(&mut self, seq: u64, told: Told) -> Result<(), String> {
        let Told::Message { id, total, sent } = told else {
            return self.learn_marker(seq);
        };
        self.learn(seq, id)?;
        if let Some(total) = total {
            self.learn_total(seq, total)?;
        }
        match sent {
            Some(next) => self.sent.insert(seq, (id, next)),
            None => self.sent.remove(&seq),
        };
        Ok(())
    }

    /// Whether a sequence is a message that was sent after this event.
    pub(crate) fn was_sent_after(&self, seq: u64, event: Option<u64>) -> bool {
        let publish = self.known.get(&seq).and_then(|id| self.publishes.get(id));
        publish.is_some_and(|publish| event.is_some_and(|event| event < publish.issued()))
    }

    /// The event before which a message that was recognized was stored, if that is known.
    pub(crate) fn stored_before(&self, seq: u64, told: Told) -> Option<u64> {
        let Told::Message { id, sent: None, .. } = told else {
            return None;
        };
        let publish = self.publishes.get(&id)?;
        let is_known = publish.acknowledged().any(|at| at == seq);
        publish.last_chance().filter(|_| is_known)
    }

    /// Whether it holds messages, and all of them were sent to this stream.
    pub(crate) fn knows(&self, content: &Content) -> bool {
        let mut messages = content.messages.iter();
        messages.len() > 0
            && messages.all(|(seq, message)| {
                let (subject, headers) = (&message.subject, &message.headers);
                self.recognize(*seq, subject, headers, &message.payload)
                    .is_ok()
            })
    }

    /// The message that these headers and bytes are, unaltered.
    pub(crate) fn recognize(
        &self,
        seq: u64,
        subject: &str,
        headers: &[u8],
        bytes: &[u8],
    ) -> Result<Told, String> {
        let name = &self.name;
        if marker::is_marker(headers) && self.may_be_marker(subject, bytes) {
            return Ok(Told::Marker);
        }
        let counted = self.counts.then(|| counter::read(headers, bytes)).flatten();
        let id = if self.counts {
            counted.map(|(id, _)| id)
        } else {
            crate::payload::id(bytes)
        };
        let known = id.and_then(|id| Some((id, self.publishes.get(&id)?)));
        let Some((id, publish)) = known else {
            return Err(format!(
                "{name}: sequence {seq} on {subject} is nobody's message"
            ));
        };
        let sent = schedule::Sent::read(headers);
        let has_come_from = match &sent {
            None => publish.subject == subject,
            Some(sent) => {
                publish.schedule.is_some()
                    && publish.subject.as_bytes() == sent.by
                    && subject.ends_with(crate::plan::TARGET)
            }
        };
        if !has_come_from || !self.counts && payload(id, publish.len) != bytes {
            return Err(format!("{name}: sequence {seq}, message {id}, is altered"));
        }
        Ok(Told::Message {
            id,
            total: counted.map(|(_, total)| total),
            sent: sent.map(|sent| sent.next),
        })
    }

    /// Compares what the stream holds, at rest, with what it must hold.
    pub(crate) fn check(
        &mut self,
        content: &Content,
        now: i64,
        gone_by: ByConsumers<'_>,
    ) -> Result<(), String> {
        self.check_counters(content)?;
        let mut ids = BTreeMap::new();
        for (seq, message) in &content.messages {
            let (subject, headers) = (&message.subject, &message.headers);
            let told = self.recognize(*seq, subject, headers, &message.payload)?;
            self.learn_told(*seq, told)?;
            if let Told::Message { id, sent: None, .. } = told {
                ids.entry(id).or_insert_with(Vec::new).push(*seq);
            }
        }
        self.check_totals(content)?;
        self.check_last_told(content)?;
        self.check_markers(content, now)?;
        self.check_schedules(content, now)?;
        self.check_limits(content, now)?;
        for (id, seqs) in &ids {
            self.check_stored(*id, seqs, now)?;
        }
        if content.last < self.last_known && !self.damaged {
            let (name, last, known) = (&self.name, content.last, self.last_known);
            return Err(format!("{name}: last sequence {last}, was {known}"));
        }
        let mut is_cut = false;
        for (id, publish) in &self.publishes {
            for seq in publish.acknowledged() {
                if !content.messages.contains_key(&seq)
                    && !self.may_be_gone(seq, *id, publish, content, now, gone_by)
                    && !(self.damaged && (self.is_reported || content.lost.contains(&seq)))
                {
                    if self.may_be_cut && seq > content.last {
                        is_cut = true;
                        continue;
                    }
                    let name = &self.name;
                    return Err(format!("{name}: acknowledged message {id} ({seq}) is lost"));
                }
            }
        }
        self.may_be_cut = false;
        self.is_reported |= is_cut;
        if self.damaged {
            return Ok(());
        }
        for (number, batch) in &self.batches {
            self.check_batch(*number, batch, &ids, content, now, gone_by)?;
        }
        Ok(())
    }

    fn check_counters(&self, content: &Content) -> Result<(), String> {
        if !content.lost.is_empty() && !self.damaged {
            return Err(format!(
                "{}: {:?} are said to be lost",
                self.name, content.lost
            ));
        }
        let bytes: u64 = content
            .messages
            .values()
            .map(|message| message.size(self.in_memory))
            .sum();
        let subjects: BTreeSet<_> = content.messages.values().map(|m| &m.subject).collect();
        let first = content.messages.keys().next();
        let count = content.messages.len() as u64;
        let span = content.last + 1 - first.copied().unwrap_or(content.last + 1);
        let counted = (
            count,
            bytes,
            first.copied().unwrap_or(content.first),
            subjects.len() as u64,
            if count == 0 {
                content.deleted
            } else {
                span - count
            },
        );
        let mut told = (
            content.count,
            content.bytes,
            content.first,
            content.subjects,
            content.deleted,
        );
        if self.damaged {
            // Of a message that damage took neither size nor subject are known: they count on.
            told.1 = told.1.min(counted.1);
            told.3 = told.3.min(counted.3);
        }
        if counted != told {
            let name = &self.name;
            return Err(format!(
                "{name}: messages, bytes, first, subjects, deleted are {told:?}, counted {counted:?}"
            ));
        }
        if content.first > content.last + 1 {
            return Err(format!("{}: first sequence beyond the last", self.name));
        }
        Ok(())
    }

    /// A message that is there.
    fn check_stored(&self, id: u32, seqs: &[u64], now: i64) -> Result<(), String> {
        let (name, publish) = (&self.name, &self.publishes[&id]);
        let known = |attempt: &super::Attempt| attempt.settled.map_or(now, |_| attempt.settled_at);
        let last = publish.attempts.last().map_or(now, known);
        let spans = last - publish.attempts.first().map_or(now, |attempt| attempt.at);
        // A configuration's window is no longer than its messages live.
        let ages = self
            .limits
            .iter()
            .map(|limits| limits.age)
            .filter(|age| *age > 0);
        let window = ages.min().map_or(self.window, |age| self.window.min(age));
        let copies = if publish.has_id && spans < window {
            1
        } else {
            publish.attempts.len()
        };
        if seqs.len() > copies {
            return Err(format!("{name}: message {id} is stored as {seqs:?}"));
        }
        if !publish.may_be_stored() {
            return Err(format!(
                "{name}: message {id}, which was refused, is {seqs:?}"
            ));
        }
        if self.damaged {
            return Ok(());
        }
        let Some(last_chance) = publish.last_chance() else {
            return Ok(());
        };
        for removal in self.removals.iter().filter(|removal| removal.is_confirmed) {
            let removed = match &removal.what {
                Removed::Message(seq) => seqs == [*seq],
                Removed::Everything => true,
                Removed::Subject(subject) => *subject == publish.subject,
                Removed::Below(seq) => seqs.iter().all(|at| at < seq),
                Removed::Keep(_) => false,
            };
            let is_message = matches!(removal.what, Removed::Message(_));
            if removed && (is_message || last_chance < removal.issued) {
                return Err(format!(
                    "{name}: message {id} ({seqs:?}) is back after {removal:?}"
                ));
            }
        }
        Ok(())
    }

    /// Whether an acknowledged message may be missing.
    fn may_be_gone(
        &self,
        seq: u64,
        id: u32,
        publish: &Publish,
        content: &Content,
        now: i64,
        gone_by: ByConsumers<'_>,
    ) -> bool {
        let at = publish.attempts.first().map_or(now, |first| first.at);
        let expired = publish.ttl.is_some_and(|ttl| now >= at + ttl);
        self.may_be_removed(seq, id, publish)
            || expired
            || self.has_sent(id, publish, now)
            || self.by_interest && gone_by(seq, publish)
            || self
                .limits
                .iter()
                .any(|limits| self.may_be_over(limits, seq, publish, content, now - at))
    }

    /// Whether somebody may have removed it, or another message in rolling up what is before it.
    pub(super) fn may_be_removed(&self, seq: u64, id: u32, publish: &Publish) -> bool {
        let issued = publish.issued();
        let after = |settled: Option<u64>| settled.is_none_or(|settled| settled > issued);
        let removed = self.removals.iter().any(|removal| {
            let hit = match &removal.what {
                Removed::Message(at) => *at == seq,
                Removed::Everything | Removed::Keep(_) => true,
                Removed::Subject(subject) => *subject == publish.subject,
                Removed::Below(at) => seq < *at,
            };
            hit && !removal.is_refused && after(removal.settled)
        });
        let rolled_up = self.publishes.iter().any(|(other, by)| {
            let hit = match by.rollup {
                Rollup::Nothing => false,
                Rollup::Subject => by.subject == publish.subject,
                Rollup::All => true,
            };
            // Sent again after its window a message removes its own first copy.
            let is_later = *other != id || by.copies_behind(seq) > 0;
            hit && is_later && by.may_be_stored() && after(by.last_chance())
        });
        removed || rolled_up
    }

    /// All of a batch or nothing.
    fn check_batch(
        &self,
        number: u32,
        batch: &Batch,
        ids: &BTreeMap<u32, Vec<u64>>,
        content: &Content,
        now: i64,
        gone_by: ByConsumers<'_>,
    ) -> Result<(), String> {
        let name = &self.name;
        let place = |(at, id): (usize, &u32)| Some((at as u64, *ids.get(id)?.first()?));
        let Some((at, seq)) = batch.members.iter().enumerate().find_map(place) else {
            return Ok(());
        };
        if batch.is_refused {
            return Err(format!(
                "{name}: batch {number} was refused, {seq} is of it"
            ));
        }
        for (other, id) in (0..).zip(&batch.members) {
            let expected = (seq + other).saturating_sub(at);
            let there = ids.get(id).is_some_and(|seqs| seqs.contains(&expected));
            let publish = &self.publishes[id];
            if !there && !self.may_be_gone(expected, *id, publish, content, now, gone_by) {
                return Err(format!(
                    "{name}: of batch {number} {seq} is there, {expected} is not"
                ));
            }
        }
        Ok(())
    }
}

/// Expiry comes no later than this: the clock's work is done every 250 ms, and a commit follows.
pub(super) const SLACK: i64 = 600_000_000;
