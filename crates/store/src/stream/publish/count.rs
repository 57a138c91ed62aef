//! A counter stream's arithmetic: what a publish makes of its subject's counter.

use jetsled_jetstream_api::ApiError;
use jetsled_protocol::headers;

use crate::log::{Log, ReadError};
use crate::stream::counter::{Counted, Counter, number};
use crate::stream::publish_headers::PublishHeaders;
use crate::stream::{Publish, PublishError, Sender, Stream};

impl Stream {
    /// Checks what a message says of counters.
    pub(in crate::stream) fn check_increment(
        &self,
        message: &Publish<'_>,
        steering: &PublishHeaders<'_>,
    ) -> Result<(), ApiError> {
        let Some(increment) = steering.increment.filter(|value| !value.is_empty()) else {
            return Ok(());
        };
        if number(increment).is_none() {
            return Err(ApiError::MESSAGE_INCR_INVALID);
        }
        if message.sender == Sender::Server {
            return Ok(());
        }
        if !self.config.allow_msg_counter {
            return Err(ApiError::MESSAGE_INCR_DISABLED);
        }
        if !message.payload.is_empty() {
            return Err(ApiError::MESSAGE_INCR_PAYLOAD);
        }
        let steered = [
            steering.rollup,
            steering.expected_stream,
            steering.expected_last_msg_id,
            steering.expected_last_subject_seq_subject,
            steering.expected_last_seq,
            steering.expected_last_subject_seq,
        ];
        if steered.into_iter().flatten().any(|value| !value.is_empty()) {
            return Err(ApiError::MESSAGE_INCR_INVALID);
        }
        Ok(())
    }

    /// What becomes of the counter that a message of a counter stream belongs to. `before`: a message of the counter that is not stored
    /// yet.
    pub(in crate::stream) fn count(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        steering: &PublishHeaders<'_>,
        before: Option<&Publish<'_>>,
    ) -> Result<Counted, PublishError> {
        let increment = steering
            .increment
            .and_then(number)
            .ok_or(ApiError::MESSAGE_INCR_MISSING)?;
        let sources = |block| headers::get(block, b"Nats-Counter-Sources");
        let counter = if let Some(before) = before {
            Counter::read(before.payload, sources(before.headers))?
        } else if let Some(last) = self.last_intact(log, message.subject)?
            && let Some(last) = self.load(log, last)?
        {
            Counter::read(last.payload, sources(last.headers))?
        } else {
            Counter::default()
        };
        match steering.stream_source.filter(|source| !source.is_empty()) {
            Some(source) => Ok(counter.take_over(source, message.subject, message.payload)?),
            None => Ok(counter.add(&increment)),
        }
    }

    /// The newest message of a subject that damage has not taken.
    fn last_intact(&mut self, log: &mut Log, subject: &[u8]) -> Result<Option<u64>, ReadError> {
        while let Some(last) = self.last_of_subject(log, subject)? {
            if self.meta(log, last)?.is_some() {
                return Ok(Some(last));
            }
        }
        Ok(None)
    }
}
