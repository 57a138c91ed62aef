//! Message blocks as an archive's reader sees them: one record at a time.

use std::io::BufRead;

use super::{LegacyEntry, exactly};
use crate::filestore::{ChecksumKey, Record, RecordHead, RecordKind};
use crate::{ArchiveError, ArchivedMessage, Limits};

/// Reads a block; `name` is `<stream>-<number>`, of which the checksums' key is made. Damage ends it.
pub(super) fn read<E: From<ArchiveError>>(
    file: &mut impl BufRead,
    name: &str,
    limits: Limits,
    visit: &mut dyn FnMut(LegacyEntry<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let key = ChecksumKey::of(name);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if !exactly(file, RecordHead::LEN as u64, &mut bytes)? {
            return Ok(());
        }
        let Some(head) = RecordHead::parse(&bytes) else {
            return Ok(());
        };
        if !exactly(file, (head.len - RecordHead::LEN) as u64, &mut bytes)? {
            return Ok(());
        }
        let Ok(record) = Record::read(&bytes, &key) else {
            return Ok(());
        };
        let seq = record.seq;
        if seq.get() == 0 {
            continue;
        }
        if record.kind != RecordKind::Message {
            visit(LegacyEntry::Gone(seq))?;
            continue;
        }
        if (record.headers.len() + record.payload.len()) as u64 > limits.message {
            return Err(ArchiveError::TooLarge(seq.get()).into());
        }
        visit(LegacyEntry::Message(ArchivedMessage {
            seq,
            timestamp: record.timestamp,
            subject: record.subject,
            headers: record.headers,
            payload: record.payload,
        }))?;
    }
}
