//! One stream's part of an index file, read in place.
//!
//! ```text
//! u32 messages n | u32 subjects s | u32 flags (1: sequences are consecutive) | u32 bytes of all subjects
//! u64 first sequence                           when consecutive, else u64 sequence  x n
//! u32 offset x n | u32 len x n | u32 subject x n
//! u32 posting start x (s + 1) | u32 posting x n       message numbers, grouped by subject, ascending
//! u32 subject end x s | subjects
//! ```
//!
//! Messages are numbered by ascending sequence, subjects in order of their first message.

use super::building::{Lane, SubjectTable};
use super::{Chosen, Located, SubjectInSegment, Subjects, Towards};
use crate::log::{RecordAt, SegmentNo};

/// A section whose checksum held and whose tables lie within it.
#[derive(Debug)]
pub(crate) struct Section {
    bytes: Vec<u8>,
    messages: u32,
    subjects: u32,
    consecutive: bool,
    offsets: usize,
    lens: usize,
    subject_of: usize,
    posting_starts: usize,
    postings: usize,
    subject_ends: usize,
    subject_bytes: usize,
}

const HEADER: usize = 16;
const CONSECUTIVE: u32 = 1;

/// Appends the section of these messages to `out`.
pub(crate) fn encode(out: &mut Vec<u8>, messages: &Lane, subjects: &SubjectTable) {
    let count = messages.seqs.len() as u32;
    let (first, last) = (messages.seqs.first(), messages.seqs.last());
    let consecutive = match (first, last) {
        (Some(first), Some(last)) => last - first + 1 == u64::from(count),
        _ => true,
    };
    let put = |out: &mut Vec<u8>, value: u32| out.extend_from_slice(&value.to_le_bytes());
    put(out, count);
    put(out, subjects.count());
    put(out, if consecutive { CONSECUTIVE } else { 0 });
    put(out, subjects.bytes.len() as u32);
    if consecutive {
        out.extend_from_slice(&first.copied().unwrap_or(0).to_le_bytes());
    } else {
        messages
            .seqs
            .iter()
            .for_each(|seq| out.extend_from_slice(&seq.to_le_bytes()));
    }
    for column in [&messages.offsets, &messages.lens, &messages.subjects] {
        column.iter().for_each(|value| put(out, *value));
    }
    let (starts, postings) = postings(&messages.subjects, subjects.count());
    for column in [&starts, &postings, &subjects.ends] {
        column.iter().for_each(|value| put(out, *value));
    }
    out.extend_from_slice(&subjects.bytes);
}

/// A counting sort of the messages by subject.
fn postings(subject_of: &[u32], subjects: u32) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; subjects as usize + 1];
    for subject in subject_of {
        starts[*subject as usize + 1] += 1;
    }
    for index in 1..starts.len() {
        starts[index] += starts[index - 1];
    }
    let mut next = starts.clone();
    let mut postings = vec![0u32; subject_of.len()];
    for (message, subject) in subject_of.iter().enumerate() {
        let slot = &mut next[*subject as usize];
        postings[*slot as usize] = message as u32;
        *slot += 1;
    }
    (starts, postings)
}

