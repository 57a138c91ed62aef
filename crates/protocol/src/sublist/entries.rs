//! What hangs on one node of the trie.

use std::sync::Arc;

use super::{MatchResult, QueueGroup};

/// The items under one subject. Most subjects have exactly one plain item, so that costs nothing
/// beyond the node.
#[derive(Debug)]
pub(super) enum Entries<T> {
    Empty,
    One(T),
    OneInQueue(Box<(Arc<[u8]>, T)>),
    /// Never without any item.
    Many(Box<Many<T>>),
}

#[derive(Debug)]
pub(super) struct Many<T> {
    plain: Vec<T>,
    /// Names are distinct, groups never empty.
    queues: Vec<QueueGroup<T>>,
}

impl<T> Entries<T> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// `queue` comes from the list's interned names.
    pub(super) fn insert(&mut self, queue: Option<Arc<[u8]>>, item: T) {
        let mut many = match (std::mem::replace(self, Self::Empty), queue) {
            (Self::Empty, None) => {
                *self = Self::One(item);
                return;
            }
            (Self::Empty, Some(queue)) => {
                *self = Self::OneInQueue(Box::new((queue, item)));
                return;
            }
            (Self::One(first), queue) => {
                let mut many = Box::new(Many {
                    plain: vec![first],
                    queues: Vec::new(),
                });
                many.insert(queue, item);
                many
            }
            (Self::OneInQueue(first), queue) => {
                let (name, first) = *first;
                let group = QueueGroup {
                    name,
                    members: vec![first],
                };
                let mut many = Box::new(Many {
                    plain: Vec::new(),
                    queues: vec![group],
                });
                many.insert(queue, item);
                many
            }
            (Self::Many(mut many), queue) => {
                many.insert(queue, item);
                many
            }
        };
        many.shrink_slack();
        *self = Self::Many(many);
    }

    pub(super) fn remove(
        &mut self,
        queue: Option<&[u8]>,
        mut is_it: impl FnMut(&T) -> bool,
    ) -> Option<T> {
        match std::mem::replace(self, Self::Empty) {
            Self::One(item) if queue.is_none() && is_it(&item) => Some(item),
            Self::OneInQueue(entry) if queue == Some(&entry.0[..]) && is_it(&entry.1) => {
                Some(entry.1)
            }
            Self::Many(mut many) => {
                let removed = many.remove(queue, is_it);
                if !many.is_empty() {
                    *self = Self::Many(many);
                }
                removed
            }
            unchanged => {
                *self = unchanged;
                None
            }
        }
    }

    pub(super) fn for_each(&self, mut each: impl FnMut(Option<&[u8]>, &T)) {
        match self {
            Self::Empty => {}
            Self::One(item) => each(None, item),
            Self::OneInQueue(entry) => each(Some(&entry.0), &entry.1),
            Self::Many(many) => {
                many.plain.iter().for_each(|item| each(None, item));
                for group in &many.queues {
                    group
                        .members
                        .iter()
                        .for_each(|item| each(Some(&group.name), item));
                }
            }
        }
    }
}

impl<T: Clone> Entries<T> {
    pub(super) fn collect(&self, result: &mut MatchResult<T>) {
        match self {
            Self::Empty => {}
            Self::One(item) => result.plain.push(item.clone()),
            Self::OneInQueue(entry) => {
                add_members(result, &entry.0, std::slice::from_ref(&entry.1));
            }
            Self::Many(many) => {
                result.plain.extend_from_slice(&many.plain);
                if result.queues.is_empty() {
                    result.queues.extend_from_slice(&many.queues);
                } else {
                    for group in &many.queues {
                        add_members(result, &group.name, &group.members);
                    }
                }
            }
        }
    }
}

fn add_members<T: Clone>(result: &mut MatchResult<T>, name: &Arc<[u8]>, members: &[T]) {
    // Names are interned, so that the same name is the same allocation.
    match result
        .queues
        .iter_mut()
        .find(|group| Arc::ptr_eq(&group.name, name))
    {
        Some(group) => group.members.extend_from_slice(members),
        None => {
            result.queues.push(QueueGroup {
                name: Arc::clone(name),
                members: members.to_vec(),
            });
        }
    }
}

impl<T> Many<T> {
    fn insert(&mut self, queue: Option<Arc<[u8]>>, item: T) {
        let Some(name) = queue else {
            self.plain.push(item);
            return;
        };
        match self
            .queues
            .iter_mut()
            .find(|group| Arc::ptr_eq(&group.name, &name))
        {
            Some(group) => group.members.push(item),
            None => self.queues.push(QueueGroup {
                name,
                members: vec![item],
            }),
        }
    }

    fn remove(&mut self, queue: Option<&[u8]>, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let Some(name) = queue else {
            let at = self.plain.iter().position(is_it)?;
            return Some(self.plain.swap_remove(at));
        };
        let group_at = self.queues.iter().position(|group| *group.name == *name)?;
        let members = &mut self.queues.get_mut(group_at)?.members;
        let at = members.iter().position(is_it)?;
        let item = members.swap_remove(at);
        if members.is_empty() {
            self.queues.swap_remove(group_at);
        }
        Some(item)
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.queues.is_empty()
    }

    /// Vectors grow to four at once; most stay at two or three.
    fn shrink_slack(&mut self) {
        if self.plain.len() < 4 {
            self.plain.shrink_to_fit();
        }
    }
}
