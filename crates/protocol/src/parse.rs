//! What every parser here takes and answers.

use crate::{ClientOp, ParseError};

/// The outcome of looking for one operation at the front of a buffer.
///
/// The outcome does not depend on how the bytes arrived: for any split of a stream, a parser called
/// on the bytes so far answers [`Parse::Incomplete`] until it answers what it would have answered
/// with all bytes at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parse<'a, Op = ClientOp<'a>> {
    /// A complete operation.
    Op {
        /// The operation; it borrows from the input.
        op: Op,
        /// Bytes of the input that it took, at least 1.
        consumed: usize,
    },
    /// Nothing wrong so far, and more bytes are needed.
    Incomplete {
        /// Total bytes, counted from the start of the input, without which another call is useless.
        /// Always more than the input has. For a payload it is the operation's full length, so that
        /// a large payload is not rescanned; it is bounded by `max_control_line + max_payload` and
        /// a few bytes.
        needed: usize,
    },
    /// The peer broke the protocol; see [`ParseError`] for the documented reaction.
    Error(ParseError<'a>),
}

/// The limits of one connection that concern parsing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes that the argument part of a control line may have (`max_control_line`), line end
    /// and the blanks after the verb not counted. These blanks, and what a peer appends to `PING`,
    /// `PONG` and `+OK`, are ignored but may not be longer either.
    pub max_control_line: usize,
    /// Most bytes of payload and headers together (`max_payload`); `usize::MAX` for no limit.
    pub max_payload: usize,
    /// Whether headers were negotiated: both the server supports them and `CONNECT` had `headers:
    /// true`.
    pub headers: bool,
}

impl Default for Limits {
    /// The defaults of nats-server 2.15.1: 4096 bytes and 1 MiB; headers are allowed.
    fn default() -> Self {
        Self {
            max_control_line: 4096,
            max_payload: 1024 * 1024,
            headers: true,
        }
    }
}
