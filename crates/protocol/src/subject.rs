//! The rules of subjects: validity, matching, subset, collision.
//!
//! A subject is a byte string of tokens joined by `.`. `*` as a whole token stands for one token, `>` as the last whole
//! token for one or more; elsewhere both are ordinary bytes. Case matters, and bytes need not be UTF-8.

/// The tokens of a subject; empty ones are given too.
pub fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    subject.split(|b| *b == b'.')
}

/// How many tokens a subject has, counting empty ones. At least 1.
#[must_use]
pub fn token_count(subject: &[u8]) -> usize {
    memchr::memchr_iter(b'.', subject).count() + 1
}

/// Whether a subscription, permission or mapping may use this subject: not empty, no empty token, no blank (space, tab, LF,
/// FF, CR), `>` only last.
#[must_use]
pub fn is_valid(subject: &[u8]) -> bool {
    let _ = subject;
    todo!()
}

/// Whether a publish may use this subject: [`is_valid`] and no token is a wildcard.
#[must_use]
pub fn is_valid_literal(subject: &[u8]) -> bool {
    let _ = subject;
    todo!()
}

/// Whether JetStream may use this subject: [`is_valid`], UTF-8, and no NUL.
#[must_use]
pub fn is_valid_strict(subject: &[u8]) -> bool {
    let _ = subject;
    todo!()
}

/// Whether any token is a wildcard.
#[must_use]
pub fn has_wildcard(subject: &[u8]) -> bool {
    let _ = subject;
    todo!()
}

/// Whether the published subject `literal` is delivered to subscribers of `pattern`.
///
/// Tokens of `literal` are never wildcards; an empty token matches nothing.
#[must_use]
pub fn matches(literal: &[u8], pattern: &[u8]) -> bool {
    let _ = (literal, pattern);
    todo!()
}

/// Whether every subject that `subject` stands for (it may have wildcards) is matched by `filter`: the check of permissions.
#[must_use]
pub fn is_subset(subject: &[u8], filter: &[u8]) -> bool {
    let _ = (subject, filter);
    todo!()
}

/// Whether some literal subject matches both.
#[must_use]
pub fn collides(a: &[u8], b: &[u8]) -> bool {
    let _ = (a, b);
    todo!()
}
