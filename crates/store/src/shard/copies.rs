//! Messages that mirrors and sources copy from their origins.

use jetsled_jetstream_api::{StreamSeq, Timestamp};

use super::note_published;
use crate::log::{Log, LogPosition, StreamId};
use crate::{ChangeError, Publish, PublishError, Published, Shard, Stream};

impl Shard {
    /// Stores the next message of a source. It carries its `Nats-Stream-Source`, by which [`Stream::source_position`] advances with it,
    /// stored or not; the rules that its origin has applied are not applied again.
    ///
    /// # Errors
    /// [`PublishError::Rejected`] has why the stream does not take it.
    pub fn publish_sourced(
        &mut self,
        stream: StreamId,
        message: &Publish<'_>,
        now: Timestamp,
    ) -> Result<Published, PublishError> {
        self.copy(stream, |target, log| {
            target.publish_sourced(log, message, now)
        })
    }

    /// Stores a message of a mirror's origin as it is there. Sequences between the last one and `seq` stay unused.
    ///
    /// # Errors
    /// [`PublishError::Rejected`] has why the stream does not take it; 10063 if the sequence is not above the last one.
    pub fn publish_mirrored(
        &mut self,
        stream: StreamId,
        message: &Publish<'_>,
        seq: StreamSeq,
        timestamp: Timestamp,
    ) -> Result<Published, PublishError> {
        self.copy(stream, |target, log| {
            target.publish_mirrored(log, message, seq.0, timestamp)
        })
    }

    /// Uses up sequences to `seq` without messages: a mirror's origin, or an archive, has none there. The change is durable at the position returned;
    /// `None`: at once.
    ///
    /// # Errors
    /// When the stream is unknown, has no such sequence, or the log takes no records.
    pub fn skip_to(
        &mut self,
        stream: StreamId,
        seq: StreamSeq,
    ) -> Result<Option<LogPosition>, ChangeError> {
        self.change(stream, |target, log| target.skip_to(log, seq.0))
            .map(|(_, position)| position)
    }

    fn copy(
        &mut self,
        stream: StreamId,
        publish: impl FnOnce(&mut Stream, &mut Log) -> Result<Published, PublishError>,
    ) -> Result<Published, PublishError> {
        self.check_broken()?;
        let Some(target) = self.streams.get_mut(&stream) else {
            return Err(PublishError::UnknownStream(stream));
        };
        let outcome = publish(target, &mut self.log);
        self.metering.settle(target);
        let mut published = outcome?;
        note_published(target, &self.log, &mut self.touched, &mut published);
        if !target.is_memory() {
            // What a duplicate has left is its source's position.
            published.position = Some(self.log.position());
        }
        Ok(published)
    }
}
