//! One stream's part of an index file, read in place.
//!
//! ```text
//! u32 messages n | u32 subjects s | u32 flags (1: sequences are consecutive) | u32 bytes of all subjects
//! u64 first sequence                           when consecutive, else u64 sequence  x n
//! u32 offset, u32 len  x n
//! u32 subject x n
//! u32 posting start x (s + 1) | u32 posting x n       message numbers, grouped by subject, ascending
//! u32 subject end x s | subjects
//! ```
//!
//! Messages are numbered by ascending sequence, subjects in the order of their bytes. The bytes are [`Pages`]: a
//! question reads the few that it needs, so that a filter of little costs little.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::building::{Lane, SubjectTable};
use super::pages::{PageError, Pages};
use super::{Chosen, Located, SubjectInSegment, Subjects, Towards};
use crate::log::{RecordAt, SegmentNo};

type Paged<T> = Result<T, PageError>;

/// A section whose tables lie within it.
#[derive(Debug)]
pub(crate) struct Section {
    pages: Pages,
    messages: u32,
    subjects: u32,
    /// The first sequence, if they are consecutive.
    first: Option<u64>,
    places: usize,
    subject_of: usize,
    posting_starts: usize,
    postings: usize,
    subject_ends: usize,
    subject_bytes: usize,
    names: OnceLock<Names>,
}

/// The subjects of a section.
#[derive(Debug)]
pub(crate) struct Names {
    count: u32,
    ends: Vec<u8>,
    bytes: Vec<u8>,
}

const HEADER: usize = 16;
const CONSECUTIVE: u32 = 1;
/// Up to so many wanted messages of a segment are listed; more are looked for one by one.
const LISTED: usize = 4096;

