//! Delete markers: what takes the place of a subject's last message when its life ends.

use jetsled_jetstream_api::Timestamp;

use super::Accepted;
use crate::log::Log;
use crate::stream::publish_headers::PublishHeaders;
use crate::stream::{ChangeError, Stream};

impl Stream {
    /// Stores a delete marker in the place of an expired message, if the stream wants one and the message is its subject's last.
    pub(in crate::stream) fn store_marker(
        &mut self,
        log: &mut Log,
        seq: u64,
        now: Timestamp,
    ) -> Result<bool, ChangeError> {
        let ttl = self.config.subject_delete_marker_ttl;
        if ttl.get() <= 0 || self.check_sequences_left(1).is_err() {
            return Ok(false);
        }
        let Some(message) = self.load(log, seq)? else {
            return Ok(false);
        };
        if PublishHeaders::scan(message.headers).is_delete_marker() {
            return Ok(false);
        }
        let subject = message.subject.to_vec();
        match self.subjects.find(&subject) {
            Some(id) if !self.has_more_than(log, id, 1)? => {}
            _ => return Ok(false),
        }
        let headers = format!(
            "NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: {ttl}\r\nNats-Rollup: sub\r\n\r\n"
        );
        let marker = Accepted {
            subject: &subject,
            headers: headers.as_bytes(),
            payload: b"",
            payload_len: 0,
            steering: &PublishHeaders::scan(headers.as_bytes()),
        };
        self.store(log, &marker, now.max(self.last_time))?;
        Ok(true)
    }
}
