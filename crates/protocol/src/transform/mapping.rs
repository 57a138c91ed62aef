//! Account mappings: one source, weighted destinations.

use super::function::Call;
use super::{MappingError, SubjectTransform, TransformError, text};
use crate::subject;

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
    is_literal: bool,
    /// With the weights summed up so far, ascending.
    destinations: Vec<(u8, SubjectTransform)>,
}

impl SubjectMapping {
    /// Prepares a mapping for a server of the cluster `cluster` (empty outside clusters). Weights
    /// that sum to less than 100 leave the rest unmapped, or, if the source itself is listed, drop
    /// it.
    ///
    /// # Errors
    /// See [`MappingError`].
    pub fn new(
        source: &[u8],
        destinations: &[MappingDestination],
        cluster: &str,
    ) -> Result<Self, MappingError> {
        if !subject::is_valid(source) {
            return Err(TransformError::InvalidSubject.into());
        }
        let mut transforms = Vec::with_capacity(destinations.len());
        for (at, destination) in destinations.iter().enumerate() {
            check_weight(destination, destinations.get(..at).unwrap_or_default())?;
            check_destination(destination.subject.as_bytes())?;
            transforms.push(SubjectTransform::new(
                source,
                destination.subject.as_bytes(),
            )?);
        }
        let scoped = !cluster.is_empty() && destinations.iter().any(|d| d.cluster == cluster);
        let group = if scoped { cluster } else { "" };
        let mut weighted: Vec<_> = destinations
            .iter()
            .zip(transforms)
            .filter(|(destination, _)| destination.cluster == group)
            .map(|(destination, transform)| (destination.weight, transform))
            .collect();
        let total: u8 = weighted.iter().map(|(weight, _)| weight).sum();
        let loses_rest = destinations.iter().any(|d| d.subject.as_bytes() == source);
        if total < 100 && !loses_rest {
            weighted.push((
                100 - total,
                SubjectTransform::new(source, &identity(source))?,
            ));
        }
        weighted.sort_by_key(|(weight, _)| *weight);
        let mut sum = 0;
        for (weight, _) in &mut weighted {
            sum += *weight;
            *weight = sum;
        }
        let is_literal = !subject::has_wildcard(source);
        Ok(Self {
            source: source.into(),
            is_literal,
            destinations: weighted,
        })
    }

    /// The source pattern.
    #[must_use]
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// The destinations as configured with their weights summed up, ascending; the last may be the source itself.
    pub fn destinations(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let destinations = self.destinations.iter();
        destinations.map(|(up_to, transform)| (*up_to, transform.destination()))
    }

    /// Appends to `out` what the literal `subject` becomes, nothing if the mapping drops it, and
    /// answers true; or answers false if the source does not match. `random` picks the destination
    /// and feeds `random(n)`; give each message its own.
    pub fn apply(&self, subject: &[u8], random: u64, out: &mut Vec<u8>) -> bool {
        if !subject::is_subset(subject, &self.source) {
            return false;
        }
        let percent = random % 100;
        let chosen = self
            .destinations
            .iter()
            .find(|(up_to, _)| percent < u64::from(*up_to));
        if let Some((_, transform)) = chosen {
            // nats-server does not take a subject apart that equals the source, so that the hash of
            // `partition(n)` is then that of nothing. Seen on 2.15.1: `foo` to
            // `bar.{{partition(5)}}` gives `bar.1`.
            let hashed = if self.is_literal { &[] } else { subject };
            transform.rewrite(hashed, random, out);
        }
        true
    }
}

fn check_weight(
    destination: &MappingDestination,
    earlier: &[MappingDestination],
) -> Result<(), MappingError> {
    if earlier
        .iter()
        .any(|other| other.subject == destination.subject)
    {
        return Err(MappingError::DuplicateDestination(
            destination.subject.clone(),
        ));
    }
    if destination.weight > 100 {
        return Err(MappingError::Weight);
    }
    let same_group = earlier
        .iter()
        .filter(|other| other.cluster == destination.cluster);
    // None of the earlier ones is more than 100 in total.
    if same_group.map(|other| other.weight).sum::<u8>() + destination.weight > 100 {
        return Err(MappingError::TotalWeight);
    }
    Ok(())
}

/// What mappings ask of a destination beyond what every transform does.
fn check_destination(destination: &[u8]) -> Result<(), TransformError> {
    let mut after_full_wildcard = false;
    for token in subject::tokens(destination) {
        let invalid = |token| Err(TransformError::InvalidTransform { token });
        if token.is_empty() || after_full_wildcard {
            return invalid(text(token));
        }
        after_full_wildcard = token == b">";
        let blank = token
            .iter()
            .any(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r'));
        if blank && Call::parse(token)?.is_none() {
            return invalid(String::new());
        }
    }
    Ok(())
}

/// The destination that leaves a subject as it is: `foo.$1` for `foo.*`.
fn identity(source: &[u8]) -> Vec<u8> {
    let mut wildcards = 0;
    let tokens: Vec<Vec<u8>> = subject::tokens(source)
        .map(|token| {
            if token != b"*" {
                return token.to_vec();
            }
            wildcards += 1;
            format!("${wildcards}").into_bytes()
        })
        .collect();
    tokens.join(&b'.')
}
