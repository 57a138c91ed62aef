//! A stream's state as bytes: the head that goes to the log, and the whole that goes to a checkpoint.

use jetsled_jetstream_api::Timestamp;

use super::Stream;
use super::extents::Extent;
use super::seq_set::SeqSet;
use super::source_positions::SourcePositions;
use super::subject_table::RestoredSubject;
use crate::log::{LogPosition, SegmentNo};

/// Which sequences live, and the counters that messages alone do not tell. In the log it makes older deletes and purges
/// dispensable: at its position exactly these messages live.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct StreamHead {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) last_time: Timestamp,
    pub(crate) last_msg_id: Vec<u8>,
    pub(crate) lost: SeqSet,
    pub(crate) gaps: SeqSet,
    /// [`Stream`]'s own.
    pub(crate) is_unused: bool,
    /// Sequence and deadline of each schedule.
    pub(crate) schedules: Vec<(u64, i64)>,
    pub(crate) sources: SourcePositions,
}

/// The first byte of every head and checkpoint.
const VERSION: u8 = 5;
/// The one before it had no runs of whole chunks in its sets. It is still written where there are none.
const VERSION_WITHOUT_CHUNKS: u8 = 4;

impl StreamHead {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let sets = [&self.lost, &self.gaps];
        let has_chunks = sets.iter().any(|set| set.has_whole_chunks());
        out.push(if has_chunks {
            VERSION
        } else {
            VERSION_WITHOUT_CHUNKS
        });
        for number in [self.first, self.last, self.last_time.0 as u64] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        encode_bytes(out, &self.last_msg_id);
        for set in sets {
            let mut bytes = Vec::new();
            set.encode(&mut bytes);
            encode_bytes(out, &bytes);
        }
        out.push(u8::from(self.is_unused));
        out.extend_from_slice(&(self.schedules.len() as u64).to_le_bytes());
        for (seq, deadline) in &self.schedules {
            out.extend_from_slice(&seq.to_le_bytes());
            out.extend_from_slice(&deadline.to_le_bytes());
        }
        self.sources.encode(out);
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        if !matches!(from.u8()?, VERSION | VERSION_WITHOUT_CHUNKS) {
            return None;
        }
        let (first, last) = (from.u64()?, from.u64()?);
        let last_time = Timestamp(from.u64()? as i64);
        let last_msg_id = from.bytes()?.to_vec();
        let lost = SeqSet::decode(from.bytes()?)?;
        let gaps = SeqSet::decode(from.bytes()?)?;
        let is_unused = from.u8()? != 0;
        let schedules = (0..from.count(16)?)
            .map(|_| Some((from.u64()?, from.u64()? as i64)))
            .collect::<Option<_>>()?;
        let sources = SourcePositions::decode(from)?;
        (first >= 1 && first <= last.checked_add(1)?).then_some(Self {
            first,
            last,
            last_time,
            last_msg_id,
            lost,
            gaps,
            is_unused,
            schedules,
            sources,
        })
    }

    pub(crate) fn is_live(&self, seq: u64) -> bool {
        seq >= self.first && seq <= self.last && !self.gaps.contains(seq)
    }
}

impl Stream {
    pub(crate) fn head(&self) -> StreamHead {
        StreamHead {
            first: self.first,
            last: self.last,
            last_time: self.last_time,
            last_msg_id: self.last_msg_id.clone(),
            lost: self.lost.clone(),
            gaps: self.gaps.clone(),
            is_unused: self.is_unused,
            schedules: self.schedules.sorted(),
            sources: self.sources.clone(),
        }
    }

