use std::fmt;

/// A password, token or hash. Its text never appears in `Debug` output and it has no `Display`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself; the name makes each use easy to find.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the text is a bcrypt hash (`$2a$`, `$2b$`, `$2x$` or `$2y$` with a two-digit cost), so that
    /// [`Secret::admits`] is slow by design (about 60 ms at cost 10).
    pub fn is_bcrypt(&self) -> bool {
        let text = self.0.as_bytes();
        matches!(
            text,
            [b'$', b'2', b'a' | b'b' | b'x' | b'y', b'$', tens, ones, b'$', ..]
                if tens.is_ascii_digit() && ones.is_ascii_digit()
        )
    }

    /// Whether `presented` is the password that this secret stands for: by bcrypt for a hash, else by comparison
    /// in a time that depends on the lengths alone.
    pub fn admits(&self, presented: &str) -> bool {
        if self.is_bcrypt() {
            bcrypt::verify(presented, &self.0).unwrap_or(false)
        } else {
            equal_in_constant_time(self.0.as_bytes(), presented.as_bytes())
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let difference = a
        .iter()
        .zip(b)
        .fold(0u8, |seen, (x, y)| std::hint::black_box(seen | (x ^ y)));
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_the_text() {
        let shown = format!(
            "{:?} {:#?}",
            Secret::new("s3cr3t"),
            Some(Secret::new("s3cr3t"))
        );
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }

    #[test]
    fn plain_text_is_compared_whole() {
        for (secret, presented, admitted) in [
            ("abc", "abc", true),
            ("abc", "abd", false),
            ("abc", "ab", false),
            ("", "", true),
            ("a", "", false),
        ] {
            assert_eq!(
                Secret::new(secret).admits(presented),
                admitted,
                "{secret} {presented}"
            );
        }
    }

    #[test]
    fn bcrypt_hashes_of_each_prefix_are_verified() {
        let hash = bcrypt::hash("pass", 4).unwrap();
        for prefix in ["$2a$", "$2b$", "$2y$"] {
            let secret = Secret::new(format!("{prefix}{}", &hash[4..]));
            assert!(secret.is_bcrypt());
            assert!(secret.admits("pass"), "{prefix}");
            assert!(!secret.admits("other"), "{prefix}");
            assert!(
                !secret.admits(secret.expose()),
                "a hash is not its own password"
            );
        }
    }

    #[test]
    fn a_malformed_hash_admits_nobody() {
        let secret = Secret::new("$2a$10$short");
        assert!(!secret.admits("$2a$10$short"));
        assert!(!secret.admits(""));
    }

    #[test]
    fn only_whole_bcrypt_prefixes_count() {
        for plain in ["$2a$1", "$2c$10$x", "2a$10$x", "$2a$1x$", ""] {
            assert!(!Secret::new(plain).is_bcrypt(), "{plain}");
        }
    }
}
