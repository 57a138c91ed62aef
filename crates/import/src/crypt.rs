//! Encryption at rest.
//!
//! The configured key opens, for each object, a small file with that object's own key: `HMAC-SHA256(key, account + context)` seals it. The
//! object's key seals configurations, states and indexes, and its key stream covers message blocks.

use aes::Aes256;
use aes_gcm::AesGcm;
use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{Aead, AeadCore, KeyInit};
use chacha20::XChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use chacha20poly1305::XChaCha20Poly1305;
use ctr::Ctr128BE;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// AES-GCM as nats-server uses it, with a nonce of 16 bytes.
type Aes256Gcm16 = AesGcm<Aes256, U16>;

/// The keys that a store may be encrypted with: the `key` and `prev_key` of its server.
#[derive(Clone, Default)]
pub struct StoreKeys(Vec<Vec<u8>>);

impl std::fmt::Debug for StoreKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoreKeys({})", self.0.len())
    }
}

impl StoreKeys {
    /// Adds a key: the bytes of the text in the server's configuration.
    pub fn add(&mut self, key: impl Into<Vec<u8>>) {
        self.0.push(key.into());
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Opens an object's key file; `None` if no key does.
    pub(crate) fn open(&self, account: &str, context: &str, key_file: &[u8]) -> Option<ObjectKey> {
        let cipher = match key_file.len() {
            CHACHA_FILE => Cipher::ChaCha,
            AES_FILE => Cipher::Aes,
            _ => return None,
        };
        self.0.iter().find_map(|key| {
            let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).ok()?;
            mac.update(account.as_bytes());
            mac.update(context.as_bytes());
            let sealing: [u8; 32] = mac.finalize().into_bytes().into();
            let seed = cipher.open(&sealing, key_file)?;
            Some(ObjectKey {
                cipher,
                seed: seed.try_into().ok()?,
                nonce: key_file.get(..cipher.nonce_len())?.to_vec(),
            })
        })
    }
}

/// Bytes of a key file: nonce, sealed key, tag.
const CHACHA_FILE: usize = 24 + 32 + 16;
const AES_FILE: usize = 16 + 32 + 16;

#[derive(Clone, Copy)]
enum Cipher {
    ChaCha,
    Aes,
}

impl Cipher {
    fn nonce_len(self) -> usize {
        match self {
            Self::ChaCha => 24,
            Self::Aes => 16,
        }
    }

    /// Opens what is sealed, its nonce before it.
    fn open(self, key: &[u8; 32], sealed: &[u8]) -> Option<Vec<u8>> {
        fn open<A: Aead + AeadCore + KeyInit>(
            key: &[u8],
            nonce: &[u8],
            sealed: &[u8],
        ) -> Option<Vec<u8>> {
            let cipher = A::new_from_slice(key).ok()?;
            cipher.decrypt(nonce.try_into().ok()?, sealed).ok()
        }
        let (nonce, sealed) = sealed.split_at_checked(self.nonce_len())?;
        match self {
            Self::ChaCha => open::<XChaCha20Poly1305>(key, nonce, sealed),
            Self::Aes => open::<Aes256Gcm16>(key, nonce, sealed),
        }
    }
}

/// The key of one object.
pub(crate) struct ObjectKey {
    cipher: Cipher,
    seed: [u8; 32],
    nonce: Vec<u8>,
}

impl ObjectKey {
    /// Opens a file that this key has sealed; `None` if it has not.
    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.cipher.open(&self.seed, sealed)
    }

    /// Covers or uncovers a block, from its beginning.
    pub(crate) fn uncover(&self, block: &mut [u8]) {
        let applied = match self.cipher {
            Cipher::ChaCha => XChaCha20::new_from_slices(&self.seed, &self.nonce)
                .map(|mut cipher| cipher.apply_keystream(block)),
            Cipher::Aes => Ctr128BE::<Aes256>::new_from_slices(&self.seed, &self.nonce)
                .map(|mut cipher| cipher.apply_keystream(block)),
        };
        debug_assert!(applied.is_ok(), "keys and nonces have the ciphers' lengths");
    }
}
