//! `num_pending`: how many matching messages are still to be delivered, exact at any time.

use jetsled_jetstream_api::StreamSeq;
use jetsled_protocol::SubjectFilter;

use crate::state::SkipList;
use crate::view::StreamView;

/// The count of matching messages from the consumer's next sequence to `counted_to`; newer ones are counted when the number
/// is wanted, all at once.
#[derive(Debug, Default)]
pub(crate) struct NumPending {
    count: u64,
    counted_to: StreamSeq,
}

impl NumPending {
    pub(crate) fn get(&self) -> u64 {
        self.count
    }

    /// Counts what became visible since the last time.
    #[inline]
    pub(crate) fn refresh(
        &mut self,
        view: &mut dyn StreamView,
        filter: &SubjectFilter,
        next: StreamSeq,
    ) {
        let last = view.last_seq();
        if last > self.counted_to {
            let from = next.max(self.counted_to.next());
            self.counted_to = last;
            if from <= last {
                self.count += view.num_pending(from, filter);
            }
        }
    }

    /// Counts everything anew.
    pub(crate) fn recount(
        &mut self,
        view: &mut dyn StreamView,
        filter: &SubjectFilter,
        next: StreamSeq,
        skip_list: Option<&SkipList>,
    ) {
        self.count = 0;
        self.counted_to = StreamSeq(0);
        if let Some(list) = skip_list {
            self.count = list.seqs.len() as u64;
            self.counted_to = list.resume;
        }
        self.refresh(view, filter, next);
    }

    /// One counted message was delivered or is gone.
    #[inline]
    pub(crate) fn take(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    pub(crate) fn is_counted(&self, seq: StreamSeq) -> bool {
        seq <= self.counted_to
    }

    /// The end of the stream was reached: nothing up to `last` is left.
    pub(crate) fn at_end(&mut self, last: StreamSeq) {
        self.count = 0;
        self.counted_to = self.counted_to.max(last);
    }
}
