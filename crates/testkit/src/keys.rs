//! Keys for stores and logs that are encrypted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use jetsled_store::log::LogKeys;
use jetsled_store::{Cipher, Encryption, StoreKey};

/// What seals a log; salts are new each time.
#[must_use]
pub fn log_keys(cipher: Cipher) -> Arc<LogKeys> {
    Arc::new(LogKeys::new(&[0xDA; 32], 0, cipher, &next_random(), 0))
}

/// What encrypts a store.
#[must_use]
pub fn encryption(key: &str, previous: Option<&str>, cipher: Cipher) -> Encryption {
    Encryption {
        key: StoreKey::new(key),
        previous: previous.map(StoreKey::new),
        cipher,
        random: Arc::new(next_random),
    }
}

/// Never the same twice.
fn next_random() -> [u8; 32] {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut random = [0; 32];
    random[..8].copy_from_slice(&NEXT.fetch_add(1, Relaxed).to_le_bytes());
    random
}
