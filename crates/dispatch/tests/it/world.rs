//! A consumer with a stream in memory, subscribers, a clock that tests move and a log; what it does is told as lines of text.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jetsled_dispatch::{
    AckEvent, Command, Consumer, ConsumerIdentity, Context, Dispatched, Outbox, PullEvent, Removed,
    RemovedBy, StreamIdentity,
};
use jetsled_jetstream_api::{
    AckKind, AckNumbers, AckPolicy, AckSubjectPrefix, ConsumerConfig, ConsumerInfo, Nanos,
    RetentionPolicy, StreamSeq, Timestamp,
};

use crate::lines::tell;
use crate::stream::{MemoryStream, Subscribers};

/// One consumer and its surroundings.
pub(crate) struct World {
    pub(crate) stream: MemoryStream,
    pub(crate) subscribers: Subscribers,
    pub(crate) now: Timestamp,
    pub(crate) consumer: Consumer,
    pub(crate) checkpoint: Option<Vec<u8>>,
    pub(crate) log: Vec<Vec<u8>>,
    /// The last delivery of each message.
    pub(crate) delivered: BTreeMap<u64, AckNumbers>,
    pub(crate) out: Outbox,
    /// What was said when the numbers were asked for.
    pub(crate) told: Vec<String>,
    /// The subject of the last flow control request.
    pub(crate) last_flow_control: Option<String>,
    /// What the consumer was given last.
    pub(crate) config: ConsumerConfig,
    identity: ConsumerIdentity,
}

/// What the configuration's defaults make of an empty member, as far as these tests need it.
pub(crate) fn config(json: &str) -> ConsumerConfig {
    let mut config: ConsumerConfig = serde_json::from_str(json).expect("a configuration");
    let acks = config.ack_policy != AckPolicy::None;
    if acks && config.ack_wait.is_zero() {
        config.ack_wait = config
            .backoff
            .first()
            .copied()
            .unwrap_or(Nanos::from_secs(30));
    }
    if acks && config.max_ack_pending == 0 {
        config.max_ack_pending = 1000;
    }
    if config.max_deliver == 0 {
        config.max_deliver = -1;
    }
    if config.is_pull() && config.max_waiting == 0 {
        config.max_waiting = 512;
    }
    config
}

/// Of all chance.
pub(crate) const SEED: u64 = 7;

pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000_000_000);

impl World {
    /// A consumer of a stream that already has messages with these subjects, stored a second apart.
    pub(crate) fn new(json: &str, subjects: &[&str]) -> Self {
        Self::with_retention(json, subjects, RetentionPolicy::Limits)
    }

    pub(crate) fn with_retention(
        json: &str,
        subjects: &[&str],
        retention: RetentionPolicy,
    ) -> Self {
        let mut stream = MemoryStream::default();
        let mut now = START;
        for subject in subjects {
            stream.store(subject, 10, now);
            now = now.saturating_add(Nanos::from_secs(1));
        }
        let identity = ConsumerIdentity {
            stream: Arc::new(StreamIdentity {
                name: "S".to_owned(),
                retention,
                one_per_subject: false,
                max_message_bytes: 1_000_000,
            }),
            created: now,
            ack_prefix: AckSubjectPrefix::new("S", "C"),
        };
        let config = config(json);
        let subscribers = Subscribers::default();
        let mut out = Outbox::new();
        let consumer = Consumer::new(
            identity.clone(),
            SEED,
            &config,
            &mut Context {
                view: &mut stream,
                interest: &subscribers,
                now,
                out: &mut out,
            },
        );
        let mut world = Self {
            stream,
            subscribers,
            now,
            consumer,
            checkpoint: None,
            log: Vec::new(),
            delivered: BTreeMap::new(),
            out,
            told: Vec::new(),
            last_flow_control: None,
            config,
            identity,
        };
        world.settle();
        world
    }

