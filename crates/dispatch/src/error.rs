//! What can go wrong.

/// The stored state of a consumer cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// The checkpoint ends early or holds impossible values.
    #[error("checkpoint of consumer {consumer:?} is damaged at byte {at}")]
    Checkpoint {
        /// The consumer's name.
        consumer: String,
        /// Where.
        at: usize,
    },
    /// The checkpoint was written by a later version.
    #[error("checkpoint of consumer {consumer:?} has format {found}, this program knows {known}")]
    Version {
        /// The consumer's name.
        consumer: String,
        /// The format found.
        found: u8,
        /// The newest format known.
        known: u8,
    },
    /// A progress record ends early or holds impossible values.
    #[error("progress record {record} of consumer {consumer:?} is damaged at byte {at}")]
    Progress {
        /// The consumer's name.
        consumer: String,
        /// Its place among the records given, from 0.
        record: usize,
        /// Where in it.
        at: usize,
    },
}

/// Why a reset is refused; the texts are those of error 10204.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResetError {
    /// Below `opt_start_seq`.
    #[error("below start seq")]
    BelowStartSeq,
    /// Below the first message at `opt_start_time`.
    #[error("below start time")]
    BelowStartTime,
    /// The deliver policy has no other start.
    #[error("not allowed")]
    NotAllowed,
}
