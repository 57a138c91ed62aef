//! Reading a stream: by sequence, by subject, by time, counts.

use std::ops::{ControlFlow, RangeInclusive};

use jetsled_jetstream_api::{LostStreamData, StreamSeq, StreamState, Timestamp};
use jetsled_protocol::SubjectFilter;

use super::subject_table::SubjectId;
use super::{
    DeletedDetails, LOST_LISTED, MessageMeta, PendingCount, StoredMessage, Stream, TooManyResults,
    fetch, stored,
};
use crate::log::{Log, Pass, ReadError, Selection};

/// A state lists at most so many deleted sequences: a mirror's gaps are as wide as its origin likes.
const DELETED_LISTED: usize = 1 << 22;

impl Stream {
    pub(crate) fn load<'a>(
        &'a mut self,
        log: &'a mut Log,
        seq: u64,
    ) -> Result<Option<StoredMessage<'a>>, ReadError> {
        if !self.is_live(seq) {
            return Ok(None);
        }
        if self.memory.is_some() {
            return Ok(self.memory.as_ref().and_then(|memory| memory.get(seq)));
        }
        // Most loads follow a consumer's look at the message's meta data.
        match log.read_message(Pass::Deliver, self.id, seq) {
            Ok(Some(message)) => Ok(Some(stored(&message))),
            Ok(None) | Err(ReadError::Damaged(_) | ReadError::NoSegment(_)) => {
                self.lose(seq);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Shows the messages right behind the one loaded last, as far as they live and are at hand; answers how many.
    pub(crate) fn load_on(
        &self,
        log: &mut Log,
        seqs: RangeInclusive<u64>,
        mut visit: impl FnMut(&StoredMessage<'_>),
    ) -> u64 {
        let seqs = self.live_run(seqs);
        log.read_on(Pass::Deliver, self.id, seqs, |message| {
            visit(&stored(message))
        })
    }

    /// The same for [`Stream::meta`].
    pub(crate) fn look_on(
        &self,
        log: &mut Log,
        seqs: RangeInclusive<u64>,
        mut visit: impl FnMut(MessageMeta),
    ) -> u64 {
        let seqs = self.live_run(seqs);
        log.read_on(Pass::Decide, self.id, seqs, |message| {
            visit(meta_of(&stored(message)))
        })
    }

    /// Shows messages in order until `visit` breaks off; answers where to go on. Damaged ones are gone.
    pub(crate) fn read_run(
        &mut self,
        log: &mut Log,
        from: u64,
        up_to: u64,
        visit: &mut dyn FnMut(&StoredMessage<'_>) -> ControlFlow<()>,
    ) -> Result<u64, ReadError> {
        let mut from = from;
        while let Some(seq) = self.next_live(from).filter(|seq| *seq <= up_to) {
            from = seq + 1;
            match fetch(self.memory.as_ref(), log, self.id, seq) {
                Ok(Some(message)) => {
                    if visit(&message).is_break() {
                        return Ok(from);
                    }
                }
                Ok(None) | Err(ReadError::Damaged(_) | ReadError::NoSegment(_)) => self.lose(seq),
                Err(error) => return Err(error),
            }
        }
        Ok(up_to.saturating_add(1))
    }

    /// What a consumer must know of the message at `seq`; one that is damaged is gone.
    pub(crate) fn meta(
        &mut self,
        log: &mut Log,
        seq: u64,
    ) -> Result<Option<MessageMeta>, ReadError> {
        if !self.is_live(seq) {
            return Ok(None);
        }
        let found = match &self.memory {
            Some(memory) => Ok(memory.get(seq)),
            None => log
                .read_message(Pass::Decide, self.id, seq)
                .map(|message| message.as_ref().map(stored)),
        };
        match found {
            Ok(Some(message)) => Ok(Some(meta_of(&message))),
            Ok(None) | Err(ReadError::Damaged(_) | ReadError::NoSegment(_)) => {
                self.lose(seq);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The first message at or above `from` that matches, with its lengths; damaged ones are passed over.
    pub(crate) fn next_match(
        &mut self,
        log: &mut Log,
        from: u64,
        filter: &SubjectFilter,
        selection: &mut Selection,
    ) -> Result<Option<MessageMeta>, ReadError> {
        let mut from = from;
        while let Some(seq) = self.next_matching(log, from, filter, selection)? {
            if let Some(meta) = self.meta(log, seq)? {
                return Ok(Some(meta));
            }
            from = seq + 1;
        }
        Ok(None)
    }

    /// The first sequence at or above `from` that is live and matches.
    pub(super) fn next_matching(
        &mut self,
        log: &mut Log,
        from: u64,
        filter: &SubjectFilter,
        selection: &mut Selection,
    ) -> Result<Option<u64>, ReadError> {
        if filter.matches_all() {
            return Ok(self.next_live(from));
        }
        let mut from = from.max(self.first);
        if let Some(name) = filter.single_literal() {
            let Some(id) = self.subjects.find(name) else {
                return Ok(None);
            };
            let entry = self.subjects.entry(id);
            from = from.max(entry.first);
            if from > entry.last {
                return Ok(None);
            }
            if from == entry.first && !entry.first_is_bound {
                return Ok(Some(from));
            }
            if let Some(seqs) = self.subjects.history(id) {
                return Ok(seqs.get(seqs.partition_point(|seq| *seq < from)).copied());
            }
            if entry.count == 1 && !entry.last_is_bound {
                return Ok(Some(entry.last));
            }
        }
        self.search_up(log, from, selection, &mut |subject| filter.matches(subject))
    }

    pub(super) fn search_up(
        &self,
        log: &mut Log,
        from: u64,
        selection: &mut Selection,
        matches: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<Option<u64>, ReadError> {
        let mut from = from;
        if let Some(memory) = &self.memory {
            while let Some(seq) = self.next_live(from) {
                if memory
                    .get(seq)
                    .is_some_and(|message| matches(message.subject))
                {
                    return Ok(Some(seq));
                }
                from = seq + 1;
            }
            return Ok(None);
        }
        while let Some(seq) = self.next_live(from) {
            match log.next_match(self.id, seq, selection, matches)? {
                Some(found) if self.is_live(found.seq) => return Ok(Some(found.seq)),
                Some(found) => from = found.seq + 1,
                None => break,
            }
        }
        Ok(None)
    }

    fn search_down(
        &self,
        log: &mut Log,
        from: u64,
        selection: &mut Selection,
        matches: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<Option<u64>, ReadError> {
        let mut from = from;
        if let Some(memory) = &self.memory {
            while let Some(seq) = self.previous_live(from) {
                if memory
                    .get(seq)
                    .is_some_and(|message| matches(message.subject))
                {
                    return Ok(Some(seq));
                }
                from = seq - 1;
            }
            return Ok(None);
        }
        while let Some(seq) = self.previous_live(from) {
            match log.previous_match(self.id, seq, selection, matches)? {
                Some(found) if self.is_live(found.seq) => return Ok(Some(found.seq)),
                Some(found) if found.seq > 0 => from = found.seq - 1,
                _ => break,
            }
        }
        Ok(None)
    }

    /// Whether damage took this one: its subject was not told of it.
    fn is_lost(&self, seq: u64) -> bool {
        !self.lost.is_empty() && !self.is_live(seq)
    }

    /// The oldest message of a subject.
    pub(super) fn first_of(
        &mut self,
        log: &mut Log,
        id: SubjectId,
    ) -> Result<Option<u64>, ReadError> {
        let entry = *self.subjects.entry(id);
        if !entry.first_is_bound && !self.is_lost(entry.first) {
            return Ok(Some(entry.first));
        }
        let name = self.subjects.name(id);
        let mut selection = Selection::literal(name);
        let found = self.search_up(log, entry.first, &mut selection, &mut |subject| {
            subject == name
        })?;
        if let Some(seq) = found {
            let entry = self.subjects.entry_mut(id);
            entry.first = seq;
            entry.first_is_bound = false;
        }
        Ok(found)
    }

    /// The newest message of a subject.
    pub(super) fn last_of(
        &mut self,
        log: &mut Log,
        id: SubjectId,
    ) -> Result<Option<u64>, ReadError> {
        let entry = *self.subjects.entry(id);
        if !entry.last_is_bound && !self.is_lost(entry.last) {
            return Ok(Some(entry.last));
        }
        let name = self.subjects.name(id);
        let mut selection = Selection::literal(name);
        let found = self.search_down(log, entry.last, &mut selection, &mut |subject| {
            subject == name
        })?;
        if let Some(seq) = found {
            let entry = self.subjects.entry_mut(id);
            entry.last = seq;
            entry.last_is_bound = false;
            entry.last_bytes = 0;
        }
        Ok(found)
    }

    /// The newest message of `name` at or below `from`; 0 without one.
    pub(super) fn resolve_previous(
        &self,
        log: &mut Log,
        name: &[u8],
        from: u64,
    ) -> Result<u64, ReadError> {
        if self.config.republish.is_none() {
            return Ok(0);
        }
        let mut selection = Selection::literal(name);
        let found = self.search_down(log, from, &mut selection, &mut |subject| subject == name)?;
        Ok(found.unwrap_or(0))
    }

    pub(super) fn last_of_subject(
        &mut self,
        log: &mut Log,
        subject: &[u8],
    ) -> Result<Option<u64>, ReadError> {
        match self.subjects.find(subject) {
            Some(id) => self.last_of(log, id),
            None => Ok(None),
        }
    }

    /// The newest message that matches.
    pub(crate) fn last_matching(
        &mut self,
        log: &mut Log,
        filter: &SubjectFilter,
    ) -> Result<Option<u64>, ReadError> {
        if filter.matches_all() {
            return Ok(self.previous_live(self.last));
        }
        if let Some(name) = filter.single_literal() {
            return self.last_of_subject(log, name);
        }
        let mut selection = Selection::of(filter);
        self.search_down(log, self.last, &mut selection, &mut |subject| {
            filter.matches(subject)
        })
    }

    pub(crate) fn seq_for_time(
        &mut self,
        log: &mut Log,
        time: Timestamp,
    ) -> Result<StreamSeq, ReadError> {
        let (mut low, mut high) = (self.first, self.last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(seq) = self.next_live(middle).filter(|seq| *seq < high) else {
                high = middle;
                continue;
            };
            match self.meta(log, seq)? {
                Some(meta) if meta.timestamp < time => low = seq + 1,
                Some(_) => high = middle,
                None => {}
            }
        }
        Ok(StreamSeq(self.next_live(low).unwrap_or(self.last + 1)))
    }

    pub(crate) fn num_pending(
        &mut self,
        log: &mut Log,
        from: u64,
        up_to: u64,
        filter: &SubjectFilter,
        selection: &mut Selection,
        count: PendingCount,
    ) -> Result<u64, ReadError> {
        let (from, up_to) = (from.max(self.first), up_to.min(self.last));
        if from > up_to {
            return Ok(0);
        }
        if count == PendingCount::LastPerSubject {
            let last = self.last_of_each(log, up_to, filter)?;
            return Ok(last.iter().filter(|seq| **seq >= from).count() as u64);
        }
        if filter.matches_all() {
            return Ok(self.count_live(from, up_to));
        }
        if up_to == self.last {
            if from == self.first {
                return Ok(self.count_by_subject(filter));
            }
            // The shorter way: count what is wanted, or take what is not from all.
            if from - self.first < up_to - from {
                let before = self.count_range(log, self.first, from - 1, filter, selection)?;
                return Ok(self.count_by_subject(filter).saturating_sub(before));
            }
        }
        self.count_range(log, from, up_to, filter, selection)
    }

    fn count_by_subject(&self, filter: &SubjectFilter) -> u64 {
        if let Some(name) = filter.single_literal() {
            return self
                .subjects
                .find(name)
                .map_or(0, |id| u64::from(self.subjects.entry(id).count));
        }
        self.subjects
            .iter()
            .filter(|(_, name, _)| filter.matches(name))
            .map(|(.., entry)| u64::from(entry.count))
            .sum()
    }

    fn count_range(
        &mut self,
        log: &mut Log,
        first: u64,
        last: u64,
        filter: &SubjectFilter,
        selection: &mut Selection,
    ) -> Result<u64, ReadError> {
        if self.memory.is_none() && self.gaps.count(first, last) == 0 {
            let matches: &mut dyn FnMut(&[u8]) -> bool = &mut |subject| filter.matches(subject);
            return log.count(self.id, first..=last, selection, matches);
        }
        let mut found = 0;
        let mut from = first;
        while let Some(seq) = self
            .next_matching(log, from, filter, selection)?
            .filter(|seq| *seq <= last)
        {
            found += 1;
            from = seq + 1;
        }
        Ok(found)
    }

    pub(crate) fn last_per_subject(
        &mut self,
        log: &mut Log,
        up_to: u64,
        filter: &SubjectFilter,
        limit: usize,
    ) -> Result<Result<Vec<StreamSeq>, TooManyResults>, ReadError> {
        let matching = self
            .subjects
            .iter()
            .filter(|(_, name, _)| filter.matches(name))
            .count();
        if matching > limit {
            return Ok(Err(TooManyResults { limit }));
        }
        let mut seqs = self.last_of_each(log, up_to, filter)?;
        seqs.sort_unstable();
        Ok(Ok(seqs.into_iter().map(StreamSeq).collect()))
    }

    /// The newest message at or below `up_to` of each matching subject.
    fn last_of_each(
        &mut self,
        log: &mut Log,
        up_to: u64,
        filter: &SubjectFilter,
    ) -> Result<Vec<u64>, ReadError> {
        let ids: Vec<SubjectId> = match filter.single_literal() {
            Some(name) => self.subjects.find(name).into_iter().collect(),
            None => self
                .subjects
                .iter()
                .filter(|(_, name, entry)| entry.first <= up_to && filter.matches(name))
                .map(|(id, ..)| id)
                .collect(),
        };
        let mut seqs = Vec::with_capacity(ids.len());
        for id in ids {
            let last = self.last_of(log, id)?;
            let newest = match last {
                Some(seq) if seq > up_to => {
                    let name = self.subjects.name(id);
                    let mut selection = Selection::literal(name);
                    self.search_down(log, up_to, &mut selection, &mut |subject| subject == name)?
                }
                last => last,
            };
            seqs.extend(newest);
        }
        Ok(seqs)
    }

    pub(crate) fn state(
        &mut self,
        log: &mut Log,
        deleted: DeletedDetails,
    ) -> Result<StreamState, ReadError> {
        let first_ts = match self.meta(log, self.first)? {
            Some(meta) => meta.timestamp,
            None => Timestamp::UNSET,
        };
        let never_used = self.is_unused && self.last == 0;
        Ok(StreamState {
            messages: self.messages,
            bytes: self.bytes,
            first_seq: StreamSeq(if never_used { 0 } else { self.first }),
            first_ts,
            last_seq: StreamSeq(self.last),
            last_ts: self.last_time,
            num_subjects: self.subjects.len() as u64,
            num_deleted: self.gaps.len(),
            deleted: match deleted {
                DeletedDetails::List => {
                    let listed = self.gaps.iter().take(DELETED_LISTED);
                    listed.map(StreamSeq).collect()
                }
                DeletedDetails::Count => Vec::new(),
            },
            lost: (!self.lost.is_empty()).then(|| LostStreamData {
                messages: self.lost.iter().take(LOST_LISTED).map(StreamSeq).collect(),
                bytes: 0,
            }),
            ..StreamState::default()
        })
    }

    pub(crate) fn visit_subjects(&self, filter: &SubjectFilter, visit: &mut dyn FnMut(&[u8], u64)) {
        if let Some(name) = filter.single_literal() {
            if let Some(id) = self.subjects.find(name) {
                visit(name, u64::from(self.subjects.entry(id).count));
            }
            return;
        }
        for (_, name, entry) in self
            .subjects
            .iter()
            .filter(|(_, name, _)| filter.matches(name))
        {
            visit(name, u64::from(entry.count));
        }
    }
}

#[inline]
fn meta_of(message: &StoredMessage<'_>) -> MessageMeta {
    MessageMeta {
        seq: message.seq,
        timestamp: message.timestamp,
        subject_len: message.subject.len() as u32,
        header_len: message.headers.len() as u32,
        payload_len: message.payload.len() as u32,
    }
}
