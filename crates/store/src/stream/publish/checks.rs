//! What may refuse a message. Each check stands for itself; their order is [`Stream::publish`]'s.

use jetsled_jetstream_api::{ApiError, DiscardPolicy};
use jetsled_protocol::SubjectFilter;

use super::Rollup;
use crate::log::Log;
use crate::stream::publish_headers::{PublishHeaders, parse_seq};
use crate::stream::ttl::MessageTtl;
use crate::stream::{Publish, PublishError, Stream};

/// The largest header block.
const MAX_HEADERS: usize = 65_535;

impl Stream {
    pub(super) fn check_headers(
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

    pub(super) fn check_last_msg_id(&self, steering: &PublishHeaders<'_>) -> Result<(), ApiError> {
        match steering.expected_last_msg_id {
            Some(expected) if !expected.is_empty() && expected != self.last_msg_id => Err(
                ApiError::stream_wrong_last_msg_id(String::from_utf8_lossy(&self.last_msg_id)),
            ),
            _ => Ok(()),
        }
    }

    pub(super) fn check_rollup(
        &self,
        steering: &PublishHeaders<'_>,
    ) -> Result<Option<Rollup>, ApiError> {
        let Some(value) = steering.rollup.filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        if !self.config.allow_rollup_hdrs || self.config.deny_purge {
            return Err(ApiError::stream_rollup_failed("rollup not permitted"));
        }
        Rollup::parse(value).map(Some).ok_or_else(|| {
            let value = String::from_utf8_lossy(value).to_lowercase();
            ApiError::stream_rollup_failed(format_args!("rollup value invalid: {value:?}"))
        })
    }

    pub(super) fn check_discard_new(
        &self,
        message: &Publish<'_>,
        rollup: bool,
    ) -> Result<(), ApiError> {
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

    /// The stream's `max_msg_size`, and what a header block may take.
    pub(super) fn check_size(&self, message: &Publish<'_>) -> Result<(), ApiError> {
        let size = message.headers.len() + message.payload.len();
        if usize::try_from(self.config.max_msg_size).is_ok_and(|limit| limit > 0 && size > limit) {
            return Err(ApiError::STREAM_MESSAGE_EXCEEDS_MAXIMUM);
        }
        if message.headers.len() > MAX_HEADERS {
            return Err(ApiError::STREAM_HEADER_EXCEEDS_MAXIMUM);
        }
        Ok(())
    }
}

fn is_integer(value: &[u8]) -> bool {
    let digits = value
        .strip_prefix(b"-")
        .or_else(|| value.strip_prefix(b"+"))
        .unwrap_or(value);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}
