//! A message for a stream: the store takes or refuses it, and its publisher and others hear of that.

use std::sync::Arc;

use jetsled_jetstream_api::{ApiError, Nanos, PubAck, PubAckPrefix, Timestamp};
use jetsled_store::{Publish, PublishError, Published, Sender, Shard, Stream, StreamId};

use super::ingest::Request;
use super::parked::{Parked, ReplyKind};
use super::rename::Republished;
use super::reply::send_message;
use super::shard::ShardState;
use super::stream::RunningStream;
use crate::account::Account;
use crate::routing::FlushSet;

/// After a publish the store is asked within this time what is due next: expiry by age is no finer
/// (observed nats-server 2.15.1: every 250 ms at most).
const STORE_TICK: Nanos = Nanos(250_000_000);

/// A one-shot schedule whose message was not stored tries again after this time.
const RETRY_SCHEDULE: Nanos = Nanos::from_secs(60);

impl ShardState {
    /// Applies the stream's rules to a client's message and parks or sends its ack.
    pub(super) fn publish(
        &mut self,
        stream: StreamId,
        request: &Request<'_>,
        flush: &mut FlushSet,
    ) {
        self.end_turn(flush);
        if self.is_in_batch(stream, request) {
            return self.publish_in_batch(stream, request, flush);
        }
        let message = Publish {
            subject: request.subject,
            headers: request.headers,
            payload: request.payload,
            has_interest: true,
            sender: Sender::Client,
        };
        let Some(outcome) = self.store_message(stream, &message, Shard::publish, flush) else {
            return;
        };
        let published = match outcome {
            Ok(published) => published,
            Err(error) => return self.refuse_publish(stream, request.reply, error, flush),
        };
        self.acknowledge(stream, request.reply, &published, flush);
    }

    /// Parks or sends the ack of a publish that the store has taken.
    pub(super) fn acknowledge(
        &mut self,
        stream: StreamId,
        reply: &[u8],
        published: &Published,
        flush: &mut FlushSet,
    ) {
        let Some(running) = self.streams.get(&stream) else {
            return;
        };
        if reply.is_empty() || running.config.no_ack {
            return;
        }
        let counter = if running.config.allow_msg_counter {
            self.store.stream(stream).map(Stream::counter_value)
        } else {
            None
        };
        let seq = published.seq;
        let ack = match counter {
            _ if published.duplicate => PubAck::Duplicate(seq),
            Some(value) => PubAck::Counted { seq, value },
            None => PubAck::Stored(seq),
        };
        let (account, pub_ack) = (&running.account, &running.pub_ack);
        if published.position.is_none() {
            let mut body = std::mem::take(&mut self.scratch.reply);
            body.clear();
            pub_ack.write(ack, &mut body);
            self.scratch.replies.send(account, reply, &body, flush);
            self.scratch.reply = body;
            return;
        }
        match ack {
            PubAck::Stored(seq) => {
                self.parked.pub_acks(running, seq, std::iter::once(reply));
            }
            ack => {
                let kind = ReplyKind::PubAck(stream);
                self.parked
                    .reply(account, reply, kind, |out| pub_ack.write(ack, out));
            }
        }
        self.parked.note_arrivals(self.now, 1);
    }

    /// A message was not stored: tells the log, where that is due, and its publisher, who asked for an answer by `reply` unless that is empty.
    pub(super) fn refuse_publish(
        &mut self,
        stream: StreamId,
        reply: &[u8],
        error: PublishError,
        flush: &mut FlushSet,
    ) {
        let Some(running) = self.streams.get(&stream) else {
            return;
        };
        let no_ack = running.config.no_ack;
        let refused = refusal(error, running);
        if !reply.is_empty() && !no_ack {
            self.refuse(stream, reply, &refused, flush);
        }
    }

    /// Answers a publish with an error.
    pub(super) fn refuse(
        &mut self,
        stream: StreamId,
        reply: &[u8],
        error: &ApiError,
        flush: &mut FlushSet,
    ) {
        let Some(running) = self.streams.get(&stream) else {
            return;
        };
        self.scratch.reply.clear();
        running.pub_ack.write_error(error, &mut self.scratch.reply);
        let body = &self.scratch.reply;
        self.scratch
            .replies
            .send(&running.account, reply, body, flush);
    }

