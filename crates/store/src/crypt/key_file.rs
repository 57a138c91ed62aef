//! The data key as `store.json` keeps it: sealed with the operator's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::aead::{CHACHA20_POLY1305, LessSafeKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keys::Aead;
use super::salts::expand;
use super::{Encryption, StoreKey, TAG};

/// A sealed data key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyFile {
    /// Random, and new each time that the data key is sealed.
    salt: Text<32>,
    /// The data key, and the tag.
    key: Text<{ 32 + TAG }>,
}

/// A data key that was opened.
pub(crate) struct Unsealed {
    pub(crate) key: Zeroizing<[u8; 32]>,
    /// Sealed with the operator's present key, if it opened with the previous one only.
    pub(crate) resealed: Option<KeyFile>,
}

/// Bytes that stand as base64 in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct Text<const N: usize>([u8; N]);

impl<const N: usize> From<Text<N>> for String {
    fn from(Text(bytes): Text<N>) -> Self {
        BASE64.encode(bytes)
    }
}

impl<const N: usize> TryFrom<String> for Text<N> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes = BASE64.decode(text).map_err(|error| error.to_string())?;
        let len = bytes.len();
        let bytes = bytes.try_into();
        bytes
            .map(Self)
            .map_err(|_| format!("{len} bytes instead of {N}"))
    }
}

impl KeyFile {
    /// Makes up a data key. `context`: what else the store's description says; the key opens only beside the same.
    /// `random`: bytes of this opening that nobody can guess.
    pub(crate) fn create(
        key: &StoreKey,
        context: &[u8],
        random: &[u8; 32],
    ) -> (Self, Zeroizing<[u8; 32]>) {
        let random = Zeroizing::new(*random);
        let from = Prk::new_less_safe(HKDF_SHA256, &random[..]);
        let data = Zeroizing::new(expand(&from, &[b"jetsled data key"]));
        (Self::seal(key, context, &data, &random), data)
    }

    fn seal(key: &StoreKey, context: &[u8], data: &[u8; 32], random: &[u8; 32]) -> Self {
        let from = Prk::new_less_safe(HKDF_SHA256, random);
        let salt = expand(&from, &[b"jetsled key salt"]);
        let mut sealed = [0; 32 + TAG];
        sealed[..32].copy_from_slice(data);
        let (bytes, tag) = sealed.split_at_mut(32);
        // The sealing key is used for this once: it comes from a new salt.
        let made = sealing_key(key, &salt).seal([0; 12], context, bytes);
        tag.copy_from_slice(&made);
        Self {
            salt: Text(salt),
            key: Text(sealed),
        }
    }

    /// Opens the data key with the operator's key, or with the previous one. `None`: neither is the one that it was sealed with, or the
    /// description was changed. `random`: as for [`KeyFile::create`], for sealing it anew.
    pub(crate) fn open(
        &self,
        encryption: &Encryption,
        context: &[u8],
        random: &[u8; 32],
    ) -> Option<Unsealed> {
        if let Some(key) = self.open_with(&encryption.key, context) {
            return Some(Unsealed {
                key,
                resealed: None,
            });
        }
        let key = self.open_with(encryption.previous.as_ref()?, context)?;
        let resealed = Some(Self::seal(&encryption.key, context, &key, random));
        Some(Unsealed { key, resealed })
    }

    fn open_with(&self, key: &StoreKey, context: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let (bytes, tag) = self.key.0.split_first_chunk::<32>()?;
        let mut data = Zeroizing::new(*bytes);
        let tag = tag.try_into().ok()?;
        sealing_key(key, &self.salt.0).open([0; 12], context, &mut data[..], tag)?;
        Some(data)
    }
}

fn sealing_key(key: &StoreKey, salt: &[u8; 32]) -> Aead {
    let prk = Salt::new(HKDF_SHA256, salt).extract(key.bytes());
    let key = prk.expand(&[b"jetsled store key"], &CHACHA20_POLY1305);
    let key = key.expect("a key is shorter than what HKDF gives");
    Aead::new(LessSafeKey::new(key.into()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Cipher;
    use super::*;

    fn encryption(key: &str, previous: Option<&str>) -> Encryption {
        Encryption {
            key: StoreKey::new(key),
            previous: previous.map(StoreKey::new),
            cipher: Cipher::ChaCha,
            random: Arc::new(|| [0; 32]),
        }
    }

    #[test]
    fn only_its_key_opens_it_and_a_previous_one_is_replaced() {
        let (file, data) = KeyFile::create(&StoreKey::new("one"), b"c", &[1; 32]);
        let json = serde_json::to_string(&file).unwrap();
        let file: KeyFile = serde_json::from_str(&json).unwrap();
        let check = |file: &KeyFile, key: &str, previous: Option<&str>, context: &[u8]| {
            let opened = file.open(&encryption(key, previous), context, &[3; 32])?;
            assert_eq!(*opened.key, *data);
            Some(opened.resealed)
        };
        assert_eq!(check(&file, "one", None, b"c"), Some(None));
        assert_eq!(check(&file, "one", Some("two"), b"c"), Some(None));
        for (key, previous, context) in [
            ("two", None, &b"c"[..]),
            ("two", Some("three"), b"c"),
            ("", None, b"c"),
            ("one", None, b"d"),
        ] {
            assert_eq!(check(&file, key, previous, context), None, "{key}");
        }
        let resealed = check(&file, "two", Some("one"), b"c").unwrap().unwrap();
        assert_eq!(check(&resealed, "two", None, b"c"), Some(None));
        assert_eq!(check(&resealed, "one", None, b"c"), None);
        assert!(!json.contains("one"));
    }

    #[test]
    fn keys_are_never_shown() {
        let shown = format!("{:?}", encryption("hush", Some("hush")));
        assert!(!shown.contains("hush"), "{shown}");
    }
}
