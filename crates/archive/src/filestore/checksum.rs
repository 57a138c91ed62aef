//! The checksums of all files: HighwayHash of 64 bits, keyed by the name of what they belong to.

use highway::{HighwayHash, HighwayHasher, Key};
use sha2::{Digest, Sha256};

/// The key of an object's checksums: `<stream>` for its configuration and index, `<stream>/<consumer>` for a consumer's configuration,
/// `<stream>-<number>` for the records of a block (observed nats-server 2.15.1).
#[derive(Clone, Copy)]
pub struct ChecksumKey([u64; 4]);

impl std::fmt::Debug for ChecksumKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChecksumKey")
    }
}

impl ChecksumKey {
    /// The key of what has this name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        let mut lanes = [0; 4];
        for (lane, bytes) in lanes.iter_mut().zip(digest.chunks_exact(8)) {
            *lane = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
        Self(lanes)
    }

    /// The checksum of these parts as if they were one.
    #[must_use]
    pub fn checksum(&self, parts: &[&[u8]]) -> [u8; 8] {
        let mut hasher = HighwayHasher::new(Key(self.0));
        for part in parts {
            hasher.append(part);
        }
        hasher.finalize64().to_le_bytes()
    }
}
