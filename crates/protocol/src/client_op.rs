//! Operations that a client sends.

mod frames;
mod last_pub;

use crate::control_line::{
    Stop, Verb, ignored_line, line, one_or_two, payload, size, split_args, two_or_three, verb,
};
use crate::{Limits, Parse, ParseError};
pub use frames::{PubFrames, PubShape};
pub use last_pub::{LastPub, Repeat, Repeats};

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
    /// After how many messages in total since `SUB`. `None` is at once, which a `max` that is not a
    /// number means too.
    pub max: Option<u32>,
}

/// Reads one client operation from the front of `input`.
///
/// Verbs are case-insensitive, blanks are spaces and tabs, control lines end in LF with an optional
/// CR, payloads in CR LF exactly; nats-server 2.15.1's tolerance. Nothing is allocated.
///
/// Whether a connection that must authenticate first may send this operation is the caller's to
/// check; nats-server does so on the very first byte, before it is a valid operation.
#[must_use]
pub fn parse_client_op<'a>(input: &'a [u8], limits: &Limits) -> Parse<'a> {
    match client_op(input, limits) {
        Ok((op, consumed)) => Parse::Op { op, consumed },
        Err(Stop::Incomplete { needed }) => Parse::Incomplete { needed },
        Err(Stop::Error(error)) => Parse::Error(error),
    }
}

#[derive(Debug, Clone, Copy)]
enum ClientVerb {
    Connect,
    Pub,
    HPub,
    Sub,
    Unsub,
    Ping,
    Pong,
    Ok,
    Err,
    Info,
}

const VERBS: &[Verb<ClientVerb>] = &[
    Verb {
        name: b"PUB",
        blank: true,
        verb: ClientVerb::Pub,
    },
    Verb {
        name: b"HPUB",
        blank: true,
        verb: ClientVerb::HPub,
    },
    Verb {
        name: b"SUB",
        blank: true,
        verb: ClientVerb::Sub,
    },
    Verb {
        name: b"UNSUB",
        blank: true,
        verb: ClientVerb::Unsub,
    },
    Verb {
        name: b"PING",
        blank: false,
        verb: ClientVerb::Ping,
    },
    Verb {
        name: b"PONG",
        blank: false,
        verb: ClientVerb::Pong,
    },
    Verb {
        name: b"CONNECT",
        blank: false,
        verb: ClientVerb::Connect,
    },
    Verb {
        name: b"+OK",
        blank: false,
        verb: ClientVerb::Ok,
    },
    Verb {
        name: b"-ERR",
        blank: true,
        verb: ClientVerb::Err,
    },
    Verb {
        name: b"INFO",
        blank: false,
        verb: ClientVerb::Info,
    },
];

/// Finds the verb of an operation that is neither incomplete nor wrong this far, and its length.
#[inline]
fn complete_verb(input: &[u8]) -> Option<(ClientVerb, usize)> {
    Some(match input {
        [b'P' | b'p', b'U' | b'u', b'B' | b'b', b' ' | b'\t', ..] => (ClientVerb::Pub, 3),
        [
            b'H' | b'h',
            b'P' | b'p',
            b'U' | b'u',
            b'B' | b'b',
            b' ' | b'\t',
            ..,
        ] => (ClientVerb::HPub, 4),
        [b'S' | b's', b'U' | b'u', b'B' | b'b', b' ' | b'\t', ..] => (ClientVerb::Sub, 3),
        [b'P' | b'p', b'I' | b'i', b'N' | b'n', b'G' | b'g', ..] => (ClientVerb::Ping, 4),
        [b'P' | b'p', b'O' | b'o', b'N' | b'n', b'G' | b'g', ..] => (ClientVerb::Pong, 4),
        _ => return None,
    })
}

