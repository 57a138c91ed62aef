//! Interest and workqueue retention: messages leave when no consumer needs them.

use std::collections::VecDeque;

use jetsled_jetstream_api::{RetentionPolicy, StreamSeq, Timestamp};
use jetsled_protocol::SubjectFilter;
use jetsled_store::StreamId;

use super::shard::ShardState;
use super::turn::RETRY_REFUSED;
use crate::routing::FlushSet;

/// Messages that a consumer no longer needs.
#[derive(Clone, Copy)]
pub(super) struct Released {
    pub(super) stream: StreamId,
    pub(super) first: StreamSeq,
    pub(super) last: StreamSeq,
}

/// Messages that leave, unless another consumer needs them.
#[derive(Default)]
pub(super) struct Releases {
    /// At the end of the batch.
    due: VecDeque<Released>,
    /// Those that could not leave.
    refused: VecDeque<Released>,
    /// When these are tried again.
    retry: Option<Timestamp>,
}

impl Releases {
    pub(super) fn push(&mut self, released: Released) {
        self.due.push_back(released);
    }

    /// When there is something to be done; a past time means now.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        if self.due.is_empty() {
            self.retry
        } else {
            Some(Timestamp::EPOCH)
        }
    }

    /// How many are to leave now.
    fn count_due(&mut self, now: Timestamp) -> usize {
        if self.retry.is_some_and(|retry| retry <= now) {
            self.retry = None;
            self.due.append(&mut self.refused);
        }
        self.due.len()
    }

    /// Puts off what could not leave. Acks in order make one of it.
    fn put_off(&mut self, released: Released, until: Timestamp) {
        self.retry.get_or_insert(until);
        match self.refused.back_mut() {
            Some(before)
                if before.stream == released.stream && before.last.next() == released.first =>
            {
                before.last = released.last;
            }
            _ => self.refused.push_back(released),
        }
    }
}

impl ShardState {
    /// Removes what consumers have released so far. What consumers release in turn, since that let them deliver more, is left
    /// for the next time.
    #[inline]
    pub(super) fn carry_out_releases(&mut self, flush: &mut FlushSet) {
        for _ in 0..self.releases.count_due(self.now) {
            let Some(released) = self.releases.due.pop_front() else {
                break;
            };
            // The log that has refused one takes no other one for now.
            let in_memory = |stream| self.streams.get(&stream).is_some_and(|s| s.in_memory());
            if let Some(retry) = self.releases.retry
                && !in_memory(released.stream)
            {
                self.releases.put_off(released, retry);
            } else {
                self.release(released, flush);
            }
        }
    }

    /// A consumer no longer needs these messages; they leave unless another one does. Those that can not are tried again later.
    fn release(&mut self, released: Released, flush: &mut FlushSet) {
        let Released {
            stream: stream_id,
            first,
            last,
        } = released;
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
                    self.put_off_release(Released {
                        first: from,
                        ..released
                    });
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
                    self.put_off_release(Released {
                        first: seq,
                        ..released
                    });
                    break;
                }
                self.commit_soon();
            }
            from = seq.next();
        }
        self.report_removed(stream_id, flush);
    }

    fn put_off_release(&mut self, released: Released) {
        // A fenced log takes nothing until the next start.
        if !self.store.is_fenced() {
            let until = self.now.saturating_add(RETRY_REFUSED);
            self.releases.put_off(released, until);
        }
    }

    /// A consumer went or narrowed its filters: messages of an interest stream that only it needed leave.
    pub(super) fn release_unneeded(&mut self, stream_id: StreamId, flush: &mut FlushSet) {
        let Some(stream) = self.store.stream(stream_id) else {
            return;
        };
        if matches!(stream.config().retention, RetentionPolicy::Interest) {
            let (first, last) = (stream.first_seq(), stream.last_seq());
            let all = Released {
                stream: stream_id,
                first,
                last,
            };
            self.release(all, flush);
        }
    }
}
