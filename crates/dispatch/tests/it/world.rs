//! A consumer with a stream in memory, subscribers, a clock that tests move and a log; what it does is told as lines of text.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jetsled_dispatch::{
    AckEvent, Command, Consumer, ConsumerIdentity, Context, Dispatched, Interest, MessageMeta,
    Outbox, PullEvent, Removed, RemovedBy, StreamView, Target,
};
use jetsled_jetstream_api::{
    AckKind, AckNumbers, AckPolicy, AckSubjectPrefix, ConsumerConfig, ConsumerInfo, Nanos,
    RetentionPolicy, StreamSeq, Timestamp,
};
use jetsled_protocol::SubjectFilter;

#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) timestamp: Timestamp,
    pub(crate) payload_len: u32,
}

/// A stream: what a `StreamView` has to be, in the simplest way.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryStream {
    pub(crate) messages: BTreeMap<u64, Stored>,
    pub(crate) last: u64,
}

impl MemoryStream {
    fn matching<'s>(
        &'s self,
        from: u64,
        filter: &'s SubjectFilter,
    ) -> impl DoubleEndedIterator<Item = (u64, &'s Stored)> {
        self.messages
            .range(from..)
            .filter(|(_, message)| filter.matches(message.subject.as_bytes()))
            .map(|(seq, message)| (*seq, message))
    }
}

fn meta(seq: u64, message: &Stored) -> MessageMeta {
    MessageMeta {
        seq: StreamSeq(seq),
        timestamp: message.timestamp,
        subject_len: message.subject.len() as u32,
        header_len: 0,
        payload_len: message.payload_len,
    }
}

impl StreamView for MemoryStream {
    fn first_seq(&self) -> StreamSeq {
        StreamSeq(
            self.messages
                .keys()
                .next()
                .copied()
                .unwrap_or(self.last + 1),
        )
    }

    fn last_seq(&self) -> StreamSeq {
        StreamSeq(self.last)
    }

    fn next_match(&mut self, from: StreamSeq, filter: &SubjectFilter) -> Option<MessageMeta> {
        self.matching(from.get(), filter)
            .next()
            .map(|(seq, message)| meta(seq, message))
    }

    fn meta(&mut self, seq: StreamSeq) -> Option<MessageMeta> {
        self.messages
            .get(&seq.get())
            .map(|message| meta(seq.get(), message))
    }

    fn contains(&self, seq: StreamSeq) -> bool {
        self.messages.contains_key(&seq.get())
    }

    fn num_pending(&mut self, from: StreamSeq, filter: &SubjectFilter) -> u64 {
        self.matching(from.get(), filter).count() as u64
    }

    fn last_seqs_per_subject(&mut self, filter: &SubjectFilter) -> Vec<StreamSeq> {
        let mut last = BTreeMap::new();
        for (seq, message) in self.matching(0, filter) {
            last.insert(&message.subject, StreamSeq(seq));
        }
        let mut seqs: Vec<_> = last.into_values().collect();
        seqs.sort();
        seqs
    }

    fn last_match(&mut self, filter: &SubjectFilter) -> Option<StreamSeq> {
        self.matching(0, filter)
            .next_back()
            .map(|(seq, _)| StreamSeq(seq))
    }

    fn seq_for_time(&mut self, time: Timestamp) -> StreamSeq {
        let found = self
            .messages
            .iter()
            .find(|(_, message)| message.timestamp >= time);
        StreamSeq(found.map_or(self.last + 1, |(seq, _)| *seq))
    }
}

/// Who listens. Everybody, unless told otherwise.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subscribers {
    generation: u64,
    gone: BTreeSet<String>,
}

impl Interest for Subscribers {
    fn generation(&self) -> u64 {
        self.generation
    }

    fn has_interest(&self, subject: &[u8]) -> bool {
        !self
            .gone
            .contains(std::str::from_utf8(subject).expect("text"))
    }

