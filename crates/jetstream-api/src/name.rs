//! Names of streams and consumers, and the short hash that nats-server makes identities of.

use sha2::{Digest, Sha256};

use crate::Timestamp;

/// The longest name of a stream or consumer, in bytes.
pub const MAX_NAME_LEN: usize = 255;
/// The longest description, in bytes.
pub const MAX_DESCRIPTION_LEN: usize = 4096;
/// The largest metadata, in bytes of all keys and values.
pub const MAX_METADATA_LEN: usize = 128 * 1024;

/// Whether `name` may be the name of a stream or consumer but for its length: not empty, and without white space, `.`,
/// `*`, `>`, `\` and `/`.
#[must_use]
pub fn is_valid_name(name: &str) -> bool {
    !name.is_empty()
        && !name
            .bytes()
            .any(|byte| b" \t\r\n\x0c.*>\\/".contains(&byte))
}

/// Whether `name` has a `\` or `/`, which have an error of their own.
pub(crate) fn has_path_separator(name: &str) -> bool {
    name.bytes().any(|byte| matches!(byte, b'\\' | b'/'))
}

/// nats-server's hash of eight characters: the first bytes of SHA-256, each modulo 62 as one of `0-9A-Za-z`.
///
/// ```
/// assert_eq!(jetsled_jetstream_api::short_hash(b"$G"), "szMpdrwD");
/// ```
#[must_use]
pub fn short_hash(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    Sha256::digest(bytes)
        .iter()
        .take(8)
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}

/// The identity of a stream (2.15): the short hash of its creation time.
#[must_use]
pub fn stream_identity(created: Timestamp) -> String {
    short_hash(created.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_wildcards_blanks_dots_or_slashes() {
        for name in ["a", "ORDERS", "a-b_c=d", "é", "a\"b"] {
            assert!(is_valid_name(name), "{name}");
        }
        for name in [
            "", "a b", "a\tb", "a\rb", "a\nb", "a\x0cb", "a.b", "*", ">", "a\\b", "a/b",
        ] {
            assert!(!is_valid_name(name), "{name:?}");
        }
    }
}
