//! Publishes whose control lines and bodies have the same lengths.

use super::{ClientOp, Repeat};

/// Where the parts of a publish lie in its bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Of the control line, its line end included.
    pub(super) line_len: usize,
    pub(super) subject: Span,
    /// Behind the subject, and empty: none.
    pub(super) reply: Span,
    pub(super) header_len: usize,
    /// Of headers and payload together.
    pub(super) body_len: usize,
    /// Where `<size>\r\n` starts, if the line of a PUB ends just so; else its end.
    pub(super) tail_at: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Publishes that repeat a control line, one right behind the other, as they lay in the input: see [`LastPub::frames`](super::LastPub::frames).
#[derive(Debug, Clone, Copy)]
pub struct PubFrames<'a> {
    bytes: &'a [u8],
    shape: PubShape,
}

/// What the frames of [`PubFrames`] have in common, for who keeps their bytes elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PubShape(Layout);

impl Span {
    /// Where `part` lies in `whole`, of which it is a part.
    pub(super) fn of(part: &[u8], whole: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        Self {
            start,
            end: start.wrapping_add(part.len()),
        }
    }

    #[inline]
    pub(super) fn get(self, whole: &[u8]) -> Option<&[u8]> {
        whole.get(self.start..self.end)
    }
}

impl Layout {
    /// That of a PUB or HPUB, of which `input` is all; `None` of other operations.
    pub(super) fn of(op: &ClientOp<'_>, input: &[u8]) -> Option<Self> {
        let (subject, reply, header_len, body_len) = match op {
            ClientOp::Pub(publish) => (publish.subject, publish.reply, 0, publish.payload.len()),
            ClientOp::HPub(publish) => (
                publish.subject,
                publish.reply,
                publish.headers.len(),
                publish.body.len(),
            ),
            _ => return None,
        };
        let subject = Span::of(subject, input);
        let none = Span {
            start: subject.end,
            end: subject.end,
        };
        let line_len = input.len() - (body_len + 2).min(input.len());
        Some(Self {
            line_len,
            subject,
            reply: reply.map_or(none, |reply| Span::of(reply, input)),
            header_len,
            body_len,
            tail_at: line_len,
        })
    }

    /// Of a whole publish.
    #[inline]
    pub(super) fn frame_len(&self) -> usize {
        self.line_len + self.body_len + 2
    }

    /// The parts of a publish with this layout.
    #[inline]
    pub(super) fn read<'a>(&self, frame: &'a [u8]) -> Option<Repeat<'a>> {
        let (line, behind) = frame.split_at_checked(self.line_len)?;
        let (headers, payload) = behind
            .get(..self.body_len)?
            .split_at_checked(self.header_len)?;
        Some(Repeat {
            subject: self.subject.get(line)?,
            reply: self.reply.get(line)?,
            headers,
            payload,
            tail: if self.tail_at < self.line_len {
                frame.get(self.tail_at..)?
            } else {
                &[]
            },
        })
    }
}

impl<'a> PubFrames<'a> {
    pub(super) fn new(bytes: &'a [u8], layout: Layout) -> Self {
        PubShape(layout).frames(bytes)
    }

    /// All their bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What they have in common.
    #[must_use]
    pub fn shape(&self) -> PubShape {
        self.shape
    }

    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() / self.shape.0.frame_len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first so many, and the others.
    #[must_use]
    pub fn split_at(&self, count: usize) -> (Self, Self) {
        let at = count.saturating_mul(self.shape.0.frame_len());
        let (first, rest) = self.bytes.split_at(at.min(self.bytes.len()));
        (self.shape.frames(first), self.shape.frames(rest))
    }

    /// One after the other.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Repeat<'a>> + Clone + use<'a> {
        let layout = self.shape.0;
        self.bytes
            .chunks_exact(layout.frame_len())
            .filter_map(move |frame| layout.read(frame))
    }
}

impl PubShape {
    /// Frames of this shape whose bytes are a copy of [`PubFrames::bytes`].
    #[must_use]
    pub fn frames<'a>(&self, bytes: &'a [u8]) -> PubFrames<'a> {
        PubFrames {
            bytes,
            shape: *self,
        }
    }
}
