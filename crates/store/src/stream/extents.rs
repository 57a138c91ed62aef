//! Where in the log a stream's messages lie: runs of sequences, a segment each.

use crate::log::SegmentNo;

/// A run of sequences whose records lie in one segment, in order of sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) segment: SegmentNo,
    /// Accounted bytes of the messages that live.
    pub(crate) live_bytes: u64,
    /// How many live.
    pub(crate) live: u64,
}

/// Runs in order of sequence, without overlap; runs with nothing live are dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extents {
    runs: std::collections::VecDeque<Extent>,
    /// The next message begins a run.
    closed: bool,
}

impl Extents {
    /// Adds a new newest message.
    #[inline]
    pub(crate) fn push(&mut self, seq: u64, segment: SegmentNo, bytes: u64) {
        if !std::mem::take(&mut self.closed)
            && let Some(run) = self.runs.back_mut()
            && run.segment == segment
        {
            run.last = seq;
            run.live_bytes += bytes;
            run.live += 1;
            return;
        }
        self.runs.push_back(Extent {
            first: seq,
            last: seq,
            segment,
            live_bytes: bytes,
            live: 1,
        });
    }

    /// Begins a new run even if the segment is the same: in a run records lie in order of sequence, which
    /// [`Extents::relocate`] relies on.
    pub(crate) fn push_apart(&mut self, seq: u64, segment: SegmentNo, bytes: u64) {
        let live_bytes = bytes;
        self.runs.push_back(Extent {
            first: seq,
            last: seq,
            segment,
            live_bytes,
            live: 1,
        });
    }

    /// What is pushed next may lie before what was pushed last: see [`Extents::push_apart`].
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// A message is gone.
    pub(crate) fn remove(&mut self, seq: u64, bytes: u64) {
        let Some(at) = self.find(seq) else { return };
        let run = &mut self.runs[at];
        run.live_bytes = run.live_bytes.saturating_sub(bytes);
        run.live = run.live.saturating_sub(1);
        if run.live == 0 && (at + 1 < self.runs.len() || self.runs.len() == 1) {
            self.runs.remove(at);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.runs.clear();
    }

    /// The segment that holds `seq`'s record now.
    pub(crate) fn segment_of(&self, seq: u64) -> Option<SegmentNo> {
        self.find(seq).map(|at| self.runs[at].segment)
    }

    /// The record of a live message was copied from `from` to `to`.
    pub(crate) fn relocate(&mut self, seq: u64, bytes: u64, from: SegmentNo, to: SegmentNo) {
        let Some(at) = self.find(seq) else { return };
        let run = self.runs[at];
        if run.segment != from {
            return;
        }
        self.runs.remove(at);
        let mut at = at;
        let mut insert = |runs: &mut std::collections::VecDeque<Extent>, extent: Extent| {
            if extent.live > 0 {
                runs.insert(at, extent);
                at += 1;
            }
        };
        // How the rest is split in two is not known without reading; a copy in order of sequence leaves nothing before, so the
        // part behind gets all of it.
        let rest = Extent {
            first: seq + 1,
            live_bytes: run.live_bytes.saturating_sub(bytes),
            live: run.live.saturating_sub(1),
            ..run
        };
        let moved = Extent {
            first: run.first,
            last: seq,
            segment: to,
            live_bytes: bytes,
            live: 1,
        };
        insert(&mut self.runs, moved);
        insert(&mut self.runs, rest);
        self.join_with_previous(seq);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Extent> {
        self.runs.iter()
    }

    pub(crate) fn restore(&mut self, extent: Extent) {
        self.runs.push_back(extent);
    }

    fn join_with_previous(&mut self, seq: u64) {
        let Some(at) = self.find(seq) else { return };
        if at > 0 && self.runs[at - 1].segment == self.runs[at].segment {
            let run = self.runs[at];
            self.runs.remove(at);
            let previous = &mut self.runs[at - 1];
            previous.last = run.last;
            previous.live_bytes += run.live_bytes;
            previous.live += run.live;
        }
    }

    fn find(&self, seq: u64) -> Option<usize> {
        // Limits remove at the front.
        if let Some(run) = self.runs.front()
            && seq <= run.last
        {
            return (run.first <= seq).then_some(0);
        }
        let at = self.runs.partition_point(|run| run.last < seq);
        self.runs
            .get(at)
            .is_some_and(|run| run.first <= seq)
            .then_some(at)
    }
}
