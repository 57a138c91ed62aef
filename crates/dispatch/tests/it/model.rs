//! A plain model of a consumer that random histories are held against: nothing is skipped, delivered before its turn or before
//! its time, too often, to somebody who did not ask, or after a confirmed ack, whatever happens in between, crashes included.

use std::collections::{BTreeMap, BTreeSet};

use jetsled_jetstream_api::{AckPolicy, ConsumerInfo, Nanos, Timestamp};

use crate::history::Step;
use crate::world::World;

/// What the model knows of the consumer; goes back with a crash.
#[derive(Debug, Clone, Default)]
struct Known {
    pending: BTreeMap<u64, Pending>,
    exhausted: BTreeSet<u64>,
    /// First deliveries so far go up to here.
    delivered_to: u64,
    floor: u64,
    /// Up to here messages may have been passed by that only a later filter matches.
    blind_to: u64,
}

/// A message that waits for its ack.
#[derive(Debug, Clone)]
struct Pending {
    /// How often it was delivered.
    deliveries: u64,
    /// When its ack timer started.
    since: Timestamp,
    /// A nak or a loss asks for another delivery at once.
    asked: bool,
}

/// What the test chooses of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) ack_policy: AckPolicy,
    pub(crate) push: bool,
    pub(crate) max_ack_pending: usize,
    pub(crate) max_deliver: u64,
    pub(crate) ack_wait_millis: i64,
    pub(crate) filter: &'static [&'static str],
}

impl Choice {
    fn matches(&self, subject: &str) -> bool {
        let matches = |filter: &str| match filter.strip_suffix('*') {
            Some(start) => subject.starts_with(start),
            None => subject == filter,
        };
        self.filter.is_empty() || self.filter.iter().any(|filter| matches(filter))
    }

    fn ack_wait(&self) -> Nanos {
        Nanos::from_millis(self.ack_wait_millis)
    }

    fn config(&self) -> String {
        let ack_policy = serde_json::to_string(&self.ack_policy).unwrap();
        let (max_ack_pending, max_deliver) = (self.max_ack_pending, self.max_deliver);
        let push = if self.push {
            r#","deliver_subject":"d""#
        } else {
            ""
        };
        let filters = serde_json::to_string(self.filter).unwrap();
        let ack_wait = self.ack_wait().get();
        format!(
            r#"{{"durable_name":"C","ack_policy":{ack_policy},"filter_subjects":{filters},"ack_wait":{ack_wait},
                "max_ack_pending":{max_ack_pending},"max_deliver":{max_deliver}{push}}}"#
        )
    }
}

pub(crate) struct Model {
    world: World,
    choice: Choice,
    known: Known,
    /// What was known at each length of the log.
    history: Vec<(usize, Known)>,
    /// Records before this one are on disk for sure.
    durable: usize,
    /// Confirmed acks, and the length of the log that holds them.
    confirmed: BTreeMap<u64, usize>,
    /// Every message that was ever delivered, lost deliveries included.
    ever_delivered: BTreeSet<u64>,
    /// Messages that wait in pull requests, by reply subject.
    requests: BTreeMap<String, u64>,
    next_request: u64,
    paused_until: Timestamp,
    /// Only messages above were sure to be delivered: filters and resets pass others by.
    sure_above: u64,
    crashed: bool,
}

