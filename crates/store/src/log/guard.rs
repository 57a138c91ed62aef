//! What tells the records of one segment from anything else, and opens those that are sealed.
//!
//! A sealed record's header stays plain, so that records are found, ordered and counted as in a plain store. Its body is
//! followed by a tag, which covers the header, too, and by the salt of whoever wrote it:
//!
//! ```text
//! header, 24 bytes | sealed body | tag, 16 bytes | salt, 8 bytes
//! ```
//!
//! The nonce is the salt and the record's offset, the key that of the segment. A place is written a second time with the same salt
//! by nobody: a salt is drawn at each opening, after each failed write and for each erasure.

use std::sync::{Arc, OnceLock};

use super::SegmentNo;
use super::frame::{self, FRAME_HEADER, Frame, Seed};
use super::position::padded;
use super::record::kind;
use crate::crypt::{Aead, Cipher, LogKeys, SALT, TAG};

/// What a sealed record has behind its body, in bytes.
pub(crate) const SEAL: u32 = (TAG + SALT) as u32;

/// Makes the guards of a log's segments.
#[derive(Debug, Clone)]
pub(crate) struct Guards {
    pub(crate) secret: u32,
    pub(crate) keys: Option<Arc<LogKeys>>,
}

/// Checks, opens and seals the records of a segment.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    pub(crate) seed: Seed,
    sealing: Sealing,
}

#[derive(Debug, Clone)]
enum Sealing {
    /// Nothing is sealed.
    None,
    Keys(Arc<SegmentSealing>),
    /// What is sealed counts, and stays so: for who wants to know where records are, not what.
    Unopened,
}

#[derive(Debug)]
struct SegmentSealing {
    keys: Arc<LogKeys>,
    segment: SegmentNo,
    /// Derived when first needed.
    chacha: OnceLock<Aead>,
    aes: OnceLock<Aead>,
}

impl Guards {
    pub(crate) fn of(&self, segment: SegmentNo) -> Guard {
        let sealing = match &self.keys {
            None => Sealing::None,
            Some(keys) => Sealing::Keys(Arc::new(SegmentSealing {
                keys: Arc::clone(keys),
                segment,
                chacha: OnceLock::new(),
                aes: OnceLock::new(),
            })),
        };
        Guard {
            seed: Seed::new(self.secret, segment),
            sealing,
        }
    }
}

impl SegmentSealing {
    fn key(&self, cipher: Cipher) -> &Aead {
        let known = match cipher {
            Cipher::ChaCha => &self.chacha,
            Cipher::Aes => &self.aes,
        };
        known.get_or_init(|| self.keys.segment(cipher, self.segment))
    }

    /// Whether a record may stand there unsealed.
    fn lets_pass(&self, kind: u8) -> bool {
        matches!(kind, kind::RESUME | kind::SEAL) || self.keys.may_be_plain(self.segment)
    }
}

impl Guard {
    /// Takes records for what they are by their checksums alone, and opens none.
    pub(crate) fn of_checksums(secret: u32, segment: SegmentNo) -> Self {
        Self {
            seed: Seed::new(secret, segment),
            sealing: Sealing::Unopened,
        }
    }

    /// What new records of the segment are sealed with.
    pub(crate) fn cipher(&self) -> Option<Cipher> {
        match &self.sealing {
            Sealing::Keys(sealing) => Some(sealing.keys.cipher()),
            Sealing::None | Sealing::Unopened => None,
        }
    }

    /// The record at the front of `bytes`, which begin at `offset` of the segment, if its checksum holds there and its tag as well. What
    /// was sealed is open in `bytes` then.
    pub(crate) fn open<'a>(&self, bytes: &'a mut [u8], offset: u32) -> Option<Frame<'a>> {
        let checked = frame::decode(bytes, self.seed, offset)?;
        let (kind, sealed_with, len) = (checked.kind, checked.cipher(), checked.len as usize);
        match (&self.sealing, sealed_with) {
            (Sealing::None, None) | (Sealing::Unopened, _) => {}
            (Sealing::Keys(sealing), None) if sealing.lets_pass(kind) => {}
            (Sealing::Keys(sealing), Some(cipher)) => {
                let key = sealing.key(cipher);
                let (parts, tag, salt) = parts(&mut bytes[..len])?;
                let (header, body) = parts.split_at_mut(FRAME_HEADER as usize);
                let (tag, salt) = ((*tag).try_into().ok()?, (*salt).try_into().ok()?);
                key.open(nonce(salt, offset), &header[4..], body, tag)?;
            }
            _ => return None,
        }
        frame::decode_trusted(bytes)
    }

    /// Seals the record that `bytes` are, room for the seal included, and makes its checksum.
    pub(crate) fn seal(&self, bytes: &mut [u8], offset: u32, salt: [u8; SALT]) {
        let found = frame::decode_trusted(bytes).and_then(|frame| frame.cipher());
        let (Sealing::Keys(sealing), Some(cipher)) = (&self.sealing, found) else {
            debug_assert!(false, "a record that is to be sealed says so");
            return;
        };
        let Some((parts, tag, its_salt)) = parts(bytes) else {
            return;
        };
        its_salt.copy_from_slice(&salt);
        let (header, body) = parts.split_at_mut(FRAME_HEADER as usize);
        let made = sealing
            .key(cipher)
            .seal(nonce(salt, offset), &header[4..], body);
        tag.copy_from_slice(&made);
        self.seed.stamp(bytes, offset);
    }

    /// Seals what is to be sealed of records that follow each other from `start` of the segment on.
    pub(crate) fn seal_all(&self, bytes: &mut [u8], start: u32, salt: [u8; SALT]) {
        let mut at = 0;
        while let Some(rest) = bytes.get_mut(at..)
            && let Some(len) = frame::claimed_len(rest)
            && let Some(record) = rest.get_mut(..len as usize)
        {
            if frame::is_sealed(record) {
                self.seal(record, start + at as u32, salt);
            }
            at += padded(len) as usize;
        }
        debug_assert_eq!(at, bytes.len(), "nothing but records");
    }
}

