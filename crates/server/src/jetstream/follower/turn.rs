//! A follower's turn: what came for it, what time it is, and what follows from both.

use std::sync::Arc;

use jetsled_dispatch::{
    Answer, FollowKind, FollowRequest, FollowerCommand, Inbound, Tail, Verdict, delete_request,
};
use jetsled_jetstream_api::{ConsumerSeq, StreamSeq, short_hash};
use jetsled_protocol::headers;
use jetsled_store::{PublishError, StreamId};

use super::copy::Original;
use super::inbox::Arrived;
use super::queue::{Leave, Notice};
use super::{Channel, OriginFollower, Task};
use crate::account::Account;
use crate::jetstream::parked::ReplyKind;
use crate::jetstream::shard::{ShardHandle, ShardState};
use crate::jetstream::stream::RunningStream;
use crate::routing::{FlushSet, FollowerTarget, OutboundMessage, Payload, Target};

/// A mirror this close to its origin answers direct gets for it (observed nats-server 2.15.1).
const CLOSE: u64 = 10;

impl OriginFollower {
    /// One turn. The caller holds no lock, and flushes afterwards.
    pub(in crate::jetstream) fn turn(self: &Arc<Self>, shard: &ShardHandle, flush: &mut FlushSet) {
        let Some(account) = self.account.upgrade() else {
            return;
        };
        let task = &mut *self.task.lock();
        let mut state = shard.lock();
        let durable = state.store.durable();
        let lost = match state.following.take_notice(self.id, durable) {
            Some(Notice::GoOn { lost }) => lost,
            Some(Notice::Leave(leave)) => {
                state.following.remove(self.id);
                drop(state);
                return self.leave(&account, task, leave, flush);
            }
            Some(Notice::Wait) | None => return,
        };
        std::mem::swap(&mut task.inbox, &mut *self.inbox.lock());
        state.end_turn(flush);
        if lost {
            let position = self.stored_position(&state);
            let now = state.now;
            task.machine.on_lost(position, now, &mut task.commands);
        }
        self.catch_up(&account, task, &mut state, flush);
        state.end_of_batch(flush);
        state.following.schedule(self.id, task.machine.next_wake());
        drop(state);
        *self.status.lock() = task.machine.status();
        self.carry_out(&account, task, flush);
    }

    /// Feeds the machine and stores what it lets through.
    fn catch_up(
        &self,
        account: &Arc<Account>,
        task: &mut Task,
        state: &mut ShardState,
        flush: &mut FlushSet,
    ) {
        let now = state.now;
        let Some(tail) = tail(state, self.stream) else {
            return;
        };
        task.machine.on_time(&tail, now, &mut task.commands);
        let inbox = std::mem::take(&mut task.inbox);
        for arrived in inbox.iter() {
            match arrived.channel {
                Channel::Answer(request) => {
                    let identity = headers::get(arrived.headers, STREAM_IDENTITY);
                    let answer = Answer {
                        request,
                        identity: identity
                            .and_then(|identity| std::str::from_utf8(identity).ok())
                            .unwrap_or_default(),
                        body: arrived.payload,
                    };
                    if let Some(tail) = self::tail(state, self.stream) {
                        task.machine
                            .on_answer(&answer, &tail, now, &mut task.commands);
                    }
                    self.do_now(account, task, state);
                    let early = std::mem::take(&mut task.early);
                    for arrived in early.iter() {
                        self.delivered(account, &arrived, task, state, flush);
                        self.do_now(account, task, state);
                    }
                }
                Channel::Delivery => self.delivered(account, &arrived, task, state, flush),
            }
            self.do_now(account, task, state);
        }
        task.inbox = inbox;
        task.inbox.clear();
    }

