//! A plain model of a consumer that random histories are held against: nothing is skipped, delivered before its turn or before
//! its time, too often, to somebody who did not ask, or after a confirmed ack, whatever happens in between, crashes included.

use std::collections::{BTreeMap, BTreeSet};

use jetsled_jetstream_api::{AckPolicy, ConsumerInfo, Nanos, Timestamp};

use crate::choice::Choice;
use crate::history::Step;
use crate::requests::{Asked, Requests};
use crate::world::World;

/// What the model knows of the consumer; goes back with a crash.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) pending: BTreeMap<u64, Pending>,
    pub(crate) exhausted: BTreeSet<u64>,
    /// First deliveries so far go up to here.
    pub(crate) delivered_to: u64,
    pub(crate) floor: u64,
    /// Up to here messages may have been passed by that only a later filter matches.
    pub(crate) blind_to: u64,
}

/// A message that waits for its ack.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    /// How often it was delivered.
    pub(crate) deliveries: u64,
    /// When its ack timer started.
    pub(crate) since: Timestamp,
    /// A nak or a loss asks for another delivery at once.
    pub(crate) asked: bool,
}

pub(crate) struct Model {
    pub(crate) world: World,
    pub(crate) choice: Choice,
    pub(crate) known: Known,
    /// What was known at each length of the log.
    history: Vec<(usize, Known)>,
    /// Records before this one are on disk for sure.
    durable: usize,
    /// Confirmed acks, and the length of the log that holds them.
    pub(crate) confirmed: BTreeMap<u64, usize>,
    /// Every message that was ever delivered, lost deliveries included.
    pub(crate) ever_delivered: BTreeSet<u64>,
    /// Messages that wait in pull requests, by reply subject.
    pub(crate) requests: Requests,
    next_request: u64,
    pub(crate) paused_until: Timestamp,
    /// Only messages above were sure to be delivered: filters and resets pass others by.
    pub(crate) sure_above: u64,
    pub(crate) crashed: bool,
}

impl Model {
    pub(crate) fn new(choice: Choice) -> Self {
        let mut model = Self {
            world: World::new(&choice.config(), &["m.1", "x"]),
            requests: Requests::new(choice.priority),
            choice,
            known: Known::default(),
            history: Vec::new(),
            durable: 1,
            confirmed: BTreeMap::new(),
            ever_delivered: BTreeSet::new(),
            next_request: 0,
            paused_until: Timestamp::UNSET,
            sure_above: 0,
            crashed: false,
        };
        assert_eq!(model.world.log.len(), 1, "the start is logged");
        model.note();
        model
    }

