//! The rules of subjects: validity, matching, subset, collision.
//!
//! A subject is a byte string of tokens joined by `.`. `*` as a whole token stands for one token,
//! `>` as the last whole token for one or more; elsewhere both are ordinary bytes. Case matters,
//! and bytes need not be UTF-8.

/// The tokens of a subject; empty ones are given too.
pub fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    subject.split(|b| *b == b'.')
}

/// How many tokens a subject has, counting empty ones. At least 1.
#[must_use]
pub fn token_count(subject: &[u8]) -> usize {
    memchr::memchr_iter(b'.', subject).count() + 1
}

/// Whether a subscription, permission or mapping may use this subject: not empty, no empty token,
/// no blank (space, tab, LF, FF, CR), `>` only last.
#[must_use]
pub fn is_valid(subject: &[u8]) -> bool {
    let mut after_full_wildcard = false;
    for token in tokens(subject) {
        if token.is_empty() || after_full_wildcard || token.iter().any(|b| is_blank(*b)) {
            return false;
        }
        after_full_wildcard = token == b">";
    }
    true
}

/// Whether a publish may use this subject: [`is_valid`] and no token is a wildcard.
#[must_use]
pub fn is_valid_literal(subject: &[u8]) -> bool {
    is_valid(subject) && !has_wildcard(subject)
}

/// Whether JetStream may use this subject: [`is_valid`], UTF-8, and no NUL.
///
/// As in nats-server, the Unicode replacement character counts as broken UTF-8.
#[must_use]
pub fn is_valid_strict(subject: &[u8]) -> bool {
    let text = std::str::from_utf8(subject);
    is_valid(subject) && text.is_ok_and(|text| !text.contains(['\0', char::REPLACEMENT_CHARACTER]))
}

/// Whether any token is a wildcard.
#[must_use]
pub fn has_wildcard(subject: &[u8]) -> bool {
    memchr::memchr2(b'*', b'>', subject).is_some() && tokens(subject).any(is_wildcard)
}

/// Whether the published subject `literal` is delivered to subscribers of `pattern`.
///
/// Tokens of `literal` are never wildcards; a subject with an empty token matches nothing.
#[must_use]
pub fn matches(literal: &[u8], pattern: &[u8]) -> bool {
    let mut literal = tokens(literal);
    let mut pattern = tokens(pattern);
    loop {
        match (literal.next(), pattern.next()) {
            (None, None) => return true,
            (Some(token), Some(b">")) => {
                return !token.is_empty() && literal.all(|token| !token.is_empty());
            }
            (Some(b""), _) => return false,
            (Some(_), Some(b"*")) => {}
            (Some(token), Some(wanted)) if token == wanted => {}
            _ => return false,
        }
    }
}

/// Whether every subject that `subject` stands for (it may have wildcards) is matched by `filter`:
/// the check of permissions.
#[must_use]
pub fn is_subset(subject: &[u8], filter: &[u8]) -> bool {
    let mut subject = tokens(subject);
    let mut filter = tokens(filter);
    loop {
        match (subject.next(), filter.next()) {
            (None, None) => return true,
            (Some(b""), _) | (_, Some(b"")) => return false,
            (Some(_), Some(b">")) => return true,
            (Some(b">"), _) => return false,
            (Some(_), Some(b"*")) => {}
            (Some(token), Some(wanted)) if token == wanted => {}
            _ => return false,
        }
    }
}

/// Whether some literal subject matches both of two valid subjects.
#[must_use]
pub fn collides(a: &[u8], b: &[u8]) -> bool {
    let mut a = tokens(a);
    let mut b = tokens(b);
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(b""), _) | (_, Some(b"")) => return false,
            (Some(b">"), Some(_)) | (Some(_), Some(b">")) => return true,
            (Some(x), Some(y)) if x == b"*" || y == b"*" || x == y => {}
            _ => return false,
        }
    }
}

