//! What a check and a start say and serve, against what was stored and what was hit.

use std::collections::{BTreeMap, BTreeSet};

use jetsled_jetstream_api::{StreamSeq, Timestamp};
use jetsled_store::check::{CheckOptions, check};
use jetsled_store::{ConsumerKey, Publish, Sender, Shard, Stream, StreamId};

use super::Outcome;
use super::build::{Built, Content, Kept, LATER, open, read_all};
use super::files::Kind;
use crate::damage::inflict::Hits;
use crate::damage::records::{Found, MESSAGE};
use crate::damage::vouch::{Excuse, Vouched};

/// Sequences that are said to be lost, by account and name of the stream.
type Lost = BTreeMap<(String, String), BTreeSet<u64>>;

pub(super) fn judge(built: &Built, kind: Kind, hits: &Hits) -> Result<Outcome, String> {
    let checked = CheckOptions {
        encryption: built.options.encryption.clone(),
        ..CheckOptions::new(&built.options.dir)
    };
    let told =
        check(&checked, &mut |_| ()).map_err(|error| format!("can not be checked: {error}"))?;
    let mut shards = open(&built.options, built.now)?.shards;
    let mut outcome = Outcome {
        stores: 1,
        encrypted: u64::from(built.key.is_some()),
        ..Outcome::default()
    };
    for (number, shard) in shards.iter_mut().enumerate() {
        let progress = progress(shard);
        let vouched = Vouched::of(&built.records[number], built.checkpoints[number], hits);
        for kept in &built.streams[number] {
            let stream = Judged {
                built,
                kind,
                hits,
                vouched: &vouched,
                shard: number,
                kept,
                told_at_all: !told.is_clean(),
                told_orphans: told.orphaned_messages,
            };
            let missing = stream
                .consumer(progress.get(&kept.id).copied())
                .and_then(|()| stream.served(shard, &mut outcome))
                .map_err(|what| format!("{}: {what}; {}", kept.name, stream.situation()))?;
            outcome.lost += missing.len() as u64;
        }
    }
    let by_check: Lost = told
        .streams
        .iter()
        .map(|stream| {
            let name = (stream.account.clone(), stream.name.clone());
            (name, expand(stream.lost.iter().copied()))
        })
        .collect();
    let by_start = by_name(&shards);
    if by_check != by_start {
        return Err(format!(
            "the check tells {by_check:?}, the start {by_start:?}"
        ));
    }
    if told.is_clean() && outcome.lost > 0 && built.orderly {
        return Err("the check finds nothing".to_owned());
    }
    go_on(built, shards, by_start)?;
    Ok(outcome)
}

struct Judged<'b> {
    built: &'b Built,
    kind: Kind,
    hits: &'b Hits,
    vouched: &'b Vouched,
    shard: usize,
    kept: &'b Kept,
    /// Whether the check finds anything.
    told_at_all: bool,
    /// Messages that it says nobody knows the stream of.
    told_orphans: u64,
}

