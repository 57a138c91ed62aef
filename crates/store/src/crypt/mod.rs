//! Encryption at rest: which key seals what.
//!
//! ```text
//! operator's key --HKDF(salt of store.json)--> key that seals the data key in store.json
//! data key       --HKDF(purpose, shard, ...)--> a key for each segment, index file and checkpoint
//! ```
//!
//! So the operator's key can change without a byte of the store being written anew, and no two of the derived keys ever meet the
//! same nonces. `docs/storage-format.md` has the bytes and the reasons.

mod key_file;
mod keys;
mod salts;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use zeroize::Zeroizing;

pub(crate) use key_file::{KeyFile, Unsealed};
pub use keys::LogKeys;
pub(crate) use keys::{Aead, DataKey, SALT, TAG};

/// How a store is encrypted at rest.
#[derive(Clone)]
pub struct Encryption {
    /// The operator's key.
    pub key: StoreKey,
    /// The key before that one, if it has changed: the store is sealed with the new one when it opens only with this.
    pub previous: Option<StoreKey>,
    /// What is written from now on is sealed with this; both are read.
    pub cipher: Cipher,
    /// Gives 32 bytes that nobody can guess and that never come twice; asked once at each opening.
    pub random: Arc<dyn Fn() -> [u8; 32] + Send + Sync>,
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption")
            .field("key", &self.key)
            .field("previous", &self.previous)
            .field("cipher", &self.cipher)
            .finish_non_exhaustive()
    }
}

/// A key as an operator writes it. Nothing stretches it, as in nats-server: it must be as hard to guess as the store is worth.
/// Shown nowhere, and wiped from memory when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreKey(Zeroizing<Vec<u8>>);

impl StoreKey {
    /// The bytes of the text in the configuration.
    #[must_use]
    pub fn new(key: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(key.into()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(..)")
    }
}

/// What seals. Its number is the one that records and files carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cipher {
    /// ChaCha20-Poly1305 (RFC 8439): `chacha` in the configuration, and the default.
    #[default]
    ChaCha = 1,
    /// AES-256-GCM: `aes`.
    Aes = 2,
}

impl Cipher {
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::ChaCha),
            2 => Some(Self::Aes),
            _ => None,
        }
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ChaCha => "ChaCha20-Poly1305",
            Self::Aes => "AES-GCM",
        })
    }
}

/// It names no cipher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown cipher type: {0:?}")]
pub struct UnknownCipher(String);

impl FromStr for Cipher {
    type Err = UnknownCipher;

    /// As nats-server 2.15.1 reads `cipher`.
    fn from_str(text: &str) -> Result<Self, UnknownCipher> {
        match text.to_ascii_lowercase().as_str() {
            "chacha" | "chachapoly" => Ok(Self::ChaCha),
            "aes" => Ok(Self::Aes),
            _ => Err(UnknownCipher(text.to_owned())),
        }
    }
}
