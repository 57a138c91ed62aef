//! Interest and workqueue retention: messages leave when no consumer needs them.

use jetsled_jetstream_api::{RetentionPolicy, StreamSeq};
use jetsled_protocol::SubjectFilter;
use jetsled_store::StreamId;

use super::shard::ShardState;
use crate::routing::FlushSet;

impl ShardState {
    /// Removes what consumers have released so far. What consumers release in turn, since that let them deliver more, is left
    /// for the next time.
    pub(super) fn carry_out_releases(&mut self, flush: &mut FlushSet) {
        for _ in 0..self.released.len() {
            if let Some(released) = self.released.pop_front() {
                self.release(released.stream, released.first, released.last, flush);
            }
        }
    }

    /// A consumer no longer needs these messages; they leave unless another one does.
    fn release(
        &mut self,
        stream_id: StreamId,
        first: StreamSeq,
        last: StreamSeq,
        flush: &mut FlushSet,
    ) {
        let everything = SubjectFilter::default();
        let mut from = first;
        while from <= last {
            let Some(stream) = self.streams.get(&stream_id) else {
                return;
            };
            let message = match self.store.load_next(stream_id, from, &everything) {
                Ok(Some(message)) if message.seq <= last => message,
                Ok(_) => break,
                Err(error) => {
                    tracing::error!(
                        "JetStream stream '{} > {}' can not read messages from {from}: {error}",
                        stream.account.name(),
                        stream.config.name,
                    );
                    break;
                }
            };
            let seq = message.seq;
            let needed = match stream.config.retention {
                RetentionPolicy::Limits => true,
                RetentionPolicy::WorkQueue | RetentionPolicy::Interest => stream
                    .consumers
                    .iter()
                    .any(|consumer| consumer.state.needs(seq, message.subject)),
            };
            if !needed {
                if let Err(error) = self.store.release(stream_id, seq) {
                    tracing::error!("JetStream can not remove message {seq}: {error}");
                    break;
                }
                self.commit_soon();
            }
            from = seq.next();
        }
        self.report_removed(stream_id, flush);
    }

    /// A consumer went or narrowed its filters: messages of an interest stream that only it needed leave.
    pub(super) fn release_unneeded(&mut self, stream_id: StreamId, flush: &mut FlushSet) {
        let Some(stream) = self.store.stream(stream_id) else {
            return;
        };
        if matches!(stream.config().retention, RetentionPolicy::Interest) {
            let (first, last) = (stream.first_seq(), stream.last_seq());
            self.release(stream_id, first, last, flush);
        }
    }
}