impl Judged<'_> {
    /// The newest record of each live message.
    fn records(&self) -> BTreeMap<u64, &Found> {
        let records = self.built.records[self.shard].iter();
        records
            .filter(|record| record.kind == MESSAGE && record.stream == self.kept.id)
            .filter(|record| self.kept.live.contains_key(&record.seq))
            .map(|record| (record.seq, record))
            .collect()
    }

    /// For whoever looks into a failure.
    fn situation(&self) -> String {
        let hit: Vec<String> = self.built.records[self.shard]
            .iter()
            .filter(|record| self.is_hit(record))
            .map(|record| {
                let Found {
                    kind,
                    stream,
                    seq,
                    from,
                    ..
                } = record;
                format!("kind {kind} of stream {stream} seq {seq} at {from}")
            })
            .collect();
        format!(
            "shard {}, orderly: {}, encrypted: {}, stream {} ended at {}; hit in {}: {hit:?}; {:?}",
            self.shard,
            self.built.orderly,
            self.built.key.is_some(),
            self.kept.id,
            self.kept.last,
            self.hits.file.display(),
            self.vouched,
        )
    }

    fn is_hit(&self, record: &Found) -> bool {
        self.hits.touch(&record.file, record.from, record.to)
    }

    /// Whether a record other than a message's was hit: what it said is not known any more.
    fn other_records_hit(&self) -> bool {
        let mut records = self.built.records[self.shard].iter();
        records.any(|record| {
            record.kind != MESSAGE
                && record.stream == self.kept.id
                && (self.is_hit(record) || self.vouched.is_cut_off(record))
        })
    }

    /// Compares what is served; answers what is missing.
    fn served(&self, shard: &mut Shard, outcome: &mut Outcome) -> Result<BTreeSet<u64>, String> {
        let id = StreamId(self.kept.id);
        let Some(stream) = shard.stream(id) else {
            // Its configuration was hit, and no checkpoint has it.
            if !self.other_records_hit() {
                return Err("the stream is gone".to_owned());
            }
            let records = self.records();
            let unhurt =
                |record: &&&Found| !self.is_hit(record) && !self.vouched.is_cut_off(record);
            let orphaned = records.values().filter(unhurt).count() as u64;
            if orphaned > self.told_orphans {
                let told = self.told_orphans;
                return Err(format!(
                    "the stream is gone, {told} messages are told of, not {orphaned}"
                ));
            }
            outcome.orphaned += orphaned;
            return Ok(BTreeSet::new());
        };
        let last = stream.last_seq().0;
        let found = read_all(shard, id)?;
        self.unaltered(&found)?;
        let missing: BTreeSet<u64> = self
            .kept
            .live
            .keys()
            .copied()
            .filter(|seq| !found.contains_key(seq))
            .collect();
        let told = expand(shard.stream(id).into_iter().flat_map(Stream::lost));
        let records = self.records();
        outcome.messages += self.kept.live.len() as u64;
        outcome.hit += records
            .values()
            .filter(|record| self.is_hit(record))
            .count() as u64;
        let mut unvouched = false;
        for seq in &missing {
            let record = records.get(seq).ok_or("a message has no record")?;
            if !self.is_hit(record) && !self.vouched.is_cut_off(record) {
                return Err(format!("{seq} is lost and was not hit"));
            }
            if told.contains(seq) {
                continue;
            }
            match self.vouched.excuse(record) {
                Some(Excuse::Unvouched) => {
                    unvouched = true;
                    outcome.unvouched += 1;
                }
                Some(Excuse::Nameless) if self.told_at_all => outcome.told_by_place += 1,
                _ => return Err(format!("{seq} is lost and nobody says so")),
            }
        }
        let was_hit = |seq: &u64| {
            let all = self.built.records[self.shard].iter();
            all.filter(|r| r.kind == MESSAGE && r.stream == self.kept.id && r.seq == *seq)
                .any(|record| self.is_hit(record))
        };
        let wrong = told
            .iter()
            .find(|seq| !missing.contains(seq) && !was_hit(seq));
        // Unless the record of its removal was.
        if let Some(seq) = wrong
            && !self.other_records_hit()
        {
            return Err(format!("{seq} is said to be lost"));
        }
        if last < self.kept.last && !unvouched && !self.other_records_hit() && self.built.orderly {
            return Err(format!("ends at {last}, not at {}", self.kept.last));
        }
        Ok(missing)
    }

    /// Whatever is served is what was stored, and nothing has come back without reason.
    fn unaltered(&self, found: &BTreeMap<u64, Content>) -> Result<(), String> {
        for (seq, content) in found {
            match self.kept.ever.get(seq) {
                Some(stored) if stored == content => {}
                Some(_) => return Err(format!("{seq} is altered")),
                None => return Err(format!("{seq} never was")),
            }
            if !self.kept.live.contains_key(seq) {
                let reason =
                    self.kind == Kind::Segment && (self.other_records_hit() || self.kept.limited);
                if !reason {
                    return Err(format!("{seq} is back"));
                }
            }
        }
        Ok(())
    }

    /// The consumer is there with its last progress, unless one of the stream's records that are no messages was hit.
    fn consumer(&self, found: Option<u64>) -> Result<(), String> {
        let told = self.kept.progress;
        match found {
            Some(found) if found > told => Err(format!("progress {found} never was")),
            Some(found) if found == told => Ok(()),
            _ if self.other_records_hit() => Ok(()),
            found => Err(format!("the consumer has progress {found:?}, not {told}")),
        }
    }
}

/// The last progress of each stream's consumer.
fn progress(shard: &mut Shard) -> BTreeMap<u32, u64> {
    let recovered = shard.recovered_consumers().into_iter();
    recovered
        .map(|consumer| {
            let last = consumer.deltas.last().or(consumer.checkpoint.as_ref());
            let told = last.and_then(|bytes| bytes.as_slice().try_into().ok());
            (consumer.stream.0, told.map_or(0, u64::from_le_bytes))
        })
        .collect()
}

fn by_name(shards: &[Shard]) -> Lost {
    let streams = shards.iter().flat_map(Shard::streams);
    let name = |stream: &Stream| (stream.account().to_owned(), stream.config().name.clone());
    streams
        .map(|stream| (name(stream), expand(stream.lost())))
        .collect()
}