#[inline]
fn client_op<'a>(input: &'a [u8], limits: &Limits) -> Result<(ClientOp<'a>, usize), Stop<'a>> {
    let (verb, len) = match complete_verb(input) {
        Some(found) => found,
        None => verb(input, VERBS)?,
    };
    match verb {
        ClientVerb::Pub => publish(input, len, limits),
        ClientVerb::HPub => header_publish(input, len, limits),
        ClientVerb::Sub => {
            let line = line(input, len, limits)?;
            let (subject, second, third) =
                two_or_three(line.args).ok_or(ParseError::SubArguments(line.args))?;
            let (queue, sid) = third.map_or((None, second), |sid| (Some(second), sid));
            Ok((
                ClientOp::Sub(Sub {
                    subject,
                    queue,
                    sid,
                }),
                line.end,
            ))
        }
        ClientVerb::Unsub => {
            let line = line(input, len, limits)?;
            let (sid, max) = one_or_two(line.args).ok_or(ParseError::UnsubArguments(line.args))?;
            let max = max.and_then(size).and_then(|max| u32::try_from(max).ok());
            Ok((ClientOp::Unsub(Unsub { sid, max }), line.end))
        }
        ClientVerb::Ping => Ok((ClientOp::Ping, ignored_line(input, len, limits)?)),
        ClientVerb::Pong => Ok((ClientOp::Pong, ignored_line(input, len, limits)?)),
        ClientVerb::Ok => Ok((ClientOp::Ok, ignored_line(input, len, limits)?)),
        ClientVerb::Connect => {
            line(input, len, limits).map(|line| (ClientOp::Connect(line.args), line.end))
        }
        ClientVerb::Err => {
            line(input, len, limits).map(|line| (ClientOp::Err(line.args), line.end))
        }
        ClientVerb::Info => {
            line(input, len, limits).map(|line| (ClientOp::Info(line.args), line.end))
        }
    }
}

#[inline]
fn publish<'a>(
    input: &'a [u8],
    verb_len: usize,
    limits: &Limits,
) -> Result<(ClientOp<'a>, usize), Stop<'a>> {
    let line = line(input, verb_len, limits)?;
    let (subject, reply, size_text) = match split_args(line.args) {
        ([subject, size, _], 2) => (subject, None, size),
        ([subject, reply, size], 3) => (subject, Some(reply), size),
        _ => return Err(ParseError::PubArguments(line.args).into()),
    };
    let size = size(size_text).ok_or(ParseError::PubSize(line.args))?;
    check_payload(size, limits)?;
    let (payload, end) = payload(input, line.end, size)?;
    Ok((
        ClientOp::Pub(Pub {
            subject,
            reply,
            size_text,
            payload,
        }),
        end,
    ))
}

#[inline]
fn header_publish<'a>(
    input: &'a [u8],
    verb_len: usize,
    limits: &Limits,
) -> Result<(ClientOp<'a>, usize), Stop<'a>> {
    let line = line(input, verb_len, limits)?;
    if !limits.headers {
        return Err(ParseError::HeadersNotSupported.into());
    }
    let (subject, reply, header_size_text, total_size_text) = match split_args(line.args) {
        ([subject, header, total, _], 3) => (subject, None, header, total),
        ([subject, reply, header, total], 4) => (subject, Some(reply), header, total),
        _ => return Err(ParseError::HPubArguments(line.args).into()),
    };
    let header_size = size(header_size_text).ok_or(ParseError::HPubHeaderSize(line.args))?;
    let total_size = size(total_size_text).ok_or(ParseError::HPubTotalSize(line.args))?;
    if header_size > total_size {
        return Err(ParseError::HPubHeaderLargerThanTotal(line.args).into());
    }
    check_payload(total_size, limits)?;
    let (body, end) = payload(input, line.end, total_size)?;
    let (headers, payload) = body.split_at_checked(header_size).unwrap_or((body, &[]));
    let op = HPub {
        subject,
        reply,
        header_size_text,
        total_size_text,
        headers,
        payload,
        body,
    };
    Ok((ClientOp::HPub(op), end))
}

#[inline]
pub(crate) fn check_payload(size: usize, limits: &Limits) -> Result<(), ParseError<'static>> {
    if size > limits.max_payload {
        return Err(ParseError::MaxPayload {
            size,
            limit: limits.max_payload,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
