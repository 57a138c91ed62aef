//! What happens to a published message: the checks in nats-server's order, then storing it.

use jetsled_jetstream_api::{ApiError, DiscardPolicy, RetentionPolicy, StreamSeq, Timestamp};
use jetsled_protocol::{SubjectFilter, headers};

use super::publish_headers::{PublishHeaders, parse_seq};
use super::ttl::{MessageTtl, NANOS_A_SECOND};
use super::{ChangeError, Publish, PublishError, Published, RemoveReason, Stream, fetch};
use crate::log::{self, Log, ReadError, Record, SegmentNo};

/// A message that the checks have let through.
pub(super) struct Accepted<'a> {
    pub(super) subject: &'a [u8],
    pub(super) headers: &'a [u8],
    /// Left empty by a replay: file streams keep no payload in memory.
    pub(super) payload: &'a [u8],
    pub(super) payload_len: usize,
    pub(super) steering: PublishHeaders<'a>,
}

/// What `Nats-Rollup` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rollup {
    Subject,
    All,
}

/// The largest record of a file stream (observed nats-server 2.15.1).
const MAX_RECORD: u64 = 32 << 20;
/// The largest header block.
const MAX_HEADERS: usize = 65_535;

impl Stream {
    /// Applies the stream's rules to a message. `position` of the answer is left to the caller.
    pub(crate) fn publish(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        now: Timestamp,
    ) -> Result<Published, PublishError> {
        let size = self.size_of(
            message.subject.len(),
            message.headers.len(),
            message.payload.len(),
        );
        if size > MAX_RECORD {
            return Err(ApiError::stream_store_failed("message too large").into());
        }
        if self.config.sealed {
            return Err(ApiError::STREAM_SEALED.into());
        }
        if message.headers.is_empty() {
            return self.publish_clean(log, message, PublishHeaders::default(), now);
        }
        let steering = PublishHeaders::scan(message.headers);
        if !steering.status && !steering.request_info && !self.must_raise_ttl(&steering) {
            return self.publish_clean(log, message, steering, now);
        }
        let mut edited = std::mem::take(&mut self.scratch);
        edited.clear();
        edited.extend_from_slice(message.headers);
        self.edit_headers(&mut edited, &steering);
        let headers = if has_lines(&edited) { &edited[..] } else { &[] };
        let published = self.publish_clean(
            log,
            &Publish {
                headers,
                ..*message
            },
            PublishHeaders::scan(headers),
            now,
        );
        self.scratch = edited;
        published
    }

    /// A lifetime below that of delete markers would end before the marker's that follows it.
    fn must_raise_ttl(&self, steering: &PublishHeaders<'_>) -> bool {
        let marker = self.config.subject_delete_marker_ttl.get() / NANOS_A_SECOND;
        marker > 0
            && self.config.max_msgs_per_subject != 1
            && matches!(
                steering.ttl.map(MessageTtl::parse),
                Some(Ok(MessageTtl::Seconds(seconds))) if seconds < marker
            )
    }

    fn edit_headers(&self, block: &mut Vec<u8>, steering: &PublishHeaders<'_>) {
        if steering.status {
            let end = memchr::memchr(b'\n', block).map_or(block.len(), |at| at + 1);
            block.splice(..end, headers::HEADER_LINE.iter().copied());
        }
        if steering.request_info {
            headers::remove(block, b"Nats-Request-Info");
        }
        if self.must_raise_ttl(steering) {
            let marker = self.config.subject_delete_marker_ttl.get() / NANOS_A_SECOND;
            headers::set(block, b"Nats-TTL", marker.to_string().as_bytes());
        }
    }

