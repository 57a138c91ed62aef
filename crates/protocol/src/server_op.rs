//! Operations that a server sends, for clients: tests and benchmarks.

use crate::client_op::check_payload;
use crate::control_line::{Stop, Verb, ignored_line, line, payload, size, split_args, verb};
use crate::{Limits, Parse, ParseError};

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
/// [`crate::ParseError::MaxControlLine`], [`crate::ParseError::MaxPayload`] and
/// [`crate::ParseError::MsgArguments`].
#[must_use]
pub fn parse_server_op<'a>(input: &'a [u8], limits: &Limits) -> Parse<'a, ServerOp<'a>> {
    match server_op(input, limits) {
        Ok((op, consumed)) => Parse::Op { op, consumed },
        Err(Stop::Incomplete { needed }) => Parse::Incomplete { needed },
        Err(Stop::Error(error)) => Parse::Error(error),
    }
}

#[derive(Debug, Clone, Copy)]
enum ServerVerb {
    Info,
    Msg,
    HMsg,
    Ping,
    Pong,
    Ok,
    Err,
}

const VERBS: &[Verb<ServerVerb>] = &[
    Verb {
        name: b"MSG",
        blank: true,
        verb: ServerVerb::Msg,
    },
    Verb {
        name: b"HMSG",
        blank: true,
        verb: ServerVerb::HMsg,
    },
    Verb {
        name: b"PING",
        blank: false,
        verb: ServerVerb::Ping,
    },
    Verb {
        name: b"PONG",
        blank: false,
        verb: ServerVerb::Pong,
    },
    Verb {
        name: b"+OK",
        blank: false,
        verb: ServerVerb::Ok,
    },
    Verb {
        name: b"-ERR",
        blank: true,
        verb: ServerVerb::Err,
    },
    Verb {
        name: b"INFO",
        blank: false,
        verb: ServerVerb::Info,
    },
];

fn server_op<'a>(input: &'a [u8], limits: &Limits) -> Result<(ServerOp<'a>, usize), Stop<'a>> {
    let (verb, len) = verb(input, VERBS)?;
    match verb {
        ServerVerb::Msg => message(input, len, limits),
        ServerVerb::HMsg => header_message(input, len, limits),
        ServerVerb::Ping => Ok((ServerOp::Ping, ignored_line(input, len, limits)?)),
        ServerVerb::Pong => Ok((ServerOp::Pong, ignored_line(input, len, limits)?)),
        ServerVerb::Ok => Ok((ServerOp::Ok, ignored_line(input, len, limits)?)),
        ServerVerb::Err => {
            let line = line(input, len, limits)?;
            let text = line.args.trim_ascii();
            let unquoted = match text {
                [b'\'', text @ .., b'\''] => text,
                text => text,
            };
            Ok((ServerOp::Err(unquoted), line.end))
        }
        ServerVerb::Info => {
            let line = line(input, len, limits)?;
            Ok((ServerOp::Info(line.args.trim_ascii_end()), line.end))
        }
    }
}

fn message<'a>(
    input: &'a [u8],
    verb_len: usize,
    limits: &Limits,
) -> Result<(ServerOp<'a>, usize), Stop<'a>> {
    let line = line(input, verb_len, limits)?;
    let bad = ParseError::MsgArguments(line.args);
    let (subject, sid, reply, size_text) = match split_args(line.args) {
        ([subject, sid, size, _], 3) => (subject, sid, None, size),
        ([subject, sid, reply, size], 4) => (subject, sid, Some(reply), size),
        _ => return Err(bad.into()),
    };
    let size = size(size_text).ok_or(bad)?;
    check_payload(size, limits)?;
    let (payload, end) = payload(input, line.end, size)?;
    Ok((
        ServerOp::Msg(Msg {
            subject,
            sid,
            reply,
            size_text,
            payload,
        }),
        end,
    ))
}

fn header_message<'a>(
    input: &'a [u8],
    verb_len: usize,
    limits: &Limits,
) -> Result<(ServerOp<'a>, usize), Stop<'a>> {
    let line = line(input, verb_len, limits)?;
    let bad = ParseError::MsgArguments(line.args);
    let (subject, sid, reply, header_size, total_size) = match split_args(line.args) {
        ([subject, sid, header, total, _], 4) => (subject, sid, None, header, total),
        ([subject, sid, reply, header, total], 5) => (subject, sid, Some(reply), header, total),
        _ => return Err(bad.into()),
    };
    let (header_size, total_size) = size(header_size)
        .zip(size(total_size))
        .filter(|(header, total)| header <= total)
        .ok_or(bad)?;
    check_payload(total_size, limits)?;
    let (body, end) = payload(input, line.end, total_size)?;
    let (headers, payload) = body.split_at_checked(header_size).unwrap_or((body, &[]));
    Ok((
        ServerOp::HMsg(HMsg {
            subject,
            sid,
            reply,
            headers,
            payload,
        }),
        end,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_server_sends() {
        let check = |input: &[u8], expected: ServerOp<'_>| {
            let parsed = parse_server_op(input, &Limits::default());
            assert_eq!(
                parsed,
                Parse::Op {
                    op: expected,
                    consumed: input.len()
                }
            );
            for end in 0..input.len() {
                let part = parse_server_op(&input[..end], &Limits::default());
                assert!(matches!(part, Parse::Incomplete { needed } if needed > end));
            }
        };
        check(b"INFO {\"proto\":1} \r\n", ServerOp::Info(b"{\"proto\":1}"));
        check(b"PING\r\n", ServerOp::Ping);
        check(b"PONG\r\n", ServerOp::Pong);
        check(b"+OK\r\n", ServerOp::Ok);
        check(
            b"-ERR 'Stale Connection'\r\n",
            ServerOp::Err(b"Stale Connection"),
        );
        let plain = |reply, payload| {
            ServerOp::Msg(Msg {
                subject: b"foo",
                sid: b"1",
                reply,
                size_text: b"2",
                payload,
            })
        };
        check(b"MSG foo 1 2\r\nhi\r\n", plain(None, b"hi"));
        check(b"MSG foo 1 bar 2\r\nhi\r\n", plain(Some(b"bar"), b"hi"));
        // nats-server's own messages may have an empty reply.
        check(b"MSG foo 1  2\r\nhi\r\n", plain(None, b"hi"));
        check(
            b"HMSG foo 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
            ServerOp::HMsg(HMsg {
                subject: b"foo",
                sid: b"1",
                reply: None,
                headers: b"NATS/1.0\r\n\r\n",
                payload: b"hi",
            }),
        );
    }

    #[test]
    fn refuses_what_a_server_never_sends() {
        let check = |input: &'static [u8], expected: ParseError<'_>| {
            assert_eq!(
                parse_server_op(input, &Limits::default()),
                Parse::Error(expected)
            );
        };
        check(
            b"PUB foo 1\r\n",
            ParseError::UnknownOperation {
                snippet: b"UB foo 1\r\n",
            },
        );
        check(b"MSG foo 2\r\n", ParseError::MsgArguments(b"foo 2"));
        check(b"MSG foo 1 x\r\n", ParseError::MsgArguments(b"foo 1 x"));
        check(
            b"HMSG foo 1 3 2\r\n",
            ParseError::MsgArguments(b"foo 1 3 2"),
        );
        check(
            b"MSG foo 1 2\r\nhix\n",
            ParseError::UnknownOperation { snippet: b"x\n" },
        );
    }
}