    fn delivered(
        &self,
        account: &Arc<Account>,
        arrived: &Arrived<'_>,
        task: &mut Task,
        state: &mut ShardState,
        flush: &mut FlushSet,
    ) {
        let now = state.now;
        let inbound = Inbound {
            reply: arrived.reply,
            headers: arrived.headers,
            payload: arrived.payload,
        };
        let verdict = task.machine.on_message(&inbound, now, &mut task.commands);
        let (seq, timestamp, pending) = match verdict {
            Verdict::Store {
                seq,
                timestamp,
                pending,
            } => (seq, timestamp, pending),
            Verdict::Early => return task.early.push_arrived(arrived),
            Verdict::Done => return,
        };
        let original = Original {
            subject: arrived.subject,
            headers: arrived.headers,
            payload: arrived.payload,
            seq,
            timestamp,
            identity: task.machine.identity(),
        };
        match task.copier.store(state, self.stream, &original, flush) {
            Ok(is_stored) => {
                if is_stored {
                    task.machine.on_stored(seq);
                }
                if self.plan.kind == FollowKind::Mirror && pending < CLOSE {
                    state.join_direct(self.stream);
                }
            }
            Err(error) => {
                self.report(&error);
                if self.plan.kind == FollowKind::Mirror {
                    // What the origin has not got before this message is known all the same.
                    let gap = FollowerCommand::SkipTo(seq.previous());
                    self.carry_out_now(account, &gap, state);
                }
                task.machine.on_refused(seq, now, &mut task.commands);
            }
        }
    }

    /// Carries out what must be done between two messages, and leaves the rest for later.
    fn do_now(&self, account: &Arc<Account>, task: &mut Task, state: &mut ShardState) {
        if !task.commands.is_empty() {
            let mut commands = std::mem::take(&mut task.commands);
            commands.retain(|command| !self.carry_out_now(account, command, state));
            task.commands.append(&mut commands);
        }
    }

    /// Does what must be done between two messages. Answers whether that was all.
    fn carry_out_now(
        &self,
        account: &Arc<Account>,
        command: &FollowerCommand,
        state: &mut ShardState,
    ) -> bool {
        match command {
            FollowerCommand::SkipTo(seq) => {
                // If the log takes nothing, the message that follows is refused as well.
                if let Err(error) = state.store.skip_to(self.stream, *seq) {
                    self.report(&PublishError::from(error));
                }
                state.commit_now();
            }
            FollowerCommand::Confirm {
                reply,
                consumer_seq,
                stream_seq,
            } => {
                if self.is_in_memory(state) {
                    // There is no commit to wait for.
                    return false;
                }
                let block = processed(*consumer_seq, *stream_seq);
                let headers_len = u32::try_from(block.len()).unwrap_or(0);
                let kind = ReplyKind::Message { headers_len };
                state.parked.reply(account, reply, kind, |out| {
                    out.extend_from_slice(&block);
                });
                state.commit_now();
            }
            _ => return false,
        }
        true
    }

    /// Does what takes other locks than the shard's.
    fn carry_out(self: &Arc<Self>, account: &Arc<Account>, task: &mut Task, flush: &mut FlushSet) {
        let mut commands = std::mem::take(&mut task.commands);
        for command in commands.drain(..) {
            match command {
                FollowerCommand::Ask(request) => self.ask(account, task, &request, flush),
                FollowerCommand::Listen(subject) if task.listens_on.as_ref() == Some(&subject) => {}
                FollowerCommand::Listen(subject) => {
                    self.silence(account, task);
                    let target = self.target(Channel::Delivery);
                    account.add_receiver(subject.as_bytes(), target);
                    task.listens_on = Some(subject);
                }
                FollowerCommand::Silence => self.silence(account, task),
                FollowerCommand::Unstall(reply) => send(account, &reply, b"", b"", b"", flush),
                FollowerCommand::Recreated => tracing::warn!(
                    "JetStream source stream {:?} for stream '{} > {}' was recreated, copying it from its start",
                    self.plan.source.name,
                    self.plan.account,
                    self.plan.stream,
                ),
                FollowerCommand::Refused(error) => tracing::warn!(
                    "JetStream stream '{} > {}' can not follow {:?}: {error}",
                    self.plan.account,
                    self.plan.stream,
                    self.plan.source.name,
                ),
                FollowerCommand::Confirm {
                    reply,
                    consumer_seq,
                    stream_seq,
                } => {
                    let block = processed(consumer_seq, stream_seq);
                    send(account, &reply, b"", &block, b"", flush);
                }
                // Done with the shard's lock held.
                FollowerCommand::SkipTo(_) => {}
            }
        }
        task.commands = commands;
        if !task.machine.is_asking() {
            self.expect_no_answer(account, task);
        }
    }

