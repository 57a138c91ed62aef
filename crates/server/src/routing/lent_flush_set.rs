//! Flush sets, lent to connections that have something to act on and given back when they are idle.

use std::cell::RefCell;
use std::sync::Arc;

use super::FlushSet;
use crate::client::Client;

/// Sets that a thread keeps for reuse at most.
const POOLED: usize = 8;

thread_local! {
    #[expect(clippy::vec_box, reason = "a box passes from connection to connection, the large set in it is not moved")]
    static SETS: RefCell<Vec<Box<FlushSet>>> = const { RefCell::new(Vec::new()) };
}

/// The flush set of a producing connection; an idle one has none.
#[derive(Debug)]
pub(crate) struct LentFlushSet {
    producer: Arc<Client>,
    drop_instead_of_stall: bool,
    lent: Option<Box<FlushSet>>,
}

impl LentFlushSet {
    /// For what `producer` publishes. `drop_instead_of_stall`: drop what a long queue would get, instead of pausing the
    /// producer (`no_fast_producer_stall`).
    pub(crate) fn new(producer: &Arc<Client>, drop_instead_of_stall: bool) -> Self {
        Self {
            producer: Arc::clone(producer),
            drop_instead_of_stall,
            lent: None,
        }
    }

    /// The set, taken at the first use after [`park`](LentFlushSet::park).
    #[inline]
    pub(crate) fn get(&mut self) -> &mut FlushSet {
        self.lent.get_or_insert_with(|| {
            let mut set = take();
            set.lend_to(&self.producer, self.drop_instead_of_stall);
            set
        })
    }

    /// Called before the connection waits: gives the set back, unless something is staged in it.
    pub(crate) fn park(&mut self) {
        if let Some(set) = self.lent.take_if(|set| set.holds_nothing()) {
            give_back(set);
        }
    }

    /// See [`LentFlushSet::new`].
    pub(crate) fn set_drop_instead_of_stall(&mut self, drop_instead_of_stall: bool) {
        self.drop_instead_of_stall = drop_instead_of_stall;
        if let Some(set) = &mut self.lent {
            set.lend_to(&self.producer, drop_instead_of_stall);
        }
    }
}

fn take() -> Box<FlushSet> {
    SETS.try_with(|sets| sets.borrow_mut().pop())
        .ok()
        .flatten()
        .unwrap_or_default()
}

fn give_back(mut set: Box<FlushSet>) {
    if !set.end_loan() {
        return;
    }
    // During a thread's end the pool is gone and the set is simply dropped.
    SETS.try_with(|sets| {
        let mut sets = sets.borrow_mut();
        if sets.len() < POOLED {
            sets.push(set);
        }
    })
    .ok();
}
