//! How messages leave a stream: limits, expiry, purge, delete, release, damage.

use jetsled_jetstream_api::{
    ApiError, DiscardPolicy, RetentionPolicy, StorageType, StreamSeq, Timestamp,
};
use jetsled_protocol::{SubjectFilter, subject};

use super::seq_set::SeqSet;
use super::subject_table::SubjectId;
use super::{ChangeError, Purge, RemoveReason, Removed, Stream, fetch, fetch_erased_too};
use crate::log::{self, Log, ReadError, Record, Selection};

impl Stream {
    // --- decide and log

    /// Decides on a purge, logs and applies it. Answers how many messages went.
    pub(crate) fn purge(&mut self, log: &mut Log, purge: &Purge<'_>) -> Result<u64, ChangeError> {
        if self.config.sealed {
            return Err(ApiError::STREAM_SEALED.into());
        }
        if self.config.deny_purge {
            return Err(ApiError::stream_purge_failed("stream purge not permitted").into());
        }
        let filter = purge
            .filter
            .filter(|filter| !filter.is_empty() && *filter != b">");
        let below = purge.below.get();
        let (through, keep) = match filter {
            _ if below == 1 => return Ok(0),
            None if below > 1 => (below - 1, 0),
            None if purge.keep > 0 => match self.newest_from(purge.keep) {
                Some(from) => (from - 1, 0),
                None => return Ok(0),
            },
            Some(_) if below > 1 => (below - 1, purge.keep),
            _ => (self.last, purge.keep),
        };
        let filter = filter.unwrap_or_default();
        if self.memory.is_none() {
            log.append(&Record::Purge(log::Purge {
                stream: self.id,
                through,
                keep,
                filter,
            }))?;
        }
        Ok(match keep {
            0 => self.purge_or_put_off(log, through, filter)?,
            _ => self.apply_purge(log, through, keep, filter, RemoveReason::Purge)?,
        })
    }

    /// The sequence from which on `keep` messages are stored; `None` if there are no more than that.
    fn newest_from(&self, keep: u64) -> Option<u64> {
        if keep >= self.messages {
            return None;
        }
        // Gaps move the start down; counting them below the new start again until nothing changes ends after few rounds.
        let mut from = self.last + 1 - keep;
        loop {
            let missing = keep.saturating_sub(self.count_live(from, self.last));
            if missing == 0 {
                return Some(from);
            }
            from -= missing;
        }
    }

    /// Decides on a message's deletion, logs and applies it.
    pub(crate) fn delete(&mut self, log: &mut Log, seq: u64) -> Result<(), ChangeError> {
        if self.config.sealed {
            return Err(ApiError::STREAM_SEALED.into());
        }
        if self.config.deny_delete {
            return Err(ApiError::stream_msg_delete_failed("message delete not permitted").into());
        }
        if !self.is_live(seq) {
            return Err(self.not_found(seq).into());
        }
        self.log_delete(log, seq)?;
        self.remove_or_put_off(log, seq, RemoveReason::Delete);
        Ok(())
    }

    /// What the deletion of a message that is not there answers (observed nats-server 2.15.1).
    fn not_found(&self, seq: u64) -> ApiError {
        if self.memory.is_none() && seq > self.last {
            ApiError::stream_msg_delete_failed("stream store EOF")
        } else if self.memory.is_none() && seq < self.first {
            ApiError::stream_msg_delete_failed("no message found")
        } else {
            ApiError::sequence_not_found(seq)
        }
    }

    /// Removes a message that no consumer needs.
    pub(crate) fn release(&mut self, log: &mut Log, seq: u64) -> Result<(), ChangeError> {
        if self.config.retention == RetentionPolicy::Limits || !self.is_live(seq) {
            return Ok(());
        }
        self.log_delete(log, seq)?;
        let watched = self.removed.take();
        self.remove_or_put_off(log, seq, RemoveReason::Delete);
        self.removed = watched;
        Ok(())
    }

