use std::io;

/// Why an archive can not be read or written. The texts are those that nats-server gives, where it has one.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Reading or writing failed, or what is read is no S2 stream.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The bytes are no archive.
    #[error("archive: invalid archive stream")]
    Invalid,
    /// It ends before its end was written.
    #[error("EOF")]
    Truncated,
    /// The state does not come first.
    #[error("expected state.json first")]
    NoState,
    /// The state makes no sense.
    #[error("error in state.json: {0}")]
    State(serde_json::Error),
    /// There are fewer consumers than the state says.
    #[error("expected consumer, found {0:?}")]
    NoConsumer(String),
    /// A consumer makes no sense.
    #[error("failed to decode consumer {name:?} state: {error}")]
    Consumer {
        /// The consumer.
        name: String,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// An entry that is no message where messages are expected.
    #[error("expected message sequence")]
    NoSequence,
    /// Sequences do not rise.
    #[error("message sequence {0} out of order")]
    OutOfOrder(u64),
    /// A message is larger than a client could have published.
    #[error("message sequence {0} exceeds maximum payload size")]
    TooLarge(u64),
    /// Something in a tar is no file.
    #[error("unexpected content")]
    NotRegular,
    /// A file of a legacy archive makes no sense.
    #[error("error in {name}: {error}")]
    File {
        /// The file.
        name: String,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// The state, or a consumer, takes more bytes than any server would write.
    #[error("{0} is too large")]
    EntryTooLarge(&'static str),
}
