//! Publishers: each a connection with messages to one stream, several without an answer, until the connection breaks.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jetsled_testkit::Peer;
use rand::RngExt;
use rand::rngs::SmallRng;
use serde_json::Value;

use super::journal::{Fate, NEVER, Publish, StreamKey};
use super::load::Shared;
use super::message::Message;
use super::plan;

/// What a publisher does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// Messages on ten subjects, half of them with ids.
    Plain,
    /// Puts, deletes, purges and compare-and-set of keys.
    Keys,
    /// Each message expects to be behind the one before it.
    Chain,
}

/// Who publishes: stream, habit, messages without an answer, longest payload.
pub(super) const PUBLISHERS: [(&str, Habit, usize, usize); 8] = [
    (plan::EVENTS, Habit::Plain, 48, 1500),
    (plan::EVENTS, Habit::Plain, 8, 300),
    (plan::WORK, Habit::Plain, 24, 600),
    (plan::INTEREST, Habit::Plain, 24, 600),
    (plan::STATE, Habit::Keys, 16, 300),
    (plan::STATE, Habit::Keys, 2, 300),
    (plan::CHAIN, Habit::Chain, 1, 300),
    (plan::BULK, Habit::Plain, 3, 40 << 10),
];

/// In every third round there is so much of this stream that checkpoints are written and segments given back: messages without an answer,
/// longest payload.
const HEAVY: (usize, usize) = (8, 256 << 10);

const KEYS: u32 = 40;
/// A round has to be read again: no publisher sends more than this.
const MOST: usize = 20_000;

/// A publisher of one round.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) number: u64,
    stream: StreamKey,
    habit: Habit,
    in_flight: usize,
    max_payload: usize,
    round: u64,
    /// Messages of earlier rounds that were not answered.
    again: Vec<Arc<Message>>,
    /// The last sequence as far as this publisher knows; on each key, and in the stream.
    last_on: BTreeMap<String, u64>,
    last: u64,
    count: u64,
    random: SmallRng,
}

impl Publisher {
    /// All of them.
    pub(super) fn all(
        round: u64,
        state: &mut super::journal::State,
        seed: impl Fn(u64) -> SmallRng,
    ) -> Vec<Self> {
        (0..)
            .zip(PUBLISHERS)
            .map(|(number, (stream, habit, in_flight, max_payload))| {
                let (in_flight, max_payload) = match stream {
                    plan::BULK if round.is_multiple_of(3) => HEAVY,
                    _ => (in_flight, max_payload),
                };
                let stream = state.key(stream);
                let found = state.streams.get(&stream).cloned().unwrap_or_default();
                let on = found.messages.iter();
                Self {
                    number,
                    stream,
                    habit,
                    in_flight,
                    max_payload,
                    round,
                    again: state.unanswered.remove(&number).unwrap_or_default(),
                    last_on: on
                        .map(|(seq, message)| (message.subject.clone(), *seq))
                        .collect(),
                    last: found.last,
                    count: 0,
                    random: seed(number),
                }
            })
            .collect()
    }