    /// Gives the store a message for a stream by `publish` and does what follows from it but the ack: input transform, republishing, and waking
    /// who has work now. `None`: there is no such stream.
    pub(super) fn store_message(
        &mut self,
        stream: StreamId,
        message: &Publish<'_>,
        publish: impl FnOnce(
            &mut Shard,
            StreamId,
            &Publish<'_>,
            Timestamp,
        ) -> Result<Published, PublishError>,
        flush: &mut FlushSet,
    ) -> Option<Result<Published, PublishError>> {
        let running = self.streams.get_mut(&stream)?;
        // Out of the stream for this message, since the renamed subject lies in it.
        let mut input = running.input.take();
        let subject = match &mut input {
            Some(input) => input.apply(message.subject),
            None => message.subject,
        };
        let message = Publish {
            subject,
            has_interest: !running.retains_by_interest() || running.has_interest(subject),
            ..*message
        };
        let outcome = publish(&mut self.store, stream, &message, self.now);
        if let Ok(published) = &outcome {
            let message = self.store.as_stored(stream, &message, published);
            let unseen = &mut self.unseen;
            let parked = &mut self.parked;
            announce_stored(running, &message, published, unseen, parked, flush);
            self.stored_something(published.position.is_some());
        }
        if input.is_some()
            && let Some(running) = self.streams.get_mut(&stream)
        {
            running.input = input;
        }
        Some(outcome)
    }

    /// Messages were published: they want a commit if they are in the log, and what they made due is asked for soon.
    pub(super) fn stored_something(&mut self, in_log: bool) {
        if in_log {
            self.commit_now();
        }
        let tick = self.now.saturating_add(STORE_TICK);
        self.store_wake = Some(self.store_wake.map_or(tick, |at| at.min(tick)));
    }

    /// Stores what schedules have sent. One whose message is not stored goes on with its next time, or tries again later.
    pub(super) fn store_scheduled(&mut self, flush: &mut FlushSet) {
        let mut scheduled = Vec::new();
        self.store.take_scheduled(&mut scheduled);
        for sent in scheduled {
            let message = Publish {
                subject: &sent.subject,
                headers: &sent.headers,
                payload: &sent.payload,
                has_interest: true,
                sender: Sender::Server,
            };
            let retry = self.now.saturating_add(RETRY_SCHEDULE);
            let until = match self.store_message(sent.stream, &message, Shard::publish, flush) {
                Some(Ok(Published { stored: true, .. })) => continue,
                Some(Ok(_)) => sent.next.unwrap_or(retry),
                Some(Err(error)) => {
                    if let Some(running) = self.streams.get(&sent.stream) {
                        let subject = String::from_utf8_lossy(&sent.subject);
                        let refused = refusal(error, running);
                        tracing::warn!(
                            "JetStream stream '{} > {}' refused a scheduled message for '{subject}': {}",
                            running.account.name(),
                            running.config.name,
                            refused.description,
                        );
                    }
                    sent.next.unwrap_or(retry)
                }
                // The store is ahead of the streams that run, at a start.
                None => self.now.saturating_add(STORE_TICK),
            };
            self.store
                .put_off_schedule(sent.stream, sent.schedule, until);
            self.store_wake = Some(self.store_wake.map_or(until, |at| at.min(until)));
        }
    }
}

/// Remembers that a message was stored, for its consumers, and publishes it again if the stream asks for that.
pub(super) fn announce_stored(
    running: &mut RunningStream,
    message: &Publish<'_>,
    published: &Published,
    unseen: &mut Vec<StreamId>,
    parked: &mut Parked,
    flush: &mut FlushSet,
) {
    if !published.stored {
        return;
    }
    running.note_stored(Some(message.subject), unseen);
    if let Some(republish) = &mut running.republish
        && let Some(again) = republish.apply(message, published)
    {
        let waits = published.position.is_some();
        send_again(&running.account, &again, waits, parked, flush);
    }
}

/// Publishes a stored message again: now, or behind its commit.
fn send_again(
    account: &Arc<Account>,
    again: &Republished<'_>,
    waits: bool,
    parked: &mut Parked,
    flush: &mut FlushSet,
) {
    let Republished {
        subject,
        headers,
        payload,
    } = *again;
    if !waits {
        return send_message(account, subject, headers, payload, flush);
    }
    let headers_len = u32::try_from(headers.len()).unwrap_or(0);
    parked.reply(
        account,
        subject,
        ReplyKind::Message { headers_len },
        |out| {
            out.extend_from_slice(headers);
            out.extend_from_slice(payload);
        },
    );
}

/// What a publisher is told of a failed publish.
pub(super) fn refusal(error: PublishError, stream: &RunningStream) -> ApiError {
    match error {
        PublishError::Rejected(error) => {
            if let Some(jetstream) = stream.account.jetstream() {
                jetstream.tell_full(&error, stream.config.storage);
            }
            error
        }
        error @ (PublishError::Log(_) | PublishError::Read(_) | PublishError::UnknownStream(_)) => {
            tracing::error!(
                "JetStream failed to store a msg on stream '{} > {}': {error}",
                stream.account.name(),
                stream.config.name,
            );
            ApiError::stream_store_failed(error)
        }
    }
}

/// What a publisher is told when the commit of its message failed.
pub(super) fn lost_commit(prefix: &PubAckPrefix, reason: &str, out: &mut Vec<u8>) {
    prefix.write_error(&ApiError::stream_store_failed(reason), out);
}
