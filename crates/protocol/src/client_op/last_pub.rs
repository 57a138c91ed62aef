//! Publishes with the control line of the one before, or all of it but the reply.

use std::ops::Range;

use super::{ClientOp, HPub, Pub};
use crate::Limits;

/// The control line of a connection's last PUB or HPUB, to know the next one by if it is the same or has another reply of the same length: most
/// publishers repeat it, those who wait for answers with a reply of its own for each, and a comparison costs much less than reading it again.
#[derive(Debug, Clone, Default)]
pub struct LastPub {
    /// Empty: none.
    line: Vec<u8>,
    subject: Range<usize>,
    reply: Option<Range<usize>>,
    /// Another line may have another reply in this one's place and means the same besides.
    takes_other_replies: bool,
    /// Of headers and payload together.
    size_text: Range<usize>,
    /// An HPUB has one.
    header_size_text: Option<Range<usize>>,
    header_len: usize,
    /// Of headers and payload together.
    body_len: usize,
    /// Where `<size>\r\n` starts, if the line of a PUB ends just so; else its end.
    tail_at: usize,
}

/// Publishes that repeat a control line, one right behind the other.
#[derive(Debug, Clone)]
pub struct Repeats<'a, 'input> {
    last: &'a LastPub,
    rest: &'input [u8],
}

/// What is new in a publish that repeats a control line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat<'input> {
    /// Empty: none, in this publish and in those before.
    pub reply: &'input [u8],
    /// The header block; empty in a PUB.
    pub headers: &'input [u8],
    /// The payload without its CR LF.
    pub payload: &'input [u8],
    /// `<size>\r\n<payload>\r\n` as it lies in the input; empty in an HPUB, and if the control line does not end with the size and CR LF.
    pub tail: &'input [u8],
}

impl LastPub {
    /// Remembers a PUB or HPUB; `input` is all of it, as [`super::parse_client_op`] read it. Other operations change nothing.
    #[inline]
    pub fn remember(&mut self, op: &ClientOp<'_>, input: &[u8]) {
        let (subject, reply, header_size_text, size_text, header_len, body_len) = match op {
            ClientOp::Pub(publish) => (
                publish.subject,
                publish.reply,
                None,
                publish.size_text,
                0,
                publish.payload.len(),
            ),
            ClientOp::HPub(publish) => (
                publish.subject,
                publish.reply,
                Some(publish.header_size_text),
                publish.total_size_text,
                publish.headers.len(),
                publish.body.len(),
            ),
            _ => return,
        };
        let line_len = input.len() - (body_len + 2).min(input.len());
        let line = input.get(..line_len).unwrap_or_default();
        let within = |part: &[u8]| {
            let start = part.as_ptr().addr().wrapping_sub(line.as_ptr().addr());
            start..start.wrapping_add(part.len())
        };
        self.subject = within(subject);
        self.takes_other_replies = reply.is_some_and(is_plain);
        self.reply = reply.map(within);
        self.size_text = within(size_text);
        self.header_size_text = header_size_text.map(within);
        (self.header_len, self.body_len) = (header_len, body_len);
        let ends_plainly = line.ends_with(b"\r\n") && self.size_text.end + 2 == line.len();
        self.tail_at = if ends_plainly && header_size_text.is_none() {
            self.size_text.start
        } else {
            line.len()
        };
        self.line.clear();
        self.line.extend_from_slice(line);
    }

    /// The publish at the front of `input` and its length, if its control line is the last one's or differs in the reply only, it is complete, and the
    /// limits, which may have changed meanwhile, allow it.
    #[inline]
    pub fn again<'a>(&self, input: &'a [u8], limits: &Limits) -> Option<(ClientOp<'a>, usize)> {
        let (frame, _) = self.split(input)?;
        if self.body_len > limits.max_payload || self.line.len() > limits.max_control_line {
            return None;
        }
        let (line, rest) = frame.split_at_checked(self.line.len())?;
        let body = rest.get(..self.body_len)?;
        let subject = line.get(self.subject.clone())?;
        let reply = match &self.reply {
            None => None,
            Some(reply) => Some(line.get(reply.clone())?),
        };
        let size_text = line.get(self.size_text.clone())?;
        let op = match &self.header_size_text {
            None => ClientOp::Pub(Pub {
                subject,
                reply,
                size_text,
                payload: body,
            }),
            Some(_) if !limits.headers => return None,
            Some(header_size_text) => {
                let (headers, payload) = body.split_at_checked(self.header_len)?;
                ClientOp::HPub(HPub {
                    subject,
                    reply,
                    header_size_text: line.get(header_size_text.clone())?,
                    total_size_text: size_text,
                    headers,
                    payload,
                    body,
                })
            }
        };
        Some((op, frame.len()))
    }

    /// The publishes at the front of `input` whose control lines are the last one's, but for the reply, and which are complete. Where
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
        let (frame, rest) = input.split_at_checked(self.line.len() + self.body_len + 2)?;
        let repeats = !self.line.is_empty()
            && frame.ends_with(b"\r\n")
            && (frame.starts_with(&self.line) || self.has_other_reply(frame));
        repeats.then_some((frame, rest))
    }

    /// Whether `frame` begins with this control line but for the reply.
    #[inline]
    fn has_other_reply(&self, frame: &[u8]) -> bool {
        let Some(reply) = self.reply.clone().filter(|_| self.takes_other_replies) else {
            return false;
        };
        let behind = reply.end..self.line.len();
        frame.get(..reply.start) == self.line.get(..reply.start)
            && frame.get(behind.clone()) == self.line.get(behind)
            && frame.get(reply).is_some_and(is_plain)
    }
}

