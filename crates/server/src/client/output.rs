//! Bytes on their way to a socket: small pieces copied into recycled chunks, large ones shared.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::read_buffer::READ_BYTES;

/// Capacity of a recycled chunk in bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// Chunks that a thread keeps for reuse at most (4 MiB).
const POOLED_CHUNKS: usize = 256;

/// From this size on a piece is shared instead of copied. Measured: below it, copying is cheaper than
/// the reference count and the extra element of the vectored write.
pub(crate) const SHARE_FROM_BYTES: usize = 4 * 1024;

/// A shared piece of this size may stay one while it waits long: the read that it is part of is at most four times its size.
const KEEP_SHARED_FROM_BYTES: usize = READ_BYTES / 4;

thread_local! {
    static CHUNKS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A queue of bytes, read from the front by vectored writes.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pieces: VecDeque<Piece>,
    /// Bytes of the front piece that are already written.
    front_written: usize,
    len: usize,
}

#[derive(Debug)]
enum Piece {
    Copied(Vec<u8>),
    Shared(Bytes),
}

impl Piece {
    fn as_slice(&self) -> &[u8] {
        match self {
            Piece::Copied(chunk) => chunk,
            Piece::Shared(bytes) => bytes,
        }
    }
}

impl Output {
    /// Bytes not yet written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether all is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lets `write` append at most `room` bytes to one chunk that has room for them.
    #[inline]
    pub(crate) fn with_room(&mut self, room: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let fits = match self.pieces.back() {
            Some(Piece::Copied(chunk)) => chunk.capacity() - chunk.len() >= room,
            _ => false,
        };
        if !fits {
            self.pieces.push_back(Piece::Copied(take_chunk(room)));
        }
        if let Some(Piece::Copied(chunk)) = self.pieces.back_mut() {
            let before = chunk.len();
            write(chunk);
            self.len += chunk.len() - before;
        }
    }

    /// Appends a copy of `bytes`.
    pub(crate) fn copy(&mut self, bytes: &[u8]) {
        self.with_room(bytes.len(), |chunk| chunk.extend_from_slice(bytes));
    }

    /// Appends `bytes` without copying.
    pub(crate) fn share(&mut self, bytes: Bytes) {
        self.len += bytes.len();
        self.pieces.push_back(Piece::Shared(bytes));
    }

    /// Moves everything of `other` behind what is here. Small amounts are copied, so that many small
    /// batches do not become many small pieces.
    pub(crate) fn append(&mut self, other: &mut Output) {
        if self.is_empty() {
            std::mem::swap(self, other);
            return;
        }
        if other.len <= SHARE_FROM_BYTES {
            while !other.is_empty() {
                self.take_front(other);
            }
            return;
        }
        if other.front_written > 0 {
            self.take_front(other);
        }
        self.len += other.len;
        self.pieces.append(&mut other.pieces);
        other.len = 0;
    }

    fn take_front(&mut self, other: &mut Output) {
        self.copy(other.front());
        other.consume(other.front().len());
    }

    /// Fills `slices` from the front; returns how many.
    pub(crate) fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut skip = self.front_written;
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece.as_slice().get(skip..).unwrap_or_default());
            skip = 0;
            count += 1;
        }
        count
    }

    /// The first contiguous bytes, empty if nothing is left.
    pub(crate) fn front(&self) -> &[u8] {
        let front = self.pieces.front().map_or(&[][..], Piece::as_slice);
        front.get(self.front_written..).unwrap_or_default()
    }

    /// Forgets `written` bytes from the front.
    pub(crate) fn consume(&mut self, written: usize) {
        self.len = self.len.saturating_sub(written);
        self.front_written += written;
        while let Some(front) = self.pieces.front() {
            let size = front.as_slice().len();
            if self.front_written < size {
                return;
            }
            self.front_written -= size;
            if let Some(Piece::Copied(chunk)) = self.pieces.pop_front() {
                recycle_chunk(chunk);
            }
        }
        self.front_written = 0;
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.consume(self.len);
    }

    /// Prepares for a long wait on a slow socket: a mostly empty chunk goes back to the pool, and
    /// smaller shared pieces, which may pin a much larger read buffer, become copies.
    pub(crate) fn settle(&mut self) {
        for piece in &mut self.pieces {
            match piece {
                Piece::Copied(chunk) if chunk.len() < chunk.capacity() / 4 => {
                    let full = std::mem::replace(chunk, chunk.as_slice().to_vec());
                    recycle_chunk(full);
                }
                Piece::Copied(_) => {}
                Piece::Shared(bytes) if bytes.len() < KEEP_SHARED_FROM_BYTES => {
                    *piece = Piece::Copied(bytes.to_vec());
                }
                Piece::Shared(_) => {}
            }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.clear();
    }
}

fn take_chunk(room: usize) -> Vec<u8> {
    if room > CHUNK_BYTES {
        return Vec::with_capacity(room);
    }
    CHUNKS
        .try_with(|chunks| chunks.borrow_mut().pop())
        .ok()
        .flatten()
        .unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES))
}

fn recycle_chunk(mut chunk: Vec<u8>) {
    if chunk.capacity() != CHUNK_BYTES {
        return;
    }
    chunk.clear();
    // During a thread's end the pool is gone and the chunk is simply dropped.
    CHUNKS
        .try_with(|chunks| {
            let mut chunks = chunks.borrow_mut();
            if chunks.len() < POOLED_CHUNKS {
                chunks.push(chunk);
            }
        })
        .ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(output: &mut Output, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !output.is_empty() {
            let mut slices = [IoSlice::new(&[]); 8];
            let count = output.io_slices(&mut slices);
            let before = all.len();
            let bytes = slices[..count].iter().flat_map(|slice| slice.iter());
            all.extend(bytes.take(step));
            output.consume(all.len() - before);
        }
        all
    }

    #[test]
    fn bytes_leave_in_the_order_they_came_whatever_the_pieces() {
        for step in [1, 7, 4096, 100_000] {
            let mut output = Output::default();
            let mut expected = Vec::new();
            for round in 0..40_usize {
                let bytes = vec![u8::try_from(round).unwrap(); round * 97];
                if round % 5 == 4 {
                    output.share(Bytes::from(bytes.clone()));
                } else {
                    output.copy(&bytes);
                }
                expected.extend_from_slice(&bytes);
            }
            let mut more = Output::default();
            more.copy(b"small");
            output.append(&mut more);
            more.copy(&[1; 9000]);
            output.append(&mut more);
            expected.extend_from_slice(b"small");
            expected.extend_from_slice(&[1; 9000]);
            output.consume(0);
            output.settle();
            assert_eq!(output.len(), expected.len());
            assert_eq!(drain(&mut output, step), expected, "step {step}");
        }
    }

    #[test]
    fn what_is_half_written_can_be_moved() {
        for size in [100, 10_000] {
            let (mut front, mut other) = (Output::default(), Output::default());
            front.copy(b"front");
            other.copy(b"xyz");
            other.share(Bytes::from(vec![b'z'; size]));
            other.consume(1);
            front.append(&mut other);
            assert!(other.is_empty());
            other.copy(b"next");
            let expected = [&b"frontyz"[..], &vec![b'z'; size]].concat();
            assert_eq!(drain(&mut front, 50), expected);
            assert_eq!(drain(&mut other, 50), b"next");
        }
    }

    #[test]
    fn settling_gives_a_mostly_empty_chunk_back() {
        let mut output = Output::default();
        output.copy(b"PING\r\n");
        output.settle();
        assert_eq!(drain(&mut output, 100), b"PING\r\n");
    }
}
