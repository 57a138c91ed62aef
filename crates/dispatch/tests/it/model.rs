//! Random histories against a plain model: nothing is skipped, delivered before its turn, too often, or after a
//! confirmed ack, whatever happens in between, crashes included.

use std::collections::{BTreeMap, BTreeSet};

use jetsled_jetstream_api::{AckPolicy, ConsumerInfo, Nanos};
use proptest::prelude::*;

use crate::world::World;

#[derive(Debug, Clone)]
enum Step {
    Store {
        matching: bool,
    },
    Pull {
        batch: u64,
        no_wait: bool,
    },
    /// Acks some delivered message; `at` picks it, `payload` is the kind.
    Ack {
        at: usize,
        payload: &'static str,
    },
    Advance {
        millis: i64,
    },
    Remove {
        at: usize,
    },
    Purge {
        at: usize,
    },
    Limit {
        max_ack_pending: usize,
    },
    /// Somebody listens on the deliver subject, or nobody does.
    Listen {
        listens: bool,
    },
    Checkpoint,
    /// A clean restart.
    Restart,
    /// A power cut: only this share of what was logged since the last one is on disk.
    Crash {
        percent: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let payload = prop_oneof![
        6 => Just(""),
        2 => Just("-NAK"),
        1 => Just("-NAK 1500ms"),
        1 => Just("+WPI"),
        1 => Just("+TERM"),
        1 => Just("+NXT 2"),
    ];
    prop_oneof![
        6 => proptest::bool::weighted(0.8).prop_map(|matching| Step::Store { matching }),
        4 => (1..8_u64, any::<bool>()).prop_map(|(batch, no_wait)| Step::Pull { batch, no_wait }),
        8 => (any::<usize>(), payload).prop_map(|(at, payload)| Step::Ack { at, payload }),
        3 => (1..2500_i64).prop_map(|millis| Step::Advance { millis }),
        1 => any::<usize>().prop_map(|at| Step::Remove { at }),
        1 => any::<usize>().prop_map(|at| Step::Purge { at }),
        1 => (1..6_usize).prop_map(|max_ack_pending| Step::Limit { max_ack_pending }),
        1 => any::<bool>().prop_map(|listens| Step::Listen { listens }),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Restart),
        2 => (0..=100_usize).prop_map(|percent| Step::Crash { percent }),
    ]
}

fn choice() -> impl Strategy<Value = Choice> {
    let ack_policy = prop_oneof![
        4 => Just(AckPolicy::Explicit),
        1 => Just(AckPolicy::All),
        1 => Just(AckPolicy::None),
    ];
    let push = proptest::bool::weighted(0.3);
    (ack_policy, push, 1..6_usize, 2..5_u64).prop_map(
        |(ack_policy, push, max_ack_pending, max_deliver)| Choice {
            ack_policy,
            push,
            max_ack_pending,
            max_deliver,
        },
    )
}

/// What the model knows of the consumer; goes back with a crash.
#[derive(Debug, Clone, Default)]
struct Known {
    /// How often each pending message was delivered.
    pending: BTreeMap<u64, u64>,
    exhausted: BTreeSet<u64>,
    /// First deliveries so far go up to here.
    delivered_to: u64,
    floor: u64,
}

/// What the test chooses of the configuration.
#[derive(Debug, Clone)]
struct Choice {
    ack_policy: AckPolicy,
    push: bool,
    max_ack_pending: usize,
    max_deliver: u64,
}

struct Model {
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
    crashed: bool,
}

