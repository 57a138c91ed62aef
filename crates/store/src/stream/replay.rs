//! Applying what the log says to a stream after a start.

use jetsled_jetstream_api::{StreamConfig, Timestamp};

use super::publish::Accepted;
use super::publish_headers::PublishHeaders;
use super::{RemoveReason, Stream, StreamHead, fetch_erased_too, subject_table_for};
use crate::log::{Log, LogPosition, ReadError, SegmentNo};

/// A message record as a replay needs it: everything but the payload's bytes.
#[derive(Debug, Clone)]
pub(crate) struct ReplayedMessage {
    pub(crate) seq: u64,
    pub(crate) time: i64,
    pub(crate) subject: Vec<u8>,
    pub(crate) headers: Vec<u8>,
    pub(crate) payload_len: usize,
    pub(crate) segment: SegmentNo,
    pub(crate) offset: u32,
    /// Its bytes are gone, since it was deleted: it counts until its deletion comes, or the replay ends.
    pub(crate) erased: bool,
}

/// A message's time, subject and headers.
type Front = (Timestamp, Vec<u8>, Vec<u8>);

impl Stream {
    /// A message behind the state that was restored. One that the stream has already is a copy made to free a segment, which is answered.
    pub(crate) fn replay_message(
        &mut self,
        log: &mut Log,
        message: &ReplayedMessage,
    ) -> Result<Option<SegmentNo>, ReadError> {
        if message.seq <= self.last {
            let (subject, headers) = (message.subject.len(), message.headers.len());
            let lens = [subject, headers, message.payload_len];
            let lives = self.is_live(message.seq);
            return Ok(lives
                .then(|| self.relocate(message.seq, lens, message.segment))
                .flatten());
        }
        self.lose_passed_over(message.seq);
        let steering = PublishHeaders::scan(&message.headers);
        let accepted = Accepted {
            subject: &message.subject,
            headers: &message.headers,
            payload: b"",
            payload_len: message.payload_len,
            steering: &steering,
        };
        self.apply_message(
            log,
            message.seq,
            message.time,
            &accepted,
            Some(message.segment),
        );
        self.visible_last = self.last;
        Ok(None)
    }

    /// A copy that stands further behind in the log, in the place of the original, which damage took.
    pub(crate) fn replay_copy(
        &mut self,
        log: &mut Log,
        message: &ReplayedMessage,
    ) -> Result<(), ReadError> {
        self.extents.close();
        self.replay_message(log, message)?;
        self.extents.close();
        Ok(())
    }

    /// Before a message with this sequence: those between, which nothing has used up, are lost. A mirror and an archive may leave some out.
    pub(super) fn lose_passed_over(&mut self, seq: u64) {
        if seq > self.last + 1 && self.config.mirror.is_none() && !self.restoring {
            let (from, to) = (self.last + 1, seq - 1);
            tracing::error!(stream = %self.config.name, from, to, "messages were lost to damage");
            self.lost.insert_range(from, to);
        }
    }

    pub(crate) fn replay_delete(&mut self, log: &mut Log, seq: u64) -> Result<(), ReadError> {
        if seq > self.last {
            self.apply_skip(seq);
            self.visible_last = self.last;
            Ok(())
        } else {
            self.remove_or_put_off(log, seq, RemoveReason::Delete);
            Ok(())
        }
    }

    pub(crate) fn replay_purge(
        &mut self,
        log: &mut Log,
        through: u64,
        keep: u64,
        filter: &[u8],
    ) -> Result<(), ReadError> {
        if keep == 0 {
            // What can not be read goes later.
            let _ = self.purge_or_put_off(log, through, filter);
        } else {
            self.apply_purge(log, through, keep, filter, RemoveReason::Purge)?;
        }
        self.visible_last = self.last;
        Ok(())
    }

    /// Takes a new configuration and removes what it does not allow.
    pub(crate) fn apply_config(
        &mut self,
        log: &mut Log,
        config: StreamConfig,
    ) -> Result<(), ReadError> {
        if self.config == config {
            return Ok(());
        }
        if config.duplicate_window.is_zero() {
            self.dedup.clear();
        }
        let new_ttls = config.allow_msg_ttl && !self.config.allow_msg_ttl;
        let new_schedules = config.allow_msg_schedules && !self.config.allow_msg_schedules;
        self.config = config;
        if new_ttls || new_schedules {
            self.find_deadlines(log)?;
        }
        self.age_checked_below = 0;
        self.age_head = None;
        self.enforce_limits(log, None);
        if subject_table_for(&self.config).has_history() != self.subjects.has_history() {
            self.rebuild_subjects(log)?;
        }
        Ok(())
    }

