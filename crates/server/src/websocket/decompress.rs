//! Decompression of incoming messages, piece by piece: a message is never held as a whole, compressed or not.

use std::cell::RefCell;

use bytes::BytesMut;
use flate2::{Decompress, FlushDecompress, Status};

/// What a sender leaves out at a message's end (RFC 7692, 7.2.2), and a last, empty block.
const TAIL: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

/// Bytes decompressed in one step.
const STEP_BYTES: usize = 8 * 1024;

/// States that a thread keeps for reuse at most, some 43 KiB each.
const POOLED: usize = 8;

thread_local! {
    static STATES: RefCell<Vec<Decompress>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that no compressor has made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("flate: corrupt input")]
pub(super) struct Corrupt;

/// One message on its way.
pub(super) struct Decompressor {
    state: Decompress,
    /// Bytes of [`TAIL`] that have been fed.
    tail_at: usize,
    /// The stream has said that it ends; what follows in the message does not count.
    has_ended: bool,
    /// The last step gave all there was room for: there may be more without further input.
    may_have_more: bool,
}

impl Decompressor {
    /// For the next message.
    pub(super) fn new() -> Self {
        let pooled = STATES
            .try_with(|states| states.borrow_mut().pop())
            .ok()
            .flatten();
        let mut state = pooled.unwrap_or_else(|| Decompress::new(false));
        state.reset(false);
        Self {
            state,
            tail_at: 0,
            has_ended: false,
            may_have_more: false,
        }
    }

    /// Whether `run` would give something without further input.
    pub(super) fn may_have_more(&self) -> bool {
        self.may_have_more && !self.has_ended
    }

    /// Decompresses `input` to `out` until `out` has `limit` bytes; returns how much of `input` was taken.
    pub(super) fn run(
        &mut self,
        input: &[u8],
        out: &mut BytesMut,
        limit: usize,
    ) -> Result<usize, Corrupt> {
        let mut taken = 0;
        let mut chunk = [0; STEP_BYTES];
        while !self.has_ended && out.len() < limit {
            let rest = input.get(taken..).unwrap_or_default();
            let (in_before, out_before) = (self.state.total_in(), self.state.total_out());
            let status = self
                .state
                .decompress(rest, &mut chunk, FlushDecompress::None)
                .map_err(|_| Corrupt)?;
            let used = usize::try_from(self.state.total_in() - in_before).unwrap_or(0);
            let given = usize::try_from(self.state.total_out() - out_before).unwrap_or(0);
            taken += used;
            out.extend_from_slice(chunk.get(..given).unwrap_or_default());
            self.may_have_more = given == chunk.len();
            self.has_ended = status == Status::StreamEnd;
            if self.may_have_more || self.has_ended {
                continue;
            }
            if taken == input.len() {
                break;
            }
            if used == 0 && given == 0 {
                return Err(Corrupt);
            }
        }
        Ok(if self.has_ended { input.len() } else { taken })
    }

    /// Goes on behind the message's last byte; returns whether all is decompressed.
    pub(super) fn finish(&mut self, out: &mut BytesMut, limit: usize) -> Result<bool, Corrupt> {
        let tail = TAIL.get(self.tail_at..).unwrap_or_default();
        self.tail_at += self.run(tail, out, limit)?;
        if self.has_ended {
            return Ok(true);
        }
        if self.tail_at == TAIL.len() && !self.may_have_more {
            // The message ends in the middle of something.
            return Err(Corrupt);
        }
        Ok(false)
    }

    /// Lets another message have the state.
    pub(super) fn give_back(self) {
        // During a thread's end the pool is gone and the state is simply dropped.
        STATES
            .try_with(|states| {
                let mut states = states.borrow_mut();
                if states.len() < POOLED {
                    states.push(self.state);
                }
            })
            .ok();
    }
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decompressor")
    }
}
