//! The trie's nodes: an arena, and one hash table for all edges.

use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::entries::Entries;
use super::label::Label;
use crate::subject;

/// Where a node lies in the arena, counted from 1 so that an absent one takes no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId(NonZeroU32);

impl NodeId {
    pub(super) const ROOT: Self = Self(NonZeroU32::MIN);

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A label at its place. 64 bytes for items of up to 16.
#[derive(Debug)]
pub(super) struct Node<T> {
    /// A wildcard stands alone; literal tokens that nothing lies between are one label.
    pub(super) label: Label,
    pub(super) entries: Entries<T>,
    parent: NodeId,
    /// The `*` child.
    pub(super) partial: Option<NodeId>,
    /// The `>` child.
    pub(super) full: Option<NodeId>,
    /// The first of the children with literal tokens, which are chained.
    pub(super) first_literal: Option<NodeId>,
    /// The next in the parent's chain of literals; of a vacant node, the next vacant one.
    pub(super) next: Option<NodeId>,
    previous: Option<NodeId>,
}

impl<T> Node<T> {
    fn new(parent: NodeId, label: &[u8]) -> Self {
        Self {
            label: Label::new(label),
            entries: Entries::Empty,
            parent,
            partial: None,
            full: None,
            first_literal: None,
            next: None,
            previous: None,
        }
    }

    fn is_unused(&self) -> bool {
        self.entries.is_empty()
            && self.first_literal.is_none()
            && self.partial.is_none()
            && self.full.is_none()
    }
}

/// Nodes per block of the arena. Blocks never move, so that growing costs no copy and no slack of
/// more than a block.
const BLOCK: usize = 1024;

#[derive(Debug)]
pub(super) struct Nodes<T> {
    blocks: Vec<Vec<Node<T>>>,
    vacant: Option<NodeId>,
    /// Literal children by parent and first token.
    edges: HashTable<NodeId>,
    hasher: DefaultHashBuilder,
}

impl<T> Index<NodeId> for Nodes<T> {
    type Output = Node<T>;

