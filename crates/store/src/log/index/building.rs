//! The index of a segment that is being filled, or that has no index file yet.
//!
//! An append only notes sequence, offset and length, and the subject as long as a stream has but one. Others are read off the records when
//! somebody first asks for them, and at the latest when the index file is written: a stream without
//! filtered readers never pays for them on its hot path.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::hash::BuildHasher;

use hashbrown::HashMap;
use hashbrown::hash_table::HashTable;

use super::{Chosen, Located, SubjectInSegment, Subjects, Towards};
use crate::log::{Message, RecordAt, SegmentNo, StreamId};

/// All streams of one segment.
#[derive(Debug, Clone)]
pub(crate) struct BuildingIndex {
    segment: SegmentNo,
    streams: Vec<BuildingStream>,
    numbers: HashMap<StreamId, usize>,
    /// The stream of the last message and its number: publishes come in runs.
    last: (StreamId, usize),
}

/// One stream in one segment.
#[derive(Debug, Clone)]
pub(crate) struct BuildingStream {
    pub(crate) stream: StreamId,
    /// Runs of ascending sequences: one for what is published, another for what is rewritten from
    /// older segments meanwhile.
    lanes: Vec<Lane>,
    pub(crate) subjects: SubjectTable,
}

/// A record whose subject has not been read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nameless {
    pub(crate) lane: u32,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

/// Messages with ascending sequences and offsets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lane {
    pub(crate) seqs: Vec<u64>,
    pub(crate) offsets: Vec<u32>,
    pub(crate) lens: Vec<u32>,
    /// The subjects' ordinals, of the first messages only until somebody asks.
    pub(crate) subjects: Vec<u32>,
}

impl BuildingIndex {
    pub(crate) fn new(segment: SegmentNo) -> Self {
        let last = (StreamId(0), usize::MAX);
        Self {
            segment,
            streams: Vec::new(),
            numbers: HashMap::new(),
            last,
        }
    }

    pub(crate) fn segment(&self) -> SegmentNo {
        self.segment
    }

    #[inline]
    pub(crate) fn push(&mut self, message: &Message<'_>, offset: u32, len: u32) {
        let stream = message.stream;
        let known = self.last.0 == stream;
        let number = if known {
            self.last.1
        } else {
            self.number(stream)
        };
        match self.streams.get_mut(number) {
            Some(known) => known.push_message(message, offset, len),
            None => {
                let number = self.number(stream);
                if let Some(new) = self.streams.get_mut(number) {
                    new.push_message(message, offset, len);
                }
            }
        }
    }

    /// A message whose subject is at hand.
    pub(crate) fn push_named(
        &mut self,
        stream: StreamId,
        seq: u64,
        (offset, len): (u32, u32),
        subject: &[u8],
    ) {
        let number = self.number(stream);
        if let Some(stream) = self.streams.get_mut(number) {
            let lane = stream.push(seq, offset, len);
            stream.name(lane as u32, subject);
        }
    }

    fn number(&mut self, stream: StreamId) -> usize {
        let number = *self.numbers.entry(stream).or_insert_with(|| {
            let (lanes, subjects) = (Vec::new(), SubjectTable::default());
            self.streams.push(BuildingStream {
                stream,
                lanes,
                subjects,
            });
            self.streams.len() - 1
        });
        self.last = (stream, number);
        number
    }

    pub(crate) fn stream(&self, stream: StreamId) -> Option<&BuildingStream> {
        self.streams.get(*self.numbers.get(&stream)?)
    }

    pub(crate) fn stream_mut(&mut self, stream: StreamId) -> Option<&mut BuildingStream> {
        self.streams.get_mut(*self.numbers.get(&stream)?)
    }

    /// The streams that have messages, with their first and last sequences, in the order in which a reader of the segment meets them: that some
    /// were mentioned before by records which a failed commit made void does not show.
    pub(crate) fn listed(&self) -> Vec<(&BuildingStream, (u64, u64))> {
        let streams = self.streams.iter();
        let mut listed: Vec<_> = streams
            .filter_map(|stream| Some((stream, stream.range()?)))
            .collect();
        listed.sort_by_key(|(stream, _)| stream.first_offset());
        listed
    }

    pub(crate) fn streams_mut(&mut self) -> impl Iterator<Item = &mut BuildingStream> {
        self.streams.iter_mut()
    }

    /// Forgets the messages from this offset on.
    pub(crate) fn truncate(&mut self, offset: u32) {
        for lane in self.streams.iter_mut().flat_map(|stream| &mut stream.lanes) {
            let keep = lane.offsets.partition_point(|other| *other < offset);
            lane.seqs.truncate(keep);
            lane.offsets.truncate(keep);
            lane.lens.truncate(keep);
            lane.subjects.truncate(keep);
        }
    }
}

