//! What a stream holds, as clients read it.

use std::collections::BTreeMap;

use super::limits::Limits;

/// A stream read at rest: its state and all its messages.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) created: String,
    pub(crate) version: u64,
    pub(crate) limits: Limits,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) subjects: u64,
    pub(crate) deleted: u64,
    /// How many messages each subject is said to have.
    pub(crate) by_subject: BTreeMap<String, u64>,
    /// Sequences that the server says damage took.
    pub(crate) lost: Vec<u64>,
    pub(crate) messages: BTreeMap<u64, Stored>,
}

/// A stored message.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    /// With what a direct get adds.
    pub(crate) headers: Vec<u8>,
    /// Without that.
    pub(crate) header_len: usize,
    pub(crate) payload: Vec<u8>,
    /// Nanoseconds.
    pub(crate) time: i64,
}

impl Stored {
    /// What it counts for.
    pub(crate) fn size(&self, in_memory: bool) -> u64 {
        let (subject, headers, payload) = (self.subject.len(), self.header_len, self.payload.len());
        let size = match (in_memory, headers) {
            (true, _) => subject + headers + payload + 16,
            (false, 0) => 22 + subject + payload + 8,
            (false, _) => 22 + subject + 4 + headers + payload + 8,
        };
        size as u64
    }
}