impl Model {
    pub(crate) fn new(choice: Choice) -> Self {
        let mut model = Self {
            world: World::new(&choice.config(), &["m.1", "x"]),
            choice,
            known: Known::default(),
            history: Vec::new(),
            durable: 1,
            confirmed: BTreeMap::new(),
            ever_delivered: BTreeSet::new(),
            requests: BTreeMap::new(),
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
            } => self.pull(*batch, *no_wait, *expires_millis),
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
                let lines = self
                    .world
                    .turn(|consumer, ctx| consumer.pause(Some(until), ctx));
                self.take(&lines);
            }
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
        let (now, wait) = (self.world.now, self.choice.ack_wait());
        for pending in self.known.pending.values_mut() {
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

    fn assert_nothing_between(&self, after: u64, before: u64) {
        let after = after.max(self.known.blind_to);
        let passed_by = self
            .world
            .stream
            .messages
            .range(after.saturating_add(1)..before.max(after.saturating_add(1)))
            .find(|(_, message)| self.choice.matches(&message.subject));
        assert_eq!(
            passed_by.map(|(seq, _)| *seq),
            None,
            "passed by on the way to {before}"
        );
    }

    fn update(&mut self) {
        let lines = self.world.update(&self.choice.config());
        self.take(&lines);
    }

    fn pull(&mut self, batch: u64, no_wait: bool, expires_millis: u64) {
        self.next_request += 1;
        let reply = format!("r{}", self.next_request);
        if !self.choice.push {
            self.requests.insert(reply.clone(), batch);
        }
        let expires = expires_millis * 1_000_000;
        let request = format!(r#"{{"batch":{batch},"no_wait":{no_wait},"expires":{expires}}}"#);
        let lines = self.world.pull(&reply, &request);
        self.take(&lines);
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
                AckPolicy::All if above_floor => {
                    self.known.pending = self.known.pending.split_off(&(seq + 1));
                    self.known.exhausted = self.known.exhausted.split_off(&(seq + 1));
                }
                AckPolicy::All => {}
                _ => {
                    self.known.pending.remove(&seq);
                    self.known.exhausted.remove(&seq);
                }
            }
        }
        if let Some(pending) = self.known.pending.get_mut(&seq) {
            match payload {
                "-NAK" => pending.asked = true,
                "+WPI" => pending.since = now,
                // A nak counts for the present delivery only, so it may change nothing.
                "-NAK 1500ms" => {
                    let wait = self.choice.ack_wait();
                    let due = now.saturating_add(Nanos::from_millis(1500));
                    pending.since = pending.since.min(due.saturating_sub(wait));
                }
                _ => {}
            }
        }
        let reply = "i";
        if payload.starts_with("+NXT") && !self.choice.push {
            *self.requests.entry(reply.to_owned()).or_default() += 2;
        }
        let lines = self.world.ack(seq, payload, reply);
        let confirmed = lines.iter().any(|line| line == "i: confirmed");
        self.take(&lines);
        if acks && confirmed && was_delivered {
            self.confirmed.insert(seq, self.world.log.len());
        }
    }

    /// Checks and notes what the consumer did.
    fn take(&mut self, lines: &[String]) {
        for line in lines {
            if let Some((to, delivery)) = line.split_once(": ")
                && line.contains(" left")
            {
                let mut words = delivery.split([' ', ',']);
                let seq: u64 = words.next().unwrap().parse().unwrap();
                let deliveries = match delivery.split_once('(') {
                    Some((_, count)) => count.trim_end_matches(')').parse().unwrap(),
                    None => 1,
                };
                self.delivery(seq, deliveries);
                self.serve(to);
            } else if let Some(seq) = advisory_seq(line, "MaxDeliveries") {
                assert!(
                    self.known.pending.remove(&seq).is_some(),
                    "{seq} was pending"
                );
                self.known.exhausted.insert(seq);
            } else if let Some(seq) = advisory_seq(line, "Terminated")
                && line.contains("was deleted")
            {
                assert!(
                    self.known.pending.remove(&seq).is_some(),
                    "{seq} was pending"
                );
                assert!(!self.world.stream.messages.contains_key(&seq));
            } else if let Some((to, status)) = line.split_once(": ")
                && status.starts_with(['3', '4'])
            {
                self.end_of_request(to, status);
            }
        }
    }

    /// A delivery goes to one request, and to one that still wants it.
    fn serve(&mut self, to: &str) {
        if self.choice.push {
            assert_eq!(to, "push");
            return;
        }
        let wanted = self.requests.get_mut(to).expect("somebody asked");
        *wanted -= 1;
        if *wanted == 0 {
            self.requests.remove(to);
        }
    }

    fn end_of_request(&mut self, to: &str, status: &str) {
        if status.starts_with("409 Consumer is push based") {
            return;
        }
        // `+NXT` always asks in the same name.
        if to != "i" {
            assert!(
                self.requests.remove(to).is_some(),
                "{to} had asked: {status}"
            );
        }
    }

