//! Rewriting of subjects: transforms and weighted mappings.

mod error;
mod mapping;

pub use error::{MappingError, TransformError};
pub use mapping::{MappingDestination, SubjectMapping};

/// A rule that rewrites subjects which match its source, in nats-server's transform language: `foo.*` to `bar.{{partition(3,1)}}`.
#[derive(Debug, Clone)]
pub struct SubjectTransform {
    source: Box<[u8]>,
    destination: Box<[u8]>,
}

impl SubjectTransform {
    /// Reads a transform as mappings, streams and sources use it. An empty source is `>`.
    ///
    /// # Errors
    /// See [`TransformError`]; its text is nats-server's.
    pub fn new(source: &[u8], destination: &[u8]) -> Result<Self, TransformError> {
        let _ = (source, destination);
        todo!()
    }

    /// Reads a transform as imports use it: only wildcards may be named, and all of them must be, so that it can be reversed.
    ///
    /// # Errors
    /// See [`TransformError`]; its text is nats-server's.
    pub fn new_strict(source: &[u8], destination: &[u8]) -> Result<Self, TransformError> {
        let _ = (source, destination);
        todo!()
    }

    /// Appends to `out` what the literal `subject` becomes, and answers true; or answers false if the source does not match.
    /// `random` feeds `random(n)`.
    pub fn apply(&self, subject: &[u8], random: u64, out: &mut Vec<u8>) -> bool {
        let _ = (subject, random, out);
        todo!()
    }

    /// Appends to `out` what a subject with the pattern `source` itself, wildcards included, becomes: `foo.*` under `foo.*` to
    /// `bar.$1` is `bar.*`. False if `pattern` is not a subset of the source.
    pub fn apply_to_pattern(&self, pattern: &[u8], out: &mut Vec<u8>) -> bool {
        let _ = (pattern, out);
        todo!()
    }

    /// The transform that undoes this one, for imports.
    ///
    /// # Errors
    /// As [`SubjectTransform::new_strict`].
    pub fn reverse(&self) -> Result<Self, TransformError> {
        todo!()
    }

    /// The source as given.
    #[must_use]
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// The destination as given.
    #[must_use]
    pub fn destination(&self) -> &[u8] {
        &self.destination
    }
}
