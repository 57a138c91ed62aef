//! Opens sealed records, by `docs/storage-format.md`, section "Encryption".

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use serde_json::Value;

const HEADER: usize = 24;
const SALT: usize = 8;
const TAG: usize = 16;

/// What opens the records of a store.
#[derive(Debug)]
pub(super) struct Keys {
    data: Prk,
}

impl Keys {
    /// Opens the data key of a store with this description.
    pub(super) fn open(description: &Value, operator: &str) -> Result<Self, String> {
        let sealed = &description["encryption"];
        let bytes = |name: &str| {
            let text = sealed[name].as_str().unwrap_or_default();
            BASE64.decode(text).map_err(|error| error.to_string())
        };
        let number = |name: &str| description[name].as_u64().unwrap_or(0) as u32;
        let mut bound = number("format").to_le_bytes().to_vec();
        bound.push(number("shards") as u8);
        bound.extend(number("secret").to_le_bytes());
        for below in sealed["plain_below"].as_array().into_iter().flatten() {
            bound.extend((below.as_u64().unwrap_or(0) as u32).to_le_bytes());
        }
        let from = Salt::new(HKDF_SHA256, &bytes("salt")?).extract(operator.as_bytes());
        let sealing = expand(&from, &[b"jetsled store key"], &CHACHA20_POLY1305)?;
        let mut key = bytes("key")?;
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let data = sealing.open_in_place(nonce, Aad::from(bound), &mut key);
        let data = data.map_err(|_| "the key does not open the store")?;
        Ok(Self {
            data: Prk::new_less_safe(HKDF_SHA256, data),
        })
    }

    /// The body of a record that is all there is of `record`, opened in place if it is sealed.
    pub(super) fn body<'r>(
        &self,
        shard: u8,
        segment: u32,
        offset: usize,
        record: &'r mut [u8],
    ) -> Result<Option<&'r [u8]>, String> {
        let Some(flags) = record.get(7) else {
            return Ok(None);
        };
        let (cipher, algorithm) = match flags >> 1 & 0b11 {
            0 => return Ok(record.get(HEADER..)),
            1 => (1, &CHACHA20_POLY1305),
            _ => (2, &AES_256_GCM),
        };
        let at = [
            &[cipher][..],
            b"jetsled segment",
            &[shard],
            &segment.to_le_bytes(),
        ];
        let key = expand(&self.data, &at, algorithm)?;
        let Some(end) = record
            .len()
            .checked_sub(SALT)
            .filter(|end| *end >= HEADER + TAG)
        else {
            return Err("a sealed record is too short".to_owned());
        };
        let mut nonce = [0; 12];
        nonce[..SALT].copy_from_slice(&record[end..]);
        nonce[SALT..].copy_from_slice(&(offset as u32).to_le_bytes());
        let bound = Aad::from(record[4..HEADER].to_vec());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = key.open_in_place(nonce, bound, &mut record[HEADER..end]);
        let opened = opened.map_err(|_| format!("the record at {offset} does not open"))?;
        Ok(Some(opened))
    }
}

fn expand(
    from: &Prk,
    info: &[&[u8]],
    algorithm: &'static Algorithm,
) -> Result<LessSafeKey, String> {
    let key = from.expand(info, algorithm);
    let key: UnboundKey = key.map_err(|_| "too long a key")?.into();
    Ok(LessSafeKey::new(key))
}
