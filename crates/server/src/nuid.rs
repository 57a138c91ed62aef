//! Identifiers of messages that the server makes: 22 characters, unique in practice.

use crate::chance;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A fresh identifier.
pub(crate) fn next() -> String {
    let letters = ALPHABET.len() as u64;
    (0..22)
        .map(|_| char::from(ALPHABET[(chance::number() % letters) as usize]))
        .collect()
}
