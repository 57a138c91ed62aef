//! Writing of operations into any [`BufMut`]. Nothing here looks at what it writes: a subject with
//! a blank or a line end in it makes a broken stream.

use bytes::BufMut;

/// `PING\r\n`.
pub const PING: &[u8] = b"PING\r\n";
/// `PONG\r\n`.
pub const PONG: &[u8] = b"PONG\r\n";
/// `+OK\r\n`.
pub const OK: &[u8] = b"+OK\r\n";
/// The end of a payload and of every line.
pub const CRLF: &[u8] = b"\r\n";

/// `INFO <json> \r\n`, with the blank that nats-server puts after the JSON.
pub fn info(json: &[u8], out: &mut impl BufMut) {
    out.put_slice(b"INFO ");
    out.put_slice(json);
    out.put_slice(b" \r\n");
}

/// `-ERR '<text>'\r\n`.
pub fn err(text: &str, out: &mut impl BufMut) {
    out.put_slice(b"-ERR '");
    out.put_slice(text.as_bytes());
    out.put_slice(b"'\r\n");
}

/// The part of a `MSG` line that only depends on subject and subscription: `MSG <subject> <sid> `,
/// worth caching.
pub fn msg_prefix(subject: &[u8], sid: &[u8], out: &mut impl BufMut) {
    out.put_slice(b"MSG ");
    out.put_slice(subject);
    out.put_slice(b" ");
    out.put_slice(sid);
    out.put_slice(b" ");
}

/// The part of an `HMSG` line that only depends on subject and subscription: `HMSG <subject> <sid>
/// `, worth caching.
pub fn hmsg_prefix(subject: &[u8], sid: &[u8], out: &mut impl BufMut) {
    out.put_slice(b"H");
    msg_prefix(subject, sid, out);
}

/// What follows [`msg_prefix`]: `[reply ]<size>\r\n`. `size_text` is usually what the publisher
/// wrote.
pub fn msg_tail(reply: Option<&[u8]>, size_text: &[u8], out: &mut impl BufMut) {
    if let Some(reply) = reply {
        out.put_slice(reply);
        out.put_slice(b" ");
    }
    out.put_slice(size_text);
    out.put_slice(CRLF);
}

/// What follows [`hmsg_prefix`]: `[reply ]<header size> <total size>\r\n`.
pub fn hmsg_tail(
    reply: Option<&[u8]>,
    header_size_text: &[u8],
    total_size_text: &[u8],
    out: &mut impl BufMut,
) {
    if let Some(reply) = reply {
        out.put_slice(reply);
        out.put_slice(b" ");
    }
    out.put_slice(header_size_text);
    out.put_slice(b" ");
    out.put_slice(total_size_text);
    out.put_slice(CRLF);
}

/// A whole `MSG` with its payload.
pub fn msg(
    subject: &[u8],
    sid: &[u8],
    reply: Option<&[u8]>,
    payload: &[u8],
    out: &mut impl BufMut,
) {
    msg_prefix(subject, sid, out);
    msg_tail(reply, Decimal::new(payload.len()).as_bytes(), out);
    out.put_slice(payload);
    out.put_slice(CRLF);
}

/// A whole `HMSG` with its headers and payload.
pub fn hmsg(
    subject: &[u8],
    sid: &[u8],
    reply: Option<&[u8]>,
    headers: &[u8],
    payload: &[u8],
    out: &mut impl BufMut,
) {
    hmsg_prefix(subject, sid, out);
    hmsg_tail(
        reply,
        Decimal::new(headers.len()).as_bytes(),
        Decimal::new(headers.len() + payload.len()).as_bytes(),
        out,
    );
    out.put_slice(headers);
    out.put_slice(payload);
    out.put_slice(CRLF);
}

/// A whole `PUB` with its payload, for clients.
pub fn publish(subject: &[u8], reply: Option<&[u8]>, payload: &[u8], out: &mut impl BufMut) {
    out.put_slice(b"PUB ");
    out.put_slice(subject);
    out.put_slice(b" ");
    msg_tail(reply, Decimal::new(payload.len()).as_bytes(), out);
    out.put_slice(payload);
    out.put_slice(CRLF);
}

/// A whole `HPUB` with its headers and payload, for clients.
pub fn hpublish(
    subject: &[u8],
    reply: Option<&[u8]>,
    headers: &[u8],
    payload: &[u8],
    out: &mut impl BufMut,
) {
    out.put_slice(b"HPUB ");
    out.put_slice(subject);
    out.put_slice(b" ");
    hmsg_tail(
        reply,
        Decimal::new(headers.len()).as_bytes(),
        Decimal::new(headers.len() + payload.len()).as_bytes(),
        out,
    );
    out.put_slice(headers);
    out.put_slice(payload);
    out.put_slice(CRLF);
}

/// `SUB <subject> [queue] <sid>\r\n`, for clients.
pub fn sub(subject: &[u8], queue: Option<&[u8]>, sid: &[u8], out: &mut impl BufMut) {
    out.put_slice(b"SUB ");
    out.put_slice(subject);
    out.put_slice(b" ");
    msg_tail(queue, sid, out);
}

/// `UNSUB <sid> [max]\r\n`, for clients.
pub fn unsub(sid: &[u8], max: Option<u32>, out: &mut impl BufMut) {
    out.put_slice(b"UNSUB ");
    out.put_slice(sid);
    if let Some(max) = max {
        out.put_slice(b" ");
        out.put_slice(itoa::Buffer::new().format(max).as_bytes());
    }
    out.put_slice(CRLF);
}

/// A number as decimal text, without allocation.
#[derive(Clone, Copy)]
pub struct Decimal {
    digits: [u8; 20],
    len: u8,
}

impl Decimal {
    /// Formats `value`.
    #[must_use]
    pub fn new(value: usize) -> Self {
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(value).as_bytes();
        let mut digits = [0; 20];
        for (to, from) in digits.iter_mut().zip(text) {
            *to = *from;
        }
        Self {
            digits,
            len: text.len().min(20) as u8,
        }
    }

    /// The digits.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.digits.get(..usize::from(self.len)).unwrap_or_default()
    }
}
