//! Who is interested in a subject.

mod match_result;

pub use match_result::{MatchResult, QueueGroup, TailIndependence};

/// Subscriptions by subject: a trie over tokens.
///
/// `T` is what a match answers, cheap to clone: an id or an `Arc`. The list does not look for duplicates.
#[derive(Debug)]
pub struct Sublist<T> {
    items: Vec<T>,
}

impl<T> Default for Sublist<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Sublist<T> {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self { items: Vec::new() }
    }

    /// Adds `item` under `subject`, which may have wildcards and should be [valid](crate::subject::is_valid), as a plain
    /// subscription or as a member of the queue group `queue`.
    pub fn insert(&mut self, subject: &[u8], queue: Option<&[u8]>, item: T) {
        let _ = (subject, queue, item);
        todo!()
    }

    /// Removes and returns the first item under exactly this subject and queue group for which `is_it` holds.
    pub fn remove(
        &mut self,
        subject: &[u8],
        queue: Option<&[u8]>,
        is_it: impl FnMut(&T) -> bool,
    ) -> Option<T> {
        let _ = (subject, queue, is_it);
        todo!()
    }

    /// Items in the list.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing is in the list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether anything matches the literal `subject`.
    #[must_use]
    pub fn has_interest(&self, subject: &[u8]) -> bool {
        let _ = subject;
        todo!()
    }

    /// Calls `each` with subject, queue group and item of everything stored.
    pub fn for_each(&self, each: impl FnMut(&[u8], Option<&[u8]>, &T)) {
        let _ = each;
        todo!()
    }

    /// Calls `each` with subject, queue group and item of everything stored whose subject [collides](crate::subject::collides)
    /// with `pattern`.
    pub fn for_each_collision(&self, pattern: &[u8], each: impl FnMut(&[u8], Option<&[u8]>, &T)) {
        let _ = (pattern, each);
        todo!()
    }
}

impl<T: Clone> Sublist<T> {
    /// Replaces `result` with what matches the literal `subject`. A subject with an empty token matches nothing.
    pub fn match_subject(&self, subject: &[u8], result: &mut MatchResult<T>) {
        let _ = (subject, result);
        todo!()
    }
}