    pub(crate) fn run(&mut self, step: &Step) {
        self.note_due();
        match step {
            Step::Store { subject } => {
                let lines = self.world.store(subject);
                self.take(&lines);
            }
            Step::Pull {
                batch,
                no_wait,
                expires_millis,
                asked,
            } => self.pull(*batch, *no_wait, *expires_millis, *asked),
            Step::Ack { at, payload } => self.ack(*at, payload),
            Step::Advance { millis } => {
                let until = self.world.now.saturating_add(Nanos::from_millis(*millis));
                while let Some(lines) = self.world.wake(until) {
                    self.take(&lines);
                    self.note();
                }
            }
            Step::Remove { at } => {
                if let Some(seq) = pick(self.world.stream.messages.keys(), *at) {
                    self.known.exhausted.remove(&seq);
                    let lines = self.world.remove(seq);
                    self.take(&lines);
                }
            }
            Step::Purge { at } => {
                let first = pick(self.world.stream.messages.keys(), *at);
                let first = first.unwrap_or(self.world.stream.last + 1);
                let lines = self.world.purge(first);
                self.forget_gone();
                self.known.delivered_to = self.known.delivered_to.max(self.first() - 1);
                self.take(&lines);
                self.move_on();
            }
            Step::PurgeSubject { subject } => {
                let lines = self.world.purge_subject(subject);
                self.forget_gone();
                self.take(&lines);
                self.move_on();
            }
            Step::Limit { max_ack_pending } => {
                self.choice.max_ack_pending = *max_ack_pending;
                self.update();
            }
            Step::MaxDeliver { max_deliver } => {
                self.choice.max_deliver = *max_deliver;
                self.update();
            }
            Step::AckWait { millis } => {
                self.choice.ack_wait_millis = *millis;
                self.update();
            }
            Step::Filter { filter } => {
                self.choice.filter = filter;
                self.known.blind_to = self.world.stream.last;
                self.sure_above = self.world.stream.last;
                self.update();
            }
            Step::Pause { millis } => {
                let until = self.world.now.saturating_add(Nanos::from_millis(*millis));
                self.paused_until = until;
                let lines = self.world.pause(until);
                self.take(&lines);
            }
            Step::Unpin => {
                let lines = self.world.turn(|consumer, ctx| consumer.unpin("g", ctx));
                self.take(&lines);
            }
            Step::AnswerFlowControl { at } => self.answer_flow_control(*at),
            Step::Reset { back } => self.reset(*back),
            Step::Lose { at } => {
                let deliveries = |pending: &Pending| pending.deliveries > 0 && !pending.asked;
                let fresh = self.known.pending.iter().filter(|(_, p)| deliveries(p));
                let fresh: BTreeSet<u64> = fresh.map(|(seq, _)| *seq).collect();
                if let Some(seq) = pick(fresh.iter(), *at) {
                    let pending = self.known.pending.get_mut(&seq).unwrap();
                    pending.deliveries -= 1;
                    pending.asked = true;
                    let lines = self.world.lose(seq);
                    self.take(&lines);
                }
            }
            Step::Listen { listens } => {
                let lines = self.world.subscribe("d", *listens);
                self.take(&lines);
            }
            Step::Checkpoint => {
                // A checkpoint is written once all that it reflects is on disk.
                self.world.take_checkpoint();
                self.durable = 0;
                self.history = vec![(0, self.known.clone())];
                for logged in self.confirmed.values_mut() {
                    *logged = 0;
                }
            }
            Step::Restart => {
                let before = self.world.info();
                let was_blind = self.known.blind_to > self.known.delivered_to;
                self.restart();
                let after = self.world.info();
                let numbers = |info: &ConsumerInfo| {
                    (
                        info.delivered.consumer_seq,
                        info.delivered.stream_seq,
                        info.ack_floor.consumer_seq,
                        info.ack_floor.stream_seq,
                        info.num_ack_pending,
                        info.num_redelivered,
                        if was_blind { 0 } else { info.num_pending },
                    )
                };
                // After a crash messages may be pending whose removal is not logged.
                if !self.crashed {
                    assert_eq!(
                        numbers(&before),
                        numbers(&after),
                        "a restart changes nothing"
                    );
                }
            }
            Step::Crash { percent } => self.crash(*percent),
        }
        self.check_numbers();
        self.note();
    }

    fn note(&mut self) {
        self.history
            .push((self.world.log.len(), self.known.clone()));
    }

    fn first(&self) -> u64 {
        let stream = &self.world.stream;
        stream
            .messages
            .keys()
            .next()
            .copied()
            .unwrap_or(stream.last + 1)
    }

    /// Messages whose time is over may be queued, and stay so whatever comes now.
    fn note_due(&mut self) {
        let now = self.world.now;
        for pending in self.known.pending.values_mut() {
            let wait = self.choice.ack_wait(pending.deliveries);
            pending.asked |= now >= pending.since.saturating_add(wait);
        }
    }

    /// Messages that were purged are no longer pending.
    fn forget_gone(&mut self) {
        let stream = &self.world.stream;
        self.known
            .pending
            .retain(|seq, _| stream.messages.contains_key(seq));
        self.known
            .exhausted
            .retain(|seq| stream.messages.contains_key(seq));
    }

    /// The consumer may have moved on past what cannot match.
    fn move_on(&mut self) {
        let moved_to = self.world.info().delivered.stream_seq.get();
        self.assert_nothing_between(self.known.delivered_to, moved_to + 1);
        self.known.delivered_to = self.known.delivered_to.max(moved_to);
    }

    fn update(&mut self) {
        let lines = self.world.update(&self.choice.config());
        self.take(&lines);
    }