impl Model {
    fn new(choice: Choice) -> Self {
        let mut model = Self {
            world: World::new(&config(&choice), &["m.1", "x"]),
            choice,
            known: Known::default(),
            history: Vec::new(),
            durable: 1,
            confirmed: BTreeMap::new(),
            ever_delivered: BTreeSet::new(),
            crashed: false,
        };
        assert_eq!(model.world.log.len(), 1, "the start is logged");
        model.note();
        model
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Store { matching } => {
                let lines = self.world.store(if *matching { "m.1" } else { "x" });
                self.take(&lines);
            }
            Step::Pull { batch, no_wait } => {
                let request = format!(r#"{{"batch":{batch},"no_wait":{no_wait}}}"#);
                let lines = self.world.pull("r", &request);
                self.take(&lines);
            }
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
                let lines = self
                    .world
                    .purge(first.unwrap_or(self.world.stream.last + 1));
                self.forget_below_first();
                self.known.delivered_to = self.known.delivered_to.max(self.first() - 1);
                self.take(&lines);
            }
            Step::Limit { max_ack_pending } => {
                self.choice.max_ack_pending = *max_ack_pending;
                let config = config(&self.choice);
                let lines = self.world.update(&config);
                self.take(&lines);
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
                        info.num_pending,
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

    fn forget_below_first(&mut self) {
        let first = self.first();
        self.known.pending = self.known.pending.split_off(&first);
        self.known.exhausted = self.known.exhausted.split_off(&first);
    }

    fn ack(&mut self, at: usize, payload: &str) {
        let Some(seq) = pick(self.ever_delivered.iter(), at) else {
            return;
        };
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
        let lines = self.world.ack(seq, payload, "i");
        let confirmed = lines.iter().any(|line| line == "i: confirmed");
        self.take(&lines);
        if acks && confirmed && was_delivered {
            self.confirmed.insert(seq, self.world.log.len());
        }
    }

    /// Checks and notes what the consumer did.
    fn take(&mut self, lines: &[String]) {
        for line in lines {
            if let Some((_, delivery)) = line.split_once(": ")
                && line.contains(" left")
            {
                let mut words = delivery.split([' ', ',']);
                let seq: u64 = words.next().unwrap().parse().unwrap();
                let deliveries = match delivery.split_once('(') {
                    Some((_, count)) => count.trim_end_matches(')').parse().unwrap(),
                    None => 1,
                };
                self.delivery(seq, deliveries);
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
            }
        }
    }

    fn delivery(&mut self, seq: u64, deliveries: u64) {
        let stored = self
            .world
            .stream
            .messages
            .get(&seq)
            .expect("a stored message");
        assert_eq!(stored.subject, "m.1", "{seq} matches");
        assert!(
            !self.confirmed.contains_key(&seq),
            "{seq} was confirmed as acked"
        );
        assert!(
            deliveries <= self.choice.max_deliver,
            "{seq} comes the {deliveries}th time"
        );
        assert!(!self.known.exhausted.contains(&seq), "{seq} was given up");
        if seq > self.known.delivered_to {
            let passed_by = self
                .world
                .stream
                .messages
                .range(self.known.delivered_to + 1..seq)
                .find(|(_, message)| message.subject == "m.1");
            assert_eq!(passed_by.map(|(seq, _)| *seq), None, "skipped for {seq}");
            assert!(
                self.choice.ack_policy == AckPolicy::None
                    || self.known.pending.len() < self.choice.max_ack_pending,
                "{seq} comes although {:?} are unacked",
                self.known.pending
            );
            self.known.delivered_to = seq;
            if self.choice.ack_policy != AckPolicy::None {
                self.known.pending.insert(seq, 0);
            }
        } else {
            assert!(
                self.known.pending.contains_key(&seq),
                "{seq} comes again and is pending"
            );
        }
        if let Some(before) = self.known.pending.get_mut(&seq) {
            *before += 1;
            assert_eq!(deliveries, *before, "the deliveries of {seq} are counted");
        }
        self.ever_delivered.insert(seq);
    }

    fn restart(&mut self) {
        self.world.restart();
        self.forget_below_first();
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
        // What was removed is removed: gone messages cannot be given up any more.
        let stream = &self.world.stream;
        self.known
            .exhausted
            .retain(|seq| stream.messages.contains_key(seq));
    }

    fn check_numbers(&mut self) {
        let info = self.world.info();
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
        let matching = self
            .world
            .stream
            .messages
            .range(delivered + 1..)
            .filter(|(_, message)| message.subject == "m.1");
        assert_eq!(
            info.num_pending,
            matching.count() as u64,
            "pending after {delivered}"
        );
        for seq in self.known.pending.keys() {
            assert!(
                self.world.consumer.needs((*seq).into(), b"m.1"),
                "{seq} is needed"
            );
        }
    }

    /// With a client that acks everything, everything gets done.
    fn finish(&mut self) {
        self.run(&Step::Listen { listens: true });
        for _ in 0..1000 {
            self.run(&Step::Pull {
                batch: 100,
                no_wait: true,
            });
            if self.known.pending.is_empty() && self.world.info().num_pending == 0 {
                break;
            }
            for seq in self.known.pending.clone().into_keys() {
                if self.world.stream.messages.contains_key(&seq) {
                    self.known.pending.remove(&seq);
                    let lines = self.world.ack(seq, "", "");
                    if self.choice.ack_policy == AckPolicy::All {
                        self.known.pending = self.known.pending.split_off(&(seq + 1));
                        self.known.exhausted = self.known.exhausted.split_off(&(seq + 1));
                    }
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
        for (seq, message) in &self.world.stream.messages {
            assert!(
                message.subject != "m.1" || self.ever_delivered.contains(seq),
                "{seq} was never delivered"
            );
        }
    }
}

fn config(choice: &Choice) -> String {
    let ack_policy = serde_json::to_string(&choice.ack_policy).unwrap();
    let (max_ack_pending, max_deliver) = (choice.max_ack_pending, choice.max_deliver);
    let push = if choice.push {
        r#","deliver_subject":"d""#
    } else {
        ""
    };
    format!(
        r#"{{"durable_name":"C","ack_policy":{ack_policy},"filter_subject":"m.*","ack_wait":1000000000,
            "max_ack_pending":{max_ack_pending},"max_deliver":{max_deliver}{push}}}"#
    )
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn histories_keep_every_promise(
        choice in choice(),
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut model = Model::new(choice);
        for step in &steps {
            model.run(step);
        }
        model.finish();
    }
}
