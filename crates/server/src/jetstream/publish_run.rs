//! Publishes to one stream in a row: what they have in common is looked at once.

use jetsled_jetstream_api::fast_reply;
use jetsled_store::{Publish, Sender, StreamId};

use super::batch::batch_id;
use super::ingest::Request;
use super::shard::ShardState;
use crate::routing::FlushSet;

impl ShardState {
    /// As [`ShardState::publish`] for each of these. Answers how many it took: not all once `is_awaited` says that the lock should be let go of, but
    /// one at least.
    pub(super) fn publish_run<'a>(
        &mut self,
        stream: StreamId,
        requests: impl Iterator<Item = Request<'a>> + Clone,
        is_awaited: impl Fn() -> bool,
        flush: &mut FlushSet,
    ) -> usize {
        self.end_turn(flush);
        let mut taken = 0;
        let mut rest = requests;
        loop {
            let plain = self.store_plain(stream, rest.clone(), &is_awaited, flush);
            taken += plain;
            if plain > 0 {
                rest.nth(plain - 1);
            }
            if taken > 0 && is_awaited() {
                break;
            }
            // One that asks for more than to be stored.
            let Some(next) = rest.next() else { break };
            self.publish(stream, &next, flush);
            taken += 1;
        }
        taken
    }

    /// Stores those at the front that nobody but the stream's consumers and the publisher hears of, and answers them. Answers how many it took.
    fn store_plain<'a>(
        &mut self,
        stream: StreamId,
        requests: impl Iterator<Item = Request<'a>> + Clone,
        is_awaited: impl Fn() -> bool,
        flush: &mut FlushSet,
    ) -> usize {
        let running = self.streams.get_mut(&stream);
        let Some(running) = running.filter(|running| running.stores_plainly()) else {
            return 0;
        };
        let Ok(mut publisher) = self.store.publisher(stream) else {
            return 0;
        };
        let allows_atomic = running.config.allow_atomic;
        let mut first = None;
        let mut stored = 0;
        // The last one, if it was not stored.
        let mut other = None;
        for request in requests.clone() {
            let Request {
                subject,
                reply,
                headers,
                payload,
                ..
            } = request;
            if fast_reply::marked(reply, headers).is_some()
                || (allows_atomic && batch_id(headers).is_some())
            {
                break;
            }
            let message = Publish {
                subject,
                headers,
                payload,
                has_interest: true,
                sender: Sender::Client,
            };
            match publisher.publish(&message, self.now) {
                Ok(published) if published.stored => {
                    first.get_or_insert(published);
                    running.note_stored(Some(subject), &mut self.unseen);
                    stored += 1;
                }
                outcome => {
                    other = Some((reply, outcome));
                    break;
                }
            }
            if is_awaited() {
                break;
            }
        }
        if let Some(first) = first {
            let in_log = first.position.is_some();
            if !running.config.no_ack {
                let replies = requests.take(stored).map(|request| request.reply);
                if in_log {
                    let acks = self.parked.pub_acks(running, first.seq, replies);
                    self.parked.note_arrivals(self.now, acks);
                } else {
                    let (account, acks) = (&running.account, (&*running.pub_ack, first.seq));
                    let routes = &mut self.scratch.replies;
                    routes.send_pub_acks(account, acks, replies, flush);
                    routes.count_deliveries();
                }
            }
            self.stored_something(in_log);
        }
        match other {
            None => return stored,
            Some((reply, Ok(published))) => {
                self.stored_something(published.position.is_some());
                self.acknowledge(stream, reply, &published, flush);
            }
            Some((reply, Err(error))) => self.refuse_publish(stream, reply, error, flush),
        }
        stored + 1
    }
}
