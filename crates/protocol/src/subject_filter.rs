//! A set of patterns, prepared for matching many subjects.

/// A set of subject patterns such as a consumer's filters. A pattern without wildcards costs one hash lookup however many there
/// are.
#[derive(Debug, Clone, Default)]
pub struct SubjectFilter {
    patterns: Vec<Box<[u8]>>,
}

impl SubjectFilter {
    /// Prepares a set. No patterns at all is no filter: it matches every subject.
    pub fn new<P: AsRef<[u8]>>(patterns: impl IntoIterator<Item = P>) -> Self {
        Self {
            patterns: patterns.into_iter().map(|p| p.as_ref().into()).collect(),
        }
    }

    /// Whether the literal `subject` matches one of the patterns.
    #[must_use]
    pub fn matches(&self, subject: &[u8]) -> bool {
        let _ = subject;
        todo!()
    }

    /// Whether every subject matches: no patterns, or `>` among them.
    #[must_use]
    pub fn matches_all(&self) -> bool {
        todo!()
    }

    /// The single literal subject that this set stands for, if that is all.
    #[must_use]
    pub fn single_literal(&self) -> Option<&[u8]> {
        todo!()
    }

    /// The patterns as given.
    pub fn patterns(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.patterns.iter().map(|p| &**p)
    }
}