    /// Publishes until the connection breaks.
    ///
    /// # Errors
    ///
    /// When something was refused for no reason that this load gives.
    pub(super) fn run(mut self, mut peer: Peer, shared: &Shared) -> io::Result<Vec<Publish>> {
        let mut sent: Vec<Publish> = Vec::new();
        let mut settled = 0;
        let inbox = format!("acks.{}", self.number);
        if peer.send(format!("SUB {inbox}.* 1\r\n")).is_err() {
            return Ok(sent);
        }
        loop {
            let mut bytes = Vec::new();
            let issued = shared.clock.tick();
            while sent.len() - settled < self.in_flight && sent.len() < MOST {
                let message = self.next(&sent);
                message.encode(&format!("{inbox}.{}", sent.len()), &mut bytes);
                sent.push(Publish {
                    stream: self.stream.clone(),
                    message,
                    issued,
                    settled: NEVER,
                    fate: Fate::Unknown,
                    batch: None,
                });
            }
            let Ok(answer) = peer.send(&bytes).and_then(|()| peer.message()) else {
                return Ok(sent);
            };
            settled += 1;
            let index = answer
                .subject
                .rsplit('.')
                .next()
                .and_then(|text| text.parse::<usize>().ok());
            let publish = index.and_then(|index| sent.get_mut(index));
            let publish =
                publish.ok_or_else(|| io::Error::other(format!("an answer to {answer:?}")))?;
            publish.fate = match fate(&answer.payload, &self.stream.0) {
                Ok(fate) => fate,
                Err(_) if shared.is_ending() => return Ok(sent),
                Err(what) => {
                    let what = format!("{:?}: {what}", publish.message);
                    return Err(io::Error::other(what));
                }
            };
            publish.settled = shared.clock.tick();
            match publish.fate {
                Fate::Stored(seq) => {
                    shared.stored(&self.stream.0, seq);
                    self.last = seq;
                    self.last_on.insert(publish.message.subject.clone(), seq);
                }
                Fate::Refused if self.habit == Habit::Chain => {
                    let what = String::from_utf8_lossy(&answer.payload).into_owned();
                    return Err(io::Error::other(format!("{:?}: {what}", publish.message)));
                }
                // A work queue that is full.
                Fate::Refused if self.habit == Habit::Plain => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Fate::Refused | Fate::Unknown => {}
            }
        }
    }

    fn next(&mut self, sent: &[Publish]) -> Arc<Message> {
        if let Some(message) = self.again.pop() {
            return message;
        }
        if self.random.random_bool(0.02)
            && let Some(old) = sent.iter().rev().take(100).find(|old| old.message.has_id)
        {
            return Arc::clone(&old.message);
        }
        self.count += 1;
        let number = self.round << 32 | self.number << 24 | self.count;
        let len = self.random.random_range(0..self.max_payload);
        let name = &self.stream.0;
        Arc::new(match self.habit {
            Habit::Plain => {
                let subject = format!("{name}.{}", self.random.random_range(0..10));
                let message = Message::new(number, subject, len);
                if self.random.random_bool(0.5) {
                    message.header("Crash-Test", number).id()
                } else {
                    message
                }
            }
            Habit::Chain => Message::new(number, format!("{name}.{}", number % 3), len)
                .header("Nats-Expected-Last-Sequence", self.last),
            Habit::Keys => {
                let key = self.random.random_range(0..KEYS);
                let subject = format!("$KV.state.k{key}");
                let last = self.last_on.get(&subject).copied().unwrap_or(0);
                let message = Message::new(number, subject, len);
                match self.random.random_range(0..100) {
                    0..60 => message,
                    60..70 => message.id(),
                    70..80 => message.header("KV-Operation", "DEL"),
                    80..85 => message.header("KV-Operation", "PURGE").rollup(),
                    _ => message.header("Nats-Expected-Last-Subject-Sequence", last),
                }
            }
        })
    }
}

/// What an answer to a publish says.
///
/// # Errors
///
/// An answer that this load has given no reason for.
pub(super) fn fate(answer: &[u8], stream: &str) -> Result<Fate, String> {
    let unexpected = || String::from_utf8_lossy(answer).into_owned();
    let ack: Value = serde_json::from_slice(answer).map_err(|_| unexpected())?;
    if let Some(error) = ack.get("error") {
        let text = error["description"].as_str().unwrap_or_default();
        let is_expected =
            text == "maximum messages exceeded" || text.starts_with("wrong last sequence");
        return if is_expected {
            Ok(Fate::Refused)
        } else {
            Err(unexpected())
        };
    }
    match ack["seq"].as_u64() {
        Some(seq) if ack["stream"] == stream => Ok(Fate::Stored(seq)),
        _ => Err(unexpected()),
    }
}
