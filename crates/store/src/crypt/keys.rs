//! The data key, and the keys that are derived from it.

use std::fmt;
use std::sync::Arc;

use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, Tag};
use ring::hkdf::{HKDF_SHA256, Prk};

use super::Cipher;
use super::salts::{Salts, expand};
use crate::log::SegmentNo;

/// Bytes of a tag: what shows that sealed bytes, and what belongs to them, are as they were written.
pub(crate) const TAG: usize = 16;
/// Bytes of the salt that a sealed record carries.
pub(crate) const SALT: usize = 8;

/// The key of a store. All that is sealed is sealed with keys derived from it.
#[derive(Debug, Clone)]
pub(crate) struct DataKey {
    prk: Prk,
    cipher: Cipher,
    salts: Arc<Salts>,
}

impl DataKey {
    /// `random`: fresh bytes of this opening.
    pub(crate) fn new(key: &[u8; 32], cipher: Cipher, random: &[u8; 32]) -> Self {
        Self {
            prk: Prk::new_less_safe(HKDF_SHA256, key),
            cipher,
            salts: Arc::new(Salts::new(random)),
        }
    }

    pub(crate) fn cipher(&self) -> Cipher {
        self.cipher
    }

    pub(crate) fn salt<const N: usize>(&self) -> [u8; N] {
        self.salts.next()
    }

    /// The key for a shard's checkpoint that has this salt.
    pub(crate) fn checkpoint(&self, cipher: Cipher, shard: u8, salt: &[u8; 16]) -> Aead {
        self.derive(cipher, &[b"jetsled checkpoint", &[shard], salt])
    }

    fn derive(&self, cipher: Cipher, info: &[&[u8]]) -> Aead {
        let algorithm = match cipher {
            Cipher::ChaCha => &CHACHA20_POLY1305,
            Cipher::Aes => &AES_256_GCM,
        };
        let number = [cipher as u8];
        let info: Vec<&[u8]> = [&number[..]]
            .into_iter()
            .chain(info.iter().copied())
            .collect();
        let key = self.prk.expand(&info, algorithm);
        let key = key.expect("a key is shorter than what HKDF gives");
        Aead(LessSafeKey::new(key.into()))
    }
}

/// What a shard's log is sealed with.
#[derive(Clone)]
pub struct LogKeys {
    data: DataKey,
    shard: u8,
    plain_below: u32,
}

impl LogKeys {
    /// The keys of one shard. `random`: fresh at each opening. Records of segments below `plain_below` may be plain: they were
    /// written before the store was encrypted.
    #[must_use]
    pub fn new(
        data_key: &[u8; 32],
        shard: u8,
        cipher: Cipher,
        random: &[u8; 32],
        plain_below: u32,
    ) -> Self {
        Self::of(DataKey::new(data_key, cipher, random), shard, plain_below)
    }

    pub(crate) fn of(data: DataKey, shard: u8, plain_below: u32) -> Self {
        Self {
            data,
            shard,
            plain_below,
        }
    }

    /// What new records are sealed with.
    pub(crate) fn cipher(&self) -> Cipher {
        self.data.cipher
    }

    pub(crate) fn may_be_plain(&self, segment: SegmentNo) -> bool {
        segment.0 < self.plain_below
    }

    pub(crate) fn salt<const N: usize>(&self) -> [u8; N] {
        self.data.salt()
    }

    /// What a segment's header says of the key; never zero.
    pub(crate) fn mark(&self) -> u32 {
        let mark = expand(&self.data.prk, &[b"jetsled mark", &[self.shard]]);
        u32::from_le_bytes(mark).max(1)
    }

    /// The key for the records of a segment.
    pub(crate) fn segment(&self, cipher: Cipher, segment: SegmentNo) -> Aead {
        self.derive(cipher, b"jetsled segment", segment, &[])
    }

    /// The key for the index file of a segment that has this salt.
    pub(crate) fn index(&self, cipher: Cipher, segment: SegmentNo, salt: &[u8; 16]) -> Aead {
        self.derive(cipher, b"jetsled index", segment, salt)
    }

    fn derive(&self, cipher: Cipher, purpose: &[u8], segment: SegmentNo, salt: &[u8]) -> Aead {
        let segment = segment.0.to_le_bytes();
        self.data
            .derive(cipher, &[purpose, &[self.shard], &segment, salt])
    }
}

impl fmt::Debug for LogKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKeys({}, {})", self.shard, self.data.cipher)
    }
}

/// One derived key.
pub(crate) struct Aead(LessSafeKey);

impl Aead {
    pub(super) fn new(key: LessSafeKey) -> Self {
        Self(key)
    }

    /// Seals in place. With one key a nonce must never come twice.
    pub(crate) fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        context: &[u8],
        bytes: &mut [u8],
    ) -> [u8; TAG] {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(context), bytes);
        let tag = tag.expect("shorter than 64 GiB");
        tag.as_ref().try_into().expect("a tag has 16 bytes")
    }

    /// Opens in place. `None`: these are not the bytes that were sealed; what is left of them is of no use.
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        context: &[u8],
        bytes: &mut [u8],
        tag: [u8; TAG],
    ) -> Option<()> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let context = Aad::from(context);
        self.0
            .open_in_place_separate_tag(nonce, context, Tag::from(tag), bytes, 0..)
            .ok()
            .map(|_| ())
    }
}

impl fmt::Debug for Aead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aead(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each key opens what it has sealed, and nothing else does.
    #[test]
    fn keys_are_for_one_purpose_each() {
        let keys = |data: u8, shard| LogKeys::new(&[data; 32], shard, Cipher::Aes, &[0; 32], 0);
        let all: Vec<Aead> = [keys(1, 0), keys(1, 1), keys(2, 0)]
            .iter()
            .flat_map(|keys| {
                [Cipher::ChaCha, Cipher::Aes]
                    .into_iter()
                    .flat_map(|cipher| {
                        [
                            keys.segment(cipher, SegmentNo(1)),
                            keys.segment(cipher, SegmentNo(2)),
                            keys.index(cipher, SegmentNo(1), &[0; 16]),
                            keys.index(cipher, SegmentNo(1), &[1; 16]),
                            keys.data.checkpoint(cipher, keys.shard, &[0; 16]),
                        ]
                    })
            })
            .collect();
        for (sealer, key) in all.iter().enumerate() {
            let mut bytes = *b"some text";
            let tag = key.seal([3; 12], b"here", &mut bytes);
            assert_ne!(&bytes, b"some text");
            for (opener, other) in all.iter().enumerate() {
                let mut opened = bytes;
                let it = other.open([3; 12], b"here", &mut opened, tag);
                assert_eq!(it.is_some(), sealer == opener, "{sealer} {opener}");
            }
            let mut opened = bytes;
            assert!(key.open([3; 12], b"there", &mut opened, tag).is_none());
            let mut opened = bytes;
            assert!(key.open([4; 12], b"here", &mut opened, tag).is_none());
            let mut opened = bytes;
            key.open([3; 12], b"here", &mut opened, tag).unwrap();
            assert_eq!(&opened, b"some text");
        }
    }
}
