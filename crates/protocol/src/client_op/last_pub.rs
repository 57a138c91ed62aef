//! Publishes with the control line of the one before.

use std::ops::Range;

use super::Pub;
use crate::Limits;

/// The control line of a connection's last PUB, to know the next one by if it is the same: most publishers repeat it, and a
/// comparison costs much less than reading it again.
#[derive(Debug, Clone, Default)]
pub struct LastPub {
    /// Empty: none.
    line: Vec<u8>,
    subject: Range<usize>,
    reply: Option<Range<usize>>,
    size_text: Range<usize>,
    payload_len: usize,
}

impl LastPub {
    /// Remembers a publish; `input` is all of it, as [`super::parse_client_op`] read it.
    #[inline]
    pub fn remember(&mut self, publish: &Pub<'_>, input: &[u8]) {
        let line_len = input.len() - (publish.payload.len() + 2).min(input.len());
        let line = input.get(..line_len).unwrap_or_default();
        let within = |part: &[u8]| {
            let start = part.as_ptr().addr().wrapping_sub(line.as_ptr().addr());
            start..start.wrapping_add(part.len())
        };
        self.subject = within(publish.subject);
        self.reply = publish.reply.map(within);
        self.size_text = within(publish.size_text);
        self.payload_len = publish.payload.len();
        self.line.clear();
        self.line.extend_from_slice(line);
    }

    /// The publish at the front of `input` and its length, if its control line is the last one's, it is complete, and the
    /// limits, which may have changed meanwhile, allow it.
    #[inline]
    pub fn again<'a>(&self, input: &'a [u8], limits: &Limits) -> Option<(Pub<'a>, usize)> {
        let (line, rest) = input.split_at_checked(self.line.len())?;
        if line.is_empty() || *line != *self.line {
            return None;
        }
        if self.payload_len > limits.max_payload || line.len() > limits.max_control_line {
            return None;
        }
        let (payload, rest) = rest.split_at_checked(self.payload_len)?;
        if !rest.starts_with(b"\r\n") {
            return None;
        }
        let publish = Pub {
            subject: line.get(self.subject.clone())?,
            reply: match &self.reply {
                None => None,
                Some(reply) => Some(line.get(reply.clone())?),
            },
            size_text: line.get(self.size_text.clone())?,
            payload,
        };
        Some((publish, line.len() + payload.len() + 2))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{ClientOp, Parse, parse_client_op};

    fn parse<'a>(input: &'a [u8], limits: &Limits) -> Option<(Pub<'a>, usize)> {
        match parse_client_op(input, limits) {
            Parse::Op {
                op: ClientOp::Pub(publish),
                consumed,
            } => Some((publish, consumed)),
            _ => None,
        }
    }

    #[test]
    fn nothing_is_known_before_the_first() {
        let again = LastPub::default().again(b"PUB a 0\r\n\r\n", &Limits::default());
        assert_eq!(again, None);
    }

    proptest! {
        /// What is recognised is what a parse finds; a publish behind its own equal is always recognised.
        #[test]
        fn a_recognised_publish_is_read_as_it_would_be_parsed(
            first in "(PUB|pub) +[ab]{1,3}( [cd]{1,2})?[ \t]0?[0-3] ?\r?\n[xP]{0,3}\r\n",
            second in "(PUB|pub) +[ab]{1,3}( [cd]{1,2})?[ \t]0?[0-3] ?\r?\n[xP]{0,3}\r\n",
            cut in 0..40_usize,
            max_payload in 0..4_usize,
        ) {
            let limits = Limits::default();
            let Some((publish, consumed)) = parse(first.as_bytes(), &limits) else { return Ok(()) };
            let mut last = LastPub::default();
            last.remember(&publish, &first.as_bytes()[..consumed]);
            prop_assert_eq!(last.again(first.as_bytes(), &limits), Some((publish, consumed)));
            let second = &second.as_bytes()[..cut.min(second.len())];
            let limits = Limits { max_payload, ..limits };
            if let Some(again) = last.again(second, &limits) {
                prop_assert_eq!(Some(again), parse(second, &limits));
            }
        }
    }
}
