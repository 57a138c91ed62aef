//! Walks over the trie.

use std::ops::ControlFlow;

use smallvec::SmallVec;

use super::entries::Entries;
use super::nodes::{NodeId, Nodes};
use crate::subject;

/// Tokens of a subject. Sixteen are rarely exceeded.
pub(super) type Tokens<'a> = SmallVec<[&'a [u8]; 16]>;

/// The tokens of a literal subject, `None` if one is empty.
pub(super) fn literal_tokens(subject: &[u8]) -> Option<Tokens<'_>> {
    let mut tokens = Tokens::new();
    for token in subject::tokens(subject) {
        if token.is_empty() {
            return None;
        }
        tokens.push(token);
    }
    Some(tokens)
}

/// Calls `visit` with what each stored subject that matches the literal `tokens` holds, until it
/// breaks. Answers how many leading tokens decided.
///
/// A token decides only if it was compared, that is, if some node that it was looked up in has literal children or it met one
/// of a label's tokens: below a node with nothing but `*` and `>` every token leads to the same place.
pub(super) fn matching<T>(
    nodes: &Nodes<T>,
    tokens: &[&[u8]],
    mut visit: impl FnMut(&Entries<T>) -> ControlFlow<()>,
) -> usize {
    let mut decided = 0;
    let mut open: SmallVec<[(NodeId, usize); 16]> = SmallVec::new();
    open.push((NodeId::ROOT, 0));
    while let Some((mut id, mut depth)) = open.pop() {
        loop {
            let node = &nodes[id];
            let Some(token) = tokens.get(depth) else {
                if !node.entries.is_empty() && visit(&node.entries).is_break() {
                    return decided;
                }
                break;
            };
            if let Some(full) = node.full
                && visit(&nodes[full].entries).is_break()
            {
                return decided;
            }
            depth += 1;
            let mut literal = None;
            if node.first_literal.is_some() {
                decided = decided.max(depth);
                literal = nodes.literal(id, token);
            }
            let after_label = literal.and_then(|literal| {
                let mut depth = depth;
                for of_label in nodes[literal].label.tail() {
                    let token = tokens.get(depth)?;
                    depth += 1;
                    decided = decided.max(depth);
                    if *token != of_label {
                        return None;
                    }
                }
                Some((literal, depth))
            });
            match (after_label, node.partial) {
                (Some(literal), partial) => {
                    open.extend(partial.map(|partial| (partial, depth)));
                    (id, depth) = literal;
                }
                (None, Some(partial)) => id = partial,
                (None, None) => break,
            }
        }
    }
    decided
}

/// What of the pattern is left for the children of a node.
#[derive(Clone, Copy)]
enum Rest {
    /// The tokens from here on.
    From(usize),
    /// Anything, even nothing: the pattern's `>` was passed.
    Anything,
}

impl Rest {
    /// What is left after these literal tokens; `None` if they do not match.
    fn after<'a>(
        self,
        literals: impl Iterator<Item = &'a [u8]>,
        pattern: &[&[u8]],
    ) -> Option<Self> {
        let Self::From(mut at) = self else {
            return Some(self);
        };
        for literal in literals {
            match *pattern.get(at)? {
                b">" => return Some(Self::Anything),
                b"*" => {}
                token if token == literal => {}
                _ => return None,
            }
            at += 1;
        }
        Some(Self::From(at))
    }
}

/// Calls `each` with subject and entries of every stored subject that collides with `pattern`.
pub(super) fn colliding<T>(
    nodes: &Nodes<T>,
    pattern: &[&[u8]],
    mut each: impl FnMut(&[u8], &Entries<T>),
) {
    let mut path = Vec::new();
    // A node, the length of the path to its parent, and what follows the first token of its label must match.
    let mut open: Vec<(NodeId, usize, Rest)> = vec![(NodeId::ROOT, 0, Rest::From(0))];
    while let Some((id, parent_path_len, rest)) = open.pop() {
        let node = &nodes[id];
        path.truncate(parent_path_len);
        if parent_path_len > 0 {
            path.push(b'.');
        }
        path.extend_from_slice(node.label.as_bytes());
        let Some(rest) = rest.after(node.label.tail(), pattern) else {
            continue;
        };
        let wanted = match rest {
            Rest::From(at) => pattern.get(at).copied(),
            Rest::Anything => None,
        };
        if wanted.is_none() && !node.entries.is_empty() {
            each(&path, &node.entries);
        }
        let child_rest = match (rest, wanted) {
            (Rest::From(_), None) => continue,
            (Rest::From(_), Some(b">")) | (Rest::Anything, _) => Rest::Anything,
            (Rest::From(at), Some(_)) => Rest::From(at + 1),
        };
        // A stored `>` takes all of the pattern's rest.
        open.extend(
            node.full
                .map(|full| (full, path.len(), Rest::From(pattern.len()))),
        );
        open.extend(
            node.partial
                .map(|partial| (partial, path.len(), child_rest)),
        );
        match wanted {
            Some(token) if !subject::is_wildcard(token) => {
                let literal = nodes.literal(id, token);
                open.extend(literal.map(|literal| (literal, path.len(), child_rest)));
            }
            _ => {
                let mut next = node.first_literal;
                while let Some(literal) = next {
                    open.push((literal, path.len(), child_rest));
                    next = nodes[literal].next;
                }
            }
        }
    }
}
