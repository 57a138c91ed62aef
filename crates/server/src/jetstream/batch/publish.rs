//! Batches on a shard: from the message to the store and the answers.

use jetsled_jetstream_api::advisory::BatchAbandonReason;
use jetsled_jetstream_api::fast_reply::{self, FastReply};
use jetsled_jetstream_api::{ApiError, Nanos, PubAck};
use jetsled_protocol::headers;
use jetsled_store::{Publish, Published, Sender, Shard, StagedBatch, StagedMessage, StreamId};

use super::atomic::Received;
use super::batch_id;
use super::fast::{Answer, Answers, Next, Outcome};
use crate::jetstream::advisory;
use crate::jetstream::api::level_too_high;
use crate::jetstream::ingest::Request;
use crate::jetstream::parked::ReplyKind;
use crate::jetstream::publish::{announce_stored, refusal};
use crate::jetstream::shard::ShardState;
use crate::jetstream::stream::RunningStream;
use crate::routing::FlushSet;

/// Batches time out this much late at most.
const TIMEOUT_STEP: Nanos = Nanos(50_000_000);

const REQUIRED_API_LEVEL: &[u8] = b"Nats-Required-Api-Level";

impl ShardState {
    /// Whether a message belongs to a batch, or claims so. Where atomic ones are not allowed the store refuses theirs.
    pub(in crate::jetstream) fn is_in_batch(
        &self,
        stream: StreamId,
        request: &Request<'_>,
    ) -> bool {
        let allows_atomic = || {
            let running = self.streams.get(&stream);
            running.is_some_and(|running| running.config.allow_atomic)
        };
        fast_reply::marked(request.reply, request.headers).is_some()
            || (!request.headers.is_empty()
                && allows_atomic()
                && batch_id(request.headers).is_some())
    }

    /// Takes a message for which [`ShardState::is_in_batch`] holds.
    pub(in crate::jetstream) fn publish_in_batch(
        &mut self,
        stream: StreamId,
        request: &Request<'_>,
        flush: &mut FlushSet,
    ) {
        if let Some(marked) = fast_reply::marked(request.reply, request.headers) {
            self.publish_fast(stream, request, &marked, flush);
        } else if let Some(id) = batch_id(request.headers) {
            self.publish_atomic(stream, id, request, flush);
        }
        let timeout = request.account.runtime().batch_limits.timeout;
        let deadline = self.now.saturating_add(timeout);
        self.batch_wake = Some(self.batch_wake.map_or(deadline, |at| at.min(deadline)));
    }

    /// Drops batches that have received nothing for too long.
    pub(in crate::jetstream) fn expire_batches(&mut self, flush: &mut FlushSet) {
        let mut next = None;
        for running in self.streams.values_mut() {
            if running.batches.is_empty() {
                continue;
            }
            running.batches.fast.expire(self.now);
            for id in running.batches.atomic.expire(self.now) {
                advisory::batch_abandoned(running, &id, BatchAbandonReason::Timeout, flush);
            }
            next = [next, running.batches.next_deadline()]
                .into_iter()
                .flatten()
                .min();
        }
        let not_before = self.now.saturating_add(TIMEOUT_STEP);
        self.batch_wake = next.map(|at| at.max(not_before));
    }

    // --- atomic batches

    fn publish_atomic(
        &mut self,
        stream: StreamId,
        id: &[u8],
        request: &Request<'_>,
        flush: &mut FlushSet,
    ) {
        let max_bytes = self.store.batch_limit();
        let Some(running) = self.streams.get_mut(&stream) else {
            return;
        };
        let wants_ack = !request.reply.is_empty() && !running.config.no_ack;
        let message = StagedMessage {
            subject: request.subject,
            headers: request.headers,
            payload: request.payload,
        };
        let received = match check_arrival(&self.store, running, request) {
            Ok(()) => running.batches.atomic.receive(
                id,
                &message,
                &request.account.runtime().batch_limits,
                max_bytes,
                self.now,
            ),
            Err(error) => Received::Refused {
                error,
                abandoned: None,
            },
        };
        match received {
            Received::Staged if wants_ack => {
                let account = &running.account;
                self.scratch
                    .replies
                    .send(account, request.reply, b"", flush);
            }
            Received::Staged => {}
            Received::Committed(batch) => self.commit_batch(stream, id, &batch, request, flush),
            Received::Refused { error, abandoned } => {
                if let Some(reason) = abandoned {
                    advisory::batch_abandoned(running, id, reason, flush);
                }
                if wants_ack {
                    self.refuse(stream, request.reply, &error, flush);
                }
            }
        }
    }