    fn index(&self, id: NodeId) -> &Node<T> {
        &self.blocks[id.index() / BLOCK][id.index() % BLOCK]
    }
}

impl<T> IndexMut<NodeId> for Nodes<T> {
    fn index_mut(&mut self, id: NodeId) -> &mut Node<T> {
        &mut self.blocks[id.index() / BLOCK][id.index() % BLOCK]
    }
}

impl<T> Nodes<T> {
    pub(super) fn new() -> Self {
        Self {
            blocks: vec![vec![Node::new(NodeId::ROOT, b"")]],
            vacant: None,
            edges: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// The child whose label starts with the literal `token`.
    pub(super) fn literal(&self, parent: NodeId, token: &[u8]) -> Option<NodeId> {
        let hash = self.hasher.hash_one((parent, token));
        self.edges
            .find(hash, |id| self.is_edge(*id, parent, token))
            .copied()
    }

    /// The node of exactly this subject.
    pub(super) fn find(&self, subject: &[u8]) -> Option<NodeId> {
        let mut tokens = subject::tokens(subject);
        let mut id = NodeId::ROOT;
        while let Some(token) = tokens.next() {
            id = match token {
                b"*" => self[id].partial?,
                b">" => self[id].full?,
                literal => self.literal(id, literal)?,
            };
            for of_label in self[id].label.tail() {
                if tokens.next() != Some(of_label) {
                    return None;
                }
            }
        }
        Some(id)
    }

    /// The node of exactly this subject, made if need be.
    pub(super) fn find_or_insert(&mut self, subject: &[u8]) -> NodeId {
        let mut id = NodeId::ROOT;
        let mut rest = Some(subject);
        while let Some(here) = rest {
            let (token, after) = split_first(here);
            (id, rest) = match token {
                b"*" => match self[id].partial {
                    Some(partial) => (partial, after),
                    None => {
                        let partial = self.allocate(Node::new(id, token));
                        self[id].partial = Some(partial);
                        (partial, after)
                    }
                },
                b">" => match self[id].full {
                    Some(full) => (full, after),
                    None => {
                        let full = self.allocate(Node::new(id, token));
                        self[id].full = Some(full);
                        (full, after)
                    }
                },
                literal => match self.literal(id, literal) {
                    Some(child) => self.descend(child, here),
                    None => {
                        let (label, after) = split_literals(here);
                        let child = self.allocate(Node::new(id, label));
                        self.link_literal(id, child);
                        (child, after)
                    }
                },
            };
        }
        id
    }

    /// Follows a literal child whose label starts as `subject` does, as far as both agree; where they part, the node is split.
    /// Answers where that leads, and what is left of the subject.
    fn descend<'a>(&mut self, child: NodeId, subject: &'a [u8]) -> (NodeId, Option<&'a [u8]>) {
        let (first, mut rest) = split_first(subject);
        let mut common = first.len();
        let label_len = self[child].label.as_bytes().len();
        for token in self[child].label.tail() {
            match rest.map(split_first) {
                Some((next, after)) if next == token => {
                    common += 1 + token.len();
                    rest = after;
                }
                _ => break,
            }
        }
        if common == label_len {
            (child, rest)
        } else {
            (self.split(child, common), rest)
        }
    }

    /// Puts a node with the first `len` bytes of the label of `lower` between it and its parent, and answers it.
    fn split(&mut self, lower: NodeId, len: usize) -> NodeId {
        let parent = self[lower].parent;
        self.unlink_literal(parent, lower);
        let label = std::mem::replace(&mut self[lower].label, Label::EMPTY);
        let (upper_label, lower_label) = label.as_bytes().split_at(len);
        let upper = self.allocate(Node::new(parent, upper_label));
        self.link_literal(parent, upper);
        let node = &mut self[lower];
        // Without the `.` between them.
        node.label = Label::new(lower_label.get(1..).unwrap_or_default());
        node.parent = upper;
        node.previous = None;
        self.link_literal(upper, lower);
        upper
    }

    /// Removes the node and then its ancestors as long as they hold nothing.
    pub(super) fn prune(&mut self, mut id: NodeId) {
        while id != NodeId::ROOT && self[id].is_unused() {
            let parent = self[id].parent;
            if self[parent].partial == Some(id) {
                self[parent].partial = None;
            } else if self[parent].full == Some(id) {
                self[parent].full = None;
            } else {
                self.unlink_literal(parent, id);
            }
            let next_vacant = self.vacant.replace(id);
            let node = &mut self[id];
            node.label = Label::EMPTY;
            node.previous = None;
            node.next = next_vacant;
            id = parent;
        }
        if self[NodeId::ROOT].is_unused() {
            *self = Self::new();
        }
    }

    fn allocate(&mut self, node: Node<T>) -> NodeId {
        if let Some(id) = self.vacant {
            self.vacant = self[id].next;
            self[id] = node;
            return id;
        }
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let full_blocks = self.blocks.len() - 1;
        let block = &mut self.blocks[full_blocks];
        block.push(node);
        let id = u32::try_from(full_blocks * BLOCK + block.len())
            .ok()
            .and_then(NonZeroU32::new);
        NodeId(id.expect("four thousand million nodes do not fit into memory"))
    }

    fn link_literal(&mut self, parent: NodeId, id: NodeId) {
        let next = self[parent].first_literal.replace(id);
        self[id].next = next;
        if let Some(next) = next {
            self[next].previous = Some(id);
        }
        let hash = self.edge_hash(id);
        let Self {
            blocks,
            edges,
            hasher,
            ..
        } = self;
        edges.insert_unique(hash, id, |id| {
            let node = &blocks[id.index() / BLOCK][id.index() % BLOCK];
            hasher.hash_one((node.parent, node.label.first()))
        });
    }

    fn unlink_literal(&mut self, parent: NodeId, id: NodeId) {
        let hash = self.edge_hash(id);
        if let Ok(edge) = self.edges.find_entry(hash, |other| *other == id) {
            edge.remove();
        }
        let (previous, next) = (self[id].previous, self[id].next);
        match previous {
            Some(previous) => self[previous].next = next,
            None => self[parent].first_literal = next,
        }
        if let Some(next) = next {
            self[next].previous = previous;
        }
    }

    fn edge_hash(&self, id: NodeId) -> u64 {
        let node = &self[id];
        self.hasher.hash_one((node.parent, node.label.first()))
    }

    fn is_edge(&self, id: NodeId, parent: NodeId, token: &[u8]) -> bool {
        let node = &self[id];
        node.parent == parent && node.label.starts_with(token)
    }
}

/// The first token, and what follows its `.`.
fn split_first(subject: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'.', subject) {
        Some(dot) => (
            subject.get(..dot).unwrap_or_default(),
            subject.get(dot + 1..),
        ),
        None => (subject, None),
    }
}

/// The literal tokens at the front, at least one, and what follows their `.`.
fn split_literals(subject: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (first, mut rest) = split_first(subject);
    let mut len = first.len();
    while let Some((token, after)) = rest.map(split_first) {
        if subject::is_wildcard(token) {
            break;
        }
        len += 1 + token.len();
        rest = after;
    }
    (subject.get(..len).unwrap_or_default(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_fills_one_cache_line() {
        assert_eq!(size_of::<Node<u64>>(), 64);
    }
}
