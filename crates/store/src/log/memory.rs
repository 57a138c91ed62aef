//! Records that are in memory: the open buffer, the commit in flight, and the recently written ones.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{LogPosition, RecordAt, SegmentNo};

/// Bytes of one segment, in one piece, as they are or will be in its file.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) segment: SegmentNo,
    pub(crate) start: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Chunk {
    pub(crate) fn end(&self) -> u32 {
        self.start + self.bytes.len() as u32
    }

    fn get(&self, at: RecordAt) -> Option<&[u8]> {
        if self.segment != at.segment {
            return None;
        }
        let from = at.offset.checked_sub(self.start)? as usize;
        self.bytes.get(from..from + at.len as usize)
    }
}

/// All records in memory, and the buffers that they use.
#[derive(Debug)]
pub(crate) struct Memory {
    /// What the next commit writes; the last chunk is being filled.
    pub(crate) open: Vec<Chunk>,
    /// What the commit in flight writes.
    in_flight: Vec<Arc<Chunk>>,
    /// What has been written, oldest first, in order of position.
    tail: VecDeque<Chunk>,
    /// Sum of the capacities in `tail`.
    tail_bytes: usize,
    tail_limit: usize,
    /// Empty buffers for reuse.
    pool: Vec<Vec<u8>>,
}

/// A chunk that has grown to this is followed by another one, so that growing never copies much.
pub(crate) const CHUNK_FULL: usize = 1 << 20;
/// The first capacity of a buffer.
const CHUNK_START: usize = 64 << 10;
/// How many empty buffers are kept.
const POOL: usize = 4;

impl Memory {
    pub(crate) fn new(tail_limit: usize) -> Self {
        Self {
            open: Vec::new(),
            in_flight: Vec::new(),
            tail: VecDeque::new(),
            tail_bytes: 0,
            tail_limit,
            pool: Vec::new(),
        }
    }

    pub(crate) fn get(&self, at: RecordAt) -> Option<&[u8]> {
        let in_tail = || {
            if position(self.tail.front()?) > at.start() {
                return None;
            }
            let behind = self
                .tail
                .partition_point(|chunk| position(chunk) <= at.start());
            self.tail.get(behind.checked_sub(1)?)?.get(at)
        };
        let in_flight = || self.in_flight.iter().find_map(|chunk| chunk.get(at));
        let in_open = || self.open.iter().find_map(|chunk| chunk.get(at));
        in_tail().or_else(in_flight).or_else(in_open)
    }

    /// Bytes that wait for a commit.
    pub(crate) fn open_bytes(&self) -> usize {
        self.open.iter().map(|chunk| chunk.bytes.len()).sum()
    }

    pub(crate) fn begin_chunk(&mut self, segment: SegmentNo, start: u32) -> &mut Vec<u8> {
        let bytes = self
            .pool
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(CHUNK_START));
        self.open.push(Chunk {
            segment,
            start,
            bytes,
        });
        let last = self.open.len() - 1;
        &mut self.open[last].bytes
    }

    /// Forgets what is open from this offset of its segment on.
    pub(crate) fn truncate_open(&mut self, segment: SegmentNo, offset: u32) {
        while let Some(chunk) = self
            .open
            .last_mut()
            .filter(|chunk| chunk.segment == segment)
        {
            if chunk.start < offset {
                chunk.bytes.truncate((offset - chunk.start) as usize);
                return;
            }
            if let Some(chunk) = self.open.pop() {
                self.give_back(chunk.bytes);
            }
        }
    }

    /// The open chunks become the ones in flight.
    pub(crate) fn take_open(&mut self) -> Vec<Arc<Chunk>> {
        self.in_flight = self.open.drain(..).map(Arc::new).collect();
        self.in_flight.clone()
    }

    /// The chunks in flight have been written; nobody else holds them any more.
    pub(crate) fn written(&mut self) {
        for chunk in std::mem::take(&mut self.in_flight) {
            if let Some(chunk) = Arc::into_inner(chunk) {
                self.push_tail(chunk);
            }
        }
    }

    /// Nothing of the commit in flight nor of the open one counts.
    pub(crate) fn void(&mut self) {
        let in_flight = std::mem::take(&mut self.in_flight);
        let in_flight = in_flight.into_iter().filter_map(Arc::into_inner);
        let chunks: Vec<_> = in_flight.chain(std::mem::take(&mut self.open)).collect();
        for chunk in chunks {
            self.give_back(chunk.bytes);
        }
    }

    fn push_tail(&mut self, chunk: Chunk) {
        if let Some(last) = self.tail.back_mut()
            && last.segment == chunk.segment
            && last.end() == chunk.start
            && last.bytes.capacity() - last.bytes.len() >= chunk.bytes.len()
        {
            last.bytes.extend_from_slice(&chunk.bytes);
            self.give_back(chunk.bytes);
        } else {
            self.tail_bytes += chunk.bytes.capacity();
            self.tail.push_back(chunk);
        }
        while self.tail_bytes > self.tail_limit
            && let Some(oldest) = self.tail.pop_front()
        {
            self.tail_bytes -= oldest.bytes.capacity();
            self.give_back(oldest.bytes);
        }
    }

    fn give_back(&mut self, mut buffer: Vec<u8>) {
        if self.pool.len() < POOL && buffer.capacity() <= 2 * CHUNK_FULL {
            buffer.clear();
            self.pool.push(buffer);
        }
    }
}

fn position(chunk: &Chunk) -> LogPosition {
    LogPosition::new(chunk.segment, chunk.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u32, len: u32) -> RecordAt {
        RecordAt {
            segment: SegmentNo(1),
            offset,
            len,
        }
    }

    #[test]
    fn a_byte_is_found_wherever_it_is_until_it_falls_out_of_the_cache() {
        let mut memory = Memory::new(4 * CHUNK_START);
        let mut next = 64;
        for round in 0..2000u32 {
            memory.begin_chunk(SegmentNo(1), next);
            memory.open[0]
                .bytes
                .extend_from_slice(&round.to_le_bytes().repeat(128));
            assert_eq!(
                memory.get(at(next, 4)),
                Some(&round.to_le_bytes()[..]),
                "open"
            );
            let in_flight = memory.take_open();
            assert_eq!(
                memory.get(at(next, 4)),
                Some(&round.to_le_bytes()[..]),
                "in flight"
            );
            drop(in_flight);
            memory.written();
            assert_eq!(
                memory.get(at(next, 4)),
                Some(&round.to_le_bytes()[..]),
                "tail"
            );
            next += 512;
        }
        assert_eq!(memory.get(at(64, 4)), None, "the oldest made room");
        assert!(memory.tail_bytes <= 4 * CHUNK_START);
        let kept: usize = memory.tail.iter().map(|chunk| chunk.bytes.len()).sum();
        assert!(kept > 2 * CHUNK_START, "small commits share blocks: {kept}");
    }

    #[test]
    fn void_forgets_what_was_not_written() {
        let mut memory = Memory::new(1 << 20);
        memory.begin_chunk(SegmentNo(1), 64);
        memory.open[0].bytes.extend_from_slice(&[1; 8]);
        drop(memory.take_open());
        memory.begin_chunk(SegmentNo(1), 72);
        memory.open[0].bytes.extend_from_slice(&[2; 8]);
        memory.void();
        assert_eq!(memory.get(at(64, 8)), None);
        assert_eq!(memory.get(at(72, 8)), None);
    }
}