fn expand(runs: impl Iterator<Item = (StreamSeq, StreamSeq)>) -> BTreeSet<u64> {
    runs.flat_map(|(first, last)| first.0..=last.0).collect()
}

/// The damaged store goes on: it takes messages, gives space back, and is the same after another start.
fn go_on(built: &Built, mut shards: Vec<Shard>, told: Lost) -> Result<(), String> {
    let mut now = built.now;
    for shard in &mut shards {
        let ids: Vec<StreamId> = shard.streams().map(Stream::id).collect();
        for id in ids {
            let name = shard.stream(id).map(|stream| stream.config().name.clone());
            let subject = format!("{}.new", name.unwrap_or_default());
            let message = Publish {
                subject: subject.as_bytes(),
                headers: b"",
                payload: b"behind the damage",
                has_interest: true,
                sender: Sender::Client,
            };
            shard
                .publish(id, &message, now)
                .map_err(|error| format!("takes no messages: {error}"))?;
        }
        for _ in 0..4 {
            now = Timestamp(now.0 + LATER.get());
            shard.tick(now);
            commit(shard)?;
            if !built.orderly && !shard.checkpoint_due() {
                continue;
            }
            let states: Vec<(ConsumerKey, Vec<u8>)> =
                shard.consumer_keys().map(|key| (key, vec![0; 8])).collect();
            let checkpoint = shard.take_checkpoint(states.into_iter());
            commit(shard)?;
            let done = checkpoint.run(shard.synced());
            shard
                .finish_checkpoint(done)
                .map_err(|error| format!("writes no checkpoint: {error}"))?;
        }
    }
    let before = contents(&mut shards)?;
    drop(shards);
    let mut shards = open(&built.options, now)
        .map_err(|error| format!("once more: {error}"))?
        .shards;
    let after = contents(&mut shards)?;
    if after != before {
        let differs = difference(&before, &after);
        return Err(format!("another start finds something else: {differs}"));
    }
    for (name, before) in told {
        if !before.is_subset(&by_name(&shards).remove(&name).unwrap_or_default()) {
            return Err(format!("{name:?}: what was lost is forgotten"));
        }
    }
    Ok(())
}

fn commit(shard: &mut Shard) -> Result<(), String> {
    while let Some(commit) = shard.take_commit() {
        shard
            .finish_commit(commit.run())
            .map_err(|error| format!("does not commit: {error}"))?;
    }
    while let Some(maintenance) = shard.take_maintenance() {
        shard.finish_maintenance(maintenance.run());
    }
    Ok(())
}

/// By shard: streams with their last sequences and messages.
type Contents = Vec<Vec<(StreamId, u64, BTreeMap<u64, Content>)>>;

/// For whoever looks into a failure: of each stream that is not the same, its last sequence and those of messages that only one of them has.
fn difference(before: &Contents, after: &Contents) -> String {
    let mut found = Vec::new();
    for (shard, (before, after)) in before.iter().zip(after).enumerate() {
        let ids =
            |all: &[(StreamId, u64, _)]| -> Vec<u32> { all.iter().map(|(id, ..)| id.0).collect() };
        if ids(before) != ids(after) {
            found.push(format!(
                "shard {shard}: streams {:?}, {:?}",
                ids(before),
                ids(after)
            ));
            continue;
        }
        for ((id, last, messages), (_, last_after, messages_after)) in before.iter().zip(after) {
            let seqs = |one: &BTreeMap<u64, Content>, other: &BTreeMap<u64, Content>| {
                let only = one.keys().filter(|seq| !other.contains_key(seq));
                only.copied().collect::<Vec<_>>()
            };
            let gone = seqs(messages, messages_after);
            let new = seqs(messages_after, messages);
            if last != last_after || !gone.is_empty() || !new.is_empty() {
                found.push(format!(
                    "shard {shard}, stream {}: ended at {last}, then {last_after}; gone: {gone:?}, new: {new:?}",
                    id.0
                ));
            }
        }
    }
    found.join("; ")
}

fn contents(shards: &mut [Shard]) -> Result<Contents, String> {
    let mut all = Vec::new();
    for shard in shards {
        let ids: Vec<(StreamId, u64)> = shard
            .streams()
            .map(|stream| (stream.id(), stream.last_seq().0))
            .collect();
        let mut streams = Vec::new();
        for (id, last) in ids {
            streams.push((id, last, read_all(shard, id)?));
        }
        all.push(streams);
    }
    Ok(all)
}
