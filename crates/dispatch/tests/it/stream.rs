//! A stream in memory and the subscribers of an account: what a consumer looks at.

use std::collections::{BTreeMap, BTreeSet};

use jetsled_dispatch::{Interest, MessageMeta, StreamView};
use jetsled_jetstream_api::{StreamSeq, Timestamp};
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
    /// Reads fail.
    pub(crate) unreadable: bool,
}

impl MemoryStream {
    pub(crate) fn store(&mut self, subject: &str, payload_len: u32, now: Timestamp) {
        self.last += 1;
        let message = Stored {
            subject: subject.to_owned(),
            timestamp: now,
            payload_len,
        };
        self.messages.insert(self.last, message);
    }

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
            .filter(|_| !self.unreadable)
            .map(|(seq, message)| meta(seq, message))
    }

    fn meta(&mut self, seq: StreamSeq) -> Option<MessageMeta> {
        self.messages
            .get(&seq.get())
            .filter(|_| !self.unreadable)
            .map(|message| meta(seq.get(), message))
    }

    fn is_unreadable(&self) -> bool {
        self.unreadable
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
    pub(crate) generation: u64,
    pub(crate) gone: BTreeSet<String>,
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

    /// The members of a queue group are known as `subject queue group`.
    fn has_subscriber(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        match queue {
            Some(queue) => self.has_interest(&[subject, b" queue ", queue].concat()),
            None => self.has_interest(subject),
        }
    }
}