    /// Everything that a start needs beside the configuration.
    pub(crate) fn encode_state(&self, out: &mut Vec<u8>) {
        self.head().encode(out);
        for number in [
            self.messages,
            self.bytes,
            self.emitted_at.to_u64(),
            self.dedup.len() as u64,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for (seq, time, [front, back]) in self.dedup.iter() {
            out.extend_from_slice(&seq.to_le_bytes());
            out.extend_from_slice(&time.to_le_bytes());
            out.extend_from_slice(&((front.len() + back.len()) as u32).to_le_bytes());
            out.extend_from_slice(front);
            out.extend_from_slice(back);
        }
        let ttls: Vec<_> = self
            .ttls
            .iter()
            .filter(|(_, seq)| self.is_live(*seq))
            .collect();
        out.extend_from_slice(&(ttls.len() as u64).to_le_bytes());
        for (deadline, seq) in ttls {
            out.extend_from_slice(&deadline.to_le_bytes());
            out.extend_from_slice(&seq.to_le_bytes());
        }
        out.extend_from_slice(&(self.extents.iter().count() as u64).to_le_bytes());
        for extent in self.extents.iter() {
            out.extend_from_slice(&extent.segment.get().to_le_bytes());
            for number in [extent.first, extent.last, extent.live_bytes, extent.live] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        out.extend_from_slice(&(self.subjects.len() as u64).to_le_bytes());
        for (id, name, entry) in self.subjects.iter() {
            encode_bytes(out, name);
            for number in [entry.first, entry.last] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(&entry.count.to_le_bytes());
            out.extend_from_slice(&entry.last_bytes.to_le_bytes());
            out.push(u8::from(entry.first_is_bound) | u8::from(entry.last_is_bound) << 1);
            let history = self.subjects.history(id);
            out.extend_from_slice(&(history.map_or(0, |seqs| seqs.len()) as u64).to_le_bytes());
            for seq in history.into_iter().flatten() {
                out.extend_from_slice(&seq.to_le_bytes());
            }
        }
    }

    /// Takes what [`Stream::encode_state`] wrote into a new stream; `None` if it makes no sense.
    pub(crate) fn decode_state(&mut self, from: &mut Decoder<'_>) -> Option<()> {
        self.take_head(StreamHead::decode(from)?);
        self.messages = from.u64()?;
        self.bytes = from.u64()?;
        self.emitted_at = LogPosition::from_u64(from.u64()?);
        for _ in 0..from.count(20)? {
            let (seq, time) = (from.u64()?, from.u64()? as i64);
            self.dedup.insert(from.bytes()?, seq, time);
        }
        for _ in 0..from.count(16)? {
            let deadline = from.u64()? as i64;
            self.ttls.push(deadline, from.u64()?);
        }
        for _ in 0..from.count(36)? {
            let segment = SegmentNo(from.u32()?);
            let (first, last, live_bytes) = (from.u64()?, from.u64()?, from.u64()?);
            // Earlier versions counted wrong what a rewriting had passed over.
            let _live = from.u64()?;
            let live = self.count_live(first, last);
            self.extents.restore(Extent {
                first,
                last,
                segment,
                live_bytes,
                live,
            });
        }
        let mut seqs = Vec::new();
        for _ in 0..from.count(37)? {
            let name = from.bytes()?;
            let (first, last) = (from.u64()?, from.u64()?);
            let (count, last_bytes) = (from.u32()?, from.u32()?);
            let marks = from.u8()?;
            seqs.clear();
            for _ in 0..from.count(8)? {
                seqs.push(from.u64()?);
            }
            let restored = RestoredSubject {
                first,
                last,
                count,
                last_bytes,
                first_is_bound: marks & 1 != 0,
                last_is_bound: marks & 2 != 0,
            };
            self.subjects.restore(name, restored, &seqs);
        }
        self.visible_last = self.last;
        Some(())
    }

    pub(super) fn take_head(&mut self, head: StreamHead) {
        self.first = head.first;
        self.is_unused = head.is_unused;
        self.last = head.last;
        self.last_time = head.last_time;
        self.last_msg_id = head.last_msg_id;
        self.lost = head.lost;
        self.gaps = head.gaps;
        self.schedules = head.schedules.into_iter().collect();
        self.sources = head.sources;
    }

    /// Everything that a restart must bring back, in a form that can be compared.
    #[cfg(test)]
    pub(crate) fn fingerprint(&self) -> String {
        let mut subjects: Vec<_> = self
            .subjects
            .iter()
            .map(|(_, name, entry)| (String::from_utf8_lossy(name).into_owned(), entry.count))
            .collect();
        subjects.sort();
        let mut ttls: Vec<_> = self
            .ttls
            .iter()
            .filter(|(_, seq)| self.is_live(*seq))
            .collect();
        ttls.sort_unstable();
        let dedup: Vec<_> = self
            .dedup
            .iter()
            .map(|(seq, time, id)| (seq, time, String::from_utf8(id.concat())))
            .collect();
        format!(
            "{:?} {:?}\n{:?}\nmessages {} bytes {}\n{subjects:?}\nttl {ttls:?}\ndedup {dedup:?}",
            self.account,
            self.config,
            self.head(),
            self.messages,
            self.bytes
        )
    }
}

pub(crate) fn encode_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Reads little-endian numbers and byte strings; `None` at the end.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// A number of items that take at least `each` bytes; one that can not be is refused before anything is reserved for it.
    pub(crate) fn count(&mut self, each: usize) -> Option<usize> {
        let count = usize::try_from(self.u64()?).ok()?;
        (count.checked_mul(each)? <= self.rest.len()).then_some(count)
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}