    /// Removes what age and TTLs have ended, at most `limit` messages; answers whether more is due. Stores delete markers where configured.
    pub(crate) fn expire(
        &mut self,
        log: &mut Log,
        now: Timestamp,
        limit: usize,
    ) -> Result<bool, ChangeError> {
        for _ in 0..limit {
            // Else what is overdue would be logged as deleted once more.
            if self.config.sealed || self.overdue.is_any() {
                return Ok(false);
            }
            let Some(seq) = self.next_expired(log, now)? else {
                return Ok(false);
            };
            if self.store_marker(log, seq, now)? {
                continue;
            }
            self.log_delete(log, seq)?;
            self.remove_or_put_off(log, seq, RemoveReason::Limits);
        }
        Ok(true)
    }

    /// When something expires next.
    pub(crate) fn next_expiry(&mut self, log: &mut Log) -> Result<Option<Timestamp>, ReadError> {
        if self.config.sealed {
            return Ok(None);
        }
        while let Some((_, seq)) = self.ttls.peek()
            && !self.is_live(seq)
        {
            self.ttls.pop();
        }
        let by_ttl = self.ttls.peek().map(|(deadline, _)| Timestamp(deadline));
        let by_age = self
            .age_head(log)?
            .map(|(_, time)| Timestamp(time).saturating_add(self.config.max_age));
        Ok([by_ttl, by_age].into_iter().flatten().min())
    }

    fn next_expired(&mut self, log: &mut Log, now: Timestamp) -> Result<Option<u64>, ReadError> {
        while let Some((deadline, seq)) = self.ttls.peek()
            && deadline <= now.0
        {
            if self.is_live(seq) {
                return Ok(Some(seq));
            }
            self.ttls.pop();
        }
        let max_age = self.config.max_age;
        Ok(self
            .age_head(log)?
            .filter(|(_, time)| Timestamp(*time).saturating_add(max_age) <= now)
            .map(|(seq, _)| seq))
    }