    /// Looks for lifetimes and schedules in what was stored before they counted: a stream keeps the headers of what it takes from others.
    fn find_deadlines(&mut self, log: &mut Log) -> Result<(), ReadError> {
        self.ttls.clear();
        self.schedules.clear();
        let mut from = self.first;
        while let Some(seq) = self.next_live(from) {
            from = seq + 1;
            if let Some((time, subject, headers)) = self.front_of(log, seq)?
                && !headers.is_empty()
            {
                let steering = PublishHeaders::scan(&headers);
                self.note_ttl(seq, time.0, &steering);
                self.note_schedule(log, seq, time, &subject, &steering)?;
            }
        }
        Ok(())
    }

    /// The front of a live message; `None` if damage has taken it.
    pub(super) fn front_of(&mut self, log: &mut Log, seq: u64) -> Result<Option<Front>, ReadError> {
        match fetch_erased_too(self.memory.as_ref(), log, self.id, seq) {
            Ok(Some(message)) => Ok(Some((
                message.timestamp,
                message.subject.to_vec(),
                message.headers.to_vec(),
            ))),
            Ok(None) | Err(ReadError::Damaged(_) | ReadError::NoSegment(_)) => {
                self.lose(seq);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn rebuild_subjects(&mut self, log: &mut Log) -> Result<(), ReadError> {
        let mut subjects = subject_table_for(&self.config);
        let mut from = self.first;
        while let Some(seq) = self.next_live(from) {
            match fetch_erased_too(self.memory.as_ref(), log, self.id, seq) {
                Ok(Some(message)) => {
                    let bytes = self.size_of(
                        message.subject.len(),
                        message.headers.len(),
                        message.payload.len(),
                    );
                    subjects.push(message.subject, seq, u32::try_from(bytes).unwrap_or(0));
                }
                Ok(None) | Err(ReadError::Damaged(_) | ReadError::NoSegment(_)) => self.lose(seq),
                Err(error) => return Err(error),
            }
            from = seq + 1;
        }
        self.subjects = subjects;
        Ok(())
    }

    /// Builds the stream of a head and of the messages found before it, in order of the log; of several copies the last counts. What the
    /// head says lives and was not found is lost.
    pub(crate) fn rebuild(&mut self, head: StreamHead, mut found: Vec<ReplayedMessage>) {
        found.sort_by_key(|message| message.seq);
        let mut previous = LogPosition::ZERO;
        for at in 0..found.len() {
            let message = &found[at];
            if found
                .get(at + 1)
                .is_some_and(|next| next.seq == message.seq)
            {
                continue;
            }
            let steering = PublishHeaders::scan(&message.headers);
            self.last_time = Timestamp(message.time);
            self.rebuild_dedup(&steering, message);
            if !head.is_live(message.seq) {
                continue;
            }
            let bytes = self.size_of(
                message.subject.len(),
                message.headers.len(),
                message.payload_len,
            );
            self.messages += 1;
            self.bytes += bytes;
            self.subjects.push(
                &message.subject,
                message.seq,
                u32::try_from(bytes).unwrap_or(0),
            );
            let position = LogPosition::new(message.segment, message.offset);
            if position < previous {
                self.extents.push_apart(message.seq, message.segment, bytes);
            } else {
                self.extents.push(message.seq, message.segment, bytes);
            }
            previous = position;
            self.note_ttl(message.seq, message.time, &steering);
        }
        let live: Vec<u64> = found
            .iter()
            .map(|message| message.seq)
            .filter(|seq| head.is_live(*seq))
            .collect();
        self.take_head(head);
        self.lose_all_but(&live);
        self.visible_last = self.last;
    }

    fn rebuild_dedup(&mut self, steering: &PublishHeaders<'_>, message: &ReplayedMessage) {
        let window = self.config.duplicate_window;
        if let Some(id) = steering
            .msg_id
            .filter(|id| !id.is_empty() && window.get() > 0)
        {
            self.dedup.expire(self.last_time.saturating_sub(window).0);
            if self.dedup.find(id).is_none() {
                self.dedup.insert(id, message.seq, message.time);
            }
        }
    }

    /// Notes what lives by the head but is not among `found`, which ascends.
    fn lose_all_but(&mut self, found: &[u64]) {
        let span = self.last + 1 - self.first;
        if span - self.gaps.len() == self.messages {
            if self.messages == 0 {
                self.first = self.last + 1;
                self.gaps.clear();
            }
            return;
        }
        let mut gaps = super::SeqSet::default();
        let mut next = self.first;
        for seq in found {
            gaps.insert_range(next, seq.saturating_sub(1));
            next = seq + 1;
        }
        gaps.insert_range(next, self.last);
        let lost = gaps.without(&self.gaps);
        tracing::error!(stream = %self.config.name, messages = lost.len(), "messages were lost to damage");
        self.lost.add(&lost);
        self.gaps = gaps;
        if self.messages == 0 {
            self.first = self.last + 1;
        } else {
            self.first = self.gaps.next_absent(self.first);
        }
        self.gaps.remove_below(self.first);
    }
}