pub(crate) fn is_wildcard(token: &[u8]) -> bool {
    matches!(token, b"*" | b">")
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity() {
        // valid, literal, strict
        let check = |subject: &[u8], expected: [bool; 3]| {
            let found = [
                is_valid(subject),
                is_valid_literal(subject),
                is_valid_strict(subject),
            ];
            assert_eq!(found, expected, "{}", subject.escape_ascii());
        };
        for subject in [
            "foo", "foo.bar", "$SYS.x", "foo*", "*bar.f>o", ">>", "h\u{e9}",
        ] {
            check(subject.as_bytes(), [true, true, true]);
        }
        for subject in ["*", ">", "foo.*", "foo.>", "*.*.>"] {
            check(subject.as_bytes(), [true, false, true]);
        }
        for subject in [
            "", ".", ".foo", "foo.", "foo..bar", ">.foo", "foo.>.*", "a b", "a.\t",
        ] {
            check(subject.as_bytes(), [false, false, false]);
        }
        for subject in ["a\rb", "a\nb", "a\x0cb", " "] {
            check(subject.as_bytes(), [false, false, false]);
        }
        check(b"foo.\0", [true, true, false]);
        check(b"foo.\xff", [true, true, false]);
        check("foo.\u{fffd}".as_bytes(), [true, true, false]);
    }

    #[test]
    fn matching() {
        let check = |literal: &str, pattern: &str, expected: bool| {
            assert_eq!(
                matches(literal.as_bytes(), pattern.as_bytes()),
                expected,
                "{literal} {pattern}"
            );
        };
        check("foo.bar", "foo.bar", true);
        check("foo.bar", "foo.*", true);
        check("foo.bar", "foo.>", true);
        check("foo.bar", ">", true);
        check("foo", "foo.>", false);
        check("foo", "foo.*", false);
        check("foo.bar.baz", "foo.*", false);
        check("foo.bar", "foo", false);
        check("foo.BAR", "foo.bar", false);
        check("foo", "foo*", false);
        check("$SYS.x", ">", true);
        // Published tokens are literals.
        check("foo.*", "foo.*", true);
        check("foo.*", "foo.bar", false);
        check("foo.>", "foo.*", true);
        check("foo.>", "foo.>", true);
        // Empty tokens match nothing.
        for pattern in [">", "*.*", "*.>", "foo.*", "foo.>", "*.*.*"] {
            for literal in ["foo..bar", ".foo", "foo.", "", ".", ".."] {
                check(literal, pattern, false);
            }
        }
    }

    #[test]
    fn subsets() {
        let check = |subject: &str, filter: &str, expected: bool| {
            assert_eq!(
                is_subset(subject.as_bytes(), filter.as_bytes()),
                expected,
                "{subject} {filter}"
            );
        };
        check("foo.bar", "foo.*", true);
        check("foo.*", "foo.*", true);
        check("foo.*", "foo.>", true);
        check("foo.>", "foo.>", true);
        check("foo.*.>", "foo.>", true);
        check(">", ">", true);
        check("foo.>", "foo.*", false);
        check("foo.*", "foo.bar", false);
        check("foo", "foo.>", false);
        check(">", "*", false);
    }

    /// Every subject of up to three tokens over a small alphabet.
    fn all_subjects(alphabet: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = alphabet.iter().map(ToString::to_string).collect();
        let mut last = all.clone();
        for _ in 0..2 {
            last = last
                .iter()
                .flat_map(|head| alphabet.iter().map(move |tail| format!("{head}.{tail}")))
                .collect();
            all.extend(last.iter().cloned());
        }
        all.retain(|subject| is_valid(subject.as_bytes()));
        all
    }

    #[test]
    fn subset_and_collision_mean_what_matching_says() {
        // `>` stands for three tokens at most here, so leave one token of room.
        let patterns: Vec<String> = all_subjects(&["a", "b", "*", ">"]);
        let mut literals = all_subjects(&["a", "b", "c"]);
        literals.extend(
            literals
                .clone()
                .iter()
                .map(|subject| format!("{subject}.c")),
        );
        for a in &patterns {
            for b in &patterns {
                let both = literals.iter().any(|literal| {
                    matches(literal.as_bytes(), a.as_bytes())
                        && matches(literal.as_bytes(), b.as_bytes())
                });
                assert_eq!(collides(a.as_bytes(), b.as_bytes()), both, "{a} {b}");
                let within = literals.iter().all(|literal| {
                    !matches(literal.as_bytes(), a.as_bytes())
                        || matches(literal.as_bytes(), b.as_bytes())
                });
                assert_eq!(is_subset(a.as_bytes(), b.as_bytes()), within, "{a} {b}");
            }
        }
    }
}
