//! Compression of outgoing messages (RFC 7692), each on its own: no state is kept between them, nor for a connection.

use std::cell::RefCell;
use std::io;

use flate2::{Compress, Compression, FlushCompress};

use crate::client::Output;

/// Messages up to this size are sent as they are (observed nats-server 2.15.1).
pub(super) const SMALL_BYTES: usize = 64;

/// What a flush ends with, and what is not sent (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

thread_local! {
    /// About 300 KiB, which connections of one thread share.
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
}

/// Takes all of `output` and compresses it.
pub(super) fn compress(output: &mut Output) -> io::Result<Vec<u8>> {
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        let mut compressed = Vec::with_capacity(output.len() / 2 + 64);
        while !output.is_empty() {
            let taken = step(
                compress,
                output.front(),
                &mut compressed,
                FlushCompress::None,
            )?;
            output.consume(taken);
        }
        loop {
            step(compress, &[], &mut compressed, FlushCompress::Sync)?;
            // With room left, there was nothing more to say.
            if compressed.len() < compressed.capacity() {
                break;
            }
        }
        if compressed.ends_with(&TAIL) {
            compressed.truncate(compressed.len() - TAIL.len());
        }
        Ok(compressed)
    })
}

/// Returns how much of `input` was taken.
fn step(
    compress: &mut Compress,
    input: &[u8],
    out: &mut Vec<u8>,
    flush: FlushCompress,
) -> io::Result<usize> {
    if out.capacity() - out.len() < 64 {
        out.reserve(out.len().max(4096));
    }
    let before = compress.total_in();
    compress
        .compress_vec(input, out, flush)
        .map_err(|error| io::Error::other(error.to_string()))?;
    Ok(usize::try_from(compress.total_in() - before).unwrap_or(0))
}