    /// The message that age ends next, with its time.
    fn age_head(&mut self, log: &mut Log) -> Result<Option<(u64, i64)>, ReadError> {
        if self.config.max_age.get() <= 0 {
            return Ok(None);
        }
        if let Some((seq, time)) = self.age_head
            && self.is_live(seq)
        {
            return Ok(Some((seq, time)));
        }
        self.age_head = None;
        while let Some(seq) = self.next_live(self.age_checked_below) {
            match fetch(self.memory.as_ref(), log, self.id, seq) {
                Ok(Some(message)) => {
                    self.age_checked_below = seq;
                    if !(self.config.allow_msg_ttl && never_expires(message.headers)) {
                        self.age_head = Some((seq, message.timestamp.0));
                        return Ok(self.age_head);
                    }
                    self.age_checked_below = seq + 1;
                }
                Ok(None) | Err(ReadError::Damaged(_) | ReadError::NoSegment(_)) => self.lose(seq),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    pub(super) fn log_delete(&mut self, log: &mut Log, seq: u64) -> Result<(), log::AppendError> {
        if self.memory.is_none() {
            log.append(&Record::Delete(log::Delete {
                stream: self.id,
                seq,
            }))?;
        }
        Ok(())
    }

    // --- apply

    /// Removes those messages of at most `through` that match, except the newest `keep` of them. An empty filter matches all.
    pub(super) fn apply_purge(
        &mut self,
        log: &mut Log,
        through: u64,
        keep: u64,
        filter: &[u8],
        reason: RemoveReason,
    ) -> Result<u64, ReadError> {
        let before = self.messages;
        if filter.is_empty() && keep == 0 {
            if through >= self.last {
                self.lost.remove_below(through.saturating_add(1));
                self.purge_all(through);
            } else {
                let unwatched = self.removed.take();
                let mut removed = Ok(());
                while let Some(seq) = self.next_live(0).filter(|seq| *seq <= through)
                    && removed.is_ok()
                {
                    removed = self.remove(log, seq, reason);
                }
                self.removed = unwatched;
                self.first_moved();
                removed?;
                self.forget_lost(log, through)?;
            }
        } else if filter.is_empty() {
            if let Some(from) = self.newest_from(keep) {
                return self.apply_purge(log, through.min(from - 1), 0, filter, reason);
            }
        } else if !subject::has_wildcard(filter) {
            self.purge_subject(log, filter, through, keep, reason)?;
        } else {
            self.purge_wildcard(log, filter, through, keep, reason)?;
        }
        Ok(before - self.messages)
    }

    /// Tells no longer what damage took up to `through`, where nothing is left. Subjects that count some of it are counted anew: nothing would say later
    /// that it is lost.
    fn forget_lost(&mut self, log: &mut Log, through: u64) -> Result<(), ReadError> {
        if self.lost.iter().next().is_none_or(|seq| seq > through) {
            return Ok(());
        }
        let subjects = self.subjects.iter();
        let concerned: Vec<SubjectId> = subjects
            .filter(|(.., entry)| entry.first <= through)
            .map(|(id, ..)| id)
            .collect();
        let mut gone = Vec::new();
        for id in concerned {
            if self.recount(log, id)? == 0 {
                gone.push(id);
            }
        }
        self.subjects.forget(&gone);
        self.recounted.clear();
        self.lost.remove_below(through + 1);
        Ok(())
    }

    fn purge_all(&mut self, through: u64) {
        self.head_is_old = true;
        self.is_unused = false;
        self.last = self.last.max(through);
        self.first = self.last + 1;
        self.messages = 0;
        self.emptied();
        self.first_moved();
    }

    /// Tells watchers of a new first sequence below which everything went.
    fn first_moved(&mut self) {
        let first = self.first;
        if let Some(removed) = &mut self.removed {
            removed.push(Removed::Below(StreamSeq(first)));
        }
    }

    fn purge_subject(
        &mut self,
        log: &mut Log,
        name: &[u8],
        through: u64,
        keep: u64,
        reason: RemoveReason,
    ) -> Result<(), ReadError> {
        while let Some(id) = self.subjects.find(name) {
            if !self.has_more_than(log, id, keep)? {
                break;
            }
            match self.first_of(log, id)? {
                Some(seq) if seq <= through => self.remove_of(log, id, seq, reason)?,
                _ => break,
            }
        }
        Ok(())
    }

    fn purge_wildcard(
        &mut self,
        log: &mut Log,
        filter: &[u8],
        through: u64,
        keep: u64,
        reason: RemoveReason,
    ) -> Result<(), ReadError> {
        let filter = SubjectFilter::new([filter]);
        let mut selection = Selection::new();
        let mut matching = Vec::new();
        let mut from = self.first;
        while let Some(seq) = self
            .next_matching(log, from, &filter, &mut selection)?
            .filter(|seq| *seq <= through)
        {
            matching.push(seq);
            from = seq + 1;
        }
        let remove = matching
            .len()
            .saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
        for seq in matching.into_iter().take(remove) {
            self.remove(log, seq, reason)?;
        }
        Ok(())
    }

    /// Enforces the limits that a publish or a change of configuration may have crossed. `published`: only this subject can be over its own. If what has to go can not
    /// be read, that is left to the clock.
    #[inline]
    pub(super) fn enforce_limits(&mut self, log: &mut Log, published: Option<SubjectId>) {
        if !self.overdue.has_limits()
            && let Err(error) = self.try_to_enforce_limits(log, published)
        {
            self.put_off_limits(&error);
        }
    }

    #[inline]
    fn try_to_enforce_limits(
        &mut self,
        log: &mut Log,
        published: Option<SubjectId>,
    ) -> Result<(), ReadError> {
        // A publish makes room on its subject first, a change of configuration in the whole stream.
        if let Some(id) = published {
            self.enforce_subject_limits(log, Some(id))?;
            self.enforce_stream_limits(log)
        } else {
            self.enforce_stream_limits(log)?;
            self.enforce_subject_limits(log, None)
        }
    }

    /// What publishes have left undone: in their order.
    pub(super) fn enforce_all_limits(&mut self, log: &mut Log) -> Result<(), ReadError> {
        self.enforce_subject_limits(log, None)?;
        self.enforce_stream_limits(log)
    }

    /// `max_msgs` and `max_bytes`, where old messages make room for new ones.
    #[inline]
    fn enforce_stream_limits(&mut self, log: &mut Log) -> Result<(), ReadError> {
        if self.config.discard != DiscardPolicy::Old {
            return Ok(());
        }
        if let Ok(limit @ 1..) = u64::try_from(self.config.max_msgs) {
            while self.messages > limit {
                self.remove(log, self.first, RemoveReason::Limits)?;
            }
        }
        if let Ok(limit @ 1..) = u64::try_from(self.config.max_bytes) {
            while self.bytes > limit && self.messages > 0 {
                self.remove(log, self.first, RemoveReason::Limits)?;
            }
        }
        Ok(())
    }

    /// `max_msgs_per_subject`, of one subject or of all.
    #[inline]
    fn enforce_subject_limits(
        &mut self,
        log: &mut Log,
        only: Option<SubjectId>,
    ) -> Result<(), ReadError> {
        let Ok(limit @ 1..) = u64::try_from(self.config.max_msgs_per_subject) else {
            return Ok(());
        };
        if let Some(id) = only {
            return self.enforce_subject_limit(log, id, limit);
        }
        let over: Vec<SubjectId> = self
            .subjects
            .iter()
            .filter(|(.., entry)| u64::from(entry.count) > limit)
            .map(|(id, ..)| id)
            .collect();
        over.into_iter()
            .try_for_each(|id| self.enforce_subject_limit(log, id, limit))
    }

    fn enforce_subject_limit(
        &mut self,
        log: &mut Log,
        id: SubjectId,
        limit: u64,
    ) -> Result<(), ReadError> {
        while self.messages > 0 && self.has_more_than(log, id, limit)? {
            match self.first_of(log, id)? {
                Some(seq) => self.remove_of(log, id, seq, RemoveReason::Limits)?,
                None => break,
            }
        }
        Ok(())
    }

    /// Whether a subject has more than `most` messages. Once damage has taken some, its entry may count them.
    pub(super) fn has_more_than(
        &mut self,
        log: &mut Log,
        id: SubjectId,
        most: u64,
    ) -> Result<bool, ReadError> {
        let counted = |stream: &Self| u64::from(stream.subjects.entry(id).count);
        let matters = most > 0 && counted(self) > most;
        if matters && !self.lost.is_empty() && !self.recounted.contains(&id) {
            self.recount(log, id)?;
            self.recounted.insert(id);
        }
        Ok(counted(self) > most)
    }

    /// Counts a subject's messages anew, and answers how many there are. The entry of one of which nothing is left is left alone.
    fn recount(&mut self, log: &mut Log, id: SubjectId) -> Result<u64, ReadError> {
        let name = self.subjects.name(id);
        let mut selection = Selection::literal(name);
        let (mut live, mut from) = (SeqSet::default(), self.subjects.entry(id).first);
        while let Some(seq) =
            self.search_up(log, from, &mut selection, &mut |subject| subject == name)?
        {
            live.insert(seq);
            from = seq + 1;
        }
        self.subjects.correct(id, &live);
        Ok(live.len())
    }

    /// Removes a message that its subject counts. Damage may have taken it before, or now, without knowing its subject: then it is counted no more.
    fn remove_of(
        &mut self,
        log: &mut Log,
        id: SubjectId,
        seq: u64,
        reason: RemoveReason,
    ) -> Result<(), ReadError> {
        let counted = self.subjects.entry(id).count;
        self.remove(log, seq, reason)?;
        if self.messages > 0 && self.subjects.entry(id).count == counted {
            self.subjects.remove(id, seq);
        }
        Ok(())
    }

    /// Removes a live message.
    pub(super) fn remove(
        &mut self,
        log: &mut Log,
        seq: u64,
        reason: RemoveReason,
    ) -> Result<(), ReadError> {
        if !self.is_live(seq) {
            return Ok(());
        }
        let message = match fetch_erased_too(self.memory.as_ref(), log, self.id, seq) {
            Ok(Some(message)) => message,
            Ok(None) | Err(ReadError::Damaged(_) | ReadError::NoSegment(_)) => {
                self.lose(seq);
                return Ok(());
            }
            // Of no use to anybody, and to go anyway.
            Err(_) if self.overdue.gives_up() => {
                self.lose(seq);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let bytes = (message.subject.len() + message.headers.len() + message.payload.len()) as u64
            + match self.config.storage {
                StorageType::Memory => 16,
                StorageType::File if message.headers.is_empty() => 30,
                StorageType::File => 34,
            };
        if let Some(removed) = &mut self.removed {
            let seq = message.seq;
            removed.push(Removed::Message {
                seq,
                subject: message.subject.into(),
                reason,
            });
        }
        let id = self.subjects.find(message.subject);
        self.take_out(seq, id, bytes);
        Ok(())
    }

    /// Removes the only message of a subject but one, whose size is known.
    pub(super) fn remove_known(
        &mut self,
        seq: u64,
        id: SubjectId,
        bytes: u64,
        reason: RemoveReason,
    ) {
        if !self.is_live(seq) {
            // Damage has taken it, when neither its subject nor its size were known.
            self.subjects.remove(id, seq);
            self.bytes = self.bytes.saturating_sub(bytes);
            return;
        }
        if let Some(removed) = &mut self.removed {
            let subject = self.subjects.name(id).into();
            removed.push(Removed::Message {
                seq: StreamSeq(seq),
                subject,
                reason,
            });
        }
        self.take_out(seq, Some(id), bytes);
    }

    fn take_out(&mut self, seq: u64, id: Option<SubjectId>, bytes: u64) {
        if !self.schedules.is_empty() {
            self.schedules.remove(seq);
        }
        if let Some(id) = id {
            self.subjects.remove(id, seq);
        }
        if let Some(memory) = &mut self.memory {
            memory.remove(seq);
        } else {
            self.extents.remove(seq, bytes);
        }
        self.head_is_old = true;
        self.messages -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.messages == 0 {
            self.first = self.last + 1;
            self.emptied();
        } else if seq == self.first {
            self.first = self.gaps.next_absent(seq + 1);
            self.gaps.remove_below(self.first);
        } else {
            self.gaps.insert(seq);
        }
    }

    fn emptied(&mut self) {
        self.bytes = 0;
        self.gaps.clear();
        self.subjects.clear();
        self.ttls.clear();
        self.schedules.clear();
        self.extents.clear();
        self.age_head = None;
        if let Some(memory) = &mut self.memory {
            memory.clear();
        }
    }

    /// Damage took this message: it is gone, and the state says so.
    pub(super) fn lose(&mut self, seq: u64) {
        if !self.is_live(seq) {
            return;
        }
        tracing::error!(stream = %self.config.name, seq, "stored message is damaged and lost");
        self.lost.insert(seq);
        self.found_lost = true;
        self.recounted.clear();
        self.take_out(seq, None, 0);
    }
}

/// Whether these headers have `Nats-TTL: never`.
fn never_expires(headers: &[u8]) -> bool {
    !headers.is_empty()
        && jetsled_protocol::headers::get(headers, b"Nats-TTL")
            .is_some_and(|value| value.eq_ignore_ascii_case(b"never"))
}
