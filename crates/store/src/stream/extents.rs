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

    /// Begins a new run even if the segment is the same: in a run records lie in order of sequence, so that
    /// [`Extents::relocate`], which meets them in order of the log, splits off nothing below.
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
        if run.live == 0 {
            self.runs.remove(at);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.runs.clear();
    }

    /// The run of a live message.
    pub(crate) fn run_of(&self, seq: u64) -> Option<Extent> {
        self.find(seq).map(|at| self.runs[at])
    }

    /// The segment that holds `seq`'s record now.
    pub(crate) fn segment_of(&self, seq: u64) -> Option<SegmentNo> {
        self.run_of(seq).map(|run| run.segment)
    }

    /// The record of a live message was copied to `to`. `below`: how many messages of its run live below it; they were not copied, since
    /// their records can not be read, and stay where they are.
    pub(crate) fn relocate(&mut self, seq: u64, bytes: u64, below: u64, to: SegmentNo) {
        let Some(at) = self.find(seq) else { return };
        let Some(run) = self.runs.remove(at) else {
            return;
        };
        let live = run.live.saturating_sub(1);
        let live_bytes = run.live_bytes.saturating_sub(bytes);
        // What each of them has is not known without reading.
        let below_bytes = live_bytes / live.max(1) * below;
        let passed_over = Extent {
            last: seq - 1,
            live_bytes: below_bytes,
            live: below,
            ..run
        };
        let moved = Extent {
            first: if below > 0 { seq } else { run.first },
            last: seq,
            segment: to,
            live_bytes: bytes,
            live: 1,
        };
        let rest = Extent {
            first: seq + 1,
            live_bytes: live_bytes - below_bytes,
            live: live.saturating_sub(below),
            ..run
        };
        for part in [rest, moved, passed_over] {
            if part.live > 0 {
                self.runs.insert(at, part);
            }
        }
        self.join_with_previous(seq);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Extent> {
        self.runs.iter()
    }

    /// Adds a run that a checkpoint has. Checkpoints of earlier versions have some in which nothing lives.
    pub(crate) fn restore(&mut self, extent: Extent) {
        if extent.live > 0 {
            self.runs.push_back(extent);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const A: SegmentNo = SegmentNo(1);
    const B: SegmentNo = SegmentNo(2);

    /// First, last, segment, bytes and number of each run.
    type Run = (u64, u64, SegmentNo, u64, u64);

    fn runs_of(extents: &Extents) -> Vec<Run> {
        let run = |run: &Extent| (run.first, run.last, run.segment, run.live_bytes, run.live);
        extents.iter().map(run).collect()
    }

    fn ten_in_a() -> Extents {
        let mut extents = Extents::default();
        (1..=10).for_each(|seq| extents.push(seq, A, 100));
        extents
    }

    #[test]
    fn a_run_in_which_nothing_lives_is_dropped_wherever_it_stands() {
        let mut extents = Extents::default();
        extents.push(1, A, 100);
        extents.push(2, B, 100);
        extents.remove(2, 100);
        assert_eq!(runs_of(&extents), [(1, 1, A, 100, 1)]);
        extents.push(3, B, 100);
        extents.remove(1, 100);
        assert_eq!(runs_of(&extents), [(3, 3, B, 100, 1)]);
    }

    #[test]
    fn a_dead_run_of_an_older_checkpoint_is_not_taken() {
        let mut extents = Extents::default();
        extents.restore(Extent {
            first: 1,
            last: 1,
            segment: A,
            live_bytes: 100,
            live: 0,
        });
        assert_eq!(runs_of(&extents), []);
    }

    #[test]
    fn what_a_copy_in_order_passes_over_stays_where_it_is() {
        let mut extents = ten_in_a();
        for seq in (1..=10).filter(|seq| *seq != 3) {
            extents.relocate(seq, 100, u64::from(seq == 4), B);
        }
        let split = [(1, 2, B, 200, 2), (3, 3, A, 100, 1), (4, 10, B, 700, 7)];
        assert_eq!(runs_of(&extents), split);
        extents.remove(3, 0);
        assert_eq!(extents.segment_of(10), Some(B));
        assert_eq!(extents.segment_of(3), None);
    }

    #[test]
    fn a_copy_in_order_moves_a_run_whole() {
        let mut extents = ten_in_a();
        extents.remove(3, 100);
        extents.relocate(1, 100, 0, B);
        assert_eq!(runs_of(&extents), [(1, 1, B, 100, 1), (2, 10, A, 800, 8)]);
        for seq in (2..=10).filter(|seq| *seq != 3) {
            extents.relocate(seq, 100, 0, B);
        }
        assert_eq!(runs_of(&extents), [(1, 10, B, 900, 9)]);
    }
}
