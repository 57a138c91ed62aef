//! Account mappings: one source, weighted destinations.

use super::MappingError;

/// One destination of a mapping as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingDestination {
    /// Where to, in the transform language.
    pub subject: String,
    /// In per cent, 0 to 100.
    pub weight: u8,
    /// Only on servers of this cluster; empty for all.
    pub cluster: String,
}

/// A mapping of one source to weighted destinations.
#[derive(Debug, Clone)]
pub struct SubjectMapping {
    source: Box<[u8]>,
}

impl SubjectMapping {
    /// Prepares a mapping for a server of the cluster `cluster` (empty outside clusters). Weights that sum to less than 100
    /// leave the rest unmapped, or, if the source itself is listed, drop it.
    ///
    /// # Errors
    /// See [`MappingError`].
    pub fn new(
        source: &[u8],
        destinations: &[MappingDestination],
        cluster: &str,
    ) -> Result<Self, MappingError> {
        let _ = (source, destinations, cluster);
        todo!()
    }

    /// The source pattern.
    #[must_use]
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Appends to `out` what the literal `subject` becomes, nothing if the mapping drops it, and answers true; or answers false if
    /// the source does not match. `random` picks the destination and feeds `random(n)`; give each message its own.
    pub fn apply(&self, subject: &[u8], random: u64, out: &mut Vec<u8>) -> bool {
        let _ = (subject, random, out);
        todo!()
    }
}
