//! What clients know of a stream, and what it must therefore hold.

use std::collections::{BTreeMap, BTreeSet};

use super::content::Content;
use super::publish::{Publish, Rollup};
use super::{counter, schedule};
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

/// A configuration's limits; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) msgs: u64,
    pub(crate) per_subject: u64,
    pub(crate) bytes: u64,
    pub(crate) age: i64,
    pub(crate) discard_new: bool,
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
pub(crate) struct Told {
    /// Which it is; of what a schedule has sent, the schedule.
    pub(crate) id: u32,
    /// What the counter is with it.
    pub(super) total: Option<i128>,
    /// A schedule has sent it, and says when it sends again.
    pub(super) sent: Option<Option<i64>>,
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
        self.learn(seq, told.id)?;
        if let Some(total) = told.total {
            self.learn_total(seq, total)?;
        }
        match told.sent {
            Some(next) => self.sent.insert(seq, (told.id, next)),
            None => self.sent.remove(&seq),
        };
        Ok(())
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
        Ok(Told {
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
            if told.sent.is_none() {
                ids.entry(told.id).or_insert_with(Vec::new).push(*seq);
            }
        }
        self.check_totals(content)?;
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

    /// Limits in force hold.
    fn check_limits(&self, content: &Content, now: i64) -> Result<(), String> {
        let limits = content.limits;
        let mut by_subject: BTreeMap<&str, u64> = BTreeMap::new();
        for (seq, message) in &content.messages {
            *by_subject.entry(&message.subject).or_default() += 1;
            let age = now - message.time;
            if limits.age > 0 && age > limits.age + SLACK {
                let name = &self.name;
                return Err(format!(
                    "{name}: {seq} is {age} ns old, the most is {limits:?}"
                ));
            }
        }
        let most = by_subject.values().max().copied().unwrap_or(0);
        if limits.discard_new || self.damaged {
            // A limit that was lowered takes nothing away; sizes of what is lost count on.
            return Ok(());
        }
        let over = |is: u64, limit: u64| limit > 0 && is > limit;
        if over(content.count, limits.msgs)
            || over(content.bytes, limits.bytes)
            || over(most, limits.per_subject)
        {
            let (name, count, bytes) = (&self.name, content.count, content.bytes);
            return Err(format!(
                "{name}: {count} messages, {bytes} bytes, {most} on a subject, above {limits:?}"
            ));
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
        let at = publish.attempts.first().map_or(now, |first| first.at);
        let expired = publish.ttl.is_some_and(|ttl| now >= at + ttl);
        removed
            || rolled_up
            || expired
            || self.has_sent(id, publish, now)
            || self.by_interest && gone_by(seq, publish)
            || self
                .limits
                .iter()
                .any(|limits| self.may_be_over(limits, seq, publish, content, now - at))
    }

    /// Whether a limit may have taken a message of this age.
    fn may_be_over(
        &self,
        limits: &Limits,
        seq: u64,
        publish: &Publish,
        content: &Content,
        age: i64,
    ) -> bool {
        if limits.age > 0 && age >= limits.age {
            return true;
        }
        if limits.discard_new && limits.per_subject == 0 {
            return false;
        }
        if limits.msgs > 0 && content.last.saturating_sub(seq) >= limits.msgs {
            return true;
        }
        // Copies that may have been stored behind it: of others, and, sent again after its window, of itself.
        let (mut on_subject, mut bytes) = (0, publish.size());
        for behind in self.publishes.values() {
            let copies = behind.copies_behind(seq);
            on_subject += copies * u64::from(behind.subject == publish.subject);
            bytes += behind.size() * copies;
        }
        limits.per_subject > 0 && on_subject >= limits.per_subject
            || limits.bytes > 0 && bytes > limits.bytes
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

impl Publish {
    /// At least so much does it take.
    fn size(&self) -> u64 {
        (self.subject.len() + self.len + 400) as u64
    }
}

/// Expiry comes no later than this: the clock's work is done every 250 ms, and a commit follows.
pub(super) const SLACK: i64 = 600_000_000;
