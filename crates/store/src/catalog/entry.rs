//! How entries lie in sled.

use crate::crypt::{Aead, Cipher, TAG};

/// The parts of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Section {
    /// The log's checkpoint, one entry.
    Log = 0,
    /// A stream's configuration, by stream.
    StreamConfig = 1,
    /// A stream's state, by stream.
    StreamState = 2,
    /// A consumer's configuration, by consumer.
    ConsumerConfig = 3,
    /// A consumer's state, by consumer.
    ConsumerState = 4,
}

/// sled keeps larger values in files of their own and rewrites pages that hold large ones.
pub(super) const CHUNK: usize = (16 << 10) - 64;
pub(super) const CHUNK_HEADER: usize = 8;

/// Which checkpoint of a shard is the current one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) generation: u64,
    pub(super) entries: u32,
    pub(super) sealed: Option<Sealed>,
}

/// What the entries of a checkpoint are sealed with, beside the store's key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealed {
    pub(super) cipher: Cipher,
    pub(super) salt: [u8; 16],
}

impl Head {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(33);
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.entries.to_le_bytes());
        if let Some(Sealed { cipher, salt }) = self.sealed {
            out.push(cipher as u8);
            out.extend_from_slice(&salt);
        }
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (fields, checksum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if *checksum != crc32c::crc32c(fields).to_le_bytes() {
            return None;
        }
        let (generation, entries) = fields.split_first_chunk()?;
        let (entries, rest) = entries.split_first_chunk()?;
        let entries = u32::from_le_bytes(*entries);
        let sealed = match rest.split_first() {
            None => None,
            Some((cipher, salt)) => Some(Sealed {
                cipher: Cipher::from_number(*cipher)?,
                salt: salt.try_into().ok()?,
            }),
        };
        Some(Self {
            generation: u64::from_le_bytes(*generation),
            entries,
            sealed,
        })
    }
}

/// Seals and opens the values of one checkpoint: each is its number, sealed bytes, tag.
#[derive(Debug)]
pub(super) struct ValueSeal {
    pub(super) key: Aead,
    pub(super) generation: u64,
}

impl ValueSeal {
    /// `number`: of the entry; not two of a checkpoint have the same.
    pub(super) fn seal(&self, number: u32, section: Section, key: &[u8], value: &[u8]) -> Vec<u8> {
        let number = number.to_le_bytes();
        let mut out = Vec::with_capacity(number.len() + value.len() + TAG);
        out.extend_from_slice(&number);
        out.extend_from_slice(value);
        let context = self.context(section, key);
        let tag = self
            .key
            .seal(nonce(number), &context, &mut out[number.len()..]);
        out.extend_from_slice(&tag);
        out
    }

    pub(super) fn open(&self, section: Section, key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        let (number, sealed) = value.split_first_chunk()?;
        let (sealed, tag) = sealed.split_last_chunk()?;
        let mut out = sealed.to_vec();
        self.key
            .open(nonce(*number), &self.context(section, key), &mut out, *tag)?;
        Some(out)
    }

    fn context(&self, section: Section, key: &[u8]) -> Vec<u8> {
        [&self.generation.to_le_bytes(), &[section as u8][..], key].concat()
    }
}

fn nonce(number: [u8; 4]) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&number);
    nonce
}

/// An entry of which some chunks have been read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) section: Section,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    value_len: usize,
    pub(super) checksum: u32,
    pub(super) chunks: u32,
}

impl Reading {
    pub(super) fn begin(section: Section, key: &[u8], bytes: &[u8]) -> Option<Self> {
        let (value_len, rest) = bytes.split_first_chunk()?;
        let (checksum, value) = rest.split_first_chunk()?;
        let value_len = u32::from_le_bytes(*value_len) as usize;
        let checksum = u32::from_le_bytes(*checksum);
        let (key, value) = (key.to_vec(), value.to_vec());
        Some(Self {
            section,
            key,
            value,
            value_len,
            checksum,
            chunks: 1,
        })
    }

    pub(super) fn continues(&self, section: Section, key: &[u8], chunk: u32) -> bool {
        self.section == section && self.key == key && self.chunks == chunk
    }

    pub(super) fn is_complete(&self) -> bool {
        self.value.len() >= self.value_len
    }
}

/// The key of all chunks of an entry, without the chunk's number.
pub(super) fn join_key(generation: u64, section: Section, len: u16, key: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(15 + key.len());
    name.extend_from_slice(&generation.to_be_bytes());
    name.push(section as u8);
    name.extend_from_slice(&len.to_be_bytes());
    name.extend_from_slice(key);
    name
}

/// What a key says: its section, the entry's own key, and which chunk of its value this is.
pub(super) fn split_key(key: &[u8]) -> Option<(Section, &[u8], u32)> {
    let (section, rest) = key.get(8..)?.split_first()?;
    let section = match section {
        0 => Section::Log,
        1 => Section::StreamConfig,
        2 => Section::StreamState,
        3 => Section::ConsumerConfig,
        4 => Section::ConsumerState,
        _ => return None,
    };
    let (len, rest) = rest.split_first_chunk()?;
    let (name, chunk) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((section, name, u32::from_be_bytes(chunk.try_into().ok()?)))
}

pub(super) fn checksum(section: Section, key: &[u8], value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(section as u32, key), value)
}
