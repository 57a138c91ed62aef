//! Who is interested in a subject.

mod entries;
mod label;
mod match_result;
mod nodes;
#[cfg(test)]
mod tests;
mod walk;

use std::ops::ControlFlow;
use std::sync::Arc;

use hashbrown::HashMap;

pub use match_result::{MatchResult, QueueGroup, TailIndependence};

use crate::subject;
use nodes::Nodes;

/// Subscriptions by subject: a trie over tokens, in which literal tokens that always come together are one node.
///
/// `T` is what a match answers, cheap to clone: an id or an `Arc`. The list does not look for
/// duplicates. A subscription costs 64 bytes and a few of hash table for what only its subject has, once more for each
/// wildcard there (with items of two words and literals of up to 22 bytes); nothing but the item if its subject is there.
///
/// ```
/// use jetsled_protocol::{MatchResult, Sublist};
///
/// let mut list = Sublist::new();
/// list.insert(b"orders.*", None, 1);
/// list.insert(b"orders.>", Some(b"workers"), 2);
/// let mut result = MatchResult::default();
/// list.match_subject(b"orders.new", &mut result);
/// assert_eq!(result.plain, [1]);
/// assert_eq!(result.queues[0].members, [2]);
/// // No token after `orders.` matters, so that `orders.old` must answer the same.
/// assert_eq!(result.tail_independence.unwrap().prefix_len, "orders.".len());
/// ```
#[derive(Debug)]
pub struct Sublist<T> {
    nodes: Nodes<T>,
    /// Each queue group's name once, and how many items are under it.
    queue_names: HashMap<Arc<[u8]>, usize>,
    len: usize,
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
        Self {
            nodes: Nodes::new(),
            queue_names: HashMap::new(),
            len: 0,
        }
    }

    /// Adds `item` under `subject`, which may have wildcards and should be
    /// [valid](crate::subject::is_valid), as a plain subscription or as a member of the queue group
    /// `queue`.
    pub fn insert(&mut self, subject: &[u8], queue: Option<&[u8]>, item: T) {
        let node = self.nodes.find_or_insert(subject);
        let queue = queue.map(|name| self.intern(name));
        self.nodes[node].entries.insert(queue, item);
        self.len += 1;
    }

    /// Removes and returns the first item under exactly this subject and queue group for which
    /// `is_it` holds.
    pub fn remove(
        &mut self,
        subject: &[u8],
        queue: Option<&[u8]>,
        is_it: impl FnMut(&T) -> bool,
    ) -> Option<T> {
        let node = self.nodes.find(subject)?;
        let item = self.nodes[node].entries.remove(queue, is_it)?;
        self.nodes.prune(node);
        if let Some(queue) = queue {
            self.release(queue);
        }
        self.len -= 1;
        Some(item)
    }

    /// Items in the list.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is in the list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether anything matches the literal `subject`.
    #[must_use]
    pub fn has_interest(&self, subject: &[u8]) -> bool {
        let mut found = false;
        if let Some(tokens) = walk::literal_tokens(subject) {
            walk::matching(&self.nodes, &tokens, |_| {
                found = true;
                ControlFlow::Break(())
            });
        }
        found
    }

    /// Whether there is an item under exactly this subject, as a member of the queue group `queue` or, without one, as
    /// a plain subscription.
    #[must_use]
    pub fn has_exact(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        let mut found = false;
        if let Some(node) = self.nodes.find(subject) {
            self.nodes[node]
                .entries
                .for_each(|group, _| found |= group == queue);
        }
        found
    }

    /// Calls `each` with subject, queue group and item of everything stored, in no particular
    /// order.
    pub fn for_each(&self, each: impl FnMut(&[u8], Option<&[u8]>, &T)) {
        self.for_each_collision(b">", each);
    }

    /// Calls `each` with subject, queue group and item of everything stored whose subject
    /// [collides](crate::subject::collides) with `pattern`, in no particular order.
    pub fn for_each_collision(
        &self,
        pattern: &[u8],
        mut each: impl FnMut(&[u8], Option<&[u8]>, &T),
    ) {
        let pattern: walk::Tokens<'_> = subject::tokens(pattern).collect();
        walk::colliding(&self.nodes, &pattern, |subject, entries| {
            entries.for_each(|queue, item| each(subject, queue, item));
        });
    }

    fn intern(&mut self, name: &[u8]) -> Arc<[u8]> {
        let (name, count) = match self.queue_names.get_key_value_mut(name) {
            Some((known, count)) => (Arc::clone(known), count),
            None => {
                let name: Arc<[u8]> = name.into();
                (Arc::clone(&name), self.queue_names.entry(name).or_insert(0))
            }
        };
        *count += 1;
        name
    }

    fn release(&mut self, name: &[u8]) {
        if let Some(count) = self.queue_names.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                self.queue_names.remove(name);
            }
        }
    }
}

impl<T: Clone> Sublist<T> {
    /// Replaces `result` with what matches the literal `subject`. A subject with an empty token
    /// matches nothing.
    pub fn match_subject(&self, subject: &[u8], result: &mut MatchResult<T>) {
        result.clear();
        let Some(tokens) = walk::literal_tokens(subject) else {
            return;
        };
        let decided = walk::matching(&self.nodes, &tokens, |entries| {
            entries.collect(result);
            ControlFlow::Continue(())
        });
        if let Some(prefix) = tokens.get(..decided).filter(|_| decided < tokens.len()) {
            let prefix_len = prefix.iter().map(|token| token.len() + 1).sum();
            result.tail_independence = Some(TailIndependence {
                tokens: decided,
                prefix_len,
            });
        }
    }
}
