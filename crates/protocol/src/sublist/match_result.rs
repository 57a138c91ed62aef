//! What a match answers.

use std::sync::Arc;

/// The subscriptions that want a subject. Reuse one to save allocations.
#[derive(Debug, Clone)]
pub struct MatchResult<T> {
    /// Each of these gets the message.
    pub plain: Vec<T>,
    /// One member of each of these gets the message. Names are distinct.
    pub queues: Vec<QueueGroup<T>>,
    /// Whether later tokens of the subject could not have changed the result.
    pub tail_independence: Option<TailIndependence>,
}

/// The members of one queue group that match. A group is known by its name alone, whatever its
/// members' subjects.
#[derive(Debug, Clone)]
pub struct QueueGroup<T> {
    /// The group's name.
    pub name: Arc<[u8]>,
    /// At least one.
    pub members: Vec<T>,
}

/// How much of a subject decided a match.
///
/// Any subject with the same first `tokens` tokens **and the same number of tokens in total, none
/// of them empty** has the same result until the list changes. So results for unique reply subjects
/// can be cached by prefix: `_INBOX.abc.1` and `_INBOX.abc.2` are answered alike where only
/// `_INBOX.abc.*` is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailIndependence {
    /// Leading tokens that decided; less than the subject has. 0 if not even the first mattered.
    pub tokens: usize,
    /// Length of these tokens in the subject in bytes, with the `.` after the last of them.
    pub prefix_len: usize,
}

impl<T> Default for MatchResult<T> {
    fn default() -> Self {
        Self {
            plain: Vec::new(),
            queues: Vec::new(),
            tail_independence: None,
        }
    }
}

impl<T> MatchResult<T> {
    /// Forgets everything, keeping allocations.
    pub fn clear(&mut self) {
        self.plain.clear();
        self.queues.clear();
        self.tail_independence = None;
    }

    /// Whether nobody wants the subject.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.queues.is_empty()
    }
}
