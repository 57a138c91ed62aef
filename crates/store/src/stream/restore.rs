//! Filling a stream from an archive: sequences and times are given.

use jetsled_jetstream_api::{ApiError, Timestamp};

use super::publish::{Accepted, MAX_RECORD};
use super::publish_headers::PublishHeaders;
use super::ttl::MessageTtl;
use super::{ChangeError, RemoveReason, StoredMessage, Stream};
use crate::log::{self, Log, Record};

impl Stream {
    /// Stores a message as it was. One whose TTL has passed only uses up its sequence.
    pub(crate) fn restore(
        &mut self,
        log: &mut Log,
        message: &StoredMessage<'_>,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let StoredMessage {
            seq,
            timestamp,
            subject,
            headers,
            payload,
        } = *message;
        if seq.get() <= self.last {
            let reason = format_args!("message sequence {seq} out of order");
            return Err(ApiError::stream_restore(reason).into());
        }
        self.check_sequences_left(seq.get() - self.last)?;
        let size = self.size_of(subject.len(), headers.len(), payload.len());
        if self.memory.is_none() && size > MAX_RECORD {
            let reason = format_args!("failed to store message sequence {seq}: message too large");
            return Err(ApiError::stream_restore(reason).into());
        }
        let steering = PublishHeaders::scan(headers);
        if self.config.allow_msg_ttl
            && let Ok(Some(ttl)) = MessageTtl::of(steering.ttl)
            && ttl.deadline(timestamp.0).is_some_and(|end| end <= now.0)
        {
            return self.skip_to(log, seq.get());
        }
        let accepted = Accepted {
            subject,
            headers,
            payload,
            payload_len: payload.len(),
            steering: &steering,
        };
        let segment = if self.memory.is_some() {
            None
        } else {
            let at = log.append_message(&self.record_of(seq.get(), &accepted, timestamp))?;
            Some(at.segment)
        };
        self.apply_message(log, seq.get(), timestamp.0, &accepted, segment);
        Ok(())
    }

    /// Takes messages back; sequences without one are fine.
    pub(crate) fn restore_without(
        &mut self,
        log: &mut Log,
        seqs: &[u64],
    ) -> Result<(), ChangeError> {
        for seq in seqs.iter().copied() {
            if self.is_live(seq) {
                self.log_delete(log, seq)?;
                self.remove_or_put_off(log, seq, RemoveReason::Delete);
            }
        }
        Ok(())
    }

    /// Takes back everything below `first`, which is at most one past the last sequence.
    pub(crate) fn restore_from(&mut self, log: &mut Log, first: u64) -> Result<(), ChangeError> {
        if first <= self.first || first > self.last + 1 {
            return Ok(());
        }
        let through = first - 1;
        if self.memory.is_none() {
            log.append(&Record::Purge(log::Purge {
                stream: self.id,
                through,
                keep: 0,
                filter: b"",
            }))?;
        }
        // What can not be read goes later.
        let _ = self.purge_or_put_off(log, through, b"");
        Ok(())
    }
}