    /// Stores a batch whose commit has come.
    fn commit_batch(
        &mut self,
        stream: StreamId,
        id: &[u8],
        batch: &StagedBatch,
        request: &Request<'_>,
        flush: &mut FlushSet,
    ) {
        let Some(running) = self.streams.get_mut(&stream) else {
            return;
        };
        let renamed: Option<Vec<Vec<u8>>> = running.input.as_mut().map(|input| {
            let rename = |message: StagedMessage<'_>| input.apply(message.subject).to_vec();
            batch.iter().map(rename).collect()
        });
        let messages: Vec<Publish<'_>> = batch
            .iter()
            .enumerate()
            .map(|(at, message)| {
                let renamed = renamed.as_ref().and_then(|renamed| renamed.get(at));
                let subject = renamed.map_or(message.subject, Vec::as_slice);
                Publish {
                    subject,
                    headers: message.headers,
                    payload: message.payload,
                    has_interest: !running.retains_by_interest() || running.has_interest(subject),
                    sender: Sender::Client,
                }
            })
            .collect();
        let wants_ack = !request.reply.is_empty() && !running.config.no_ack;
        let Self {
            store,
            unseen,
            parked,
            ..
        } = self;
        let mut announce = |message: &Publish<'_>, published: &Published| {
            announce_stored(running, message, published, unseen, parked, flush);
        };
        let outcome = store.publish_batch(stream, &messages, self.now, &mut announce);
        let mut ack = Vec::new();
        match outcome {
            Ok(seq) => {
                let count = messages.len() as u64;
                running
                    .pub_ack
                    .write(PubAck::Batch { seq, id, count }, &mut ack);
            }
            Err(error) => {
                let error = refusal(error, running);
                if wants_ack {
                    self.refuse(stream, request.reply, &error, flush);
                }
                return;
            }
        }
        let in_log = !running.in_memory();
        self.stored_something(in_log);
        if wants_ack {
            let kind = ReplyKind::PubAck(stream);
            self.answer_when_durable(stream, request.reply, kind, &ack, flush);
        }
    }

    // --- fast-ingest batches

    fn publish_fast(
        &mut self,
        stream: StreamId,
        request: &Request<'_>,
        marked: &[u8],
        flush: &mut FlushSet,
    ) {
        let Some(running) = self.streams.get_mut(&stream) else {
            return;
        };
        let wants_ack = !running.config.no_ack;
        let message = match check_fast(&self.store, running, request, marked) {
            Ok(message) => message,
            Err(error) => {
                if wants_ack {
                    self.refuse(stream, request.reply, &error, flush);
                }
                return;
            }
        };
        let level = headers::get(request.headers, REQUIRED_API_LEVEL);
        let has_level = level.is_some_and(|level| !level.is_empty());
        let level_too_high = has_level && level_too_high(request.headers);
        let limits = &request.account.runtime().batch_limits;
        let mut answers = Answers::new();
        let flags = (level_too_high, wants_ack);
        let fast = &mut running.batches.fast;
        let next = fast.receive(&message, flags, limits, self.now, &mut answers);
        match next {
            Next::Store => {
                let outcome = self.store_fast(stream, request, has_level, flush);
                if let Some(running) = self.streams.get_mut(&stream) {
                    let fast = &mut running.batches.fast;
                    fast.settle(&message, outcome, &mut answers);
                }
            }
            Next::Nothing if !wants_ack => {
                answers.retain(|answer| !matches!(answer, Answer::Refused(_)));
            }
            Next::Nothing => {}
        }
        for answer in &answers {
            self.answer_fast(stream, message.id, request.reply, answer, flush);
        }
    }

    /// Stores one message of a fast-ingest batch.
    fn store_fast(
        &mut self,
        stream: StreamId,
        request: &Request<'_>,
        has_level: bool,
        flush: &mut FlushSet,
    ) -> Outcome {
        let mut block = Vec::new();
        let mut headers = request.headers;
        if has_level {
            block.extend_from_slice(headers);
            headers::remove(&mut block, REQUIRED_API_LEVEL);
            headers = &block;
        }
        let message = Publish {
            subject: request.subject,
            headers,
            payload: request.payload,
            has_interest: true,
            sender: Sender::Client,
        };
        match self.store_message(stream, &message, Shard::publish_fast, flush) {
            Some(Ok(published)) if published.duplicate => Outcome::Duplicate(published.seq),
            Some(Ok(published)) => Outcome::Stored(published.seq),
            Some(Err(error)) => Outcome::Refused(match self.streams.get(&stream) {
                Some(running) => refusal(error, running),
                None => ApiError::STREAM_NOT_FOUND,
            }),
            None => Outcome::Refused(ApiError::STREAM_NOT_FOUND),
        }
    }

    /// Tells a publisher what there is to tell.
    fn answer_fast(
        &mut self,
        stream: StreamId,
        id: &[u8],
        reply: &[u8],
        answer: &Answer,
        flush: &mut FlushSet,
    ) {
        let Some(running) = self.streams.get(&stream) else {
            return;
        };
        let mut body = Vec::new();
        let mut kind = ReplyKind::PubAck(stream);
        match answer {
            Answer::Ended { seq, count } => {
                let (seq, count) = (*seq, *count);
                running
                    .pub_ack
                    .write(PubAck::Batch { seq, id, count }, &mut body);
            }
            Answer::Duplicate { seq, count } => {
                let (seq, count) = (*seq, *count);
                let ack = PubAck::DuplicateBatch { seq, id, count };
                running.pub_ack.write(ack, &mut body);
            }
            Answer::Refused(error) => running.pub_ack.write_error(error, &mut body),
            Answer::Flow(flow) => {
                // After a failed commit the batch is no more, which its next message is told.
                kind = ReplyKind::Ack;
                body = flow.to_json();
            }
        }
        self.answer_when_durable(stream, reply, kind, &body, flush);
    }

    // --- answers

    /// Answers once everything written so far is durable, so that answers keep their order.
    fn answer_when_durable(
        &mut self,
        stream: StreamId,
        reply: &[u8],
        kind: ReplyKind,
        body: &[u8],
        flush: &mut FlushSet,
    ) {
        let Some(running) = self.streams.get(&stream) else {
            return;
        };
        let account = &running.account;
        if !running.in_memory() && self.store.position() > self.store.durable() {
            let is_ack = matches!(kind, ReplyKind::PubAck(_));
            self.parked
                .reply(account, reply, kind, |out| out.extend_from_slice(body));
            if is_ack {
                self.parked.note_arrivals(self.now, 1);
            }
            self.commit_now();
        } else {
            self.scratch.replies.send(account, reply, body, flush);
        }
    }
}

/// What is asked of any message of a batch, before anything else.
fn check_arrival(
    store: &Shard,
    stream: &RunningStream,
    request: &Request<'_>,
) -> Result<(), ApiError> {
    if stream.config.sealed {
        return Err(ApiError::STREAM_SEALED);
    }
    let lens = [request.subject, request.headers, request.payload].map(<[u8]>::len);
    store
        .check_room(stream.id, lens)
        .map_err(|error| refusal(error.into(), stream))?;
    let size = request.headers.len() + request.payload.len();
    if usize::try_from(stream.config.max_msg_size).is_ok_and(|limit| size > limit) {
        return Err(ApiError::STREAM_MESSAGE_EXCEEDS_MAXIMUM);
    }
    Ok(())
}

fn check_fast<'m>(
    store: &Shard,
    stream: &RunningStream,
    request: &Request<'_>,
    marked: &'m [u8],
) -> Result<FastReply<'m>, ApiError> {
    check_arrival(store, stream, request)?;
    if !stream.config.allow_batched {
        return Err(ApiError::BATCH_PUBLISH_DISABLED);
    }
    FastReply::parse(marked).ok_or(ApiError::BATCH_PUBLISH_INVALID_PATTERN)
}