    fn pull(&mut self, batch: u64, no_wait: bool, expires_millis: u64, asked: Asked) {
        self.next_request += 1;
        let reply = format!("r{}", self.next_request);
        let more = if self.choice.push {
            String::new()
        } else {
            self.requests.add(&reply, batch, asked)
        };
        let expires = expires_millis * 1_000_000;
        let request =
            format!(r#"{{"batch":{batch},"no_wait":{no_wait},"expires":{expires}{more}}}"#);
        let lines = self.world.pull(&reply, &request);
        self.take(&lines);
    }

    /// Everything up to a message counts as processed.
    fn answer_flow_control(&mut self, at: usize) {
        let delivered = self.known.pending.keys();
        let Some(seq) = pick(delivered, at) else {
            return;
        };
        if self.world.last_flow_control.is_none() {
            return;
        }
        if self.choice.ack_policy == AckPolicy::FlowControl && seq > self.known.floor {
            self.done_through(seq);
        }
        let lines = self.world.answer_flow_control(seq);
        self.take(&lines);
    }

    /// What is unacked up to a message is acked.
    pub(crate) fn done_through(&mut self, seq: u64) {
        self.known.pending = self.known.pending.split_off(&(seq + 1));
        self.known.exhausted = self.known.exhausted.split_off(&(seq + 1));
    }

    fn reset(&mut self, back: Option<u64>) {
        let seq = back.map_or(0, |back| self.world.stream.last.saturating_sub(back).max(1));
        let mut next = None;
        // Not dispatched before the model knows.
        let lines = self
            .world
            .raise(|consumer, ctx| next = consumer.reset(seq.into(), ctx).ok());
        let next = next.expect("a consumer of all messages can be reset").get();
        self.known.pending.clear();
        self.known.exhausted.clear();
        self.known.delivered_to = next - 1;
        self.known.floor = next - 1;
        self.known.blind_to = 0;
        self.sure_above = self.sure_above.max(self.world.stream.last);
        self.confirmed.retain(|seq, _| *seq < next);
        self.take(&lines);
        self.note();
        let lines = self.world.turn(|_, _| {});
        self.take(&lines);
    }

    fn ack(&mut self, at: usize, payload: &str) {
        let Some(seq) = pick(self.ever_delivered.iter(), at) else {
            return;
        };
        let now = self.world.now;
        let was_delivered = seq <= self.known.delivered_to;
        let above_floor = seq > self.known.floor;
        let acks =
            payload.is_empty() || payload.starts_with("+TERM") || payload.starts_with("+NXT");
        if acks && was_delivered {
            match self.choice.ack_policy {
                AckPolicy::All if above_floor => self.done_through(seq),
                AckPolicy::Explicit => {
                    self.known.pending.remove(&seq);
                    self.known.exhausted.remove(&seq);
                }
                AckPolicy::All | AckPolicy::None | AckPolicy::FlowControl => {}
            }
        }
        if self.choice.takes_acks()
            && let Some(pending) = self.known.pending.get_mut(&seq)
        {
            match payload {
                "-NAK" => pending.asked = true,
                "+WPI" => pending.since = now,
                // A nak counts for the present delivery only, so it may change nothing.
                "-NAK 1500ms" => {
                    let wait = self.choice.ack_wait(pending.deliveries);
                    let due = now.saturating_add(Nanos::from_millis(1500));
                    pending.since = pending.since.min(due.saturating_sub(wait));
                }
                _ => {}
            }
        }
        let reply = "i";
        if payload.starts_with("+NXT") && !self.choice.push && self.choice.takes_acks() {
            self.requests.add_next(reply, 2);
        }
        let lines = self.world.ack(seq, payload, reply);
        let confirmed = lines.iter().any(|line| line == "i: confirmed");
        self.take(&lines);
        if acks && confirmed && was_delivered {
            self.confirmed.insert(seq, self.world.log.len());
        }
    }

    fn restart(&mut self) {
        self.world.restart();
        self.requests.clear();
        self.known.blind_to = 0;
        // Every message that was due is looked at anew.
        self.forget_gone();
    }

    /// Some of the records since the last crash are lost, and with them what was known.
    fn crash(&mut self, percent: usize) {
        self.crashed = true;
        let logged = self.world.log.len();
        let keep = self.durable + (logged - self.durable) * percent / 100;
        self.world.log.truncate(keep);
        self.confirmed.retain(|_, logged| *logged <= keep);
        let known = self.history.iter().rfind(|(logged, _)| *logged <= keep);
        self.known = known.map(|(_, known)| known.clone()).unwrap_or_default();
        self.history.retain(|(logged, _)| *logged <= keep);
        self.world
            .delivered
            .retain(|seq, _| *seq <= self.known.delivered_to);
        self.restart();
        self.durable = self.world.log.len();
    }
}

fn pick<'s>(mut seqs: impl ExactSizeOrCounted<'s>, at: usize) -> Option<u64> {
    let count = seqs.count_all();
    (count > 0).then(|| seqs.nth(at % count).copied()).flatten()
}

/// Iterators that can say how many there are without being used up.
trait ExactSizeOrCounted<'s>: Iterator<Item = &'s u64> {
    fn count_all(&self) -> usize;
}

impl<'s, I: Iterator<Item = &'s u64> + Clone> ExactSizeOrCounted<'s> for I {
    fn count_all(&self) -> usize {
        self.clone().count()
    }
}