impl Section {
    /// `None` if the tables do not fit the bytes.
    pub(crate) fn new(bytes: Vec<u8>) -> Option<Self> {
        let field = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?));
        let (messages, subjects, flags, names) = (field(0)?, field(4)?, field(8)?, field(12)?);
        let consecutive = flags & CONSECUTIVE != 0;
        let (n, s) = (messages as usize, subjects as usize);
        let offsets = HEADER + if consecutive { 8 } else { n.checked_mul(8)? };
        let after = |start: usize, count: usize| start.checked_add(count.checked_mul(4)?);
        let lens = after(offsets, n)?;
        let subject_of = after(lens, n)?;
        let posting_starts = after(subject_of, n)?;
        let postings = after(posting_starts, s.checked_add(1)?)?;
        let subject_ends = after(postings, n)?;
        let subject_bytes = after(subject_ends, s)?;
        if subject_bytes.checked_add(names as usize)? != bytes.len() {
            return None;
        }
        Some(Self {
            bytes,
            messages,
            subjects,
            consecutive,
            offsets,
            lens,
            subject_of,
            posting_starts,
            postings,
            subject_ends,
            subject_bytes,
        })
    }

    /// Bytes of memory, about.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + 256
    }

    pub(crate) fn locate(&self, segment: SegmentNo, seq: u64) -> Option<RecordAt> {
        let number = self.lower_bound(seq);
        (number < self.messages && self.seq(number) == seq).then(|| self.at(segment, number))
    }

    pub(crate) fn search(
        &self,
        segment: SegmentNo,
        from: u64,
        chosen: Option<&Chosen>,
        towards: Towards,
    ) -> Option<Located> {
        let number = match towards {
            Towards::Higher => {
                let start = self.lower_bound(from);
                match chosen {
                    None => (start < self.messages).then_some(start),
                    Some(chosen) => self.first_chosen(start, chosen),
                }
            }
            Towards::Lower => {
                let end = from
                    .checked_add(1)
                    .map_or(self.messages, |seq| self.lower_bound(seq));
                match chosen {
                    None => end.checked_sub(1),
                    Some(chosen) => self.last_chosen(end, chosen),
                }
            }
        }?;
        Some(Located {
            seq: self.seq(number),
            at: self.at(segment, number),
        })
    }

    /// How many messages with sequences `first..=last` are wanted.
    pub(crate) fn count(&self, first: u64, last: u64, chosen: Option<&Chosen>) -> u64 {
        let start = self.lower_bound(first);
        let end = last
            .checked_add(1)
            .map_or(self.messages, |seq| self.lower_bound(seq));
        if start >= end {
            return 0;
        }
        let Some(chosen) = chosen else {
            return u64::from(end - start);
        };
        if let Some(few) = chosen.few() {
            let in_range = few.iter().map(|subject| {
                let (from, to) = self.posting_range(*subject);
                let below = self.posting_bound(from, to, start);
                self.posting_bound(from, to, end).saturating_sub(below)
            });
            return in_range.map(u64::from).sum();
        }
        (start..end)
            .filter(|number| chosen.wants(self.subject_of(*number)))
            .count() as u64
    }

    pub(crate) fn walk_subjects(&self, visit: &mut dyn FnMut(SubjectInSegment<'_>)) {
        for subject in 0..self.subjects {
            let (from, to) = self.posting_range(subject);
            if from < to {
                visit(SubjectInSegment {
                    subject: self.subject(subject),
                    records: to - from,
                    first: self.seq(self.posting(from)),
                    last: self.seq(self.posting(to - 1)),
                });
            }
        }
    }

    /// Asks everything, for the fuzzer.
    pub(crate) fn exercise(&self) {
        let segment = SegmentNo(1);
        let mut all = super::Selection::new();
        let chosen = all.choose((segment, crate::log::StreamId(1), 0), self, &mut |_| true);
        for seq in [0, 1, self.seq(0), self.seq(self.messages / 2), u64::MAX] {
            let _ = self.locate(segment, seq);
            for towards in [Towards::Higher, Towards::Lower] {
                let _ = self.search(segment, seq, None, towards);
                let _ = self.search(segment, seq, chosen, towards);
            }
            let _ = self.count(seq / 2, seq, chosen);
        }
        self.walk_subjects(&mut |_| ());
    }

    fn first_chosen(&self, start: u32, chosen: &Chosen) -> Option<u32> {
        if let Some(few) = chosen.few() {
            let firsts = few.iter().filter_map(|subject| {
                let (from, to) = self.posting_range(*subject);
                let at = self.posting_bound(from, to, start);
                (at < to).then(|| self.posting(at))
            });
            return firsts.min();
        }
        (start..self.messages).find(|number| chosen.wants(self.subject_of(*number)))
    }

    fn last_chosen(&self, end: u32, chosen: &Chosen) -> Option<u32> {
        if let Some(few) = chosen.few() {
            let lasts = few.iter().filter_map(|subject| {
                let (from, to) = self.posting_range(*subject);
                let at = self.posting_bound(from, to, end);
                (at > from).then(|| self.posting(at - 1))
            });
            return lasts.max();
        }
        (0..end)
            .rev()
            .find(|number| chosen.wants(self.subject_of(*number)))
    }

    /// The number of the first message with a sequence of at least `seq`.
    fn lower_bound(&self, seq: u64) -> u32 {
        if self.consecutive {
            let first = self.u64_at(HEADER);
            return seq.saturating_sub(first).min(u64::from(self.messages)) as u32;
        }
        partition(0, self.messages, |number| self.seq(number) < seq)
    }

    /// The first place in `from..to` of the postings whose message is at least `message`.
    fn posting_bound(&self, from: u32, to: u32, message: u32) -> u32 {
        partition(from, to, |place| self.posting(place) < message)
    }

    fn posting_range(&self, subject: u32) -> (u32, u32) {
        let start = self.u32_at(self.posting_starts, subject);
        (start, self.u32_at(self.posting_starts, subject + 1))
    }

    fn posting(&self, place: u32) -> u32 {
        self.u32_at(self.postings, place)
    }

    fn subject_of(&self, number: u32) -> u32 {
        self.u32_at(self.subject_of, number)
    }

    fn seq(&self, number: u32) -> u64 {
        if self.consecutive {
            self.u64_at(HEADER).wrapping_add(u64::from(number))
        } else {
            self.u64_at(HEADER + number as usize * 8)
        }
    }

    fn at(&self, segment: SegmentNo, number: u32) -> RecordAt {
        let offset = self.u32_at(self.offsets, number);
        RecordAt {
            segment,
            offset,
            len: self.u32_at(self.lens, number),
        }
    }

    fn u32_at(&self, column: usize, index: u32) -> u32 {
        let bytes = self
            .bytes
            .get(column + index as usize * 4..)
            .and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    fn u64_at(&self, at: usize) -> u64 {
        let bytes = self.bytes.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

impl Subjects for Section {
    fn count(&self) -> u32 {
        self.subjects
    }

    fn subject(&self, ordinal: u32) -> &[u8] {
        let before = ordinal.checked_sub(1);
        let start = before.map_or(0, |before| self.u32_at(self.subject_ends, before)) as usize;
        let end = self.u32_at(self.subject_ends, ordinal) as usize;
        let range =
            self.subject_bytes.saturating_add(start)..self.subject_bytes.saturating_add(end);
        self.bytes.get(range).unwrap_or(&[])
    }
}

fn partition(mut from: u32, mut to: u32, before: impl Fn(u32) -> bool) -> u32 {
    while from < to {
        let middle = from + (to - from) / 2;
        if before(middle) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}