/// Appends the section of these messages to `out`. Their subjects are numbered anew, in order.
pub(crate) fn encode(out: &mut Vec<u8>, messages: &Lane, subjects: &SubjectTable) {
    let count = messages.seqs.len() as u32;
    let (first, last) = (messages.seqs.first(), messages.seqs.last());
    let consecutive = match (first, last) {
        (Some(first), Some(last)) => last - first + 1 == u64::from(count),
        _ => true,
    };
    let put = |out: &mut Vec<u8>, value: u32| out.extend_from_slice(&value.to_le_bytes());
    // A failed commit takes messages back, and leaves their subjects.
    let mut used = vec![false; subjects.count() as usize];
    for ordinal in &messages.subjects {
        used[*ordinal as usize] = true;
    }
    let mut in_order: Vec<u32> = (0..subjects.count())
        .filter(|ordinal| used[*ordinal as usize])
        .collect();
    in_order.sort_unstable_by_key(|ordinal| subjects.subject(*ordinal));
    let bytes = in_order
        .iter()
        .map(|ordinal| subjects.subject(*ordinal).len());
    let bytes: usize = bytes.sum();
    let kept = in_order.len() as u32;
    let mut numbers = vec![0; used.len()];
    for (number, ordinal) in (0..).zip(&in_order) {
        numbers[*ordinal as usize] = number;
    }
    let subject_of = messages.subjects.iter();
    let subject_of: Vec<u32> = subject_of
        .map(|ordinal| numbers[*ordinal as usize])
        .collect();
    put(out, count);
    put(out, kept);
    put(out, if consecutive { CONSECUTIVE } else { 0 });
    put(out, bytes as u32);
    if consecutive {
        out.extend_from_slice(&first.copied().unwrap_or(0).to_le_bytes());
    } else {
        messages
            .seqs
            .iter()
            .for_each(|seq| out.extend_from_slice(&seq.to_le_bytes()));
    }
    for (offset, len) in messages.offsets.iter().zip(&messages.lens) {
        put(out, *offset);
        put(out, *len);
    }
    let (starts, postings) = postings(&subject_of, kept);
    for column in [&subject_of, &starts, &postings] {
        column.iter().for_each(|value| put(out, *value));
    }
    let mut end = 0;
    for ordinal in &in_order {
        end += subjects.subject(*ordinal).len() as u32;
        put(out, end);
    }
    for ordinal in &in_order {
        out.extend_from_slice(subjects.subject(*ordinal));
    }
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
    /// The tables must fit the bytes.
    pub(crate) fn new(pages: Pages) -> Paged<Self> {
        let (messages, subjects) = (pages.u32_at(0)?, pages.u32_at(4)?);
        let consecutive = pages.u32_at(8)? & CONSECUTIVE != 0;
        let names = pages.u32_at(12)? as usize;
        let (n, s) = (messages as usize, subjects as usize);
        let end = |start: usize, count: usize, size: usize| {
            let end = count
                .checked_mul(size)
                .and_then(|len| start.checked_add(len));
            end.filter(|end| *end <= pages.len())
                .ok_or(PageError::Damaged)
        };
        let places = end(HEADER, if consecutive { 1 } else { n }, 8)?;
        let subject_of = end(places, n, 8)?;
        let posting_starts = end(subject_of, n, 4)?;
        let postings = end(posting_starts, s.saturating_add(1), 4)?;
        let subject_ends = end(postings, n, 4)?;
        let subject_bytes = end(subject_ends, s, 4)?;
        if end(subject_bytes, names, 1)? != pages.len() {
            return Err(PageError::Damaged);
        }
        let first = consecutive.then(|| pages.u64_at(HEADER)).transpose()?;
        Ok(Self {
            pages,
            messages,
            subjects,
            first,
            places,
            subject_of,
            posting_starts,
            postings,
            subject_ends,
            subject_bytes,
            names: OnceLock::new(),
        })
    }

    /// Reads and checks all of it that has not been needed yet.
    pub(crate) fn load_all(&self) -> Paged<()> {
        self.pages.load_all()
    }

    pub(crate) fn locate(&self, segment: SegmentNo, seq: u64) -> Paged<Option<RecordAt>> {
        let number = self.lower_bound(seq)?;
        if number < self.messages && self.seq(number)? == seq {
            self.at(segment, number).map(Some)
        } else {
            Ok(None)
        }
    }

    pub(crate) fn search(
        &self,
        segment: SegmentNo,
        from: u64,
        chosen: Option<&Chosen>,
        towards: Towards,
    ) -> Paged<Option<Located>> {
        let number = match towards {
            Towards::Higher => {
                let start = self.lower_bound(from)?;
                match chosen {
                    None => (start < self.messages).then_some(start),
                    Some(chosen) => self.first_chosen(start, chosen)?,
                }
            }
            Towards::Lower => {
                let end = self.upper_bound(from)?;
                match chosen {
                    None => end.checked_sub(1),
                    Some(chosen) => self.last_chosen(end, chosen)?,
                }
            }
        };
        let Some(number) = number else {
            return Ok(None);
        };
        Ok(Some(Located {
            seq: self.seq(number)?,
            at: self.at(segment, number)?,
        }))
    }

    /// How many messages with sequences `first..=last` are wanted.
    pub(crate) fn count(&self, first: u64, last: u64, chosen: Option<&Chosen>) -> Paged<u64> {
        let (start, end) = (self.lower_bound(first)?, self.upper_bound(last)?);
        if start >= end {
            return Ok(0);
        }
        let Some(chosen) = chosen else {
            return Ok(u64::from(end - start));
        };
        if let Some(listed) = chosen.listed() {
            let below = |number| listed.partition_point(|listed| *listed < number);
            return Ok((below(end) - below(start)) as u64);
        }
        let mut count = 0;
        if let Some(few) = chosen.few() {
            for subject in few {
                let (from, to) = self.posting_range(*subject)?;
                let below = self.posting_bound(from, to, start)?;
                count += u64::from(self.posting_bound(from, to, end)?.saturating_sub(below));
            }
        } else {
            for number in start..end {
                count += u64::from(chosen.wants(self.subject_of(number)?));
            }
        }
        Ok(count)
    }

    pub(crate) fn walk_subjects(&self, visit: &mut dyn FnMut(SubjectInSegment<'_>)) -> Paged<()> {
        let names = self.names()?;
        for subject in 0..self.subjects {
            let (from, to) = self.posting_range(subject)?;
            if from < to {
                visit(SubjectInSegment {
                    subject: names.subject(subject),
                    records: to - from,
                    first: self.seq(self.posting(from)?)?,
                    last: self.seq(self.posting(to - 1)?)?,
                });
            }
        }
        Ok(())
    }

    /// The subjects.
    pub(crate) fn names(&self) -> Paged<&Names> {
        if let Some(names) = self.names.get() {
            return Ok(names);
        }
        let names = Names {
            count: self.subjects,
            ends: self.pages.copy(self.subject_ends..self.subject_bytes)?,
            bytes: self.pages.copy(self.subject_bytes..self.pages.len())?,
        };
        Ok(self.names.get_or_init(|| names))
    }

    /// The ordinal of a subject, found without reading all of them.
    pub(crate) fn find(&self, subject: &[u8]) -> Paged<Option<u32>> {
        let found = partition(0, self.subjects, |ordinal| {
            Ok(*self.subject(ordinal)? < *subject)
        })?;
        let is_it = found < self.subjects && *self.subject(found)? == *subject;
        Ok(is_it.then_some(found))
    }

    fn subject(&self, ordinal: u32) -> Paged<Cow<'_, [u8]>> {
        let end = |ordinal: u32| self.pages.u32_at(self.subject_ends + ordinal as usize * 4);
        let start = ordinal.checked_sub(1).map_or(Ok(0), end)? as usize;
        let end = end(ordinal)? as usize;
        self.pages
            .bytes(self.subject_bytes.saturating_add(start)..self.subject_bytes.saturating_add(end))
    }

    /// The numbers of all messages of these subjects, ascending, if they are not many.
    pub(crate) fn list(&self, subjects: impl Iterator<Item = u32>) -> Paged<Option<Vec<u32>>> {
        let mut listed = Vec::new();
        for subject in subjects {
            let (from, to) = self.posting_range(subject)?;
            if to.saturating_sub(from) as usize + listed.len() > LISTED {
                return Ok(None);
            }
            for place in from..to {
                listed.push(self.posting(place)?);
            }
        }
        listed.sort_unstable();
        Ok(Some(listed))
    }

    /// Asks everything, for the fuzzer.
    pub(crate) fn exercise(&self) -> Paged<()> {
        let segment = SegmentNo(1);
        let mut all = super::Selection::new();
        let key = (segment, crate::log::StreamId(1), 0);
        let first = if self.messages > 0 { self.seq(0)? } else { 0 };
        let _ = self.find(b"a.b");
        for seq in [0, 1, first, u64::MAX] {
            let _ = self.locate(segment, seq);
            for towards in [Towards::Higher, Towards::Lower] {
                let _ = self.search(segment, seq, None, towards);
                if let Ok(chosen) = all.choose_listed(key, self, &mut |_| true) {
                    let _ = self.search(segment, seq, chosen, towards);
                    let _ = self.count(seq / 2, seq, chosen);
                }
            }
        }
        self.load_all()?;
        self.walk_subjects(&mut |_| ())
    }

    fn first_chosen(&self, start: u32, chosen: &Chosen) -> Paged<Option<u32>> {
        if let Some(listed) = chosen.listed() {
            let at = listed.partition_point(|number| *number < start);
            return Ok(listed.get(at).copied());
        }
        if let Some(few) = chosen.few() {
            let mut best: Option<u32> = None;
            for subject in few {
                let (from, to) = self.posting_range(*subject)?;
                let at = self.posting_bound(from, to, start)?;
                if at < to {
                    let number = self.posting(at)?;
                    best = Some(best.map_or(number, |best| best.min(number)));
                }
            }
            return Ok(best);
        }
        for number in start..self.messages {
            if chosen.wants(self.subject_of(number)?) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    fn last_chosen(&self, end: u32, chosen: &Chosen) -> Paged<Option<u32>> {
        if let Some(listed) = chosen.listed() {
            let at = listed.partition_point(|number| *number < end);
            return Ok(at.checked_sub(1).and_then(|at| listed.get(at)).copied());
        }
        if let Some(few) = chosen.few() {
            let mut best = None;
            for subject in few {
                let (from, to) = self.posting_range(*subject)?;
                let at = self.posting_bound(from, to, end)?;
                if at > from {
                    best = best.max(Some(self.posting(at - 1)?));
                }
            }
            return Ok(best);
        }
        for number in (0..end).rev() {
            if chosen.wants(self.subject_of(number)?) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// The number of the first message with a sequence of at least `seq`.
    fn lower_bound(&self, seq: u64) -> Paged<u32> {
        if let Some(first) = self.first {
            return Ok(seq.saturating_sub(first).min(u64::from(self.messages)) as u32);
        }
        partition(0, self.messages, |number| Ok(self.seq(number)? < seq))
    }

    /// The number behind the last message with a sequence of at most `seq`.
    fn upper_bound(&self, seq: u64) -> Paged<u32> {
        match seq.checked_add(1) {
            Some(next) => self.lower_bound(next),
            None => Ok(self.messages),
        }
    }

    /// The first place in `from..to` of the postings whose message is at least `message`.
    fn posting_bound(&self, from: u32, to: u32, message: u32) -> Paged<u32> {
        partition(from, to, |place| Ok(self.posting(place)? < message))
    }

    fn posting_range(&self, subject: u32) -> Paged<(u32, u32)> {
        let at = self.posting_starts + subject as usize * 4;
        Ok((self.pages.u32_at(at)?, self.pages.u32_at(at + 4)?))
    }

    fn posting(&self, place: u32) -> Paged<u32> {
        self.pages.u32_at(self.postings + place as usize * 4)
    }

    fn subject_of(&self, number: u32) -> Paged<u32> {
        self.pages.u32_at(self.subject_of + number as usize * 4)
    }

    fn seq(&self, number: u32) -> Paged<u64> {
        match self.first {
            Some(first) => Ok(first.wrapping_add(u64::from(number))),
            None => self.pages.u64_at(HEADER + number as usize * 8),
        }
    }

    fn at(&self, segment: SegmentNo, number: u32) -> Paged<RecordAt> {
        let place = self.places + number as usize * 8;
        Ok(RecordAt {
            segment,
            offset: self.pages.u32_at(place)?,
            len: self.pages.u32_at(place + 4)?,
        })
    }
}

impl Subjects for Names {
    fn count(&self) -> u32 {
        self.count
    }

    fn subject(&self, ordinal: u32) -> &[u8] {
        let end = |ordinal: u32| {
            let at = ordinal as usize * 4;
            let bytes = self.ends.get(at..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
        };
        let start = ordinal.checked_sub(1).map_or(0, end);
        self.bytes.get(start..end(ordinal)).unwrap_or(&[])
    }
}

fn partition(mut from: u32, mut to: u32, before: impl Fn(u32) -> Paged<bool>) -> Paged<u32> {
    while from < to {
        let middle = from + (to - from) / 2;
        if before(middle)? {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    Ok(from)
}
