//! Which messages of a stream are schedules, and when each is due.

use std::collections::{BTreeSet, HashMap};

/// Schedules by the sequences of their messages.
#[derive(Debug, Default, Clone)]
pub(super) struct Schedules {
    by_seq: HashMap<u64, i64>,
    /// Deadline and sequence of those that wait; what has been sent and not stored yet does not.
    waiting: BTreeSet<(i64, u64)>,
}

impl Schedules {
    pub(super) fn is_empty(&self) -> bool {
        self.by_seq.is_empty()
    }

    /// `deadline`: nanoseconds since 1970. Sets it anew for a schedule that has one.
    pub(super) fn set(&mut self, seq: u64, deadline: i64) {
        if let Some(before) = self.by_seq.insert(seq, deadline) {
            self.waiting.remove(&(before, seq));
        }
        self.waiting.insert((deadline, seq));
    }

    /// Sets the deadline of what is a schedule already.
    pub(super) fn move_to(&mut self, seq: u64, deadline: i64) {
        if self.by_seq.contains_key(&seq) {
            self.set(seq, deadline);
        }
    }

    /// A message of this time says when the schedule that has sent it is due next. One that was not due then has not sent it: what did is gone,
    /// by damage to its own record, and what it had replaced is back.
    pub(super) fn has_sent(&mut self, seq: u64, time: i64, next: i64) {
        if self.by_seq.get(&seq).is_some_and(|due| *due <= time) {
            self.set(seq, next);
        }
    }

    pub(super) fn remove(&mut self, seq: u64) {
        if let Some(deadline) = self.by_seq.remove(&seq) {
            self.waiting.remove(&(deadline, seq));
        }
    }

    pub(super) fn clear(&mut self) {
        self.by_seq.clear();
        self.waiting.clear();
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<i64> {
        self.waiting.first().map(|(deadline, _)| *deadline)
    }

    /// Takes a schedule that is due at `now`, with its deadline; it does not wait until its deadline is set anew.
    pub(super) fn take_due(&mut self, now: i64) -> Option<(i64, u64)> {
        if self.next()? > now {
            return None;
        }
        self.waiting.pop_first()
    }

    /// Sequence and deadline of each, in order of the sequences.
    pub(super) fn sorted(&self) -> Vec<(u64, i64)> {
        let mut all: Vec<_> = self.by_seq.iter().map(|(seq, at)| (*seq, *at)).collect();
        all.sort_unstable();
        all
    }
}

impl FromIterator<(u64, i64)> for Schedules {
    fn from_iter<T: IntoIterator<Item = (u64, i64)>>(all: T) -> Self {
        let mut schedules = Self::default();
        for (seq, deadline) in all {
            schedules.set(seq, deadline);
        }
        schedules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_waits_for_its_last_deadline_and_is_taken_once() {
        let mut schedules = Schedules::default();
        schedules.set(1, 10);
        schedules.set(2, 5);
        schedules.set(2, 20);
        schedules.move_to(3, 1);
        assert_eq!(schedules.next(), Some(10));
        assert_eq!(schedules.take_due(9), None);
        assert_eq!(schedules.take_due(10), Some((10, 1)));
        assert_eq!((schedules.take_due(10), schedules.next()), (None, Some(20)));
        assert_eq!(
            schedules.sorted(),
            [(1, 10), (2, 20)],
            "it is still a schedule"
        );
        schedules.move_to(1, 30);
        schedules.remove(2);
        assert_eq!(schedules.take_due(100), Some((30, 1)));
        schedules.remove(1);
        assert!(schedules.is_empty() && schedules.take_due(100).is_none());
    }

    #[test]
    fn a_schedule_goes_on_as_what_was_sent_says_only_if_it_was_due() {
        let mut schedules = Schedules::default();
        schedules.set(1, 10);
        schedules.has_sent(1, 9, 15);
        schedules.has_sent(2, 9, 15);
        assert_eq!(schedules.sorted(), [(1, 10)]);
        assert_eq!(schedules.take_due(10), Some((10, 1)));
        schedules.has_sent(1, 10, 15);
        assert_eq!(
            (schedules.sorted(), schedules.next()),
            (vec![(1, 15)], Some(15))
        );
    }
}
