//! The trie's nodes: an arena, and one hash table for all edges.

use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::entries::Entries;
use super::token::Token;

/// Where a node lies in the arena, counted from 1 so that an absent one takes no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId(NonZeroU32);

impl NodeId {
    pub(super) const ROOT: Self = Self(NonZeroU32::MIN);

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A token at its place. 64 bytes for items of 8.
#[derive(Debug)]
pub(super) struct Node<T> {
    pub(super) token: Token,
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
    fn new(parent: NodeId, token: &[u8]) -> Self {
        Self {
            token: Token::new(token),
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
    /// Literal children by parent and token.
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

    /// The child with the literal `token`.
    pub(super) fn literal(&self, parent: NodeId, token: &[u8]) -> Option<NodeId> {
        let hash = self.hasher.hash_one((parent, token));
        self.edges
            .find(hash, |id| self.is_edge(*id, parent, token))
            .copied()
    }

    /// The child with `token`, be it a wildcard.
    pub(super) fn child(&self, parent: NodeId, token: &[u8]) -> Option<NodeId> {
        match token {
            b"*" => self[parent].partial,
            b">" => self[parent].full,
            literal => self.literal(parent, literal),
        }
    }

    pub(super) fn child_or_insert(&mut self, parent: NodeId, token: &[u8]) -> NodeId {
        if let Some(id) = self.child(parent, token) {
            return id;
        }
        let id = self.allocate(Node::new(parent, token));
        match token {
            b"*" => self[parent].partial = Some(id),
            b">" => self[parent].full = Some(id),
            _ => self.link_literal(parent, id),
        }
        id
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
            node.token = Token::EMPTY;
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
            hasher.hash_one((node.parent, node.token.as_bytes()))
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
        self.hasher.hash_one((node.parent, node.token.as_bytes()))
    }

    fn is_edge(&self, id: NodeId, parent: NodeId, token: &[u8]) -> bool {
        let node = &self[id];
        node.parent == parent && node.token.as_bytes() == token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_fills_one_cache_line() {
        assert_eq!(size_of::<Node<u64>>(), 64);
    }
}
