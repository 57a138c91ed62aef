//! Output gathered per connection, and its flush.

use crate::jetstream::IngestBatch;

/// What a batch of deliveries has for each touched connection and for JetStream.
///
/// Fill it by delivering, then call [`flush`](FlushSet::flush) once. Reuse it: its buffers are
/// recycled. Dropping it unflushed loses what was staged.
#[derive(Debug, Default)]
pub(crate) struct FlushSet {
    /// Messages for JetStream targets.
    pub(crate) ingest: IngestBatch,
}

#[expect(clippy::todo, reason = "surface first, bodies follow")]
impl FlushSet {
    /// An empty set.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Submits the ingest batch, then appends to each touched connection's outbound queue under one
    /// lock each and writes to its socket without blocking; what the socket does not take is left to
    /// the connection's own task.
    ///
    /// Call it without holding a shard's lock: submitting may take one.
    pub(crate) fn flush(&mut self) {
        todo!()
    }

    /// Whether nothing waits to be flushed.
    pub(crate) fn is_empty(&self) -> bool {
        todo!()
    }
}