    fn delivery(&mut self, seq: u64, deliveries: u64) {
        let stored = self
            .world
            .stream
            .messages
            .get(&seq)
            .expect("a stored message");
        let now = self.world.now;
        assert!(
            !self.confirmed.contains_key(&seq),
            "{seq} was confirmed as acked"
        );
        assert!(now >= self.paused_until, "{seq} comes during a pause");
        assert!(
            deliveries <= self.choice.max_deliver,
            "{seq} comes the {deliveries}th time"
        );
        assert!(!self.known.exhausted.contains(&seq), "{seq} was given up");
        if seq > self.known.delivered_to {
            assert!(self.choice.matches(&stored.subject), "{seq} matches");
            self.assert_nothing_between(self.known.delivered_to, seq);
            assert!(
                self.choice.ack_policy == AckPolicy::None
                    || self.known.pending.len() < self.choice.max_ack_pending,
                "{seq} comes although {:?} are unacked",
                self.known.pending
            );
            self.known.delivered_to = seq;
            if self.choice.ack_policy != AckPolicy::None {
                let pending = Pending {
                    deliveries: 0,
                    since: now,
                    asked: true,
                };
                self.known.pending.insert(seq, pending);
            }
        } else {
            assert!(
                self.known.pending.contains_key(&seq),
                "{seq} comes again and is pending"
            );
        }
        if let Some(pending) = self.known.pending.get_mut(&seq) {
            // Times on disk are whole milliseconds.
            let due = pending.since.saturating_add(self.choice.ack_wait());
            let due = due.saturating_sub(Nanos::from_millis(1));
            assert!(
                pending.asked || now >= due,
                "{seq} comes at {now} although it is due at {due}"
            );
            pending.deliveries += 1;
            assert_eq!(
                deliveries, pending.deliveries,
                "the deliveries of {seq} are counted"
            );
            pending.asked = false;
            pending.since = now;
        }
        self.ever_delivered.insert(seq);
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

    fn check_numbers(&mut self) {
        let info = self.world.info();
        let told = std::mem::take(&mut self.world.told);
        self.take(&told);
        let (delivered, floor) = (
            info.delivered.stream_seq.get(),
            info.ack_floor.stream_seq.get(),
        );
        assert!(
            floor <= delivered && delivered <= self.world.stream.last,
            "{info:?}"
        );
        assert!(
            floor >= self.known.floor,
            "the floor {floor} went back from {}",
            self.known.floor
        );
        self.known.floor = floor;
        if let Some(first) = self.known.pending.keys().next() {
            assert!(
                floor < *first,
                "the floor {floor} is below {:?}",
                self.known.pending
            );
        }
        assert_eq!(
            info.num_ack_pending,
            self.known.pending.len() as u64,
            "{:?}",
            self.known
        );
        let again = self.known.pending.values().filter(|p| p.deliveries > 1);
        let again = again.count() + self.known.exhausted.len();
        if !self.crashed && self.choice.max_deliver > 1 {
            assert_eq!(info.num_redelivered, again as u64, "{:?}", self.known);
        }
        let after = |seq: u64| {
            let matching = self.world.stream.messages.range(seq + 1..);
            matching
                .filter(|(_, message)| self.choice.matches(&message.subject))
                .count() as u64
        };
        let least = after(delivered.max(self.known.blind_to));
        assert!(
            (least..=after(delivered)).contains(&info.num_pending),
            "pending after {delivered}: {} {:?}",
            info.num_pending,
            self.known
        );
        for seq in self.known.pending.keys() {
            let subject = &self.world.stream.messages[seq].subject;
            if self.choice.matches(subject) {
                let needs = self.world.consumer.needs((*seq).into(), subject.as_bytes());
                assert!(needs, "{seq} is needed");
            }
        }
        if !self.requests.contains_key("i") {
            assert_eq!(info.num_waiting, self.requests.len() as u64, "{info:?}");
        }
    }

    /// With a client that acks everything, everything gets done.
    pub(crate) fn finish(&mut self) {
        self.run(&Step::Listen { listens: true });
        self.run(&Step::Advance { millis: 2000 });
        for _ in 0..1000 {
            self.run(&Step::Pull {
                batch: 100,
                no_wait: true,
                expires_millis: 0,
            });
            if self.known.pending.is_empty() && self.world.info().num_pending == 0 {
                break;
            }
            for seq in self.known.pending.clone().into_keys() {
                if self.world.stream.messages.contains_key(&seq) {
                    self.known.pending.remove(&seq);
                    if self.choice.ack_policy == AckPolicy::All {
                        self.known.pending = self.known.pending.split_off(&(seq + 1));
                        self.known.exhausted = self.known.exhausted.split_off(&(seq + 1));
                    }
                    let lines = self.world.ack(seq, "", "");
                    self.take(&lines);
                }
            }
            self.run(&Step::Advance { millis: 5000 });
        }
        assert!(
            self.known.pending.is_empty(),
            "still pending: {:?}",
            self.known.pending
        );
        for (seq, message) in self.world.stream.messages.range(self.sure_above + 1..) {
            assert!(
                !self.choice.matches(&message.subject) || self.ever_delivered.contains(seq),
                "{seq} was never delivered"
            );
        }
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

fn advisory_seq(line: &str, name: &str) -> Option<u64> {
    let rest = line.strip_prefix(name)?;
    let (_, rest) = rest.split_once("stream_seq: (")?;
    rest.split(')').next()?.parse().ok()
}
