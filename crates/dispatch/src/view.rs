//! What a consumer may see of the world outside: its stream's durable messages and who listens.

use jetsled_jetstream_api::{StreamSeq, Timestamp};
use jetsled_protocol::SubjectFilter;

/// One stored message, as far as a consumer must know it to decide on its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageMeta {
    /// Its sequence.
    pub seq: StreamSeq,
    /// When it was stored.
    pub timestamp: Timestamp,
    /// Bytes of the stored subject.
    pub subject_len: u32,
    /// Bytes of the stored header block, 0 without one.
    pub header_len: u32,
    /// Bytes of the body.
    pub payload_len: u32,
}

impl MessageMeta {
    /// Bytes of subject, headers and body.
    pub(crate) fn len(&self) -> u64 {
        u64::from(self.subject_len) + u64::from(self.header_len) + u64::from(self.payload_len)
    }
}

/// The stream behind a consumer.
///
/// It shows durable messages only: nothing above [`StreamView::last_seq`] is ever returned or counted.
/// Removals (limits, purge, delete, rollup) may show at once, and the runtime reports them through
/// [`crate::Consumer::on_removed`] *before* it raises any other event on the consumer.
pub trait StreamView {
    /// The lowest sequence still stored; `last_seq() + 1` when the stream is empty.
    fn first_seq(&self) -> StreamSeq;

    /// The highest sequence that is durable, whether or not its message still exists; 0 for a new stream.
    fn last_seq(&self) -> StreamSeq;

    /// The first message at or above `from` that matches. Called once per delivered message with rising
    /// `from`, so it should be cheap when read in order.
    fn next_match(&mut self, from: StreamSeq, filter: &SubjectFilter) -> Option<MessageMeta>;

    /// The message at `seq`, or `None` when it is gone. For redeliveries.
    fn meta(&mut self, seq: StreamSeq) -> Option<MessageMeta>;

    /// Whether the last [`StreamView::next_match`] or [`StreamView::meta`] answered `None` only because the stream could not be read just
    /// now: what was asked for may be there, and nothing may be passed over.
    fn is_unreadable(&self) -> bool {
        false
    }

    /// Whether the message at `seq` is still there; without reading it. Called for what was under way at a restart.
    fn contains(&self, seq: StreamSeq) -> bool;

    /// How many messages at or above `from` match. Called for the new messages whenever some became visible
    /// to a consumer that delivers; should cost no more than their number.
    fn num_pending(&mut self, from: StreamSeq, filter: &SubjectFilter) -> u64;

    /// The sequences of the newest message of each matching subject, ascending.
    fn last_seqs_per_subject(&mut self, filter: &SubjectFilter) -> Vec<StreamSeq>;

    /// The newest message that matches.
    fn last_match(&mut self, filter: &SubjectFilter) -> Option<StreamSeq>;

    /// The first message stored at or after `time`; `last_seq() + 1` when there is none.
    fn seq_for_time(&mut self, time: Timestamp) -> StreamSeq;
}

/// Who listens in the consumer's account.
pub trait Interest {
    /// A number that changes whenever an answer of the others might. A consumer asks about
    /// the same subject again only when it has changed.
    fn generation(&self) -> u64;

    /// Whether a message to `subject` would reach somebody.
    fn has_interest(&self, subject: &[u8]) -> bool;

    /// Whether somebody subscribed to just `subject`: with `queue` as a member of that queue group, else outside of groups.
    fn has_subscriber(&self, subject: &[u8], queue: Option<&[u8]>) -> bool;
}
