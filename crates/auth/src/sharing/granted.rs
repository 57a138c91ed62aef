//! Imports that are granted, and how subjects cross.

use std::sync::Arc;

use jetsled_protocol::{SubjectTransform, subject};

use super::ServiceExport;

/// A granted import of a stream.
#[derive(Debug)]
pub struct GrantedStream {
    /// The exporting account.
    pub exporter: Arc<str>,
    /// The subject there, with wildcards.
    pub from: Box<[u8]>,
    /// The subject here, with wildcards.
    pub to: Box<[u8]>,
    /// Message traces go on in the importing account.
    pub allow_trace: bool,
    pub(super) rewrite: Rewrite,
    pub(super) reverse: Option<SubjectTransform>,
}

/// A granted import of a service.
#[derive(Debug)]
pub struct GrantedService {
    /// The exporting account.
    pub exporter: Arc<str>,
    /// The subject here, with wildcards.
    pub from: Box<[u8]>,
    /// The subject there, with wildcards.
    pub to: Box<[u8]>,
    /// The service is told who asks.
    pub share: bool,
    /// The export that it uses.
    pub export: Arc<ServiceExport>,
    pub(super) rewrite: Rewrite,
}

/// How a literal subject crosses.
#[derive(Debug)]
pub(super) enum Rewrite {
    /// As it is.
    Keep,
    /// Always as this one.
    Fixed(Box<[u8]>),
    Transform(SubjectTransform),
}

impl Rewrite {
    fn apply(&self, literal: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Keep => out.extend_from_slice(literal),
            Self::Fixed(subject) => out.extend_from_slice(subject),
            Self::Transform(transform) => {
                // Clients publish with wildcards where the API takes a filter (`CONSUMER.CREATE.<stream>.<name>.<filter>`).
                transform.apply_to_pattern(literal, out);
            }
        }
    }
}

impl GrantedStream {
    /// Appends the subject under which the importing account sees a message published as `literal`, which matches
    /// [`GrantedStream::from`].
    pub fn localize(&self, literal: &[u8], out: &mut Vec<u8>) {
        self.rewrite.apply(literal, out);
    }

    /// The subjects of the exporting account that reach a subscription to `local`, which collides with
    /// [`GrantedStream::to`]: exactly, or all of the import.
    pub fn exported(&self, local: &[u8]) -> Vec<u8> {
        let mut exported = Vec::new();
        match (&self.rewrite, &self.reverse) {
            (Rewrite::Keep, _) if subject::is_subset(local, &self.from) => local.to_vec(),
            (_, Some(reverse)) if reverse.apply_to_pattern(local, &mut exported) => exported,
            _ => self.from.to_vec(),
        }
    }
}

impl GrantedService {
    /// Appends the subject of the exporting account that a request to `literal`, which matches
    /// [`GrantedService::from`], goes to.
    pub fn rewrite(&self, literal: &[u8], out: &mut Vec<u8>) {
        self.rewrite.apply(literal, out);
    }
}
