//! What clients of a program get from a damaged store, against what was stored and what was hit.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use jetsled_testkit::Peer;
use serde_json::Value;

use super::history::{Built, Kept, connect, read_all};
use super::layout::Place;
use crate::damage::inflict::Hits;
use crate::jetstream::{call, publish};
use crate::observed::http;

/// What nats-server 2.15.1 logs after any kill, damage or not.
const ORDINARY: [&str; 2] = [
    "Stream state outdated, last block has additional entries",
    "Recovering stream state from index errored: prior state file",
];

/// What became of one damaged store, or of many.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    /// Stores.
    pub stores: u64,
    /// Of these, how many were stopped in order.
    pub orderly: u64,
    /// Programs that did not start.
    pub not_started: u64,
    /// Messages before.
    pub messages: u64,
    /// Messages whose newest record was hit.
    pub hit: u64,
    /// Messages that are gone, with their streams or alone.
    pub lost: u64,
    /// Of these, those that were not hit.
    pub lost_unhit: u64,
    /// Of those that are gone, how many the stream's state names.
    pub told: u64,
    /// Of the others, how many are of runs in which the program says something: a warning or an error in the log, `/healthz`.
    pub hinted: u64,
    /// Messages served with other bytes than were stored.
    pub altered: u64,
    /// Messages that had been deleted, acknowledged or purged and are there again.
    pub back: u64,
    /// Streams that are gone.
    pub streams_gone: u64,
    /// Consumers that are gone while their stream is there.
    pub consumers_gone: u64,
    /// Streams whose next message got a sequence that another one had had.
    pub given_again: u64,
}

pub(super) fn judge(built: &mut Built, records: &[Place], hits: &Hits) -> Result<Outcome, String> {
    let mut outcome = Outcome {
        stores: 1,
        orderly: u64::from(built.orderly),
        ..Outcome::default()
    };
    let mut lost = BTreeMap::new();
    let mut newest = BTreeMap::new();
    for record in records {
        newest.insert((record.stream, record.seq), record);
    }
    let is_hit = |stream: &'static str, seq: u64| {
        newest
            .get(&(stream, seq))
            .is_some_and(|record| hits.touch(&record.file, record.from, record.to))
    };
    for (name, kept) in &built.streams {
        outcome.messages += kept.live.len() as u64;
        outcome.hit += kept.live.keys().filter(|seq| is_hit(name, **seq)).count() as u64;
    }
    if built.server.start_again().is_err() {
        outcome.not_started = 1;
        return Ok(outcome);
    }
    let mut told = 0;
    for (name, kept) in &built.streams {
        let mut peer = connect(&built.server).map_err(|error| error.to_string())?;
        // A server that does not answer any more serves nothing.
        let gone = stream(&mut peer, name, kept, &mut outcome, &mut told)
            .unwrap_or_else(|_| kept.live.keys().copied().collect());
        outcome.lost += gone.len() as u64;
        outcome.lost_unhit += gone.iter().filter(|seq| !is_hit(name, **seq)).count() as u64;
        lost.insert(*name, gone);
    }
    outcome.told = told;
    let log = built.server.log();
    let is_hint = |line: &str| {
        (line.contains("[WRN]") || line.contains("[ERR]"))
            && !ORDINARY.iter().any(|ordinary| line.contains(ordinary))
    };
    let says = log.lines().any(is_hint);
    let is_unwell = || {
        let monitor = built.server.monitor_address()?;
        let answer = http::get(monitor, "/healthz").ok()?;
        Some(answer.status != 200 || answer.body.contains("damage"))
    };
    if says || is_unwell() != Some(false) {
        outcome.hinted = outcome.lost - told;
    }
    built.server.kill();
    Ok(outcome)
}

/// Looks at one stream; answers which of its messages are gone.
fn stream(
    peer: &mut Peer,
    name: &str,
    kept: &Kept,
    outcome: &mut Outcome,
    told: &mut u64,
) -> io::Result<BTreeSet<u64>> {
    let info = format!("STREAM.INFO.{name}");
    let before = call(peer, &info, &Value::Null)?;
    if before.get("error").is_some() {
        outcome.streams_gone += 1;
        return Ok(kept.live.keys().copied().collect());
    }
    let last = before["state"]["last_seq"].as_u64().unwrap_or(0);
    let found = read_all(peer, name, last.max(kept.last))?;
    for (seq, content) in &found {
        match kept.ever.get(seq) {
            Some(stored) if stored == content => {
                outcome.back += u64::from(!kept.live.contains_key(seq));
            }
            _ => outcome.altered += 1,
        }
    }
    let consumer = call(peer, &format!("CONSUMER.INFO.{name}.worker"), &Value::Null)?;
    outcome.consumers_gone += u64::from(consumer.get("error").is_some());
    let after = call(peer, &info, &Value::Null)?;
    let named: BTreeSet<u64> = after["state"]["lost"]["msgs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_u64)
        .collect();
    let gone: BTreeSet<u64> = kept
        .live
        .keys()
        .copied()
        .filter(|seq| !found.contains_key(seq))
        .collect();
    *told += gone.intersection(&named).count() as u64;
    let ack = publish(peer, &format!("{name}.new"), b"behind the damage")?;
    let seq = ack["seq"].as_u64();
    outcome.given_again += u64::from(seq.is_some_and(|seq| seq <= kept.last));
    Ok(gone)
}

impl std::ops::AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.stores += other.stores;
        self.orderly += other.orderly;
        self.not_started += other.not_started;
        self.messages += other.messages;
        self.hit += other.hit;
        self.lost += other.lost;
        self.lost_unhit += other.lost_unhit;
        self.told += other.told;
        self.hinted += other.hinted;
        self.altered += other.altered;
        self.back += other.back;
        self.streams_gone += other.streams_gone;
        self.consumers_gone += other.consumers_gone;
        self.given_again += other.given_again;
    }
}
