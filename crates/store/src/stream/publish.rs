//! What happens to a published message: the checks in nats-server's order, then storing it.

mod apply;
mod checks;
mod delete_marker;
mod rollup;
mod skip;

use jetsled_jetstream_api::{ApiError, RetentionPolicy, StreamSeq, Timestamp};
use jetsled_protocol::headers;

use super::publish_headers::PublishHeaders;
use super::ttl::{MessageTtl, NANOS_A_SECOND};
use super::{Publish, PublishError, Published, Stream};
use crate::log::Log;
pub(super) use apply::Accepted;
use rollup::Rollup;

/// The largest record of a file stream (observed nats-server 2.15.1).
const MAX_RECORD: u64 = 32 << 20;

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
        let msg_id = steering.msg_id.filter(|id| !id.is_empty());
        if let Some(seq) = msg_id.and_then(|id| self.find_duplicate(id, time)) {
            return Ok(Published {
                seq: StreamSeq(seq),
                duplicate: true,
                stored: false,
                previous_on_subject: StreamSeq(0),
                timestamp: time,
                position: None,
            });
        }
        self.check_last_msg_id(&steering)?;
        let rollup = self.check_rollup(&steering)?;
        self.check_size(message)?;
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

    /// The sequence under which this `Nats-Msg-Id` was stored within the window that ends at `now`.
    fn find_duplicate(&mut self, id: &[u8], now: Timestamp) -> Option<u64> {
        let window = self.config.duplicate_window;
        if window.get() <= 0 {
            return None;
        }
        self.dedup.expire(now.saturating_sub(window).0);
        self.dedup.find(id)
    }
}

/// Whether a block has anything but its first line.
fn has_lines(block: &[u8]) -> bool {
    headers::iter(block).next().is_some()
}