/// Whether it has nothing in it that ends an argument or a line.
#[inline]
fn is_plain(reply: &[u8]) -> bool {
    // Without a branch a byte.
    reply
        .iter()
        .fold(true, |plain, byte| plain & (*byte > b' '))
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
        let (line, body) = frame.split_at_checked(self.last.line.len())?;
        let body = body.get(..self.last.body_len)?;
        let (headers, payload) = body.split_at_checked(self.last.header_len)?;
        let reply = match &self.last.reply {
            None => &[],
            Some(reply) => line.get(reply.clone())?,
        };
        self.rest = rest;
        Some(Repeat {
            reply,
            headers,
            payload,
            tail: if self.last.tail_at < line.len() {
                frame.get(self.last.tail_at..)?
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
    use crate::{Parse, parse_client_op};

    fn parse<'a>(input: &'a [u8], limits: &Limits) -> Option<(ClientOp<'a>, usize)> {
        match parse_client_op(input, limits) {
            Parse::Op {
                op: op @ (ClientOp::Pub(_) | ClientOp::HPub(_)),
                consumed,
            } => Some((op, consumed)),
            _ => None,
        }
    }

    /// PUB and HPUB as clients may write them, some of them wrong.
    const PUBLISH: &str = "((PUB|pub) +[ab]{1,3}( [cd\r]{1,2})?[ \t]0?[0-3] ?|(HPUB|hpub) [ab]{1,3}( [cd\r]{1,2})?[ \t]0?[0-2] 0?[0-3] ?)\r?\n[xPH]{0,3}\r\n";

    #[test]
    fn nothing_is_known_before_the_first() {
        let again = LastPub::default().again(b"PUB a 0\r\n\r\n", &Limits::default());
        assert_eq!(again, None);
    }

    #[test]
    fn another_reply_of_the_same_length_is_recognised() {
        let limits = Limits::default();
        let first = b"PUB a _INBOX.x.1 1\r\nx\r\n";
        let mut last = LastPub::default();
        last.remember(&parse(first, &limits).unwrap().0, first);
        let check = |next: &[u8], known: bool| {
            let again = last.again(next, &limits);
            assert_eq!(again, parse(next, &limits).filter(|_| known), "{next:?}");
        };
        check(b"PUB a _INBOX.x.2 1\r\ny\r\n", true);
        check(b"PUB a _INBOX.x.22 1\r\ny\r\n", false);
        check(b"PUB b _INBOX.x.2 1\r\ny\r\n", false);
        check(b"PUB a _INBOX.x.2 2\r\nyy\r\n", false);
        check(b"PUB a _INBOX x 2 1\r\ny\r\n", false);
        check(b"PUB a _INBOX.\r.2 1\r\ny\r\n", false);
    }

    proptest! {
        /// What is recognised is what a parse finds; a publish behind its own equal is always recognised.
        #[test]
        fn a_recognised_publish_is_read_as_it_would_be_parsed(
            first in PUBLISH,
            second in PUBLISH,
            cut in 0..40_usize,
            max_payload in 0..4_usize,
            headers: bool,
        ) {
            let limits = Limits::default();
            let Some((publish, consumed)) = parse(first.as_bytes(), &limits) else { return Ok(()) };
            let mut last = LastPub::default();
            last.remember(&publish, &first.as_bytes()[..consumed]);
            prop_assert_eq!(last.again(first.as_bytes(), &limits), Some((publish, consumed)));
            let second = &second.as_bytes()[..cut.min(second.len())];
            let limits = Limits { max_payload, headers, ..limits };
            if let Some(again) = last.again(second, &limits) {
                prop_assert_eq!(Some(again), parse(second, &limits));
            }
        }

        /// Repeats are what is recognised one by one, and their tails are parts of the input.
        #[test]
        fn repeats_are_what_is_recognised_one_by_one(
            line in "(PUB +[ab]{1,3}( [cd]{1,2})?[ \t]0?2|HPUB [ab]{1,3}( [cd]{1,2})?[ \t]1 0?2) ?\r?\n",
            payloads in prop::collection::vec("[xP\r]{2}", 1..5),
            other_replies: bool,
            other in "(PUB a 0\r\n\r\n)?",
            cut in 0..120_usize,
        ) {
            let limits = Limits::default();
            let all: String = payloads
                .iter()
                .enumerate()
                .map(|(index, payload)| {
                    let line = if other_replies && index % 2 == 1 { line.replace('c', "e") } else { line.clone() };
                    format!("{line}{payload}\r\n")
                })
                .collect();
            let all = all + &other;
            let Some((publish, consumed)) = parse(all.as_bytes(), &limits) else { return Ok(()) };
            let mut last = LastPub::default();
            last.remember(&publish, &all.as_bytes()[..consumed]);
            let input = &all.as_bytes()[..cut.min(all.len())];
            let mut rest = input;
            let mut repeats = last.repeats(input);
            while let Some((publish, consumed)) = last.again(rest, &limits) {
                let repeat = repeats.next().unwrap();
                let (reply, headers, payload, tail) = match publish {
                    ClientOp::Pub(publish) if line.ends_with("2\r\n") => {
                        let tail = [publish.size_text, b"\r\n", publish.payload, b"\r\n"].concat();
                        (publish.reply, &b""[..], publish.payload, tail)
                    }
                    ClientOp::Pub(publish) => (publish.reply, &b""[..], publish.payload, Vec::new()),
                    ClientOp::HPub(publish) => (publish.reply, publish.headers, publish.payload, Vec::new()),
                    _ => unreachable!(),
                };
                let reply = reply.unwrap_or_default();
                prop_assert_eq!(repeat, Repeat { reply, headers, payload, tail: &tail });
                rest = &rest[consumed..];
                prop_assert_eq!(repeats.rest(), rest);
            }
            prop_assert_eq!(repeats.next(), None);
        }
    }
}
