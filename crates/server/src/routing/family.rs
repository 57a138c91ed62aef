//! Subjects that share their leading tokens and differ in those behind, such as the unique replies below one inbox.

use jetsled_protocol::TailIndependence;
use jetsled_protocol::subject::token_count;

/// All subjects with the same leading tokens and so many behind them, none of those empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct SubjectFamily {
    /// With the `.` behind the last of them. Empty: no subject is covered.
    leading: Vec<u8>,
    behind: usize,
}

impl SubjectFamily {
    /// The family of `subject`, which begins with `leading`: tokens with a `.` behind each.
    pub(crate) fn of(subject: &[u8], leading: &[u8]) -> Self {
        let mut family = Self::default();
        family.become_that_of(subject, leading);
        family
    }

    /// As [`SubjectFamily::of`], in the memory of another one.
    pub(crate) fn become_that_of(&mut self, subject: &[u8], leading: &[u8]) {
        self.clear();
        if let Some(behind) = subject.get(leading.len()..) {
            self.leading.extend_from_slice(leading);
            self.behind = token_count(behind);
        }
    }

    /// Covers nothing any more.
    pub(crate) fn clear(&mut self) {
        self.leading.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.leading.is_empty()
    }

    #[inline]
    pub(crate) fn covers(&self, subject: &[u8]) -> bool {
        !self.leading.is_empty()
            && subject
                .strip_prefix(self.leading.as_slice())
                .is_some_and(|behind| has_tokens(behind, self.behind))
    }
}

/// How many leading tokens decide about what is sent to a subject, at least one, and these; `None` if there is but one token.
pub(crate) fn leading_tokens(
    subject: &[u8],
    independence: TailIndependence,
) -> Option<(usize, &[u8])> {
    if independence.tokens > 0 {
        return Some((independence.tokens, subject.get(..independence.prefix_len)?));
    }
    let end = memchr::memchr(b'.', subject)? + 1;
    Some((1, subject.get(..end)?))
}

/// Whether these are so many tokens, none of them empty.
#[inline]
fn has_tokens(text: &[u8], count: usize) -> bool {
    if count == 1 {
        return !text.is_empty() && memchr::memchr(b'.', text).is_none();
    }
    // All in one pass without a branch a byte: most of these texts are too short for anything cleverer.
    let mut dots = 0;
    let mut empty = false;
    let mut before_is_dot = true;
    for byte in text {
        let is_dot = *byte == b'.';
        dots += usize::from(is_dot);
        empty |= is_dot & before_is_dot;
        before_is_dot = is_dot;
    }
    !empty && !before_is_dot && dots + 1 == count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(subject: &str, leading: &str, covered: &[&str], others: &[&str]) {
        let family = SubjectFamily::of(subject.as_bytes(), leading.as_bytes());
        for other in covered {
            assert!(family.covers(other.as_bytes()), "{other}");
        }
        for other in others {
            assert!(!family.covers(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn members_share_the_leading_tokens_and_how_many_follow() {
        check(
            "_INBOX.a.1",
            "_INBOX.a.",
            &["_INBOX.a.1", "_INBOX.a.xyz"],
            &[
                "_INBOX.a.",
                "_INBOX.a",
                "_INBOX.b.1",
                "_INBOX.a.1.2",
                "_INBOX.a..",
                "",
            ],
        );
        check(
            "$JS.ACK.A.c.1.2.3",
            "$JS.ACK.",
            &["$JS.ACK.B.d.4.5.6"],
            &[
                "$JS.ACK.B..4.5.6",
                "$JS.ACK..B.4.5.6",
                "$JS.ACK.B.d.4.5.",
                "$JS.ACK.B.d.4.5.6.7",
            ],
        );
    }

    #[test]
    fn without_leading_tokens_nobody_is_covered() {
        check("a", "", &[], &["a", "b", ""]);
        assert!(!SubjectFamily::default().covers(b"a"));
    }
}
