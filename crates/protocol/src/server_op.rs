//! Operations that a server sends, for clients: tests and benchmarks.

use crate::{Limits, Parse};

/// One operation from a server. All parts borrow from the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerOp<'a> {
    /// `INFO <json>`; the JSON is not looked at, blanks at its end are removed.
    Info(&'a [u8]),
    /// `MSG`.
    Msg(Msg<'a>),
    /// `HMSG`.
    HMsg(HMsg<'a>),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK`.
    Ok,
    /// `-ERR '<text>'`, without the quotes.
    Err(&'a [u8]),
}

/// `MSG <subject> <sid> [reply] <size>` and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Msg<'a> {
    /// The subject as published, after mappings.
    pub subject: &'a [u8],
    /// The subscription's id, as the client chose it.
    pub sid: &'a [u8],
    /// Where to reply to.
    pub reply: Option<&'a [u8]>,
    /// The size as the server wrote it.
    pub size_text: &'a [u8],
    /// The payload without its CR LF.
    pub payload: &'a [u8],
}

/// `HMSG <subject> <sid> [reply] <header size> <total size>`, its headers and payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HMsg<'a> {
    /// The subject as published, after mappings.
    pub subject: &'a [u8],
    /// The subscription's id, as the client chose it.
    pub sid: &'a [u8],
    /// Where to reply to.
    pub reply: Option<&'a [u8]>,
    /// The header block.
    pub headers: &'a [u8],
    /// The payload without its CR LF.
    pub payload: &'a [u8],
}

/// Reads one server operation from the front of `input`.
///
/// `limits.headers` is not looked at. Errors are [`crate::ParseError::UnknownOperation`],
/// [`crate::ParseError::MaxControlLine`], [`crate::ParseError::MaxPayload`] and [`crate::ParseError::MsgArguments`].
#[must_use]
pub fn parse_server_op<'a>(input: &'a [u8], limits: &Limits) -> Parse<'a, ServerOp<'a>> {
    let _ = (input, limits);
    todo!()
}
