//! What happens to a published message: the checks in nats-server's order, then storing it.

mod apply;
mod checks;
mod copied;
mod count;
mod delete_marker;
mod edits;
mod rollup;
mod schedule;
mod skip;

use jetsled_jetstream_api::{ApiError, RetentionPolicy, StreamSeq, Timestamp};

use super::publish_headers::PublishHeaders;
use super::ttl::{MessageTtl, NANOS_A_SECOND};
use super::{Publish, PublishError, Published, Stream};
use crate::log::Log;
pub(super) use apply::Accepted;
pub(super) use checks::MAX_RECORD;
pub(super) use edits::Edits;
pub(super) use rollup::Rollup;
pub(super) use schedule::IsSchedule;

impl Stream {
    /// Applies the stream's rules to a message. `position` of the answer is left to the caller.
    #[inline]
    pub(crate) fn publish(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        now: Timestamp,
    ) -> Result<Published, PublishError> {
        self.check_record_size(message)?;
        self.check_sequences_left(1)?;
        if self.config.sealed {
            return Err(ApiError::STREAM_SEALED.into());
        }
        self.check_size(message)?;
        // Time that runs backward would put messages out of order for a search by time.
        let time = now.max(self.last_time);
        let counts = self.config.allow_msg_counter;
        if message.headers.is_empty() && !counts {
            return self.publish_plain(log, message, &PublishHeaders::NONE, time);
        }
        let steering = PublishHeaders::scan(message.headers);
        if !steering.more && !counts {
            return self.publish_plain(log, message, &steering, time);
        }
        let mut edits = std::mem::take(&mut self.edits);
        let published = self.publish_edited(log, message, steering, &mut edits, time);
        self.edits = edits;
        published
    }

    /// What was stored of the message published last.
    pub(crate) fn as_stored<'a>(&'a self, message: &Publish<'a>) -> Publish<'a> {
        self.edits.apply(message)
    }

    /// The rest of [`Stream::publish`] for a message that no header steers but its id: it is stored as it came.
    #[inline]
    fn publish_plain(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        steering: &PublishHeaders<'_>,
        time: Timestamp,
    ) -> Result<Published, PublishError> {
        if let Some(duplicate) = self.duplicate(steering, time) {
            return Ok(duplicate);
        }
        self.metered.check_server()?;
        if self.config.retention == RetentionPolicy::Interest && !message.has_interest {
            return self.skip(log, message.subject, steering, time);
        }
        self.metered.check_account(self.size_of_message(message))?;
        self.check_discard_new(log, message, false)?;
        self.store_published(log, message, steering, time)
    }

    /// The rest of [`Stream::publish`] for any message.
    fn publish_edited(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        scanned: PublishHeaders<'_>,
        edits: &mut Edits,
        time: Timestamp,
    ) -> Result<Published, PublishError> {
        edits.begin(message, &scanned);
        let mut steering = scanned;
        let edited = edits.apply(message);
        if edits.any() {
            steering = PublishHeaders::scan(edited.headers);
        }
        self.check_size(&edited)?;
        let is_schedule = self.check_headers(log, &edited, &steering, time)?;
        if let Some(duplicate) = self.duplicate(&steering, time) {
            return Ok(duplicate);
        }
        self.check_last_msg_id(&steering)?;
        let rollup = self.check_rollup(&steering, message.sender)?;
        if is_schedule == IsSchedule::Yes && rollup.is_none() {
            edits.set_header(message, b"Nats-Rollup", b"sub");
            steering = PublishHeaders::scan(edits.apply(message).headers);
        }
        if self.config.allow_msg_counter {
            let counted = self.count(log, &edits.apply(message), &steering, None)?;
            edits.count(message, &counted);
            self.counter_value = counted.total;
            steering = PublishHeaders::scan(edits.apply(message).headers);
        }
        let edited = edits.apply(message);
        self.check_size(&edited)?;
        self.metered.check_server()?;
        if self.config.retention == RetentionPolicy::Interest && !message.has_interest {
            return self.skip(log, message.subject, &steering, time);
        }
        self.metered.check_account(self.size_of_message(&edited))?;
        if let Some(least) = self.raised_ttl(&steering)? {
            edits.set_header(message, b"Nats-TTL", least.as_bytes());
            steering = PublishHeaders::scan(edits.apply(message).headers);
        }
        let edited = edits.apply(message);
        self.check_discard_new(log, &edited, rollup.is_some())?;
        let published = self.store_published(log, &edited, &steering, time)?;
        Ok(Published {
            edited: edits.any(),
            ..published
        })
    }

    /// Stores a message that may come in.
    #[inline]
    fn store_published(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        steering: &PublishHeaders<'_>,
        time: Timestamp,
    ) -> Result<Published, PublishError> {
        let accepted = Accepted {
            subject: message.subject,
            headers: message.headers,
            payload: message.payload,
            payload_len: message.payload.len(),
            steering,
        };
        let (seq, previous) = self.store(log, &accepted, time)?;
        Ok(Published::stored(StreamSeq(seq), StreamSeq(previous), time))
    }

    /// A lifetime below that of delete markers would end before the marker's that follows it: what it is raised to, if it is.
    pub(super) fn raised_ttl(
        &self,
        steering: &PublishHeaders<'_>,
    ) -> Result<Option<String>, ApiError> {
        let least = self.config.subject_delete_marker_ttl.get() / NANOS_A_SECOND;
        Ok(match MessageTtl::of(steering.ttl)? {
            Some(MessageTtl::Seconds(seconds))
                if seconds < least && self.config.max_msgs_per_subject != 1 =>
            {
                Some(least.to_string())
            }
            _ => None,
        })
    }

    /// What became of a message whose id is known.
    #[inline]
    fn duplicate(&mut self, steering: &PublishHeaders<'_>, now: Timestamp) -> Option<Published> {
        let id = steering.msg_id.filter(|id| !id.is_empty())?;
        let seq = self.find_duplicate(id, now)?;
        Some(Published::duplicate(StreamSeq(seq), now))
    }

    /// The sequence under which this `Nats-Msg-Id` was stored within the window that ends at `now`.
    pub(super) fn find_duplicate(&mut self, id: &[u8], now: Timestamp) -> Option<u64> {
        let window = self.config.duplicate_window;
        if window.get() <= 0 {
            return None;
        }
        self.dedup.expire(now.saturating_sub(window).0);
        self.dedup.find(id)
    }
}
