//! Publishes with the control line of the one before, or all of it but subject and reply.

use super::frames::{Layout, PubFrames, Span};
use super::{ClientOp, HPub, Pub};
use crate::Limits;

/// The control line of a connection's last PUB or HPUB, to know the next one by if it is the same or has another subject or reply of the same length:
/// most publishers repeat it, those who wait for answers with a reply of its own for each, and a comparison costs much less than reading it again.
#[derive(Debug, Clone, Default)]
pub struct LastPub {
    /// Empty: none.
    line: Vec<u8>,
    layout: Layout,
    /// Another line may have another subject in this one's place and means the same besides.
    takes_other_subjects: bool,
    /// Another line may have another reply in this one's place and means the same besides.
    takes_other_replies: bool,
    /// Of headers and payload together.
    size_text: Span,
    /// An HPUB has one.
    header_size_text: Option<Span>,
}

/// Publishes that repeat a control line, or are like it, one right behind the other.
#[derive(Debug, Clone)]
pub struct Repeats<'a, 'input> {
    last: &'a LastPub,
    rest: &'input [u8],
    subjects: Subjects,
}

/// Which subjects a line may have to be like the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subjects {
    Same,
    /// Others of the same length, too.
    Any,
}

/// What is new in a publish that repeats a control line, or is like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat<'input> {
    /// As long as the last one's.
    pub subject: &'input [u8],
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
        let (reply, header_size_text, size_text) = match op {
            ClientOp::Pub(publish) => (publish.reply, None, publish.size_text),
            ClientOp::HPub(publish) => (
                publish.reply,
                Some(publish.header_size_text),
                publish.total_size_text,
            ),
            _ => return,
        };
        let Some(mut layout) = Layout::of(op, input) else {
            return;
        };
        let line = input.get(..layout.line_len).unwrap_or_default();
        self.takes_other_subjects = layout.subject.get(line).is_some_and(is_plain);
        self.takes_other_replies = reply.is_some_and(is_plain);
        self.size_text = Span::of(size_text, line);
        self.header_size_text = header_size_text.map(|text| Span::of(text, line));
        let ends_plainly = line.ends_with(b"\r\n") && self.size_text.end + 2 == line.len();
        if ends_plainly && header_size_text.is_none() {
            layout.tail_at = self.size_text.start;
        }
        self.layout = layout;
        self.line.clear();
        self.line.extend_from_slice(line);
    }

    /// The publish at the front of `input` and its length, if its control line is the last one's or differs in subject and reply only, it is complete, and
    /// the limits, which may have changed meanwhile, allow it. From now on it is the last one.
    #[inline]
    pub fn again<'a>(&mut self, input: &'a [u8], limits: &Limits) -> Option<(ClientOp<'a>, usize)> {
        let (frame, _) = self.split(input, Subjects::Any)?;
        let layout = &self.layout;
        if layout.body_len > limits.max_payload || self.line.len() > limits.max_control_line {
            return None;
        }
        let Repeat {
            subject,
            reply,
            headers,
            payload,
            ..
        } = layout.read(frame)?;
        let (line, behind) = frame.split_at_checked(layout.line_len)?;
        let reply = Some(reply).filter(|reply| !reply.is_empty());
        let size_text = self.size_text.get(line)?;
        let op = match self.header_size_text {
            None => ClientOp::Pub(Pub {
                subject,
                reply,
                size_text,
                payload,
            }),
            Some(_) if !limits.headers => return None,
            Some(header_size_text) => ClientOp::HPub(HPub {
                subject,
                reply,
                header_size_text: header_size_text.get(line)?,
                total_size_text: size_text,
                headers,
                payload,
                body: behind.get(..layout.body_len)?,
            }),
        };
        if let Some(last) = self.line.get_mut(layout.subject.start..layout.subject.end) {
            last.copy_from_slice(subject);
        }
        Some((op, frame.len()))
    }

    /// The publishes at the front of `input` whose control lines are the last one's, but for the reply, and which are complete. Where
    /// [`again`](LastPub::again) finds one, its own is the first.
    #[inline]
    pub fn repeats<'a, 'input>(&'a self, input: &'input [u8]) -> Repeats<'a, 'input> {
        Repeats {
            last: self,
            rest: input,
            subjects: Subjects::Same,
        }
    }

    /// As [`repeats`](LastPub::repeats), also those that have another subject of the same length.
    #[inline]
    pub fn alike<'a, 'input>(&'a self, input: &'input [u8]) -> Repeats<'a, 'input> {
        Repeats {
            subjects: Subjects::Any,
            ..self.repeats(input)
        }
    }

    /// The bytes that a number of [`repeats`](LastPub::repeats) or [`alike`](LastPub::alike) took, to be taken apart again without looking at their control
    /// lines.
    #[must_use]
    pub fn frames<'input>(&self, taken: &'input [u8]) -> PubFrames<'input> {
        PubFrames::new(taken, self.layout)
    }

    /// Splits a publish with this control line, or one like it, off `input`.
    #[inline]
    fn split<'input>(
        &self,
        input: &'input [u8],
        subjects: Subjects,
    ) -> Option<(&'input [u8], &'input [u8])> {
        let (frame, rest) = input.split_at_checked(self.layout.frame_len())?;
        let repeats =
            !self.line.is_empty() && frame.ends_with(b"\r\n") && self.is_at(frame, subjects);
        repeats.then_some((frame, rest))
    }

    /// Whether `frame` begins with this control line, or with one that has another reply or, perhaps, another subject.
    #[inline]
    fn is_at(&self, frame: &[u8], subjects: Subjects) -> bool {
        let Layout { subject, reply, .. } = self.layout;
        let same = |start: usize, end: usize| frame.get(start..end) == self.line.get(start..end);
        let may_change = |span: Span| span.get(frame).is_some_and(is_plain);
        let end = self.line.len();
        let until = if self.takes_other_replies {
            reply.start
        } else {
            end
        };
        let begins_so = same(0, until)
            || subjects == Subjects::Any
                && self.takes_other_subjects
                && same(0, subject.start)
                && may_change(subject)
                && same(subject.end, until);
        begins_so && (until == end || same(reply.end, end) && may_change(reply))
    }
}

