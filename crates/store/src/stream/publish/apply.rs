//! Storing a message that the checks have let through.

use jetsled_jetstream_api::Timestamp;

use super::Rollup;
use crate::log::{self, Log, SegmentNo};
use crate::stream::publish_headers::PublishHeaders;
use crate::stream::ttl::MessageTtl;
use crate::stream::{ChangeError, RemoveReason, Stream};

/// A message that the checks have let through.
pub(in crate::stream) struct Accepted<'a> {
    pub(in crate::stream) subject: &'a [u8],
    pub(in crate::stream) headers: &'a [u8],
    /// Left empty by a replay: file streams keep no payload in memory.
    pub(in crate::stream) payload: &'a [u8],
    pub(in crate::stream) payload_len: usize,
    pub(in crate::stream) steering: &'a PublishHeaders<'a>,
}

impl Stream {
    /// Logs and applies the next message. Answers its sequence and that of its predecessor on the subject.
    #[inline]
    pub(in crate::stream) fn store(
        &mut self,
        log: &mut Log,
        message: &Accepted<'_>,
        time: Timestamp,
    ) -> Result<(u64, u64), ChangeError> {
        self.store_at(log, self.last + 1, message, time)
    }

    /// As [`Stream::store`], with a sequence above the last one: those between stay unused.
    #[inline]
    pub(super) fn store_at(
        &mut self,
        log: &mut Log,
        seq: u64,
        message: &Accepted<'_>,
        time: Timestamp,
    ) -> Result<(u64, u64), ChangeError> {
        let segment = if self.memory.is_some() {
            None
        } else {
            let at = log.append_message(&self.record_of(seq, message, time))?;
            Some(at.segment)
        };
        let previous = self.apply_message(log, seq, time.0, message, segment);
        Ok((seq, previous))
    }

    /// What the log holds of a message.
    #[inline]
    pub(in crate::stream) fn record_of<'m>(
        &self,
        seq: u64,
        message: &Accepted<'m>,
        time: Timestamp,
    ) -> log::Message<'m> {
        log::Message {
            stream: self.id,
            seq,
            timestamp: time.0,
            subject: message.subject,
            headers: message.headers,
            payload: message.payload,
        }
    }

    /// Counts a message in and enforces what follows from it, as far as what has to go can be read: the message is in the log, so the rest is left to the
    /// clock. Answers the sequence of its predecessor on the subject.
    #[inline]
    pub(in crate::stream) fn apply_message(
        &mut self,
        log: &mut Log,
        seq: u64,
        time: i64,
        message: &Accepted<'_>,
        segment: Option<SegmentNo>,
    ) -> u64 {
        let bytes = self.size_of(
            message.subject.len(),
            message.headers.len(),
            message.payload_len,
        );
        let size = u32::try_from(bytes).unwrap_or(0);
        if self.messages == 0 {
            self.first = seq;
        } else {
            self.gaps.insert_range(self.last + 1, seq - 1);
        }
        self.last = seq;
        self.last_time = Timestamp(time);
        self.messages += 1;
        self.bytes += bytes;
        let (id, before) = self.subjects.push(message.subject, seq, size);
        if let Some(memory) = &mut self.memory {
            memory.push(seq, time, message.subject, message.headers, message.payload);
        }
        if let Some(segment) = segment {
            self.extents.push(seq, segment, bytes);
        }
        let previous = match before {
            None => 0,
            Some(before) if !before.last_is_bound => before.last,
            Some(before) => self
                .resolve_previous(log, message.subject, before.last)
                .unwrap_or_else(|error| {
                    tracing::warn!(stream = %self.config.name, seq, %error, "republished without its last sequence");
                    0
                }),
        };
        let steering = message.steering;
        self.note_ttl(seq, time, steering);
        if self.config.max_msgs_per_subject == 1
            && let Some(before) = before
            && before.count == 1
            && before.last_bytes > 0
        {
            self.remove_known(
                before.last,
                id,
                u64::from(before.last_bytes),
                RemoveReason::Limits,
            );
        }
        self.remember_msg_id(steering.msg_id.filter(|id| !id.is_empty()), seq, time);
        self.enforce_limits(log, Some(id));
        if self.may_roll_up() {
            if let Some(rollup) = steering.rollup.and_then(Rollup::parse) {
                self.roll_up(log, rollup, message.subject);
            }
            self.end_schedule(log, steering);
        }
        let noted = self.note_schedule(log, seq, Timestamp(time), message.subject, steering);
        if let Err(error) = noted {
            self.put_off_note_schedule(seq, &error);
        }
        if let Some(source) = steering.stream_source {
            self.note_source(source);
        }
        previous
    }

    /// Remembers when a stored message's own lifetime ends.
    #[inline]
    pub(in crate::stream) fn note_ttl(
        &mut self,
        seq: u64,
        time: i64,
        steering: &PublishHeaders<'_>,
    ) {
        if self.config.allow_msg_ttl
            && let Ok(Some(ttl)) = MessageTtl::of(steering.ttl)
            && let Some(deadline) = ttl.deadline(time)
        {
            self.ttls.push(deadline, seq);
            let (first, last) = (self.first, self.last);
            let gaps = &self.gaps;
            self.ttls.shrink(self.messages, |seq| {
                seq >= first && seq <= last && !gaps.contains(seq)
            });
        }
    }

    #[inline]
    pub(super) fn remember_msg_id(&mut self, id: Option<&[u8]>, seq: u64, time: i64) {
        self.last_msg_id.clear();
        let Some(id) = id else { return };
        self.last_msg_id.extend_from_slice(id);
        let window = self.config.duplicate_window;
        if window.get() > 0 {
            self.dedup.expire(Timestamp(time).saturating_sub(window).0);
            self.dedup.insert(id, seq, time);
        }
    }
}