    fn publish_clean(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        steering: PublishHeaders<'_>,
        now: Timestamp,
    ) -> Result<Published, PublishError> {
        // Time that runs backward would put messages out of order for a search by time.
        let time = now.max(self.last_time);
        self.check_headers(log, message.subject, message.payload, &steering)?;
        let window = self.config.duplicate_window;
        let msg_id = steering.msg_id.filter(|id| !id.is_empty());
        if let Some(id) = msg_id
            && window.get() > 0
        {
            self.dedup.expire(time.saturating_sub(window).0);
            if let Some(seq) = self.dedup.find(id) {
                return Ok(Published {
                    seq: StreamSeq(seq),
                    duplicate: true,
                    stored: false,
                    previous_on_subject: StreamSeq(0),
                    timestamp: time,
                    position: None,
                });
            }
        }
        self.check_last_msg_id(&steering)?;
        let rollup = self.check_rollup(&steering)?;
        let size = message.headers.len() + message.payload.len();
        if usize::try_from(self.config.max_msg_size).is_ok_and(|limit| limit > 0 && size > limit) {
            return Err(ApiError::STREAM_MESSAGE_EXCEEDS_MAXIMUM.into());
        }
        if message.headers.len() > MAX_HEADERS {
            return Err(ApiError::STREAM_HEADER_EXCEEDS_MAXIMUM.into());
        }
        if self.config.retention == RetentionPolicy::Interest && !message.has_interest {
            return self.skip(log, message, msg_id, rollup, time);
        }
        if let Some(ttl) = steering.ttl.filter(|ttl| !ttl.is_empty()) {
            MessageTtl::parse(ttl)?;
        }
        self.check_discard_new(message, rollup.is_some())?;
        let accepted = Accepted {
            subject: message.subject,
            headers: message.headers,
            payload: message.payload,
            payload_len: message.payload.len(),
            steering,
        };
        let (seq, previous) = self
            .store(log, &accepted, time)
            .map_err(PublishError::from)?;
        Ok(Published {
            seq: StreamSeq(seq),
            duplicate: false,
            stored: true,
            previous_on_subject: StreamSeq(previous),
            timestamp: time,
            position: None,
        })
    }

    // --- checks

    fn check_headers(
        &mut self,
        log: &mut Log,
        subject: &[u8],
        payload: &[u8],
        steering: &PublishHeaders<'_>,
    ) -> Result<(), PublishError> {
        if steering.batch_id.is_some_and(|id| !id.is_empty()) && !self.config.allow_atomic {
            return Err(ApiError::ATOMIC_PUBLISH_DISABLED.into());
        }
        if let Some(increment) = steering.increment.filter(|value| !value.is_empty()) {
            if !is_integer(increment) {
                return Err(ApiError::MESSAGE_INCR_INVALID.into());
            }
            if !self.config.allow_msg_counter {
                return Err(ApiError::MESSAGE_INCR_DISABLED.into());
            }
            if !payload.is_empty() {
                return Err(ApiError::MESSAGE_INCR_PAYLOAD.into());
            }
        }
        if steering
            .expected_stream
            .is_some_and(|name| !name.is_empty() && name != self.config.name.as_bytes())
        {
            return Err(ApiError::STREAM_NOT_MATCH.into());
        }
        if !self.config.allow_msg_ttl
            && steering
                .ttl
                .is_some_and(|ttl| !ttl.is_empty() && MessageTtl::parse(ttl).is_ok())
        {
            return Err(ApiError::MESSAGE_TTL_DISABLED.into());
        }
        self.check_expected_subject_seq(log, subject, steering)?;
        if let Some(expected) = steering.expected_last_seq.filter(|value| !value.is_empty())
            && parse_seq(expected) != self.last
        {
            return Err(ApiError::stream_wrong_last_sequence(self.last).into());
        }
        if steering
            .schedule
            .is_some_and(|schedule| !schedule.is_empty())
            && !self.config.allow_msg_schedules
        {
            return Err(ApiError::MESSAGE_SCHEDULES_DISABLED.into());
        }
        if steering.stream_source.is_some() {
            return Err(ApiError::MESSAGE_SOURCE_HDR_NOT_ALLOWED.into());
        }
        Ok(())
    }

    fn check_expected_subject_seq(
        &mut self,
        log: &mut Log,
        subject: &[u8],
        steering: &PublishHeaders<'_>,
    ) -> Result<(), PublishError> {
        let other = steering
            .expected_last_subject_seq_subject
            .filter(|subject| !subject.is_empty());
        let Some(expected) = steering
            .expected_last_subject_seq
            .filter(|value| !value.is_empty())
        else {
            return match other {
                Some(_) => Err(ApiError::STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_INVALID.into()),
                None => Ok(()),
            };
        };
        let last = match other {
            None => self.last_of_subject(log, subject)?,
            Some(filter) => self.last_matching(log, &SubjectFilter::new([filter]))?,
        };
        let last = last.unwrap_or(0);
        if last == parse_seq(expected) {
            Ok(())
        } else {
            Err(ApiError::stream_wrong_last_sequence(last).into())
        }
    }

