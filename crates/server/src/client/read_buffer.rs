//! Read buffers, lent to connections that have something to read and given back when they are idle.

use std::cell::RefCell;

use bytes::BytesMut;

/// Bytes asked for in one read. A read is a batch, so this is also about what leaves in one write: a quarter of it makes four times the wake-ups.
pub(super) const READ_BYTES: usize = 256 * 1024;

/// An unfinished operation up to this size waits for its rest in a buffer of its own, so that an idle connection holds
/// no large one.
const PARKED_BYTES: usize = 4 * 1024;

/// Buffers that a thread keeps for reuse at most (1 MiB).
const POOLED: usize = 4;

thread_local! {
    static BUFFERS: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Makes room for a read behind what `buffer` holds, so that it can hold `needed` bytes in all.
pub(super) fn prepare(buffer: &mut BytesMut, needed: usize) {
    let wanted = READ_BYTES.max(needed);
    let missing = wanted - buffer.len().min(wanted);
    let free = buffer.capacity() - buffer.len();
    // What is unfinished moves to the front, if nobody else uses the buffer and that costs little.
    if free >= missing || buffer.try_reclaim(missing) {
        return;
    }
    // Half a buffer is enough to go on with, unless the operation needs more.
    if free >= READ_BYTES / 2 && buffer.capacity() >= needed {
        return;
    }
    if needed <= READ_BYTES {
        let mut large = take();
        large.extend_from_slice(buffer);
        give_back(std::mem::replace(buffer, large));
    } else {
        buffer.reserve(missing);
    }
}

/// Called before a connection waits: keeps only what is unfinished, and gives the rest back.
pub(super) fn park(buffer: &mut BytesMut) {
    if buffer.capacity() <= 2 * PARKED_BYTES || buffer.len() > PARKED_BYTES {
        return;
    }
    let rest = if buffer.is_empty() {
        BytesMut::new()
    } else {
        BytesMut::from(&**buffer)
    };
    give_back(std::mem::replace(buffer, rest));
}

fn take() -> BytesMut {
    BUFFERS
        .try_with(|buffers| buffers.borrow_mut().pop())
        .ok()
        .flatten()
        .unwrap_or_else(|| BytesMut::with_capacity(READ_BYTES))
}

/// A buffer of which slices are still in use elsewhere is left to them.
fn give_back(mut buffer: BytesMut) {
    buffer.clear();
    if !buffer.try_reclaim(READ_BYTES) || buffer.capacity() > 2 * READ_BYTES {
        return;
    }
    // During a thread's end the pool is gone and the buffer is simply dropped.
    BUFFERS
        .try_with(|buffers| {
            let mut buffers = buffers.borrow_mut();
            if buffers.len() < POOLED {
                buffers.push(buffer);
            }
        })
        .ok();
}
