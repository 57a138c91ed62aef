//! A set of patterns, prepared for matching many subjects.

use hashbrown::HashSet;

use crate::{Sublist, subject};

/// Up to this many patterns with wildcards are tried one by one, which beats a trie.
const FEW: usize = 4;

/// A set of subject patterns such as a consumer's filters.
///
/// All patterns without wildcards together cost one hash lookup; those with wildcards a walk down a
/// trie if there are more than a few.
#[derive(Debug, Default)]
pub struct SubjectFilter {
    patterns: Box<[Box<[u8]>]>,
    matcher: Matcher,
}

#[derive(Debug, Default)]
enum Matcher {
    #[default]
    All,
    /// The only pattern, and it has no wildcard.
    Literal,
    /// Boxed, since most consumers have one filter or none.
    Mixed(Box<Mixed>),
}

#[derive(Debug)]
struct Mixed {
    literals: HashSet<Box<[u8]>>,
    wildcards: Wildcards,
}

#[derive(Debug)]
enum Wildcards {
    Few(Vec<Box<[u8]>>),
    Many(Sublist<()>),
}

impl Clone for SubjectFilter {
    fn clone(&self) -> Self {
        Self::new(self.patterns.iter())
    }
}

impl SubjectFilter {
    /// Prepares a set. No patterns at all is no filter: it matches every subject.
    pub fn new<P: AsRef<[u8]>>(patterns: impl IntoIterator<Item = P>) -> Self {
        let patterns: Box<[Box<[u8]>]> = patterns.into_iter().map(|p| p.as_ref().into()).collect();
        let matcher = Matcher::new(&patterns);
        Self { patterns, matcher }
    }

    /// Whether the literal `subject` matches one of the patterns.
    #[must_use]
    pub fn matches(&self, subject: &[u8]) -> bool {
        match &self.matcher {
            Matcher::All => true,
            Matcher::Literal => self
                .patterns
                .first()
                .is_some_and(|literal| **literal == *subject),
            Matcher::Mixed(mixed) => {
                mixed.literals.contains(subject) || mixed.wildcards.match_one(subject)
            }
        }
    }

    /// Whether every subject matches: no patterns, or `>` among them.
    #[must_use]
    pub fn matches_all(&self) -> bool {
        matches!(self.matcher, Matcher::All)
    }

    /// The single literal subject that this set stands for, if that is all.
    #[must_use]
    pub fn single_literal(&self) -> Option<&[u8]> {
        match self.matcher {
            Matcher::Literal => self.patterns.first().map(|literal| &**literal),
            _ => None,
        }
    }

    /// The patterns as given.
    pub fn patterns(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.patterns.iter().map(|p| &**p)
    }
}

impl Matcher {
    fn new(patterns: &[Box<[u8]>]) -> Self {
        if patterns.is_empty() || patterns.iter().any(|pattern| **pattern == *b">") {
            return Self::All;
        }
        if let [only] = patterns
            && !subject::has_wildcard(only)
        {
            return Self::Literal;
        }
        let (wildcards, literals): (Vec<_>, Vec<_>) = patterns
            .iter()
            .cloned()
            .partition(|pattern| subject::has_wildcard(pattern));
        Self::Mixed(Box::new(Mixed {
            literals: literals.into_iter().collect(),
            wildcards: Wildcards::new(wildcards),
        }))
    }
}

impl Wildcards {
    fn new(patterns: Vec<Box<[u8]>>) -> Self {
        if patterns.len() <= FEW {
            return Self::Few(patterns);
        }
        let mut list = Sublist::new();
        for pattern in &patterns {
            list.insert(pattern, None, ());
        }
        Self::Many(list)
    }

    fn match_one(&self, subject: &[u8]) -> bool {
        match self {
            Self::Few(patterns) => patterns
                .iter()
                .any(|pattern| subject::matches(subject, pattern)),
            Self::Many(list) => list.has_interest(subject),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn special_sets() {
        let check = |patterns: &[&str], all: bool, single: Option<&str>| {
            let filter = SubjectFilter::new(patterns);
            assert_eq!(filter.matches_all(), all);
            assert_eq!(filter.single_literal(), single.map(str::as_bytes));
            assert!(filter.patterns().eq(patterns.iter().map(|p| p.as_bytes())));
        };
        check(&[], true, None);
        check(&["a", ">"], true, None);
        check(&["a.b"], false, Some("a.b"));
        check(&["a.*"], false, None);
        check(&["a", "b"], false, None);
    }

    fn subjects(count: Range<usize>) -> impl Strategy<Value = Vec<String>> {
        let token = proptest::sample::select(&["a", "b", "c", "*", "d"][..]);
        let subject = proptest::collection::vec(token, 1..4).prop_map(|tokens| tokens.join("."));
        let pattern = prop_oneof![3 => subject.clone(), 1 => subject.prop_map(|s| s + ".>")];
        proptest::collection::vec(pattern, count)
    }

    proptest! {
        #[test]
        fn a_set_matches_what_one_of_its_patterns_matches(
            patterns in subjects(0..12), literals in subjects(1..20),
        ) {
            let filter = SubjectFilter::new(&patterns);
            for literal in &literals {
                let expected = patterns.is_empty()
                    || patterns.iter().any(|p| subject::matches(literal.as_bytes(), p.as_bytes()));
                prop_assert_eq!(filter.clone().matches(literal.as_bytes()), expected);
            }
        }
    }
}