/// Whether it has nothing in it that ends an argument or a line.
#[inline]
fn is_plain(argument: &[u8]) -> bool {
    // Without a branch a byte.
    argument
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
        let (frame, rest) = self.last.split(self.rest, self.subjects)?;
        let repeat = self.last.layout.read(frame)?;
        self.rest = rest;
        Some(repeat)
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

    fn subject_of<'a>(publish: &ClientOp<'a>) -> &'a [u8] {
        match publish {
            ClientOp::Pub(publish) => publish.subject,
            ClientOp::HPub(publish) => publish.subject,
            _ => b"",
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
    fn another_subject_or_reply_of_the_same_length_is_recognised() {
        let limits = Limits::default();
        let first = b"PUB a _INBOX.x.1 1\r\nx\r\n";
        let mut last = LastPub::default();
        last.remember(&parse(first, &limits).unwrap().0, first);
        let check = |next: &[u8], known: bool| {
            let again = last.clone().again(next, &limits);
            assert_eq!(again, parse(next, &limits).filter(|_| known), "{next:?}");
        };
        check(b"PUB a _INBOX.x.2 1\r\ny\r\n", true);
        check(b"PUB a _INBOX.x.22 1\r\ny\r\n", false);
        check(b"PUB b _INBOX.x.2 1\r\ny\r\n", true);
        check(b"PUB bb _INBOX.x.2 1\r\ny\r\n", false);
        check(b"PUB \n _INBOX.x.2 1\r\ny\r\n", false);
        check(b"PUB \x01 _INBOX.x.2 1\r\ny\r\n", false);
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
            other_subjects: bool,
            other_replies: bool,
            other in "(PUB a 0\r\n\r\n)?",
            cut in 0..120_usize,
        ) {
            let limits = Limits::default();
            let all: String = payloads
                .iter()
                .enumerate()
                .map(|(index, payload)| {
                    let mut line = line.clone();
                    if other_replies && index % 2 == 1 {
                        line = line.replace('c', "e");
                    }
                    if other_subjects && index % 3 == 1 {
                        line = line.replace('a', "f");
                    }
                    format!("{line}{payload}\r\n")
                })
                .collect();
            let all = all + &other;
            let Some((publish, consumed)) = parse(all.as_bytes(), &limits) else { return Ok(()) };
            let mut last = LastPub::default();
            last.remember(&publish, &all.as_bytes()[..consumed]);
            let input = &all.as_bytes()[..cut.min(all.len())];
            let mut rest = input;
            let known = last.clone();
            let all_of = |known: &LastPub| {
                let alike: Vec<_> = known.alike(input).collect();
                if !other_subjects {
                    assert_eq!(known.repeats(input).collect::<Vec<_>>(), alike);
                }
                alike
            };
            let mut repeats = known.alike(input);
            while let Some((publish, consumed)) = last.again(rest, &limits) {
                let repeat = repeats.next().unwrap();
                let subject = subject_of(&publish);
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
                prop_assert_eq!(repeat, Repeat { subject, reply, headers, payload, tail: &tail });
                rest = &rest[consumed..];
                prop_assert_eq!(repeats.rest(), rest);
            }
            prop_assert_eq!(repeats.next(), None);
            let taken = &input[..input.len() - rest.len()];
            let frames = last.frames(taken);
            let all = all_of(&known);
            prop_assert_eq!(frames.iter().collect::<Vec<_>>(), all.clone());
            prop_assert_eq!(frames.len(), all.len());
            let (first, others) = frames.split_at(1);
            prop_assert_eq!(first.iter().chain(others.iter()).collect::<Vec<_>>(), all.clone());
        }
    }
}