    fn check_last_msg_id(&self, steering: &PublishHeaders<'_>) -> Result<(), ApiError> {
        match steering.expected_last_msg_id {
            Some(expected) if !expected.is_empty() && expected != self.last_msg_id => Err(
                ApiError::stream_wrong_last_msg_id(String::from_utf8_lossy(&self.last_msg_id)),
            ),
            _ => Ok(()),
        }
    }

    fn check_rollup(&self, steering: &PublishHeaders<'_>) -> Result<Option<Rollup>, ApiError> {
        let Some(value) = steering.rollup.filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        if !self.config.allow_rollup_hdrs || self.config.deny_purge {
            return Err(ApiError::stream_rollup_failed("rollup not permitted"));
        }
        rollup_of(value).map(Some).ok_or_else(|| {
            let value = String::from_utf8_lossy(value).to_lowercase();
            ApiError::stream_rollup_failed(format_args!("rollup value invalid: {value:?}"))
        })
    }

    fn check_discard_new(&self, message: &Publish<'_>, rollup: bool) -> Result<(), ApiError> {
        let config = &self.config;
        if config.discard != DiscardPolicy::New {
            return Ok(());
        }
        let per_subject = u64::try_from(config.max_msgs_per_subject).unwrap_or(0);
        let replaces = per_subject > 0
            && self
                .subjects
                .find(message.subject)
                .is_some_and(|id| u64::from(self.subjects.entry(id).count) >= per_subject);
        if replaces && config.discard_new_per_subject && !rollup {
            return Err(ApiError::stream_store_failed(
                "maximum messages per subject exceeded",
            ));
        }
        if u64::try_from(config.max_msgs).is_ok_and(|limit| limit > 0 && self.messages >= limit)
            && !replaces
        {
            return Err(ApiError::stream_store_failed("maximum messages exceeded"));
        }
        let size = self.size_of(
            message.subject.len(),
            message.headers.len(),
            message.payload.len(),
        );
        if u64::try_from(config.max_bytes).is_ok_and(|limit| limit > 0 && self.bytes + size > limit)
        {
            return Err(ApiError::stream_store_failed("maximum bytes exceeded"));
        }
        Ok(())
    }

    // --- log and apply

    /// Logs and applies a message. Answers its sequence and that of its predecessor on the subject.
    fn store(
        &mut self,
        log: &mut Log,
        message: &Accepted<'_>,
        time: Timestamp,
    ) -> Result<(u64, u64), ChangeError> {
        let seq = self.last + 1;
        let segment = if self.memory.is_some() {
            None
        } else {
            let at = log.append(&Record::Message(log::Message {
                stream: self.id,
                seq,
                timestamp: time.0,
                in_batch: false,
                subject: message.subject,
                headers: message.headers,
                payload: message.payload,
            }))?;
            Some(at.segment)
        };
        let previous = self.apply_message(log, seq, time.0, message, segment)?;
        Ok((seq, previous))
    }

