//! The store's keys: some histories are encrypted from their beginning, some from a restart on, and keys and ciphers change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use jetsled_store::{Cipher, Encryption, StoreKey, StoreOptions};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// Chooses keys, by chances of its own.
#[derive(Debug)]
pub(crate) struct Keys {
    random: SmallRng,
    /// The number of the present key; none while the store is plain.
    key: Option<u32>,
    openings: Arc<AtomicU64>,
}

impl Keys {
    /// Half of all histories stay plain.
    pub(crate) fn of(seed: u64, store: &mut StoreOptions) -> Option<Self> {
        let mut keys = Self {
            random: SmallRng::seed_from_u64(seed ^ 0x4B45_5953),
            key: None,
            openings: Arc::default(),
        };
        match keys.random.random_range(0..4) {
            0 => {
                keys.next(store);
                Some(keys)
            }
            1 => Some(keys),
            _ => None,
        }
    }

    /// Before a start: perhaps another key or cipher, or the first one. The start before has made the present key count.
    pub(crate) fn change(&mut self, store: &mut StoreOptions) -> bool {
        let changes = self.random.random_bool(0.3);
        if changes {
            self.next(store);
        }
        changes
    }

    fn next(&mut self, store: &mut StoreOptions) {
        let previous = self.key;
        let key = previous.map_or(0, |key| key + self.random.random_range(0..2));
        self.key = Some(key);
        let openings = Arc::clone(&self.openings);
        let salt = self.random.random::<u64>();
        let text = |key: u32| StoreKey::new(format!("key {key}"));
        store.encryption = Some(Encryption {
            key: text(key),
            previous: previous.map(text),
            cipher: [Cipher::ChaCha, Cipher::Aes][self.random.random_range(0..2)],
            random: Arc::new(move || {
                let mut random = [0; 32];
                let number = openings.fetch_add(1, Relaxed);
                random[..8].copy_from_slice(&salt.to_le_bytes());
                random[8..16].copy_from_slice(&number.to_le_bytes());
                random
            }),
        });
    }
}
