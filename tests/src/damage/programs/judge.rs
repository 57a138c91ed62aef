//! What clients of a program get from a damaged store, against what was stored and what was hit.

use std::collections::BTreeSet;
use std::io;

use jetsled_testkit::{Peer, Server};
use serde_json::Value;

use super::history::{Built, Kept, connect, read_all};
use super::layout::Fates;
use crate::damage::vouch::Excuse;
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
    pub named: u64,
    /// Of the others, how many are of runs in which the program says something: a warning or an error in the log, `/healthz`.
    pub hinted: u64,
    /// Of those that are neither named nor hinted at, how many lie at the end of a killed jetsled's log, with nothing left that vouches for them.
    pub unvouched: u64,
    /// Of those that are gone, how many jetsled says less of than it must.
    pub untold: u64,
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
    /// Of these, those of which something jetsled has still says that it was given.
    pub given_again_knowingly: u64,
}

pub(super) fn judge(built: &mut Built, fates: &Fates) -> Result<Outcome, String> {
    let mut outcome = Outcome {
        stores: 1,
        orderly: u64::from(built.orderly),
        ..Outcome::default()
    };
    let is_hit = |name, seq: u64| fates.get(&(name, seq)).is_some_and(|fate| fate.is_hit);
    for (name, kept) in &built.streams {
        outcome.messages += kept.live.len() as u64;
        outcome.hit += kept.live.keys().filter(|seq| is_hit(*name, **seq)).count() as u64;
    }
    if built.server.start_again().is_err() {
        outcome.not_started = 1;
        return Ok(outcome);
    }
    let mut unnamed = Vec::new();
    for (name, kept) in &built.streams {
        let mut peer = connect(&built.server).map_err(|error| error.to_string())?;
        // A server that does not answer any more serves nothing.
        let gone = stream(&mut peer, name, kept, &mut outcome).unwrap_or_else(|_| Gone::all(kept));
        outcome.lost += gone.messages.len() as u64;
        for seq in gone.messages {
            outcome.lost_unhit += u64::from(!is_hit(*name, seq));
            if gone.named.contains(&seq) {
                outcome.named += 1;
            } else {
                unnamed.push(fates.get(&(*name, seq)).and_then(|fate| fate.excuse));
            }
        }
        if let Some(seq) = gone.next.filter(|seq| *seq <= kept.last) {
            let is_excused = |seq| {
                fates
                    .get(&(*name, seq))
                    .is_some_and(|fate| fate.excuse.is_some())
            };
            outcome.given_again += 1;
            outcome.given_again_knowingly += u64::from(!(seq..=kept.last).all(is_excused));
        }
    }
    if says_something(&built.server) {
        outcome.hinted = unnamed.len() as u64;
        outcome.untold = unnamed.iter().filter(|excuse| excuse.is_none()).count() as u64;
    } else {
        let vouched = |excuse: &&Option<Excuse>| **excuse != Some(Excuse::Unvouched);
        outcome.untold = unnamed.iter().filter(vouched).count() as u64;
        outcome.unvouched = unnamed.len() as u64 - outcome.untold;
    }
    built.server.kill();
    Ok(outcome)
}

fn says_something(server: &Server) -> bool {
    let is_hint = |line: &str| {
        (line.contains("[WRN]") || line.contains("[ERR]"))
            && !ORDINARY.iter().any(|ordinary| line.contains(ordinary))
    };
    let is_unwell = || {
        let answer = http::get(server.monitor_address()?, "/healthz").ok()?;
        Some(answer.status != 200 || answer.body.contains("damage"))
    };
    server.log().lines().any(is_hint) || is_unwell() != Some(false)
}

/// What of a stream is gone.
struct Gone {
    messages: BTreeSet<u64>,
    /// Sequences that the stream's state calls lost.
    named: BTreeSet<u64>,
    /// The sequence of the next message, if it takes one.
    next: Option<u64>,
}

impl Gone {
    fn all(kept: &Kept) -> Self {
        Self {
            messages: kept.live.keys().copied().collect(),
            named: BTreeSet::new(),
            next: None,
        }
    }
}

fn stream(peer: &mut Peer, name: &str, kept: &Kept, outcome: &mut Outcome) -> io::Result<Gone> {
    let info = format!("STREAM.INFO.{name}");
    let before = call(peer, &info, &Value::Null)?;
    if before.get("error").is_some() {
        outcome.streams_gone += 1;
        return Ok(Gone::all(kept));
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
    let lost = after["state"]["lost"]["msgs"].as_array();
    let named = lost.into_iter().flatten().filter_map(Value::as_u64);
    let live = kept.live.keys().copied();
    let ack = publish(peer, &format!("{name}.new"), b"behind the damage")?;
    Ok(Gone {
        messages: live.filter(|seq| !found.contains_key(seq)).collect(),
        named: named.collect(),
        next: ack["seq"].as_u64(),
    })
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
        self.named += other.named;
        self.hinted += other.hinted;
        self.unvouched += other.unvouched;
        self.untold += other.untold;
        self.altered += other.altered;
        self.back += other.back;
        self.streams_gone += other.streams_gone;
        self.consumers_gone += other.consumers_gone;
        self.given_again += other.given_again;
        self.given_again_knowingly += other.given_again_knowingly;
    }
}