impl BuildingStream {
    #[inline]
    fn push(&mut self, seq: u64, offset: u32, len: u32) -> usize {
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            if lane.seqs.last().is_none_or(|last| *last < seq) {
                lane.push(seq, offset, len);
                return number;
            }
        }
        let mut lane = Lane::default();
        lane.push(seq, offset, len);
        self.lanes.push(lane);
        self.lanes.len() - 1
    }

    #[inline]
    fn push_message(&mut self, message: &Message<'_>, offset: u32, len: u32) {
        let number = self.push(message.seq, offset, len);
        if self.subjects.ends.is_empty() {
            self.subjects.intern(message.subject);
        }
        let is_only = self.subjects.ends.len() == 1 && self.subjects.bytes == message.subject;
        if is_only
            && let Some(lane) = self.lanes.get_mut(number)
            && lane.subjects.len() + 1 == lane.seqs.len()
        {
            lane.subjects.push(0);
        }
    }

    pub(crate) fn is_nameless(&self) -> bool {
        self.lanes
            .iter()
            .any(|lane| lane.subjects.len() < lane.seqs.len())
    }

    /// The records whose subjects have not been read yet, those of each lane in the order in which they must be
    /// [named](Self::name).
    pub(crate) fn nameless(&self) -> impl Iterator<Item = Nameless> + '_ {
        (0..).zip(&self.lanes).flat_map(|(number, lane)| {
            let records = lane.offsets.iter().zip(&lane.lens);
            let nameless = records.skip(lane.subjects.len());
            nameless.map(move |(&offset, &len)| Nameless {
                lane: number,
                offset,
                len,
            })
        })
    }

    /// The next nameless record of a lane has this subject.
    pub(crate) fn name(&mut self, lane: u32, subject: &[u8]) {
        let ordinal = self.subjects.intern(subject);
        if let Some(lane) = self.lanes.get_mut(lane as usize) {
            lane.subjects.push(ordinal);
        }
    }

    pub(crate) fn locate(&self, segment: SegmentNo, seq: u64) -> Option<RecordAt> {
        let found = self.lanes.iter().filter_map(|lane| {
            if *lane.seqs.first()? > seq {
                return None;
            }
            let index = lane.seqs.binary_search(&seq).ok()?;
            Some(lane.at(segment, index))
        });
        found.max_by_key(|at| at.offset)
    }

    pub(crate) fn search(
        &self,
        segment: SegmentNo,
        from: u64,
        chosen: Option<&Chosen>,
        towards: Towards,
    ) -> Option<Located> {
        if chosen.is_some_and(Chosen::is_empty) {
            return None;
        }
        let wants = |lane: &Lane, index: usize| {
            chosen.is_none_or(|chosen| lane.subjects.get(index).is_some_and(|s| chosen.wants(*s)))
        };
        let mut best = None;
        for lane in &self.lanes {
            let index = match towards {
                Towards::Higher => {
                    let start = lane.seqs.partition_point(|seq| *seq < from);
                    (start..lane.seqs.len()).find(|index| wants(lane, *index))
                }
                Towards::Lower => {
                    let end = lane.seqs.partition_point(|seq| *seq <= from);
                    (0..end).rev().find(|index| wants(lane, *index))
                }
            };
            if let Some(index) = index {
                let found = Located {
                    seq: lane.seqs[index],
                    at: lane.at(segment, index),
                };
                best = Some(found.nearer(best, towards));
            }
        }
        best
    }

    /// Whether some message is not in order of sequence, so that one may be there twice.
    pub(crate) fn is_mixed(&self) -> bool {
        self.lanes.len() > 1
    }

    /// How many messages with sequences `first..=last` are wanted, if the stream is not mixed.
    pub(crate) fn count(&self, first: u64, last: u64, chosen: Option<&Chosen>) -> u64 {
        let in_lane = self.lanes.iter().map(|lane| {
            let start = lane.seqs.partition_point(|seq| *seq < first);
            let end = lane.seqs.partition_point(|seq| *seq <= last).max(start);
            match chosen {
                None => end - start,
                Some(chosen) => {
                    let subjects = lane.subjects.get(start..end).unwrap_or(&[]);
                    subjects
                        .iter()
                        .filter(|subject| chosen.wants(**subject))
                        .count()
                }
            }
        });
        in_lane.sum::<usize>() as u64
    }

    pub(crate) fn walk_subjects(&self, visit: &mut dyn FnMut(SubjectInSegment<'_>)) {
        let mut found = vec![(0, u64::MAX, 0); self.subjects.ends.len()];
        for lane in &self.lanes {
            for (subject, seq) in lane.subjects.iter().zip(&lane.seqs) {
                if let Some((records, first, last)) = found.get_mut(*subject as usize) {
                    *records += 1;
                    *first = (*first).min(*seq);
                    *last = (*last).max(*seq);
                }
            }
        }
        for (ordinal, (records, first, last)) in found.into_iter().enumerate() {
            if records > 0 {
                let subject = self.subjects.subject(ordinal as u32);
                visit(SubjectInSegment {
                    subject,
                    records,
                    first,
                    last,
                });
            }
        }
    }

    fn first_offset(&self) -> Option<u32> {
        let offsets = self.lanes.iter().map(|lane| lane.offsets.first());
        offsets.flatten().min().copied()
    }

    /// The lowest and highest sequence.
    pub(crate) fn range(&self) -> Option<(u64, u64)> {
        let first = self
            .lanes
            .iter()
            .filter_map(|lane| lane.seqs.first())
            .min()?;
        let last = self
            .lanes
            .iter()
            .filter_map(|lane| lane.seqs.last())
            .max()?;
        Some((*first, *last))
    }

    /// Each message once, by sequence: its offset, length and subject.
    pub(crate) fn merged(&self) -> Cow<'_, Lane> {
        if let [only] = self.lanes.as_slice() {
            return Cow::Borrowed(only);
        }
        let mut all: Vec<_> = self
            .lanes
            .iter()
            .flat_map(|lane| (0..lane.seqs.len()).map(move |index| (lane, index)))
            .map(|(lane, index)| {
                let subject = lane.subjects.get(index).copied().unwrap_or(0);
                (
                    lane.seqs[index],
                    lane.offsets[index],
                    lane.lens[index],
                    subject,
                )
            })
            .collect();
        all.sort_unstable_by_key(|(seq, offset, ..)| (*seq, Reverse(*offset)));
        all.dedup_by_key(|(seq, ..)| *seq);
        let mut merged = Lane::default();
        for (seq, offset, len, subject) in all {
            merged.push(seq, offset, len);
            merged.subjects.push(subject);
        }
        Cow::Owned(merged)
    }
}