    /// One turn: an event, then dispatch until nothing is left; tells what was done.
    pub(crate) fn turn(
        &mut self,
        event: impl FnOnce(&mut Consumer, &mut Context<'_>),
    ) -> Vec<String> {
        let mut lines = Vec::new();
        let mut event = Some(event);
        loop {
            let mut ctx = Context {
                view: &mut self.stream,
                interest: &self.subscribers,
                now: self.now,
                out: &mut self.out,
            };
            if let Some(event) = event.take() {
                event(&mut self.consumer, &mut ctx);
            }
            let dispatched = self.consumer.dispatch(&mut ctx);
            self.consumer.validate();
            lines.extend(self.settle());
            if dispatched == Dispatched::Idle {
                return lines;
            }
        }
    }

    /// An event without a dispatch.
    pub(crate) fn raise(
        &mut self,
        event: impl FnOnce(&mut Consumer, &mut Context<'_>),
    ) -> Vec<String> {
        let mut ctx = Context {
            view: &mut self.stream,
            interest: &self.subscribers,
            now: self.now,
            out: &mut self.out,
        };
        event(&mut self.consumer, &mut ctx);
        self.settle()
    }

    /// Logs and runs what is in the outbox.
    fn settle(&mut self) -> Vec<String> {
        let progress = self.out.progress();
        if !progress.is_empty() {
            self.log.push(progress.to_vec());
        }
        let mut lines = Vec::new();
        for command in self.out.commands() {
            if let Command::Deliver(delivery) = command {
                let numbers = delivery.numbers;
                self.delivered.insert(numbers.stream_seq.get(), numbers);
            }
            if let Command::Status { status, .. } = command
                && let Some(reply) = status.reply()
            {
                let reply = std::str::from_utf8(reply).expect("text");
                self.last_flow_control = Some(reply.to_owned());
            }
            lines.push(tell(command, &self.out));
        }
        self.out.clear();
        lines
    }

    pub(crate) fn store(&mut self, subject: &str) -> Vec<String> {
        self.stream.store(subject, 10, self.now);
        self.turn(|_, _| {})
    }

    pub(crate) fn pull(&mut self, reply: &str, payload: &str) -> Vec<String> {
        self.pull_as(reply, payload, false)
    }

    /// A request that asks for more than the server knows.
    pub(crate) fn pull_above_api_level(&mut self, reply: &str) -> Vec<String> {
        self.pull_as(reply, "", true)
    }

    fn pull_as(&mut self, reply: &str, payload: &str, api_level_too_high: bool) -> Vec<String> {
        self.turn(|consumer, ctx| {
            let pull = PullEvent {
                payload: payload.as_bytes(),
                reply: Bytes::copy_from_slice(reply.as_bytes()),
                api_level_too_high,
                imported: false,
            };
            consumer.on_pull(pull, ctx);
        })
    }

    /// Acks the last delivery of a message; `reply` asks for a confirmation.
    pub(crate) fn ack(&mut self, seq: u64, payload: &str, reply: &str) -> Vec<String> {
        let numbers = self.delivered.get(&seq).copied().unwrap_or(AckNumbers {
            delivered: 1,
            stream_seq: StreamSeq(seq),
            consumer_seq: seq.into(),
            timestamp: START,
            pending: 0,
        });
        self.turn(|consumer, ctx| {
            let ack = AckEvent {
                numbers,
                kind: AckKind::parse(payload.as_bytes()),
                reply: (!reply.is_empty()).then(|| Bytes::copy_from_slice(reply.as_bytes())),
            };
            consumer.on_ack(&ack, ctx);
        })
    }

    /// Moves the clock, stopping whenever the consumer asked to be woken.
    pub(crate) fn advance(&mut self, millis: i64) -> Vec<String> {
        let until = self.now.saturating_add(Nanos::from_millis(millis));
        let mut lines = Vec::new();
        while let Some(woken) = self.wake(until) {
            lines.extend(woken);
        }
        lines
    }

    /// Moves the clock to the next time at which the consumer asked to be woken, or to `until` and then no further.
    pub(crate) fn wake(&mut self, until: Timestamp) -> Option<Vec<String>> {
        if let Some(wake) = self.consumer.next_wake().filter(|wake| *wake <= until) {
            self.now = self.now.max(wake);
        } else if self.now < until {
            self.now = until;
        } else {
            return None;
        }
        Some(self.turn(|consumer, ctx| consumer.on_time(ctx)))
    }

    pub(crate) fn remove(&mut self, seq: u64) -> Vec<String> {
        let message = self.stream.messages.remove(&seq).expect("a message");
        self.turn(|consumer, ctx| {
            let removed = Removed {
                seq: StreamSeq(seq),
                subject: message.subject.as_bytes(),
            };
            consumer.on_removed([removed], RemovedBy::Limit, ctx);
        })
    }

    pub(crate) fn purge(&mut self, first: u64) -> Vec<String> {
        self.stream.messages = self.stream.messages.split_off(&first);
        self.turn(|consumer, ctx| consumer.on_purged(None, ctx))
    }

    /// The PURGE API with a subject.
    pub(crate) fn purge_subject(&mut self, subject: &str) -> Vec<String> {
        let seqs: Vec<u64> = self
            .stream
            .messages
            .iter()
            .filter(|(_, message)| message.subject == subject)
            .map(|(seq, _)| *seq)
            .collect();
        for seq in &seqs {
            self.stream.messages.remove(seq);
        }
        self.turn(|consumer, ctx| {
            let removed = seqs.iter().map(|seq| Removed {
                seq: StreamSeq(*seq),
                subject: subject.as_bytes(),
            });
            consumer.on_removed(removed, RemovedBy::Purge, ctx);
            consumer.on_purged(Some(subject.as_bytes()), ctx);
        })
    }

    /// Another consumer of the same stream.
    pub(crate) fn recreate(&mut self, json: &str) {
        self.out.clear();
        self.log.clear();
        self.checkpoint = None;
        self.config = config(json);
        self.consumer = Consumer::new(
            self.identity.clone(),
            SEED,
            &self.config,
            &mut Context {
                view: &mut self.stream,
                interest: &self.subscribers,
                now: self.now,
                out: &mut self.out,
            },
        );
        self.settle();
    }

    /// The subscriber answers the flow control request that is open, if one is: it has processed everything up to `seq`.
    pub(crate) fn answer_flow_control(&mut self, seq: u64) -> Vec<String> {
        let (Some(asked), Some(numbers)) = (
            self.last_flow_control.take(),
            self.delivered.get(&seq).copied(),
        ) else {
            return Vec::new();
        };
        let processed = Some((numbers.consumer_seq, numbers.stream_seq));
        self.turn(|consumer, ctx| consumer.on_flow_control_reply(asked.as_bytes(), processed, ctx))
    }

    /// The last delivery of a message reached nobody.
    pub(crate) fn lose(&mut self, seq: u64) -> Vec<String> {
        self.turn(|consumer, ctx| consumer.on_not_delivered(StreamSeq(seq), None, ctx))
    }

    pub(crate) fn subscribe(&mut self, subject: &str, listens: bool) -> Vec<String> {
        self.subscribers.generation += 1;
        if listens {
            self.subscribers.gone.remove(subject);
        } else {
            self.subscribers.gone.insert(subject.to_owned());
        }
        self.turn(|consumer, ctx| consumer.on_interest_changed(ctx))
    }

    pub(crate) fn update(&mut self, json: &str) -> Vec<String> {
        let config = ConsumerConfig {
            pause_until: self.config.pause_until,
            ..config(json)
        };
        self.config = config.clone();
        self.turn(|consumer, ctx| consumer.update(&config, ctx))
    }

    pub(crate) fn pause(&mut self, until: Timestamp) -> Vec<String> {
        self.config.pause_until = Some(until);
        self.turn(|consumer, ctx| consumer.pause(Some(until), ctx))
    }

    pub(crate) fn take_checkpoint(&mut self) {
        let mut bytes = Vec::new();
        self.consumer.encode_checkpoint(&mut bytes);
        self.checkpoint = Some(bytes);
        self.log.clear();
    }

    /// The server is gone and comes back with what was logged.
    pub(crate) fn restart(&mut self) -> Vec<String> {
        self.out.clear();
        self.last_flow_control = None;
        self.consumer = Consumer::recover(
            self.identity.clone(),
            SEED,
            &self.config,
            self.checkpoint.as_deref(),
            self.log.iter().map(Vec::as_slice),
            &mut Context {
                view: &mut self.stream,
                interest: &self.subscribers,
                now: self.now,
                out: &mut self.out,
            },
        )
        .expect("a state that can be read");
        self.consumer.validate();
        self.settle()
    }

    pub(crate) fn info(&mut self) -> ConsumerInfo {
        let mut ctx = Context {
            view: &mut self.stream,
            interest: &self.subscribers,
            now: self.now,
            out: &mut self.out,
        };
        let info = self.consumer.info(self.config.clone(), &mut ctx);
        let told = self.settle();
        self.told.extend(told);
        info
    }

    /// Delivered, ack floor, pending acks, redelivered, waiting, pending.
    pub(crate) fn numbers(&mut self) -> String {
        let info = self.info();
        format!(
            "delivered {}/{} floor {}/{} unacked {} redelivered {} waiting {} pending {}",
            info.delivered.consumer_seq,
            info.delivered.stream_seq,
            info.ack_floor.consumer_seq,
            info.ack_floor.stream_seq,
            info.num_ack_pending,
            info.num_redelivered,
            info.num_waiting,
            info.num_pending
        )
    }
}