    fn ask(
        self: &Arc<Self>,
        account: &Arc<Account>,
        task: &mut Task,
        request: &FollowRequest,
        flush: &mut FlushSet,
    ) {
        self.expect_no_answer(account, task);
        let reply = format!("$JSC.R.{}", short_hash(crate::nuid::next().as_bytes()));
        let number = task.machine.requests();
        let target = self.target(Channel::Answer(number));
        account.insert_target(reply.as_bytes(), b"", target);
        let mut block = Vec::new();
        for (key, value) in &request.headers {
            headers::append(&mut block, key.as_bytes(), value.as_bytes());
        }
        send(
            account,
            request.subject.as_bytes(),
            reply.as_bytes(),
            &block,
            &request.body,
            flush,
        );
        task.answered_on = Some((reply, number));
    }

    fn silence(self: &Arc<Self>, account: &Account, task: &mut Task) {
        if let Some(subject) = task.listens_on.take() {
            let target = self.target(Channel::Delivery);
            account.remove_receiver(subject.as_bytes(), &target);
        }
    }

    fn expect_no_answer(self: &Arc<Self>, account: &Account, task: &mut Task) {
        if let Some((subject, request)) = task.answered_on.take() {
            let target = self.target(Channel::Answer(request));
            account.remove_target(subject.as_bytes(), b"", &target);
        }
    }

    /// Follows no longer.
    fn leave(
        self: &Arc<Self>,
        account: &Arc<Account>,
        task: &mut Task,
        leave: Leave,
        flush: &mut FlushSet,
    ) {
        self.silence(account, task);
        self.expect_no_answer(account, task);
        if leave == Leave::Delete
            && let Some(subject) = delete_request(&self.plan)
        {
            let reply = format!("$JSC.R.{}", short_hash(crate::nuid::next().as_bytes()));
            send(
                account,
                subject.as_bytes(),
                reply.as_bytes(),
                b"",
                b"",
                flush,
            );
        }
    }

    fn target(self: &Arc<Self>, channel: Channel) -> Target {
        Target::Follower(Box::new(FollowerTarget {
            follower: Arc::clone(self),
            channel,
        }))
    }

    /// How far the stream has copied the origin, by what is stored.
    fn stored_position(&self, state: &ShardState) -> StreamSeq {
        let stream = state.store.stream(self.stream);
        let position = match self.plan.kind {
            FollowKind::Mirror => stream.map(|stream| stream.last_seq()),
            FollowKind::Source => stream
                .and_then(|stream| stream.source_position(self.plan.index.as_str()))
                .map(|(seq, _)| seq),
        };
        position.unwrap_or_default()
    }

    fn is_in_memory(&self, state: &ShardState) -> bool {
        let stream = state.streams.get(&self.stream);
        stream.is_some_and(RunningStream::in_memory)
    }

    fn report(&self, error: &PublishError) {
        tracing::warn!(
            "JetStream stream '{} > {}' can not store what it copies of {:?}: {error}",
            self.plan.account,
            self.plan.stream,
            self.plan.source.name,
        );
    }
}

fn send(
    account: &Arc<Account>,
    subject: &[u8],
    reply: &[u8],
    headers: &[u8],
    payload: &[u8],
    flush: &mut FlushSet,
) {
    let message = OutboundMessage {
        subject,
        deliver_as: subject,
        reply,
        headers,
        payload: Payload::Borrowed(payload),
    };
    account.deliver(&message, flush);
}

/// What the stream has; `None` if it is gone.
fn tail(state: &ShardState, stream: StreamId) -> Option<Tail> {
    let stream = state.store.stream(stream)?;
    Some(Tail {
        messages: stream.messages(),
        first: stream.first_seq(),
        last: stream.last_seq(),
        last_time: stream.last_time(),
    })
}

/// The headers of an answer to a flow control request.
fn processed(consumer_seq: ConsumerSeq, stream_seq: StreamSeq) -> Vec<u8> {
    let mut block = Vec::new();
    let mut number = itoa::Buffer::new();
    for (key, value) in [
        (&b"Nats-Last-Consumer"[..], consumer_seq.get()),
        (b"Nats-Last-Stream", stream_seq.get()),
    ] {
        headers::append(&mut block, key, number.format(value).as_bytes());
    }
    block
}

const STREAM_IDENTITY: &[u8] = b"Nats-Stream-Identity";
