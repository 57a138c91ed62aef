//! The reply subject that marks a message of a fast-ingest batch (ADR-50):
//! `<prefix>.<batch id>.<flow>.<gap>.<batch sequence>.<operation>.$FI`.

use std::borrow::Cow;

use jetsled_protocol::headers;

/// What such a reply subject says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastReply<'a> {
    /// The batch's id.
    pub id: &'a [u8],
    /// The message's number in its batch, from 1.
    pub seq: u64,
    /// How many messages the publisher wants between two acks at most.
    pub flow: u16,
    /// Whether the batch goes on when messages are missing.
    pub gap_ok: bool,
    /// What the message does.
    pub operation: FastOperation,
}

/// What a message of a fast-ingest batch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastOperation {
    /// Is stored: the first one or any other.
    Append,
    /// Is stored and ends the batch.
    Commit,
    /// Ends the batch and is not stored.
    EndOfBatch,
    /// Asks for the last ack again.
    Ping,
}

const SUFFIX: &[u8] = b".$FI";
/// What the replies of service imports begin with.
const SERVICE_REPLY: &[u8] = b"_R_.";
/// Between two acks, if the publisher does not say.
const DEFAULT_FLOW: u16 = 10;

/// The reply subject that the publisher of a message with these headers gave, if it marks a fast-ingest batch: behind a service import it stands in
/// `Nats-Request-Info`.
#[must_use]
#[inline]
pub fn marked<'a>(reply: &'a [u8], block: &[u8]) -> Option<Cow<'a, [u8]>> {
    if reply.len() > SUFFIX.len() && reply.ends_with(SUFFIX) {
        return Some(Cow::Borrowed(reply));
    }
    if !reply.starts_with(SERVICE_REPLY) {
        return None;
    }
    marked_before_import(block)
}

fn marked_before_import<'a>(block: &[u8]) -> Option<Cow<'a, [u8]>> {
    let info = headers::get(block, b"Nats-Request-Info")?;
    let info: serde_json::Value = serde_json::from_slice(info).ok()?;
    let original = info.get("reply")?.as_str()?.as_bytes();
    let is_marked = original.len() > SUFFIX.len() && original.ends_with(SUFFIX);
    is_marked.then(|| Cow::Owned(original.to_vec()))
}

impl<'a> FastReply<'a> {
    /// Reads a marked reply subject; `None` if it does not follow the pattern.
    #[must_use]
    pub fn parse(reply: &'a [u8]) -> Option<Self> {
        let mut tokens = reply.strip_suffix(SUFFIX)?.rsplit(|byte| *byte == b'.');
        let operation = number(tokens.next()?)?;
        let seq = number(tokens.next()?).filter(|seq| (1..u64::MAX).contains(seq))?;
        let gap_ok = match tokens.next()? {
            b"ok" => true,
            b"fail" => false,
            _ => return None,
        };
        let flow = match tokens.next()? {
            digits if digits.iter().any(|byte| !byte.is_ascii_digit()) => DEFAULT_FLOW,
            digits => match number(digits) {
                Some(0) => DEFAULT_FLOW,
                Some(flow) => u16::try_from(flow).unwrap_or(u16::MAX),
                None if digits.is_empty() => DEFAULT_FLOW,
                None => u16::MAX,
            },
        };
        let id = tokens.next()?;
        // Something must stand before the id.
        tokens.next()?;
        let operation = match (operation, seq) {
            (0, 1) | (1, 2..) => FastOperation::Append,
            (2, _) => FastOperation::Commit,
            (3, 2..) => FastOperation::EndOfBatch,
            (4, _) => FastOperation::Ping,
            _ => return None,
        };
        Some(Self {
            id,
            seq,
            flow,
            gap_ok,
            operation,
        })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_is_read_from_its_end() {
        let check = |reply: &str, want: Option<(u64, u16, bool, FastOperation)>| {
            let parsed = FastReply::parse(reply.as_bytes());
            let got = parsed.map(|p| (p.seq, p.flow, p.gap_ok, p.operation));
            assert_eq!(got, want, "{reply}");
            assert!(parsed.is_none_or(|p| p.id == b"id"), "{reply}");
        };
        use FastOperation::{Append, Commit, EndOfBatch, Ping};
        check("_INBOX.a.id.100.ok.1.0.$FI", Some((1, 100, true, Append)));
        check("a.id.0.fail.2.1.$FI", Some((2, 10, false, Append)));
        check("a.id.x.fail.2.1.$FI", Some((2, 10, false, Append)));
        check("a.id.70000.fail.1.2.$FI", Some((1, 65535, false, Commit)));
        check(
            "a.id.99999999999999999999.ok.7.2.$FI",
            Some((7, 65535, true, Commit)),
        );
        check("a.id.5.ok.2.3.$FI", Some((2, 5, true, EndOfBatch)));
        check("a.id.5.ok.1.4.$FI", Some((1, 5, true, Ping)));
        for bad in [
            "id.5.ok.1.0.$FI",
            "a.id.5.ok.2.0.$FI",
            "a.id.5.ok.1.1.$FI",
            "a.id.5.ok.1.3.$FI",
            "a.id.5.ok.1.5.$FI",
            "a.id.5.ok.0.4.$FI",
            "a.id.5.ok.18446744073709551615.4.$FI",
            "a.id.5.maybe.1.0.$FI",
            "a.id.5.ok.x.1.$FI",
            "a.id.5.ok.1.x.$FI",
            "x.$FI",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn an_import_s_publisher_is_found_in_the_request_s_headers() {
        let block = b"NATS/1.0\r\nNats-Request-Info: {\"acc\":\"A\",\"reply\":\"a.id.5.ok.1.0.$FI\"}\r\n\r\n";
        let check = |reply: &str, block: &[u8], want: Option<&str>| {
            let found = marked(reply.as_bytes(), block);
            assert_eq!(found.as_deref(), want.map(str::as_bytes), "{reply}");
        };
        check("a.b.$FI", b"", Some("a.b.$FI"));
        check("a.b", b"", None);
        check(".$FI", b"", None);
        check("_R_.x", block, Some("a.id.5.ok.1.0.$FI"));
        check("_R_.x", b"", None);
        check("a.b", block, None);
    }
}