impl Nameless {
    pub(crate) fn at(self, segment: SegmentNo) -> RecordAt {
        RecordAt {
            segment,
            offset: self.offset,
            len: self.len,
        }
    }
}

impl Lane {
    #[inline]
    fn push(&mut self, seq: u64, offset: u32, len: u32) {
        self.seqs.push(seq);
        self.offsets.push(offset);
        self.lens.push(len);
    }

    fn at(&self, segment: SegmentNo, index: usize) -> RecordAt {
        RecordAt {
            segment,
            offset: self.offsets[index],
            len: self.lens[index],
        }
    }
}

/// Subjects by ordinal, all in one allocation.
#[derive(Debug, Clone, Default)]
pub(crate) struct SubjectTable {
    pub(crate) bytes: Vec<u8>,
    /// Where each subject ends in `bytes`.
    pub(crate) ends: Vec<u32>,
    ordinals: HashTable<u32>,
    hasher: hashbrown::DefaultHashBuilder,
}

impl SubjectTable {
    fn intern(&mut self, subject: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(subject);
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        let same = |ordinal: &u32| slice(bytes, ends, *ordinal) == subject;
        if let Some(ordinal) = self.ordinals.find(hash, same) {
            return *ordinal;
        }
        let ordinal = self.ends.len() as u32;
        let rehash = |ordinal: &u32| hasher.hash_one(slice(bytes, ends, *ordinal));
        self.ordinals.insert_unique(hash, ordinal, rehash);
        self.bytes.extend_from_slice(subject);
        self.ends.push(self.bytes.len() as u32);
        ordinal
    }
}

impl Subjects for SubjectTable {
    fn count(&self) -> u32 {
        self.ends.len() as u32
    }

    fn subject(&self, ordinal: u32) -> &[u8] {
        slice(&self.bytes, &self.ends, ordinal)
    }
}

fn slice<'a>(bytes: &'a [u8], ends: &[u32], ordinal: u32) -> &'a [u8] {
    let ordinal = ordinal as usize;
    let start = ordinal
        .checked_sub(1)
        .and_then(|before| ends.get(before))
        .copied()
        .unwrap_or(0);
    let end = ends.get(ordinal).copied().unwrap_or(start);
    bytes.get(start as usize..end as usize).unwrap_or(&[])
}
