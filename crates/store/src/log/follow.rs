//! Reading on from message to message: a record that follows the last one needs no index.

use std::ops::RangeInclusive;

use super::frame::{self, Frame};
use super::position::padded;
use super::{Log, LogPosition, Message, ReadError, Record, RecordAt, StreamId};

/// Which of a delivery's two looks at a message it is. Each follows the records on its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pass {
    /// A consumer decides.
    Decide,
    /// What was decided is carried out, in the same order.
    Deliver,
}

/// The message that was read last, and where its record ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last {
    stream: StreamId,
    seq: u64,
    end: LogPosition,
    /// The window that held it.
    window: usize,
}

/// What was read last in each pass.
#[derive(Debug, Default)]
pub(super) struct Following([Option<Last>; 2]);

impl Following {
    fn of(&mut self, pass: Pass) -> &mut Option<Last> {
        let [decide, deliver] = &mut self.0;
        match pass {
            Pass::Decide => decide,
            Pass::Deliver => deliver,
        }
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Log {
    /// The record of a message that lives: a good copy of it, not necessarily the newest. Cheap where it lies right behind the one read
    /// before in the same pass.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn read_message(
        &mut self,
        pass: Pass,
        stream: StreamId,
        seq: u64,
    ) -> Result<Option<Message<'_>>, ReadError> {
        let following = self.following.of(pass).take();
        let next =
            following.filter(|last| last.stream == stream && last.seq.wrapping_add(1) == seq);
        if let Some(Last { end, window, .. }) = next
            && let Some(at) = self.disk.message_at(window, end, (stream, seq))
            && self.disk.check_in(window, at).is_ok()
        {
            self.note(pass, (stream, seq), at, window);
            let frame = self.disk.read_in(window, at)?;
            return message((stream, seq), at, &frame).map(Some);
        }
        let located = match pass {
            Pass::Decide => self.locate_first(stream, seq)?,
            Pass::Deliver => self.locate_again(stream, seq)?,
        };
        let Some(at) = located else { return Ok(None) };
        if self.memory.get(at).is_none() {
            let window = self.window(at)?;
            self.note(pass, (stream, seq), at, window);
            let frame = self.disk.read_in(window, at)?;
            return message((stream, seq), at, &frame).map(Some);
        }
        let frame = self.memory.get(at).and_then(frame::decode_trusted);
        let frame = frame.ok_or(ReadError::Damaged(at))?;
        message((stream, seq), at, &frame).map(Some)
    }

    /// Shows `visit` the messages `seqs` of a stream, as far as they lie in a window one right behind the other, the first one right behind
    /// the message read before in the same pass. Answers how many there were; [`Log::read_message`] reads the next one.
    pub(crate) fn read_on(
        &mut self,
        pass: Pass,
        stream: StreamId,
        seqs: RangeInclusive<u64>,
        visit: impl FnMut(&Message<'_>),
    ) -> u64 {
        let first = *seqs.start();
        let following = self.following.of(pass);
        let Some(last) = following
            .as_mut()
            .filter(|last| last.stream == stream && last.seq.wrapping_add(1) == first)
        else {
            return 0;
        };
        let run = self.disk.run(last.window, last.end, (stream, seqs), visit);
        let Some((shown, end)) = run else { return 0 };
        last.seq += shown;
        last.end = end;
        shown
    }

    fn note(&mut self, pass: Pass, (stream, seq): (StreamId, u64), at: RecordAt, window: usize) {
        let end = LogPosition::new(at.segment, at.offset + padded(at.len));
        *self.following.of(pass) = Some(Last {
            stream,
            seq,
            end,
            window,
        });
    }

    /// The window that holds a record, loaded if need be.
    pub(super) fn window(&mut self, at: RecordAt) -> Result<usize, ReadError> {
        match self.disk.window_of(at) {
            Some(window) => Ok(window),
            None => {
                let written = self.written_in(at.segment)?;
                self.disk.load(at, written)
            }
        }
    }
}

/// The message that a record must be.
fn message<'f>(
    wanted: (StreamId, u64),
    at: RecordAt,
    frame: &Frame<'f>,
) -> Result<Message<'f>, ReadError> {
    match frame.record() {
        Some(Record::Message(message)) if (message.stream, message.seq) == wanted => Ok(message),
        _ => Err(ReadError::Damaged(at)),
    }
}
