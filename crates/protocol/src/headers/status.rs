//! Status lines.

use super::edit::push_line;
use super::split_line;
use crate::control_line::size;

/// The status of a block's first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'a> {
    /// Such as 503; 100 to 999.
    pub code: u16,
    /// What follows the code, blanks trimmed; may be empty.
    pub description: &'a [u8],
}

impl<'a> Status<'a> {
    /// Reads the status from the block's first line, `None` if it has none.
    #[must_use]
    pub fn parse(block: &'a [u8]) -> Option<Self> {
        let (line, _) = split_line(block);
        let text = line.strip_prefix(b"NATS/1.0 ")?.trim_ascii_start();
        let (digits, description) = text.split_at_checked(3)?;
        let code = u16::try_from(size(digits)?).ok()?;
        let ends = description.first().is_none_or(u8::is_ascii_whitespace);
        (ends && (100..=999).contains(&code)).then_some(Self {
            code,
            description: description.trim_ascii(),
        })
    }
}

/// Appends a whole block to `out`: `NATS/1.0 <code>[ <description>]`, the headers, and the final
/// empty line.
pub fn build_status(code: u16, description: &[u8], headers: &[(&[u8], &[u8])], out: &mut Vec<u8>) {
    out.extend_from_slice(b"NATS/1.0 ");
    out.extend_from_slice(itoa::Buffer::new().format(code).as_bytes());
    if !description.is_empty() {
        out.push(b' ');
        out.extend_from_slice(description);
    }
    out.extend_from_slice(b"\r\n");
    for (key, value) in headers {
        push_line(out, key, value);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_responders_reply_has_the_documented_bytes() {
        let mut block = Vec::new();
        build_status(503, b"", &[(b"Nats-Subject", b"nobody")], &mut block);
        assert_eq!(block, b"NATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n");
        assert_eq!(block.len(), 32 + b"nobody".len());
    }

    #[test]
    fn reads_status_lines() {
        let check = |block: &[u8], expected: Option<(u16, &str)>| {
            let found = Status::parse(block).map(|status| (status.code, status.description));
            assert_eq!(found, expected.map(|(code, text)| (code, text.as_bytes())));
        };
        check(b"NATS/1.0 503\r\n\r\n", Some((503, "")));
        check(
            b"NATS/1.0 100 Idle Heartbeat\r\nA: b\r\n\r\n",
            Some((100, "Idle Heartbeat")),
        );
        check(
            b"NATS/1.0   404   No Messages  \r\n\r\n",
            Some((404, "No Messages")),
        );
        check(b"NATS/1.0 503", Some((503, "")));
        check(b"NATS/1.0\r\n\r\n", None);
        check(b"NATS/1.0 5033\r\n\r\n", None);
        check(b"NATS/1.0 +50\r\n\r\n", None);
        check(b"NATS/1.0 x\r\n\r\n", None);
        check(b"garbage", None);
    }
}
