//! Publishes to one stream in a row: what they have in common is looked at once.

use std::sync::Arc;

use jetsled_jetstream_api::fast_reply;
use jetsled_protocol::PubFrames;
use jetsled_store::{Publish, Sender, StreamId};

use super::AccountJetStream;
use super::ingest::Request;
use super::shard::ShardState;
use crate::routing::FlushSet;

/// Messages to one stream that differ in reply, headers and payload.
#[derive(Clone, Copy)]
pub(super) struct PublishRun<'a> {
    pub(super) account: &'a Arc<AccountJetStream>,
    pub(super) stream: StreamId,
    pub(super) frames: PubFrames<'a>,
}

impl ShardState {
    /// As [`ShardState::publish`] for each of them. Answers how many it took: not all once `is_awaited` says that the lock should be let go of, but
    /// one at least.
    pub(super) fn publish_run(
        &mut self,
        run: &PublishRun<'_>,
        is_awaited: impl Fn() -> bool,
        flush: &mut FlushSet,
    ) -> usize {
        self.end_turn(flush);
        let mut taken = 0;
        let mut rest = run.frames;
        while !rest.is_empty() {
            let plain = self.store_plain(run.stream, &rest, &is_awaited, flush);
            let (_, behind) = rest.split_at(plain);
            taken += plain;
            rest = behind;
            if taken > 0 && is_awaited() {
                break;
            }
            // One that asks for more than to be stored as it comes.
            if let Some(next) = rest.iter().next() {
                let request = Request {
                    account: run.account,
                    subject: rest.subject(),
                    reply: next.reply,
                    headers: next.headers,
                    payload: next.payload,
                };
                self.publish(run.stream, &request, flush);
                taken += 1;
                rest = rest.split_at(1).1;
            }
        }
        taken
    }

    /// Stores those at the front that are stored as they come and answered in the usual way. Answers how many it took.
    fn store_plain(
        &mut self,
        stream: StreamId,
        frames: &PubFrames<'_>,
        is_awaited: impl Fn() -> bool,
        flush: &mut FlushSet,
    ) -> usize {
        if frames.headers_len() > 0 {
            return 0;
        }
        let running = self.streams.get_mut(&stream);
        let Some(running) = running.filter(|running| running.stores_plainly()) else {
            return 0;
        };
        let Ok(mut publisher) = self.store.publisher(stream) else {
            return 0;
        };
        let subject = frames.subject();
        let mut first = None;
        let mut failed = None;
        let mut stored = 0;
        for frame in frames.iter() {
            if fast_reply::marked(frame.reply, b"").is_some() {
                break;
            }
            let message = Publish {
                subject,
                headers: b"",
                payload: frame.payload,
                has_interest: true,
                sender: Sender::Client,
            };
            match publisher.publish(&message, self.now) {
                Ok(published) => {
                    first.get_or_insert(published);
                    stored += 1;
                }
                Err(error) => {
                    failed = Some((frame.reply, error));
                    break;
                }
            }
            if is_awaited() {
                break;
            }
        }
        if let Some(first) = first {
            running.note_stored(Some(subject), &mut self.unseen);
            let in_log = first.position.is_some();
            if frames.reply_len() > 0 && !running.config.no_ack {
                let replies = frames.iter().take(stored).map(|frame| frame.reply);
                if in_log {
                    self.parked
                        .pub_acks(running, first.seq, frames.reply_len(), replies);
                    self.parked.note_arrivals(self.now, stored as u64);
                } else {
                    let (account, acks) = (&running.account, (&*running.pub_ack, first.seq));
                    let routes = &mut self.scratch.replies;
                    routes.send_pub_acks(account, acks, replies, flush);
                    routes.count_deliveries();
                }
            }
            self.stored_something(in_log);
        }
        if let Some((reply, error)) = failed {
            self.refuse_publish(stream, reply, error, flush);
            return stored + 1;
        }
        stored
    }
}
