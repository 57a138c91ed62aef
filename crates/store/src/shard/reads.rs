//! Reading a shard's streams. All calls see what was published, durable or not, unless they say otherwise; a stream that does
//! not exist reads as empty.

use std::ops::{ControlFlow, RangeInclusive};

use jetsled_jetstream_api::{StreamSeq, StreamState, Timestamp};
use jetsled_protocol::SubjectFilter;

use crate::log::{Examined, ReadError, SegmentNo, Selection, StreamId};
use crate::storage::Storage;
use crate::{
    DeletedDetails, MessageMeta, PendingCount, Shard, StoredMessage, Stream, TooManyResults,
};

impl Shard {
    /// The numbers of its log's segments, oldest first.
    pub(crate) fn segments(&self) -> impl Iterator<Item = SegmentNo> {
        self.log.segments().map(|usage| usage.segment)
    }

    /// Reads a whole segment and its index file.
    pub(crate) fn examine(
        &mut self,
        segment: SegmentNo,
        disk: &dyn Storage,
    ) -> Result<Examined, ReadError> {
        self.log.examine(segment, disk)
    }

    /// The message at `seq`. One that is found to be damaged is lost, and not there from then on.
    ///
    /// # Errors
    /// When the record can not be read now.
    pub fn load(
        &mut self,
        stream: StreamId,
        seq: StreamSeq,
    ) -> Result<Option<StoredMessage<'_>>, ReadError> {
        match self.streams.get_mut(&stream) {
            Some(stream) => stream.load(&mut self.log, seq.0),
            None => Ok(None),
        }
    }

    /// Shows `visit` the messages `seqs`, as far as all live and lie right behind the one [loaded](Shard::load) last, and one behind the
    /// other. Answers how many it has shown; cheaper than as many loads. What it leaves has to be loaded.
    pub fn load_on(
        &mut self,
        stream: StreamId,
        seqs: RangeInclusive<u64>,
        visit: impl FnMut(&StoredMessage<'_>),
    ) -> u64 {
        match self.streams.get(&stream) {
            Some(stream) => stream.load_on(&mut self.log, seqs, visit),
            None => 0,
        }
    }

    /// Shows `visit` what a consumer must know of the messages `seqs`, as far as all live and lie right behind the one that
    /// [`next_match`](Shard::next_match) found last, and one behind the other. Answers how many it has shown.
    pub fn look_on(
        &mut self,
        stream: StreamId,
        seqs: RangeInclusive<u64>,
        visit: impl FnMut(MessageMeta),
    ) -> u64 {
        match self.streams.get(&stream) {
            Some(stream) => stream.look_on(&mut self.log, seqs, visit),
            None => 0,
        }
    }

    /// Shows `visit` the messages from `from` up to `up_to`, both included, until it breaks off; what damage took is passed over.
    /// Answers where to go on, one past `up_to` at the end.
    ///
    /// # Errors
    /// When a record can not be read now.
    pub fn read_run(
        &mut self,
        stream: StreamId,
        from: StreamSeq,
        up_to: StreamSeq,
        visit: &mut dyn FnMut(&StoredMessage<'_>) -> ControlFlow<()>,
    ) -> Result<StreamSeq, ReadError> {
        match self.streams.get_mut(&stream) {
            Some(stream) => stream
                .read_run(&mut self.log, from.0, up_to.0, visit)
                .map(StreamSeq),
            None => Ok(up_to.next()),
        }
    }

    /// The newest message that matches. Where all match it is the one of the last sequence or none, as in nats-server 2.15.1.
    ///
    /// # Errors
    /// When a record can not be read.
    pub fn load_last(
        &mut self,
        stream: StreamId,
        filter: &SubjectFilter,
    ) -> Result<Option<StoredMessage<'_>>, ReadError> {
        let found = if filter.matches_all() {
            self.stream(stream).map(Stream::last_seq)
        } else {
            self.last_match(stream, filter)?
        };
        match found {
            Some(seq) => self.load(stream, seq),
            None => Ok(None),
        }
    }

    /// The first message at or above `from` that matches.
    ///
    /// # Errors
    /// When a record can not be read.
    pub fn load_next(
        &mut self,
        stream: StreamId,
        from: StreamSeq,
        filter: &SubjectFilter,
    ) -> Result<Option<StoredMessage<'_>>, ReadError> {
        let mut selection = Selection::of(filter);
        let found = self.next_match(stream, from, filter, &mut selection)?;
        let Some(found) = found else { return Ok(None) };
        self.load(stream, found.seq)
    }

    /// The sequence of the first message at or above `from` that matches, with what a consumer must know of it. Cheap in rising order.
    /// Not bounded by [`Stream::visible_last_seq`](crate::Stream::visible_last_seq): the caller compares. `selection` belongs to this stream and filter; keep it with the consumer.
    ///
    /// # Errors
    /// When a record can not be read.
    pub fn next_match(
        &mut self,
        stream: StreamId,
        from: StreamSeq,
        filter: &SubjectFilter,
        selection: &mut Selection,
    ) -> Result<Option<MessageMeta>, ReadError> {
        match self.streams.get_mut(&stream) {
            Some(stream) => stream.next_match(&mut self.log, from.0, filter, selection),
            None => Ok(None),
        }
    }

    /// What a consumer must know of the message at `seq`.
    ///
    /// # Errors
    /// When the record can not be read.
    pub fn meta(
        &mut self,
        stream: StreamId,
        seq: StreamSeq,
    ) -> Result<Option<MessageMeta>, ReadError> {
        match self.streams.get_mut(&stream) {
            Some(stream) => stream.meta(&mut self.log, seq.0),
            None => Ok(None),
        }
    }

    /// The newest sequence that matches.
    ///
    /// # Errors
    /// When a record can not be read.
    pub fn last_match(
        &mut self,
        stream: StreamId,
        filter: &SubjectFilter,
    ) -> Result<Option<StreamSeq>, ReadError> {
        match self.streams.get_mut(&stream) {
            Some(stream) => Ok(stream.last_matching(&mut self.log, filter)?.map(StreamSeq)),
            None => Ok(None),
        }
    }

    /// The first sequence stored at or after `time`; one past the last when there is none.
    ///
    /// # Errors
    /// When a record can not be read.
    pub fn seq_for_time(
        &mut self,
        stream: StreamId,
        time: Timestamp,
    ) -> Result<StreamSeq, ReadError> {
        match self.streams.get_mut(&stream) {
            Some(stream) => stream.seq_for_time(&mut self.log, time),
            None => Ok(StreamSeq(0)),
        }
    }

    /// How many messages from `from` up to `up_to`, both included, match.
    ///
    /// # Errors
    /// When a record can not be read.
    pub fn num_pending(
        &mut self,
        stream: StreamId,
        from: StreamSeq,
        up_to: StreamSeq,
        filter: &SubjectFilter,
        selection: &mut Selection,
        count: PendingCount,
    ) -> Result<u64, ReadError> {
        match self.streams.get_mut(&stream) {
            Some(stream) => {
                stream.num_pending(&mut self.log, from.0, up_to.0, filter, selection, count)
            }
            None => Ok(0),
        }
    }

    /// The sequences of the newest message, at or below `up_to`, of each matching subject, ascending.
    ///
    /// # Errors
    /// The outer error when a record can not be read, the inner one when more than `limit` subjects match.
    pub fn last_per_subject(
        &mut self,
        stream: StreamId,
        up_to: StreamSeq,
        filter: &SubjectFilter,
        limit: usize,
    ) -> Result<Result<Vec<StreamSeq>, TooManyResults>, ReadError> {
        match self.streams.get_mut(&stream) {
            Some(stream) => stream.last_per_subject(&mut self.log, up_to.0, filter, limit),
            None => Ok(Ok(Vec::new())),
        }
    }

    /// The stream's state as clients see it; `consumer_count` and `subjects` are left empty.
    ///
    /// # Errors
    /// When the first message's record can not be read.
    pub fn state(
        &mut self,
        stream: StreamId,
        deleted: DeletedDetails,
    ) -> Result<StreamState, ReadError> {
        match self.streams.get_mut(&stream) {
            Some(stream) => stream.state(&mut self.log, deleted),
            None => Ok(StreamState::default()),
        }
    }

    /// Calls `visit` with each matching subject and its number of messages, in no particular order.
    pub fn subjects(
        &self,
        stream: StreamId,
        filter: &SubjectFilter,
        visit: &mut dyn FnMut(&[u8], u64),
    ) {
        if let Some(stream) = self.streams.get(&stream) {
            stream.visit_subjects(filter, visit);
        }
    }
}
