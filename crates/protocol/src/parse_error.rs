//! Protocol errors and the reaction that each asks for.

use crate::GoQuoted;

/// How a peer broke the protocol. All of them close the connection.
///
/// `Display` gives nats-server's log text; [`ParseError::err_text`] what the peer is told first, if
/// anything. Observed on nats-server 2.15.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError<'a> {
    /// No operation starts like this, or a payload was not followed by CR LF. Answer `Unknown
    /// Protocol Operation`.
    #[error("parser ERROR: unknown protocol operation: {}", GoQuoted(.snippet))]
    UnknownOperation {
        /// At most 32 bytes from where the parser gave up.
        snippet: &'a [u8],
    },
    /// A control line is too long, complete or not. Answer `maximum control line exceeded`.
    #[error("maximum control line exceeded: max_control_line {limit}")]
    MaxControlLine {
        /// The limit that was exceeded, in bytes.
        limit: usize,
    },
    /// A publish announced too many bytes. Answer `Maximum Payload Violation`. Found once the
    /// control line is known, before the payload arrives.
    #[error("maximum payload exceeded: {size} vs {limit}")]
    MaxPayload {
        /// What the control line announced, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// `PUB` with a wrong number of arguments. Close silently.
    #[error("processPub Parse Error: {}", GoQuoted(.0))]
    PubArguments(&'a [u8]),
    /// `PUB` whose size is not 1 to 9 digits. Close silently.
    #[error("processPub Bad or Missing Size: {}", GoQuoted(.0))]
    PubSize(&'a [u8]),
    /// `HPUB` on a connection without headers. Close silently.
    #[error("message headers not supported")]
    HeadersNotSupported,
    /// `HPUB` with a wrong number of arguments. Close silently.
    #[error("processHeaderPub Parse Error: {}", GoQuoted(.0))]
    HPubArguments(&'a [u8]),
    /// `HPUB` whose header size is not 1 to 9 digits. Close silently.
    #[error("processHeaderPub Bad or Missing Header Size: {}", GoQuoted(.0))]
    HPubHeaderSize(&'a [u8]),
    /// `HPUB` whose total size is not 1 to 9 digits. Close silently.
    #[error("processHeaderPub Bad or Missing Total Size: {}", GoQuoted(.0))]
    HPubTotalSize(&'a [u8]),
    /// `HPUB` whose headers are larger than the whole. Close silently.
    #[error("processHeaderPub Header Size larger then TotalSize: {}", GoQuoted(.0))]
    HPubHeaderLargerThanTotal(&'a [u8]),
    /// `SUB` with a wrong number of arguments. Close silently.
    #[error("processSub Parse Error: {}", GoQuoted(.0))]
    SubArguments(&'a [u8]),
    /// `UNSUB` with a wrong number of arguments. Close silently.
    #[error("processUnsub Parse Error: {}", GoQuoted(.0))]
    UnsubArguments(&'a [u8]),
    /// `MSG` or `HMSG`, seen by a client, with arguments that cannot be.
    #[error("bad message arguments: {}", GoQuoted(.0))]
    MsgArguments(&'a [u8]),
}

impl ParseError<'_> {
    /// The text of the `-ERR` to send before closing (without its quotes), or `None` where the
    /// connection closes silently.
    #[must_use]
    pub fn err_text(&self) -> Option<&'static str> {
        match self {
            Self::UnknownOperation { .. } => Some("Unknown Protocol Operation"),
            Self::MaxControlLine { .. } => Some("maximum control line exceeded"),
            Self::MaxPayload { .. } => Some("Maximum Payload Violation"),
            _ => None,
        }
    }

    /// The close reason that monitoring and disconnect events show.
    #[must_use]
    pub fn close_reason(&self) -> &'static str {
        match self {
            Self::MaxControlLine { .. } => "Maximum Control Line Exceeded",
            Self::MaxPayload { .. } => "Maximum Message Payload Exceeded",
            _ => "Protocol Violation",
        }
    }
}
