//! Rewriting of subjects: transforms and weighted mappings.

mod error;
mod evaluate;
mod function;
mod mapping;
#[cfg(test)]
mod tests;

use smallvec::SmallVec;

pub use error::{MappingError, TransformError};
pub use mapping::{MappingDestination, SubjectMapping};

use crate::subject;
use evaluate::Arguments;
use function::{Call, Function, text};

/// A rule that rewrites subjects which match its source, in nats-server's transform language:
/// `foo.*` to `bar.{{partition(3,1)}}`.
///
/// ```
/// use jetsled_protocol::SubjectTransform;
///
/// let transform = SubjectTransform::new(b"foo.*.*", b"bar.$2.{{left(1,1)}}").unwrap();
/// let mut out = Vec::new();
/// assert!(transform.apply(b"foo.one.two", 0, &mut out));
/// assert_eq!(out, b"bar.two.o");
/// assert!(!transform.apply(b"foo.one", 0, &mut out));
/// ```
#[derive(Debug, Clone)]
pub struct SubjectTransform {
    source: Box<[u8]>,
    destination: Box<[u8]>,
    parts: Vec<Part>,
    /// How many source tokens come before the `>`, if both sides have one.
    tail_at: Option<usize>,
}

/// A destination token, but for the `>`.
#[derive(Debug, Clone)]
enum Part {
    Literal(Box<[u8]>),
    /// A function and the positions of the source tokens that it names.
    Function(Function, Vec<usize>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Any,
    Strict,
}

impl SubjectTransform {
    /// Reads a transform as mappings, streams and sources use it. An empty source is `>`.
    ///
    /// An empty destination, which some of nats-server's settings take for "no transform", is an
    /// error here.
    ///
    /// # Errors
    /// See [`TransformError`]; its text is nats-server's.
    pub fn new(source: &[u8], destination: &[u8]) -> Result<Self, TransformError> {
        Self::with_mode(source, destination, Mode::Any)
    }

    /// Reads a transform as imports use it: only wildcards may be named, and all of them must be,
    /// so that it can be reversed.
    ///
    /// # Errors
    /// See [`TransformError`]; its text is nats-server's.
    pub fn new_strict(source: &[u8], destination: &[u8]) -> Result<Self, TransformError> {
        Self::with_mode(source, destination, Mode::Strict)
    }

    fn with_mode(source: &[u8], destination: &[u8], mode: Mode) -> Result<Self, TransformError> {
        let source = if source.is_empty() { b">" } else { source };
        let source_has_tail = check_shape(source)?;
        let destination_has_tail = check_shape(destination)?;
        let bare_wildcard = subject::tokens(destination).any(|token| token == b"*");
        if bare_wildcard || source_has_tail != destination_has_tail {
            return Err(TransformError::InvalidSubject);
        }
        let resolver = Resolver {
            wildcards: wildcard_positions(source),
            any_wildcard: subject::has_wildcard(source),
            mode,
        };
        let tokens = subject::tokens(destination).filter(|token| *token != b">");
        let parts = tokens
            .map(|token| resolver.part(token))
            .collect::<Result<Vec<_>, _>>()?;
        if mode == Mode::Strict && named_tokens(&parts) < resolver.wildcards.len() {
            return Err(TransformError::NotUsingAllWildcards {
                token: text(destination),
            });
        }
        let tail_at = source_has_tail.then(|| subject::token_count(source) - 1);
        Ok(Self {
            source: source.into(),
            destination: destination.into(),
            parts,
            tail_at,
        })
    }

    /// Appends to `out` what the literal `subject` becomes, and answers true; or answers false if
    /// the source does not match. `random` feeds `random(n)`.
    pub fn apply(&self, subject: &[u8], random: u64, out: &mut Vec<u8>) -> bool {
        if *self.source == *b">" && *self.destination == *b">" {
            out.extend_from_slice(subject);
            return true;
        }
        let literal =
            subject::tokens(subject).all(|token| !token.is_empty() && !subject::is_wildcard(token));
        let matches = literal && subject::is_subset(subject, &self.source);
        if matches {
            self.rewrite(subject, random, out);
        }
        matches
    }

    /// Appends to `out` what a subject that may have wildcards becomes, and answers true: under
    /// `foo.*` to `bar.$1`, `foo.*` is `bar.*`. False if `pattern` is not a subset of the source.
    pub fn apply_to_pattern(&self, pattern: &[u8], out: &mut Vec<u8>) -> bool {
        let matches = subject::is_subset(pattern, &self.source);
        if matches {
            self.rewrite(pattern, 0, out);
        }
        matches
    }

