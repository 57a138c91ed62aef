//! Messages that were copied from an origin: stored there once, so the origin's rules are not asked again.

use jetsled_jetstream_api::{ApiError, RetentionPolicy, StreamSeq, Timestamp};

use super::{Accepted, Edits};
use crate::log::{self, Log, Record};
use crate::stream::publish_headers::PublishHeaders;
use crate::stream::ttl::MessageTtl;
use crate::stream::{ChangeError, Publish, PublishError, Published, Sender, Stream};

impl Stream {
    /// Stores the next message of a source, which carries its `Nats-Stream-Source`. One that is not stored is noted, so that it is not
    /// copied again.
    pub(crate) fn publish_sourced(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        now: Timestamp,
    ) -> Result<Published, PublishError> {
        let message = Publish {
            sender: Sender::Server,
            ..*message
        };
        let published = self.publish(log, &message, now)?;
        if !published.stored
            && let Some(source) = PublishHeaders::scan(message.headers).stream_source
        {
            self.pass_source(log, source).map_err(ChangeError::from)?;
        }
        Ok(published)
    }

    /// Stores a message of a mirror's origin under its sequence, which is above the last one, and with its time.
    pub(crate) fn publish_mirrored(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        seq: u64,
        time: Timestamp,
    ) -> Result<Published, PublishError> {
        if self.config.sealed {
            return Err(ApiError::STREAM_SEALED.into());
        }
        if seq <= self.last {
            return Err(ApiError::STREAM_SEQUENCE_NOT_MATCH.into());
        }
        self.check_sequences_left(seq - self.last)?;
        let mut edits = std::mem::take(&mut self.edits);
        edits.begin(message, &PublishHeaders::scan(message.headers));
        let published = self.store_mirrored(log, message, &edits, seq, time);
        self.edits = edits;
        published
    }

    fn store_mirrored(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        edits: &Edits,
        seq: u64,
        time: Timestamp,
    ) -> Result<Published, PublishError> {
        let edited = edits.apply(message);
        self.check_record_size(&edited)?;
        self.check_size(&edited)?;
        let steering = PublishHeaders::scan(edited.headers);
        let rollup = self.check_rollup(&steering, Sender::Server)?;
        let mut published = Published {
            seq: StreamSeq(seq),
            duplicate: false,
            stored: false,
            previous_on_subject: StreamSeq(0),
            timestamp: time,
            edited: edits.any(),
            position: None,
        };
        self.metered.check_server()?;
        if self.config.retention == RetentionPolicy::Interest && !message.has_interest {
            self.skip_to(log, seq)?;
            return Ok(published);
        }
        self.metered.check_account(self.size_of_message(&edited))?;
        MessageTtl::of(steering.ttl)?;
        self.check_discard_new(log, &edited, rollup.is_some())?;
        let accepted = Accepted {
            subject: edited.subject,
            headers: edited.headers,
            payload: edited.payload,
            payload_len: edited.payload.len(),
            steering: &steering,
        };
        let (_, previous) = self.store_at(log, seq, &accepted, time)?;
        published.stored = true;
        published.previous_on_subject = StreamSeq(previous);
        Ok(published)
    }

    /// Notes that a message of a source was dealt with.
    fn pass_source(&mut self, log: &mut Log, source: &[u8]) -> Result<(), log::AppendError> {
        if self.memory.is_none() {
            log.append(&Record::SourcePosition(log::SourcePosition {
                stream: self.id,
                source,
            }))?;
        }
        self.note_source(source);
        Ok(())
    }
}
