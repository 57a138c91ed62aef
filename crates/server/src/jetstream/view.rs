//! What a consumer sees of its stream and its account.

use std::collections::VecDeque;

use jetsled_dispatch::{Interest, MessageMeta, StreamView};
use jetsled_jetstream_api::{StreamSeq, Timestamp};
use jetsled_protocol::SubjectFilter;
use jetsled_store::{PendingCount, ReadError, Selection, Shard, StreamId};

use crate::account::Account;

/// One stream of a shard, as far as it is durable.
pub(super) struct DurableView<'a> {
    store: &'a mut Shard,
    stream: StreamId,
    /// What the store has worked out about the consumer's filter.
    selection: &'a mut Selection,
    ahead: &'a mut Ahead,
    first: StreamSeq,
    last: StreamSeq,
    unreadable: bool,
}

/// Messages that a view has looked at before its consumer asked for them: the next ones of a stream, without a gap.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    metas: VecDeque<MessageMeta>,
    /// How many were looked at together.
    reach: u64,
}

/// Who reads on and on has at most so many messages looked at together.
const MAX_REACH: u64 = 64;

impl Ahead {
    fn begin(&mut self) {
        self.metas.clear();
        self.reach = 0;
    }

    /// The message of this sequence, if it is the next one.
    #[inline]
    fn take(&mut self, seq: StreamSeq) -> Option<MessageMeta> {
        match self.metas.front() {
            Some(next) if next.seq == seq => self.metas.pop_front(),
            _ => None,
        }
    }
}

impl<'a> DurableView<'a> {
    pub(super) fn new(
        store: &'a mut Shard,
        stream: StreamId,
        selection: &'a mut Selection,
        ahead: &'a mut Ahead,
    ) -> Self {
        ahead.begin();
        let (first, last) = store
            .stream(stream)
            .map_or((StreamSeq::FIRST, StreamSeq(0)), |s| {
                (s.first_seq(), s.visible_last_seq())
            });
        let first = first.min(last.next());
        Self {
            store,
            stream,
            selection,
            ahead,
            first,
            last,
            unreadable: false,
        }
    }

    /// Looks at the message of this sequence and some behind it, twice as many as the last time: who asks for one message has only
    /// that one read. `None` where an index has to be asked.
    fn look_ahead(&mut self, from: StreamSeq) -> Option<MessageMeta> {
        let ahead = &mut *self.ahead;
        ahead.metas.clear();
        ahead.reach = (2 * ahead.reach).clamp(1, MAX_REACH);
        let up_to = from.get().saturating_add(ahead.reach - 1);
        let seqs = from.get()..=up_to.min(self.last.get());
        let look = |meta| ahead.metas.push_back(convert(meta));
        self.store.look_on(self.stream, seqs, look);
        ahead.metas.pop_front()
    }

    /// Damaged records are gone, and no error: this one is of the disk, and may pass.
    fn read<T>(&mut self, outcome: Result<Option<T>, ReadError>) -> Option<T> {
        self.unreadable = outcome.is_err();
        outcome.unwrap_or_else(|error| {
            tracing::error!("JetStream stream {} of this shard: {error}", self.stream.0);
            None
        })
    }
}

impl StreamView for DurableView<'_> {
    fn first_seq(&self) -> StreamSeq {
        self.first
    }

    fn last_seq(&self) -> StreamSeq {
        self.last
    }

    fn next_match(&mut self, from: StreamSeq, filter: &SubjectFilter) -> Option<MessageMeta> {
        if from > self.last {
            self.unreadable = false;
            return None;
        }
        if filter.matches_all() {
            let ahead = self.ahead.take(from).or_else(|| self.look_ahead(from));
            if ahead.is_some() {
                self.unreadable = false;
                return ahead;
            }
        }
        let found = self
            .store
            .next_match(self.stream, from, filter, self.selection);
        self.read(found)
            .filter(|meta| meta.seq <= self.last)
            .map(convert)
    }

    fn meta(&mut self, seq: StreamSeq) -> Option<MessageMeta> {
        let found = self.store.meta(self.stream, seq);
        self.read(found).map(convert)
    }

    fn is_unreadable(&self) -> bool {
        self.unreadable
    }

    fn contains(&self, seq: StreamSeq) -> bool {
        let stream = self.store.stream(self.stream);
        seq <= self.last && stream.is_some_and(|stream| stream.contains(seq))
    }

    fn num_pending(&mut self, from: StreamSeq, filter: &SubjectFilter) -> u64 {
        if from > self.last {
            return 0;
        }
        let count = self.store.num_pending(
            self.stream,
            from,
            self.last,
            filter,
            self.selection,
            PendingCount::All,
        );
        self.read(count.map(Some)).unwrap_or(0)
    }

    fn last_seqs_per_subject(&mut self, filter: &SubjectFilter) -> Vec<StreamSeq> {
        let found = self
            .store
            .last_per_subject(self.stream, self.last, filter, usize::MAX);
        self.read(found.map(Result::ok)).unwrap_or_default()
    }

    fn last_match(&mut self, filter: &SubjectFilter) -> Option<StreamSeq> {
        let found = self.store.last_match(self.stream, filter);
        self.read(found).filter(|seq| *seq <= self.last)
    }

    fn seq_for_time(&mut self, time: Timestamp) -> StreamSeq {
        let found = self.store.seq_for_time(self.stream, time).map(Some);
        // Rather too much than too little.
        self.read(found).unwrap_or(self.first)
    }
}

fn convert(meta: jetsled_store::MessageMeta) -> MessageMeta {
    MessageMeta {
        seq: meta.seq,
        timestamp: meta.timestamp,
        subject_len: meta.subject_len,
        header_len: meta.header_len,
        payload_len: meta.payload_len,
    }
}

/// Who listens in an account.
pub(super) struct AccountInterest<'a>(pub(super) &'a Account);

impl Interest for AccountInterest<'_> {
    fn generation(&self) -> u64 {
        // Neither ever falls.
        self.0.generation() + self.0.responses.closed()
    }

    fn has_interest(&self, subject: &[u8]) -> bool {
        self.0.has_interest(subject)
    }

    fn has_subscriber(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        self.0.has_subscriber(subject, queue)
    }
}
