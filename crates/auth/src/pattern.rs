//! Relations between subject patterns that permissions need and routing does not: cover and overlap.

/// Whether every subject that `inner` matches is matched by `outer` as well. A literal `inner` makes this plain
/// matching. Tokens of `inner` that are wildcards are taken as such (client protocol: subset match).
pub(crate) fn covers(outer: &[u8], inner: &[u8]) -> bool {
    let mut inner_tokens = tokens(inner);
    for outer_token in tokens(outer) {
        let Some(inner_token) = inner_tokens.next() else {
            return false;
        };
        match (outer_token, inner_token) {
            (b">", _) => return true,
            (_, b">") => return false,
            (b"*", _) => {}
            (_, _) if outer_token == inner_token => {}
            _ => return false,
        }
    }
    inner_tokens.next().is_none()
}

/// Whether the literal `subject` matches `pattern`. Unlike in [`covers`], `*` and `>` in the subject are plain text.
pub(crate) fn matches(pattern: &[u8], subject: &[u8]) -> bool {
    let mut subject_tokens = tokens(subject);
    for pattern_token in tokens(pattern) {
        let Some(subject_token) = subject_tokens.next() else {
            return false;
        };
        match pattern_token {
            b">" => return true,
            b"*" => {}
            _ if pattern_token == subject_token => {}
            _ => return false,
        }
    }
    subject_tokens.next().is_none()
}

/// Whether some literal subject matches both patterns.
pub(crate) fn overlap(a: &[u8], b: &[u8]) -> bool {
    let (mut a_tokens, mut b_tokens) = (tokens(a), tokens(b));
    loop {
        match (a_tokens.next(), b_tokens.next()) {
            (None, None) => return true,
            (None, Some(_)) | (Some(_), None) => return false,
            (Some(b">"), Some(_)) | (Some(_), Some(b">")) => return true,
            (Some(x), Some(y)) if x == y || x == b"*" || y == b"*" => {}
            _ => return false,
        }
    }
}

/// Whether any whole token is a wildcard.
pub(crate) fn has_wildcard(pattern: &[u8]) -> bool {
    tokens(pattern).any(|token| token == b"*" || token == b">")
}

/// The rule of configured subjects: tokens are not empty, hold no white space, and `>` comes last only.
pub(crate) fn is_valid(pattern: &[u8]) -> bool {
    let mut ended = false;
    tokens(pattern).all(|token| {
        let fits = !ended
            && !token.is_empty()
            && !token
                .iter()
                .any(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c));
        ended = token == b">";
        fits
    })
}

fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    subject.split(|byte| *byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covering_follows_the_subset_rule() {
        for (outer, inner, expected) in [
            ("foo", "foo", true),
            ("foo", "foo.bar", false),
            ("foo.*", "foo.bar", true),
            ("foo.*", "foo.*", true),
            ("foo.*", "foo.>", false),
            ("foo.*", "foo", false),
            ("foo.>", "foo", false),
            ("foo.>", "foo.*.x", true),
            ("foo.>", "foo.>", true),
            (">", ">", true),
            ("*", ">", false),
            ("foo.bar", "foo.*", false),
            ("foo*", "foobar", false),
        ] {
            assert_eq!(
                covers(outer.as_bytes(), inner.as_bytes()),
                expected,
                "{outer} over {inner}"
            );
        }
    }

    #[test]
    fn wildcards_in_a_published_subject_are_plain_text() {
        assert!(matches(b"foo.*", b"foo.>"));
        assert!(!matches(b"foo.bar", b"foo.*"));
        assert!(!matches(b"foo.>", b"foo"));
    }

    #[test]
    fn overlap_is_symmetric() {
        for (a, b, expected) in [
            ("foo.*", "*.bar", true),
            ("foo.>", "*.bar.baz", true),
            ("foo.bar", "foo.*", true),
            ("foo", "foo.>", false),
            ("foo.*", "foo.*.x", false),
            ("a.b", "a.c", false),
            (">", "x", true),
        ] {
            assert_eq!(overlap(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
            assert_eq!(overlap(b.as_bytes(), a.as_bytes()), expected, "{b} {a}");
        }
    }

    #[test]
    fn configured_subjects_are_checked() {
        for (pattern, valid) in [
            ("foo", true),
            ("foo.*.>", true),
            (">", true),
            ("", false),
            ("foo.", false),
            (".foo", false),
            ("foo..bar", false),
            ("foo.>.bar", false),
            ("foo bar", false),
            ("foo\u{c}", false),
        ] {
            assert_eq!(is_valid(pattern.as_bytes()), valid, "{pattern:?}");
        }
    }
}
