//! Sequences without a message.

use jetsled_jetstream_api::{StreamSeq, Timestamp};

use super::Rollup;
use crate::log::{self, Log, Record};
use crate::stream::{Publish, PublishError, Published, RemoveReason, Stream};

impl Stream {
    /// Interest retention without interest: the sequence is used up, nothing is stored, a rollup still purges.
    pub(super) fn skip(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        msg_id: Option<&[u8]>,
        rollup: Option<Rollup>,
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
        self.remember_msg_id(msg_id, seq, time.0);
        if let Some(rollup) = rollup {
            let filter = if rollup == Rollup::Subject {
                message.subject
            } else {
                &[]
            };
            if self.memory.is_none() {
                let purge = log::Purge {
                    stream: self.id,
                    through: seq,
                    keep: 1,
                    filter,
                };
                log.append(&Record::Purge(purge))?;
            }
            self.apply_purge(log, seq, 1, filter, RemoveReason::Purge)?;
        }
        Ok(Published {
            seq: StreamSeq(seq),
            duplicate: false,
            stored: false,
            previous_on_subject: StreamSeq(0),
            timestamp: time,
            position: None,
        })
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