    fn has_subscriber(&self, subject: &[u8], _queue: Option<&[u8]>) -> bool {
        self.has_interest(subject)
    }
}

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
            store(&mut stream, subject, 10, now);
            now = now.saturating_add(Nanos::from_secs(1));
        }
        let identity = ConsumerIdentity {
            stream: "S".to_owned(),
            name: "C".to_owned(),
            created: now,
            retention,
            one_per_subject: false,
            max_message_bytes: 1_000_000,
            ack_prefix: AckSubjectPrefix::new("S", "C"),
            flow_control_prefix: "$JS.FC.S.C.".to_owned(),
            seed: 7,
        };
        let subscribers = Subscribers::default();
        let mut out = Outbox::new();
        let consumer = Consumer::new(
            identity.clone(),
            config(json),
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
        store(&mut self.stream, subject, 10, self.now);
        self.turn(|_, _| {})
    }

    pub(crate) fn pull(&mut self, reply: &str, payload: &str) -> Vec<String> {
        self.turn(|consumer, ctx| {
            let pull = PullEvent {
                payload: payload.as_bytes(),
                reply: Bytes::copy_from_slice(reply.as_bytes()),
                api_level_too_high: false,
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
        self.consumer = Consumer::new(
            self.identity.clone(),
            config(json),
            &mut Context {
                view: &mut self.stream,
                interest: &self.subscribers,
                now: self.now,
                out: &mut self.out,
            },
        );
        self.settle();
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
        self.turn(|consumer, ctx| consumer.update(config(json), ctx))
    }

    pub(crate) fn take_checkpoint(&mut self) {
        let mut bytes = Vec::new();
        self.consumer.encode_checkpoint(&mut bytes);
        self.checkpoint = Some(bytes);
        self.log.clear();
    }

    /// The server is gone and comes back with what was logged.
    pub(crate) fn restart(&mut self) -> Vec<String> {
        let config = self.consumer.config().clone();
        self.out.clear();
        self.consumer = Consumer::recover(
            self.identity.clone(),
            config,
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
        let info = self.consumer.info(&mut Context {
            view: &mut self.stream,
            interest: &self.subscribers,
            now: self.now,
            out: &mut self.out,
        });
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

pub(crate) fn store(stream: &mut MemoryStream, subject: &str, payload_len: u32, now: Timestamp) {
    stream.last += 1;
    let message = Stored {
        subject: subject.to_owned(),
        timestamp: now,
        payload_len,
    };
    stream.messages.insert(stream.last, message);
}

/// A command as a line of text.
fn tell(command: &Command, out: &Outbox) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    match command {
        Command::Deliver(delivery) => {
            let to = match delivery.to {
                Target::DeliverSubject => "push".to_owned(),
                Target::Request(index) => text(out.subject(index)),
            };
            let numbers = delivery.numbers;
            let again = match numbers.delivered {
                1 => String::new(),
                count => format!(" again ({count})"),
            };
            let pin = if delivery.pin_id.is_some() {
                " pinned"
            } else {
                ""
            };
            format!(
                "{to}: {} as {}, {} left{again}{pin}",
                numbers.stream_seq, numbers.consumer_seq, numbers.pending
            )
        }
        Command::Status { to, status } => {
            let block = text(&status.header_block());
            let lines: Vec<_> = block.trim_end().lines().collect();
            let line = lines
                .join(" | ")
                .replace("NATS/1.0 ", "")
                .replace("Nats-Pending-", "");
            // The last part of a flow control subject is random.
            let line = match line.find("$JS.FC.S.C.") {
                Some(at) => format!("{}...", &line[..at]),
                None => line,
            };
            format!("{}: {line}", text(to))
        }
        Command::AckReply { to } => format!("{}: confirmed", text(to)),
        Command::Advisory(advisory) => {
            let line = format!("{advisory:?}");
            line.replace("StreamSeq(", "(").replace("ConsumerSeq(", "(")
        }
        Command::Release { first, last } => format!("release {first}-{last}"),
        Command::DeleteInactive => "delete".to_owned(),
    }
}
