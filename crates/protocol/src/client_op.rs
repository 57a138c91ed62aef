//! Operations that a client sends.

use crate::{Limits, Parse};

/// One operation from a client. All parts borrow from the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientOp<'a> {
    /// `CONNECT <json>`; the JSON is not looked at.
    Connect(&'a [u8]),
    /// `PUB`.
    Pub(Pub<'a>),
    /// `HPUB`.
    HPub(HPub<'a>),
    /// `SUB`.
    Sub(Sub<'a>),
    /// `UNSUB`.
    Unsub(Unsub<'a>),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK`, which a server ignores.
    Ok,
    /// `-ERR <text>`: log `Client Error <text>`, close as `Parse Error`, send nothing.
    Err(&'a [u8]),
    /// `INFO <json>`: bad JSON closes the connection silently, good JSON is ignored.
    Info(&'a [u8]),
}

/// `PUB <subject> [reply] <size>` and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pub<'a> {
    /// Never empty; not validated.
    pub subject: &'a [u8],
    /// Never empty; not validated.
    pub reply: Option<&'a [u8]>,
    /// The size as the client wrote it, 1 to 9 digits. Leading zeros are echoed to subscribers.
    pub size_text: &'a [u8],
    /// The payload without its CR LF.
    pub payload: &'a [u8],
}

/// `HPUB <subject> [reply] <header size> <total size>`, its headers and payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HPub<'a> {
    /// Never empty; not validated.
    pub subject: &'a [u8],
    /// Never empty; not validated.
    pub reply: Option<&'a [u8]>,
    /// The header size as the client wrote it, 1 to 9 digits.
    pub header_size_text: &'a [u8],
    /// The total size as the client wrote it, 1 to 9 digits.
    pub total_size_text: &'a [u8],
    /// The header block; any bytes, it is not validated. May be empty.
    pub headers: &'a [u8],
    /// The payload without its CR LF.
    pub payload: &'a [u8],
    /// `headers` and `payload` as they lie side by side in the input.
    pub body: &'a [u8],
}

/// `SUB <subject> [queue] <sid>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sub<'a> {
    /// Never empty; not validated, see [`crate::subject::is_valid`].
    pub subject: &'a [u8],
    /// The queue group, never empty.
    pub queue: Option<&'a [u8]>,
    /// Opaque, never empty.
    pub sid: &'a [u8],
}

/// `UNSUB <sid> [max]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsub<'a> {
    /// Opaque, never empty.
    pub sid: &'a [u8],
    /// After how many messages in total since `SUB`. `None` is at once, which a `max` that is not a number means too.
    pub max: Option<u32>,
}

/// Reads one client operation from the front of `input`.
///
/// Verbs are case-insensitive, blanks are spaces and tabs, control lines end in LF with an optional CR, payloads in
/// CR LF exactly; nats-server 2.15.1's tolerance. Nothing is allocated.
///
/// Whether a connection that must authenticate first may send this operation is the caller's to check; nats-server
/// does so on the very first byte, before it is a valid operation.
#[must_use]
pub fn parse_client_op<'a>(input: &'a [u8], limits: &Limits) -> Parse<'a> {
    let _ = (input, limits);
    todo!()
}
