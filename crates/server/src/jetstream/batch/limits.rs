//! How many batches may be in flight, and what they may hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use jetsled_config::JetStreamLimits;
use jetsled_jetstream_api::Nanos;

/// The server's limits for batches (`jetstream.limits.batch`), and what of them is in use.
#[derive(Debug)]
pub(in crate::jetstream) struct BatchLimits {
    atomic: Bounds,
    fast: Bounds,
    /// Messages in one atomic batch.
    pub(super) max_messages: u64,
    /// A batch that receives nothing for so long is dropped.
    pub(super) timeout: Nanos,
    /// Bytes that all staged batches hold.
    staged: AtomicU64,
}

/// How many batches of a kind there may be, and how many there are.
#[derive(Debug)]
struct Bounds {
    per_stream: usize,
    total: usize,
    in_flight: AtomicUsize,
}

/// The kinds of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BatchKind {
    Atomic,
    Fast,
}

/// A batch that is counted as in flight until it is dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    limits: Arc<BatchLimits>,
    kind: BatchKind,
    staged: u64,
}

/// Bytes of messages that all atomic batches of the server may hold in memory before their commits.
pub(super) const MAX_STAGED_BYTES: u64 = 256 << 20;

impl BatchLimits {
    pub(in crate::jetstream) fn new(limits: &JetStreamLimits) -> Self {
        let or = |limit: Option<u64>, default: usize| {
            limit.map_or(default, |limit| {
                usize::try_from(limit).unwrap_or(usize::MAX)
            })
        };
        let bounds = |per_stream, total| Bounds {
            per_stream: or(limits.max_batch_inflight_per_stream, per_stream),
            total: or(limits.max_batch_inflight_total, total),
            in_flight: AtomicUsize::new(0),
        };
        Self {
            atomic: bounds(50, 1000),
            fast: bounds(1000, 50_000),
            max_messages: limits.max_batch_size.unwrap_or(1000),
            timeout: limits
                .max_batch_timeout
                .map_or(Nanos::from_secs(10), |timeout| {
                    Nanos(i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX))
                }),
            staged: AtomicU64::new(0),
        }
    }

    /// Admits another batch to a stream that has `on_stream` of its kind.
    pub(super) fn admit(self: &Arc<Self>, kind: BatchKind, on_stream: usize) -> Option<InFlight> {
        let bounds = self.bounds(kind);
        if on_stream >= bounds.per_stream {
            return None;
        }
        let admitted = InFlight {
            limits: Arc::clone(self),
            kind,
            staged: 0,
        };
        // Given back when `admitted` is dropped.
        let before = bounds.in_flight.fetch_add(1, Ordering::Relaxed);
        (before < bounds.total).then_some(admitted)
    }

    fn bounds(&self, kind: BatchKind) -> &Bounds {
        match kind {
            BatchKind::Atomic => &self.atomic,
            BatchKind::Fast => &self.fast,
        }
    }
}

impl InFlight {
    /// Takes so many bytes more; `false` if there is no room for them.
    pub(super) fn stage(&mut self, bytes: u64) -> bool {
        let before = self.limits.staged.fetch_add(bytes, Ordering::Relaxed);
        self.staged += bytes;
        before.saturating_add(bytes) <= MAX_STAGED_BYTES
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.limits.staged.fetch_sub(self.staged, Ordering::Relaxed);
        self.limits
            .bounds(self.kind)
            .in_flight
            .fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_on_their_stream_and_on_the_server() {
        let limits = Arc::new(BatchLimits::new(&JetStreamLimits {
            max_batch_inflight_per_stream: Some(2),
            max_batch_inflight_total: Some(3),
            ..JetStreamLimits::default()
        }));
        let admit = |kind, on_stream| limits.admit(kind, on_stream);
        assert!(admit(BatchKind::Atomic, 2).is_none());
        let mut three: Vec<_> = (0..3)
            .map(|_| admit(BatchKind::Atomic, 1).expect("room for three"))
            .collect();
        assert!(admit(BatchKind::Atomic, 0).is_none());
        assert!(admit(BatchKind::Fast, 0).is_some());
        assert!(three[0].stage(MAX_STAGED_BYTES));
        assert!(!three[1].stage(1));
        three.clear();
        let mut again = admit(BatchKind::Atomic, 0).expect("room again");
        assert!(again.stage(MAX_STAGED_BYTES));
    }
}
