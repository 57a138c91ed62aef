use serde::Deserialize;

use crate::{StreamSeq, Timestamp};

/// `STREAM.MSG.GET` and `DIRECT.GET`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MsgGetRequest {
    /// The message, or where to start.
    pub seq: StreamSeq,
    /// The last message of a subject.
    #[serde(rename = "last_by_subj")]
    pub last_for: String,
    /// The next message of a subject.
    #[serde(rename = "next_by_subj")]
    pub next_for: String,
    /// How many messages; direct get only.
    pub batch: i64,
    /// How many bytes; direct get only.
    pub max_bytes: i64,
    /// The time at which to start.
    pub start_time: Option<Timestamp>,
    /// The last message of each subject that matches one of these; direct get only.
    #[serde(rename = "multi_last")]
    pub multi_last_for: Vec<String>,
    /// The highest sequence for `multi_last`.
    pub up_to_seq: StreamSeq,
    /// The latest time for `multi_last`.
    pub up_to_time: Option<Timestamp>,
    /// Whether to leave the headers out (2.12).
    #[serde(rename = "no_hdr")]
    pub no_headers: bool,
}

/// A request that asks for nothing or for two things at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsgGetConflict {
    /// There is no selector.
    Nothing,
    /// Two members exclude each other.
    Both,
}

impl MsgGetRequest {
    /// Checks a request of `STREAM.MSG.GET`, which answers with one message.
    ///
    /// # Errors
    ///
    /// Why the request makes no sense; the reply is 10003 for both.
    pub fn check_msg_get(&self) -> Result<(), MsgGetConflict> {
        if self.batch > 0 || self.max_bytes > 0 {
            return Err(MsgGetConflict::Both);
        }
        self.check_common()
    }

    /// Checks a request of `DIRECT.GET`.
    ///
    /// # Errors
    ///
    /// Why the request makes no sense: `408 Empty Request` or `408 Bad Request`.
    pub fn check_direct_get(&self) -> Result<(), MsgGetConflict> {
        let multi = !self.multi_last_for.is_empty();
        let by_last = !self.last_for.is_empty();
        if !multi {
            self.check_common()?;
        } else if by_last || !self.next_for.is_empty() {
            return Err(MsgGetConflict::Both);
        }
        let both_starts = !self.seq.is_zero() && self.start_time.is_some();
        let both_ends = !self.up_to_seq.is_zero() && self.up_to_time.is_some();
        if both_starts || both_ends || (by_last && self.batch > 0) {
            return Err(MsgGetConflict::Both);
        }
        Ok(())
    }

    fn check_common(&self) -> Result<(), MsgGetConflict> {
        let seq = !self.seq.is_zero();
        let time = self.start_time.is_some();
        let last = !self.last_for.is_empty();
        let next = !self.next_for.is_empty();
        if !(seq || time || last || next) {
            return Err(MsgGetConflict::Nothing);
        }
        if (seq && (last || time)) || (last && (time || next)) {
            return Err(MsgGetConflict::Both);
        }
        Ok(())
    }
}
