//! The batch that a start has met and of which it has not seen the commit.

use super::frame::Frame;
use super::{Record, RecordAt, StreamId};

/// Records of an atomic batch, held back until what follows tells whether they count.
///
/// Whatever follows them proves that the batch was whole: it was written as one commit, and an interrupted one is cut off at
/// the next start. So they do not count only if the log ends here.
#[derive(Debug, Default)]
pub(super) struct UnfinishedBatch {
    records: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    at: RecordAt,
    kind: u8,
    stream: StreamId,
    body: Vec<u8>,
}

impl UnfinishedBatch {
    pub(super) fn hold(&mut self, at: RecordAt, frame: &Frame<'_>) {
        self.records.push(Held {
            at,
            kind: frame.kind,
            stream: frame.stream,
            body: frame.body.to_vec(),
        });
    }

    /// Where it begins; `None` if there is none.
    pub(super) fn start(&self) -> Option<u32> {
        self.records.first().map(|held| held.at.offset)
    }

    pub(super) fn len(&self) -> u64 {
        self.records.len() as u64
    }

    /// It counts: gives its records to `visit`, in order.
    pub(super) fn release(&mut self, mut visit: impl FnMut(RecordAt, Record<'_>)) {
        for held in self.records.drain(..) {
            if let Some(record) = Record::decode(held.kind, held.stream, &held.body) {
                visit(held.at, record);
            }
        }
    }
}