fn nonce(salt: [u8; SALT], offset: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..SALT].copy_from_slice(&salt);
    nonce[SALT..].copy_from_slice(&offset.to_le_bytes());
    nonce
}

/// Header and body, tag, salt.
fn parts(bytes: &mut [u8]) -> Option<(&mut [u8], &mut [u8], &mut [u8])> {
    let body_end = bytes.len().checked_sub(SEAL as usize)?;
    if body_end < FRAME_HEADER as usize {
        return None;
    }
    let (parts, seal) = bytes.split_at_mut(body_end);
    let (tag, salt) = seal.split_at_mut(TAG);
    Some((parts, tag, salt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::frame::Stamp;
    use crate::log::{Delete, Record, StreamId};

    fn guards(data_key: u8, plain_below: u32) -> Guards {
        let keys = LogKeys::new(&[data_key; 32], 0, Cipher::ChaCha, &[0; 32], plain_below);
        Guards {
            secret: 9,
            keys: Some(Arc::new(keys)),
        }
    }

    /// A record at offset 640 of segment 4, sealed with this if any.
    fn written(cipher: Option<Cipher>, salt: [u8; SALT]) -> Vec<u8> {
        let guard = guards(1, 0).of(SegmentNo(4));
        let stamp = Stamp {
            seed: guard.seed,
            offset: 640,
            stable: 64,
            session: 3,
            in_batch: false,
            cipher,
        };
        let record = Record::Delete(Delete {
            stream: StreamId(5),
            seq: 0x0123_4567_89ab_cdef,
        });
        let mut out = Vec::new();
        let len = FRAME_HEADER + 8 + if cipher.is_some() { SEAL } else { 0 };
        frame::encode(&mut out, stamp, &record, len);
        if cipher.is_some() {
            guard.seal_all(&mut out, 640, salt);
        }
        out
    }

    fn opens(guards: &Guards, segment: u32, offset: u32, bytes: &[u8]) -> bool {
        let mut bytes = bytes.to_vec();
        let guard = guards.of(SegmentNo(segment));
        match guard.open(&mut bytes, offset) {
            Some(frame) => {
                assert!(matches!(
                    frame.record(),
                    Some(Record::Delete(Delete {
                        stream: StreamId(5),
                        seq: 0x0123_4567_89ab_cdef,
                    }))
                ));
                true
            }
            None => false,
        }
    }

    #[test]
    fn a_sealed_record_opens_with_its_key_at_its_place() {
        for cipher in [Cipher::ChaCha, Cipher::Aes] {
            let sealed = written(Some(cipher), [7; SALT]);
            let hidden = 0x0123_4567_89ab_cdef_u64.to_le_bytes();
            assert!(!sealed.windows(8).any(|bytes| bytes == hidden));
            assert!(opens(&guards(1, 0), 4, 640, &sealed));
            assert!(!opens(&guards(2, 0), 4, 640, &sealed), "another key");
            assert!(!opens(&guards(1, 0), 5, 640, &sealed), "another segment");
            let plain = Guards {
                secret: 9,
                keys: None,
            };
            assert!(!opens(&plain, 4, 640, &sealed), "no key");
            assert_ne!(sealed, written(Some(cipher), [8; SALT]), "another salt");
        }
    }

    #[test]
    fn a_plain_record_counts_only_where_there_may_be_some() {
        let plain = written(None, [0; SALT]);
        assert!(opens(&guards(1, 5), 4, 640, &plain));
        assert!(!opens(&guards(1, 4), 4, 640, &plain));
    }

    /// The checksum can be made anew by anybody who reads `store.json`; the tag can not.
    #[test]
    fn no_byte_can_be_changed_even_with_a_checksum_made_anew() {
        let sealed = written(Some(Cipher::Aes), [7; SALT]);
        let guard = guards(1, 0).of(SegmentNo(4));
        for byte in (4..sealed.len()).filter(|byte| !(8..12).contains(byte)) {
            let mut changed = sealed.clone();
            changed[byte] ^= 4;
            guard.seed.stamp(&mut changed, 640);
            assert!(!opens(&guards(1, 0), 4, 640, &changed), "byte {byte}");
        }
    }
}
