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
    /// Where `<size>\r\n` starts, if the line ends just so; else its end.
    tail_at: usize,
    payload_len: usize,
}

/// Publishes that repeat a control line, one right behind the other.
#[derive(Debug)]
pub struct Repeats<'a, 'input> {
    last: &'a LastPub,
    rest: &'input [u8],
}

/// What is new in a publish that repeats a control line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat<'input> {
    /// The payload without its CR LF.
    pub payload: &'input [u8],
    /// `<size>\r\n<payload>\r\n` as it lies in the input; empty if the control line does not end with the size and CR LF.
    pub tail: &'input [u8],
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
        let ends_plainly = line.ends_with(b"\r\n") && self.size_text.end + 2 == line.len();
        self.tail_at = if ends_plainly {
            self.size_text.start
        } else {
            line.len()
        };
        self.payload_len = publish.payload.len();
        self.line.clear();
        self.line.extend_from_slice(line);
    }

    /// The publish at the front of `input` and its length, if its control line is the last one's, it is complete, and the
    /// limits, which may have changed meanwhile, allow it.
    #[inline]
    pub fn again<'a>(&self, input: &'a [u8], limits: &Limits) -> Option<(Pub<'a>, usize)> {
        let (frame, _) = self.split(input)?;
        if self.payload_len > limits.max_payload || self.line.len() > limits.max_control_line {
            return None;
        }
        let (line, rest) = frame.split_at_checked(self.line.len())?;
        let payload = rest.get(..self.payload_len)?;
        let publish = Pub {
            subject: line.get(self.subject.clone())?,
            reply: match &self.reply {
                None => None,
                Some(reply) => Some(line.get(reply.clone())?),
            },
            size_text: line.get(self.size_text.clone())?,
            payload,
        };
        Some((publish, frame.len()))
    }

    /// The publishes at the front of `input` that have the last one's control line and are complete. Where
    /// [`again`](LastPub::again) finds one, its own is the first.
    #[inline]
    pub fn repeats<'a, 'input>(&'a self, input: &'input [u8]) -> Repeats<'a, 'input> {
        Repeats {
            last: self,
            rest: input,
        }
    }

    /// Splits a publish with this control line off `input`.
    #[inline]
    fn split<'input>(&self, input: &'input [u8]) -> Option<(&'input [u8], &'input [u8])> {
        let (frame, rest) = input.split_at_checked(self.line.len() + self.payload_len + 2)?;
        let repeats =
            !self.line.is_empty() && frame.ends_with(b"\r\n") && frame.starts_with(&self.line);
        repeats.then_some((frame, rest))
    }
}

impl<'input> Repeats<'_, 'input> {
    /// What follows those taken so far.
    #[must_use]
    pub fn rest(&self) -> &'input [u8] {
        self.rest
    }
}

impl<'input> Iterator for Repeats<'_, 'input> {
    type Item = Repeat<'input>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (frame, rest) = self.last.split(self.rest)?;
        self.rest = rest;
        let tail = frame.get(self.last.tail_at..).unwrap_or_default();
        Some(Repeat {
            payload: frame.get(self.last.line.len()..frame.len() - 2)?,
            tail: if self.last.tail_at < self.last.line.len() {
                tail
            } else {
                &[]
            },
        })
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

        /// Repeats are what is recognised one by one, and their tails are parts of the input.
        #[test]
        fn repeats_are_what_is_recognised_one_by_one(
            line in "PUB +[ab]{1,3}( [cd]{1,2})?[ \t]0?2 ?\r?\n",
            payloads in prop::collection::vec("[xP\r]{2}", 1..5),
            other in "(PUB a 0\r\n\r\n)?",
            cut in 0..120_usize,
        ) {
            let limits = Limits::default();
            let all: String = payloads.iter().map(|payload| format!("{line}{payload}\r\n")).collect();
            let all = all + &other;
            let Some((publish, consumed)) = parse(all.as_bytes(), &limits) else { return Ok(()) };
            let mut last = LastPub::default();
            last.remember(&publish, &all.as_bytes()[..consumed]);
            let input = &all.as_bytes()[..cut.min(all.len())];
            let mut rest = input;
            let mut repeats = last.repeats(input);
            while let Some((publish, consumed)) = last.again(rest, &limits) {
                let repeat = repeats.next().unwrap();
                prop_assert_eq!(repeat.payload, publish.payload);
                let plain = line.ends_with("2\r\n");
                let tail = [publish.size_text, b"\r\n", publish.payload, b"\r\n"].concat();
                prop_assert_eq!(repeat.tail, if plain { &tail[..] } else { &[] });
                rest = &rest[consumed..];
                prop_assert_eq!(repeats.rest(), rest);
            }
            prop_assert_eq!(repeats.next(), None);
        }
    }
}
