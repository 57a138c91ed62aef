//! The sequences of a stream: where they end, and those that are used up without a message.

use jetsled_jetstream_api::ApiError;

use super::{ChangeError, Stream};
use crate::log::{self, Log, Record};

/// The last sequence of any stream: the one behind it must still be a number. nats-server goes on with zero there.
const END: u64 = u64::MAX - 1;

impl Stream {
    /// Whether `count` more sequences are left.
    pub(super) fn check_sequences_left(&self, count: u64) -> Result<(), ApiError> {
        if count > END - self.last.min(END) {
            return Err(ApiError::stream_store_failed("maximum sequence reached"));
        }
        Ok(())
    }

    /// Uses up sequences to `seq` without messages.
    pub(crate) fn skip_to(&mut self, log: &mut Log, seq: u64) -> Result<(), ChangeError> {
        if seq <= self.last {
            return Ok(());
        }
        self.check_sequences_left(seq - self.last)?;
        if self.memory.is_none() {
            log.append(&Record::Delete(log::Delete {
                stream: self.id,
                seq,
            }))?;
        }
        self.apply_skip(seq);
        Ok(())
    }

    /// Messages up to `seq` were stored here, and are lost. A mirror gets them again.
    pub(crate) fn lose_to(&mut self, log: &mut Log, seq: u64) -> Result<(), ChangeError> {
        if seq <= self.last || self.config.mirror.is_some() || self.restoring {
            return Ok(());
        }
        self.lose_passed_over(seq.saturating_add(1));
        self.skip_to(log, seq)?;
        self.visible_last = self.last;
        Ok(())
    }

    /// Applies [`Stream::skip_to`].
    pub(super) fn apply_skip(&mut self, seq: u64) {
        if self.messages == 0 {
            self.first = seq + 1;
        } else {
            self.gaps.insert_range(self.last + 1, seq);
        }
        self.last = seq;
    }
}
