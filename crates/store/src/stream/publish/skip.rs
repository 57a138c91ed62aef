//! Sequences without a message.

use jetsled_jetstream_api::{StreamSeq, Timestamp};

use super::Rollup;
use crate::log::{self, Log, Record};
use crate::stream::publish_headers::PublishHeaders;
use crate::stream::{PublishError, Published, RemoveReason, Stream};

/// How many messages a rollup without a message of its own leaves.
const KEPT_BY_SKIPPED: u64 = 0;

impl Stream {
    /// Interest retention without interest: the sequence is used up, nothing is stored, a rollup still purges.
    pub(super) fn skip(
        &mut self,
        log: &mut Log,
        subject: &[u8],
        steering: &PublishHeaders<'_>,
        time: Timestamp,
    ) -> Result<Published, PublishError> {
        let seq = self.last + 1;
        if self.memory.is_none() {
            log.append(&Record::Delete(log::Delete {
                stream: self.id,
                seq,
            }))?;
        }
        self.apply_skip(seq);
        self.last_time = time;
        self.remember_msg_id(steering.msg_id.filter(|id| !id.is_empty()), seq, time.0);
        if self.may_roll_up() {
            let rolled = match steering.rollup.and_then(Rollup::parse) {
                Some(Rollup::Subject) => Some(subject),
                Some(Rollup::All) => Some(&b""[..]),
                None => None,
            };
            let ended = steering.ended_schedule();
            for filter in [rolled, ended].into_iter().flatten() {
                self.purge_skipped(log, seq, filter)?;
            }
        }
        Ok(Published {
            seq: StreamSeq(seq),
            duplicate: false,
            stored: false,
            previous_on_subject: StreamSeq(0),
            timestamp: time,
            edited: false,
            position: None,
        })
    }

    /// What a message that was not stored replaces goes all the same. A replay does not see that message, so this is logged.
    fn purge_skipped(
        &mut self,
        log: &mut Log,
        through: u64,
        filter: &[u8],
    ) -> Result<(), PublishError> {
        if self.memory.is_none() {
            log.append(&Record::Purge(log::Purge {
                stream: self.id,
                through,
                keep: KEPT_BY_SKIPPED,
                filter,
            }))?;
        }
        let reason = RemoveReason::Purge;
        self.apply_purge(log, through, KEPT_BY_SKIPPED, filter, reason)?;
        Ok(())
    }

    /// Uses up sequences to `seq` without messages.
    pub(in crate::stream) fn apply_skip(&mut self, seq: u64) {
        if self.messages == 0 {
            self.first = seq + 1;
        } else {
            self.gaps.insert_range(self.last + 1, seq);
        }
        self.last = seq;
    }
}