    /// The transform that undoes this one, for imports.
    ///
    /// # Errors
    /// As [`SubjectTransform::new_strict`].
    pub fn reverse(&self) -> Result<Self, TransformError> {
        // The source tokens that the destination's wildcards name, in the destination's order.
        let mut named = Vec::new();
        let mut source: Vec<&[u8]> = Vec::new();
        for part in &self.parts {
            match part {
                Part::Literal(token) => source.push(token),
                Part::Function(Function::Wildcard, positions) => {
                    named.extend(positions.first().copied());
                    source.push(b"*");
                }
                Part::Function(..) => {
                    let token = text(&self.destination);
                    return Err(TransformError::NotSupportedForImport { token });
                }
            }
        }
        source.extend(self.tail_at.map(|_| &b">"[..]));
        let place_of = |at| named.iter().position(|position| *position == at);
        let destination: Vec<Vec<u8>> = subject::tokens(&self.source)
            .enumerate()
            .map(|(at, token)| match place_of(at) {
                Some(place) => format!("${}", place + 1).into_bytes(),
                None => token.to_vec(),
            })
            .collect();
        let reverse = Self::new_strict(&source.join(&b'.'), &destination.join(&b'.'))?;
        // A literal of the source may look like a function, which it would be as part of a destination.
        for (at, part) in reverse.parts.iter().enumerate() {
            if place_of(at).is_none() && matches!(part, Part::Function(..)) {
                let token = text(&self.source);
                return Err(TransformError::NotSupportedForImport { token });
            }
        }
        Ok(reverse)
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

    /// Rewrites a subject that matches the source.
    fn rewrite(&self, subject: &[u8], mut random: u64, out: &mut Vec<u8>) {
        let tokens: SmallVec<[&[u8]; 16]> = subject::tokens(subject).collect();
        let start = out.len();
        for part in &self.parts {
            if out.len() > start {
                out.push(b'.');
            }
            match part {
                Part::Literal(token) => out.extend_from_slice(token),
                Part::Function(function, indexes) => {
                    let arguments = Arguments {
                        subject,
                        tokens: &tokens,
                        indexes,
                        random,
                    };
                    function.evaluate(arguments, out);
                    random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                }
            }
        }
        let tail = self
            .tail_at
            .and_then(|at| tokens.get(at..))
            .unwrap_or_default();
        for token in tail {
            if out.len() > start {
                out.push(b'.');
            }
            out.extend_from_slice(token);
        }
    }
}

/// Turns destination tokens into parts.
struct Resolver {
    /// Positions of the source's `*` tokens.
    wildcards: Vec<usize>,
    any_wildcard: bool,
    mode: Mode,
}

impl Resolver {
    fn part(&self, token: &[u8]) -> Result<Part, TransformError> {
        let Some(Call {
            function,
            wildcards,
        }) = Call::parse(token)?
        else {
            return Ok(Part::Literal(token.into()));
        };
        if !self.any_wildcard {
            return match function {
                Function::Partition(_) | Function::Random(_) => {
                    Ok(Part::Function(function, Vec::new()))
                }
                _ => Err(TransformError::WildcardIndexOutOfRange { token: text(token) }),
            };
        }
        if self.mode == Mode::Strict && function != Function::Wildcard {
            return Err(TransformError::NotSupportedForImport { token: text(token) });
        }
        let positions = wildcards.iter().map(|index| self.position(*index, token));
        Ok(Part::Function(
            function,
            positions.collect::<Result<_, _>>()?,
        ))
    }

    fn position(&self, index: i64, token: &[u8]) -> Result<usize, TransformError> {
        // As in nats-server, an index below 1 names the source's first token.
        let Ok(ordinal @ 1..) = usize::try_from(index) else {
            return Ok(0);
        };
        self.wildcards.get(ordinal - 1).copied().ok_or_else(|| {
            let token = format!("{}: [{index}]", text(token));
            TransformError::WildcardIndexOutOfRange { token }
        })
    }
}

/// No empty token, `>` only last; answers whether there is one. Blanks are fine: functions have
/// some.
fn check_shape(subject: &[u8]) -> Result<bool, TransformError> {
    let mut has_tail = false;
    for token in subject::tokens(subject) {
        if token.is_empty() || has_tail {
            return Err(TransformError::InvalidSubject);
        }
        has_tail = token == b">";
    }
    Ok(has_tail)
}

fn wildcard_positions(source: &[u8]) -> Vec<usize> {
    let tokens = subject::tokens(source).enumerate();
    tokens
        .filter(|(_, token)| *token == b"*")
        .map(|(at, _)| at)
        .collect()
}

fn named_tokens(parts: &[Part]) -> usize {
    parts
        .iter()
        .map(|part| match part {
            Part::Literal(_) => 0,
            Part::Function(_, positions) => positions.len(),
        })
        .sum()
}