    /// Counts a message in and enforces what follows from it. Answers the sequence of its predecessor on the subject.
    pub(super) fn apply_message(
        &mut self,
        log: &mut Log,
        seq: u64,
        time: i64,
        message: &Accepted<'_>,
        segment: Option<SegmentNo>,
    ) -> Result<u64, ReadError> {
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
            Some(before) => self.resolve_previous(log, message.subject, before.last)?,
        };
        let steering = &message.steering;
        if self.config.allow_msg_ttl
            && let Some(Ok(ttl)) = steering.ttl.map(MessageTtl::parse)
            && let Some(deadline) = ttl.deadline(time)
        {
            self.ttls.push(deadline, seq);
            let (first, last) = (self.first, self.last);
            let gaps = &self.gaps;
            self.ttls.shrink(self.messages, |seq| {
                seq >= first && seq <= last && !gaps.contains(seq)
            });
        }
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
        self.enforce_limits(log, Some(id))?;
        self.remember_msg_id(steering.msg_id.filter(|id| !id.is_empty()), seq, time);
        if let Some(rollup) = steering.rollup.and_then(rollup_of) {
            self.roll_up(log, rollup, message.subject)?;
        }
        Ok(previous)
    }

    fn remember_msg_id(&mut self, id: Option<&[u8]>, seq: u64, time: i64) {
        self.last_msg_id.clear();
        let Some(id) = id else { return };
        self.last_msg_id.extend_from_slice(id);
        let window = self.config.duplicate_window;
        if window.get() > 0 {
            self.dedup.expire(Timestamp(time).saturating_sub(window).0);
            if self.dedup.find(id).is_none() {
                self.dedup.insert(id, seq, time);
            }
        }
    }

    fn roll_up(&mut self, log: &mut Log, rollup: Rollup, subject: &[u8]) -> Result<(), ReadError> {
        match rollup {
            Rollup::Subject => self.apply_purge(log, self.last, 1, subject, RemoveReason::Purge)?,
            Rollup::All if self.is_live(self.last) => {
                self.apply_purge(log, self.last - 1, 0, b"", RemoveReason::Purge)?
            }
            Rollup::All => 0,
        };
        Ok(())
    }

    /// Interest retention without interest: the sequence is used up, nothing is stored, a rollup still purges.
    fn skip(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        msg_id: Option<&[u8]>,
        rollup: Option<Rollup>,
        time: Timestamp,
    ) -> Result<Published, PublishError> {
        let seq = self.last + 1;
        if self.memory.is_none() {
            log.append(&Record::Delete(log::Delete {
                stream: self.id,
                seq,
            }))?;
        }
        self.apply_skip(seq);
        self.last_time = time;
        self.remember_msg_id(msg_id, seq, time.0);
        if let Some(rollup) = rollup {
            let filter = if rollup == Rollup::Subject {
                message.subject
            } else {
                &[]
            };
            if self.memory.is_none() {
                let purge = log::Purge {
                    stream: self.id,
                    through: seq,
                    keep: 1,
                    filter,
                };
                log.append(&Record::Purge(purge))?;
            }
            self.apply_purge(log, seq, 1, filter, RemoveReason::Purge)?;
        }
        Ok(Published {
            seq: StreamSeq(seq),
            duplicate: false,
            stored: false,
            previous_on_subject: StreamSeq(0),
            timestamp: time,
            position: None,
        })
    }

    /// Uses up sequences to `seq` without messages.
    pub(super) fn apply_skip(&mut self, seq: u64) {
        if self.messages == 0 {
            self.first = seq + 1;
        } else {
            self.gaps.insert_range(self.last + 1, seq);
        }
        self.last = seq;
    }

    /// Stores a delete marker in the place of an expired message, if the stream wants one and the message is its subject's last.
    pub(super) fn store_marker(
        &mut self,
        log: &mut Log,
        seq: u64,
        now: Timestamp,
    ) -> Result<bool, ChangeError> {
        let ttl = self.config.subject_delete_marker_ttl;
        if ttl.get() <= 0 {
            return Ok(false);
        }
        let Some(message) = fetch(self.memory.as_ref(), log, self.id, seq)? else {
            return Ok(false);
        };
        let is_last = self
            .subjects
            .find(message.subject)
            .is_some_and(|id| self.subjects.entry(id).count == 1);
        if !is_last || PublishHeaders::scan(message.headers).is_delete_marker() {
            return Ok(false);
        }
        let subject = message.subject.to_vec();
        let headers = format!(
            "NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: {ttl}\r\nNats-Rollup: sub\r\n\r\n"
        );
        let marker = Accepted {
            subject: &subject,
            headers: headers.as_bytes(),
            payload: b"",
            payload_len: 0,
            steering: PublishHeaders::scan(headers.as_bytes()),
        };
        self.store(log, &marker, now.max(self.last_time))?;
        Ok(true)
    }
}

fn rollup_of(value: &[u8]) -> Option<Rollup> {
    if value.eq_ignore_ascii_case(b"sub") {
        Some(Rollup::Subject)
    } else if value.eq_ignore_ascii_case(b"all") {
        Some(Rollup::All)
    } else {
        None
    }
}

/// Whether a block has anything but its first line.
fn has_lines(block: &[u8]) -> bool {
    headers::iter(block).next().is_some()
}

fn is_integer(value: &[u8]) -> bool {
    let digits = value
        .strip_prefix(b"-")
        .or_else(|| value.strip_prefix(b"+"))
        .unwrap_or(value);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}
