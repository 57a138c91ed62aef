//! Sequences without a message.

use jetsled_jetstream_api::{StreamSeq, Timestamp};

use super::Rollup;
use crate::log::{self, AppendError, Log, Record};
use crate::stream::publish_headers::PublishHeaders;
use crate::stream::{PublishError, Published, Stream};

impl Stream {
    /// Interest retention without interest: the sequence is used up, nothing is stored, a rollup still purges.
    pub(in crate::stream) fn skip(
        &mut self,
        log: &mut Log,
        subject: &[u8],
        steering: &PublishHeaders<'_>,
        time: Timestamp,
    ) -> Result<Published, PublishError> {
        if self.memory.is_none() {
            self.log_skip(log, self.last + 1, subject, steering)?;
        }
        Ok(self.apply_skipped(log, subject, steering, time))
    }

    /// Logs that the message of this sequence was skipped, and what it removes all the same: a replay does not see it.
    pub(in crate::stream) fn log_skip(
        &self,
        log: &mut Log,
        seq: u64,
        subject: &[u8],
        steering: &PublishHeaders<'_>,
    ) -> Result<(), AppendError> {
        for record in self.skip_records(seq, subject, steering) {
            log.append(&record)?;
        }
        Ok(())
    }

    /// What the log holds of a skipped message.
    pub(in crate::stream) fn skip_records<'m>(
        &self,
        seq: u64,
        subject: &'m [u8],
        steering: &PublishHeaders<'m>,
    ) -> impl Iterator<Item = Record<'m>> {
        let stream = self.id;
        let purge = move |filter| {
            Record::Purge(log::Purge {
                stream,
                through: seq,
                keep: 0,
                filter,
            })
        };
        let delete = Record::Delete(log::Delete { stream, seq });
        let removed = self.removed_by_skipped(subject, steering);
        std::iter::once(delete).chain(removed.into_iter().flatten().map(purge))
    }

    /// Applies the skip of a message.
    pub(in crate::stream) fn apply_skipped(
        &mut self,
        log: &mut Log,
        subject: &[u8],
        steering: &PublishHeaders<'_>,
        time: Timestamp,
    ) -> Published {
        let seq = self.last + 1;
        self.apply_skip(seq);
        self.last_time = time;
        self.remember_msg_id(steering.msg_id.filter(|id| !id.is_empty()), seq, time.0);
        let removed = self.removed_by_skipped(subject, steering);
        for filter in removed.into_iter().flatten() {
            // What can not be read goes later.
            let _ = self.purge_or_put_off(log, seq, filter);
        }
        Published {
            stored: false,
            ..Published::stored(StreamSeq(seq), StreamSeq(0), time)
        }
    }

    /// The filters of what a message removes although it is not stored.
    fn removed_by_skipped<'m>(
        &self,
        subject: &'m [u8],
        steering: &PublishHeaders<'m>,
    ) -> [Option<&'m [u8]>; 2] {
        if !self.may_roll_up() {
            return [None, None];
        }
        let rolled = match steering.rollup.and_then(Rollup::parse) {
            Some(Rollup::Subject) => Some(subject),
            Some(Rollup::All) => Some(&b""[..]),
            None => None,
        };
        [rolled, steering.ended_schedule()]
    }
}
