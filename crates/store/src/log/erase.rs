//! Erasure: a deleted message's bytes are overwritten where they lie.
//!
//! The record keeps its place, its length, its sequence and what a replay must know to come to the same state: subject, time, and the
//! headers by which it removed others or is recognised when it comes again. Every other byte becomes zero. Its kind says that it was erased, so
//! that it is not served if damage takes the record of its deletion.
//!
//! ```text
//! Log::erase logs what takes the place of each copy -> the commit that carries that is durable -> it overwrites and syncs them
//! -> its replies leave
//! ```
//!
//! A start overwrites again what the log behind the checkpoint names; there is no checkpoint before a commit has ended.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::disk::read_full;
use super::frame::{self, Stamp};
use super::guard::{Guards, SEAL};
use super::record::Erase;
use super::segment::{index_path, segment_path};
use super::{AppendError, Log, LogOptions, Message, ReadError, Record, RecordAt, StreamId};
use crate::storage::{OpenMode, Storage, StorageFile};

/// A record to overwrite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    at: RecordAt,
    /// How the new record begins; the rest is zeros.
    front: Vec<u8>,
}

/// Headers, with their colons, that stay.
const KEPT: [&[u8]; 5] = [
    b"Nats-Rollup:",
    b"Nats-Msg-Id:",
    b"Nats-Scheduler:",
    b"Nats-Schedule-Next:",
    b"Nats-Stream-Source:",
];

impl Log {
    /// What erases all records of a message that have not been given back; ask before it is deleted.
    ///
    /// # Errors
    /// As [`Log::locate`].
    pub fn erasures(&mut self, stream: StreamId, seq: u64) -> Result<Vec<Erasure>, ReadError> {
        let copies = self.copies(stream, seq)?;
        copies
            .into_iter()
            .map(|at| {
                let front = self.blank_front(at)?;
                Ok(Erasure { at, front })
            })
            .collect()
    }

    /// Makes the next commit overwrite these records of messages, which must not be read any more.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn erase(&mut self, stream: StreamId, erasures: Vec<Erasure>) -> Result<(), AppendError> {
        for erasure in erasures {
            let record = Record::Erase(Erase {
                stream,
                at: erasure.at,
                front: &erasure.front,
            });
            self.append(&record)?;
            self.erasures.push(erasure);
        }
        Ok(())
    }

    /// How the record begins that takes the place of one; empty if that can not be read.
    fn blank_front(&mut self, at: RecordAt) -> Result<Vec<u8>, ReadError> {
        let seed = self.options.guards().of(at.segment).seed;
        let frame = match self.memory.get(at) {
            Some(bytes) => frame::decode_trusted(bytes),
            None => {
                let written = self.written_in(at.segment)?;
                match self.disk.read(at, written) {
                    Ok(frame) => Some(frame),
                    Err(ReadError::Damaged(_)) => None,
                    Err(error) => return Err(error),
                }
            }
        };
        let Some(frame) = frame else {
            return Ok(Vec::new());
        };
        let Some(Record::Message(message) | Record::ErasedMessage(message)) = frame.record() else {
            return Ok(Vec::new());
        };
        let (headers, payload) = blank(&message);
        let blanked = Record::ErasedMessage(Message {
            headers: &headers,
            payload: &payload,
            ..message
        });
        let stamp = Stamp {
            seed,
            offset: at.offset,
            stable: frame.stable,
            session: frame.session,
            in_batch: frame.in_batch(),
            cipher: frame.cipher(),
        };
        let mut front = Vec::new();
        frame::encode(&mut front, stamp, &blanked, at.len);
        let seal = if stamp.cipher.is_some() { SEAL } else { 0 };
        front.truncate((at.len - seal) as usize - payload.len());
        Ok(front)
    }
}

/// What a start has to overwrite again.
#[derive(Debug, Default)]
pub(crate) struct InterruptedErasures {
    erasures: Vec<Erasure>,
}

impl InterruptedErasures {
    pub(crate) fn note(&mut self, erase: &Erase<'_>) {
        self.erasures.push(Erasure {
            at: erase.at,
            front: erase.front.to_vec(),
        });
    }

    /// Overwrites what was noted. Answers whether some record had been left half overwritten: the log must be opened once more then, since
    /// it was read without that.
    pub(crate) fn run(
        &self,
        storage: &dyn Storage,
        dir: &Path,
        options: &LogOptions,
    ) -> io::Result<bool> {
        let guards = options.guards();
        let mut torn = BTreeSet::new();
        for erasure in &self.erasures {
            let segment = erasure.at.segment;
            match storage.open(&segment_path(dir, segment), OpenMode::Read) {
                Ok(file) if !erasure.front.is_empty() && erasure.is_torn(&*file, &guards)? => {
                    torn.insert(segment);
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // An index that was made of such a segment does without the record, which a replay of its deletion asks for.
        for segment in &torn {
            match storage.remove(&index_path(dir, *segment)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if !torn.is_empty() {
            storage.sync_dir(dir)?;
        }
        run(storage, dir, &guards, &self.erasures)?;
        Ok(!torn.is_empty())
    }
}

impl Erasure {
    fn is_torn(&self, file: &dyn StorageFile, guards: &Guards) -> io::Result<bool> {
        let guard = guards.of(self.at.segment);
        let mut bytes = vec![0; self.at.len as usize];
        let read = read_full(file, &mut bytes, u64::from(self.at.offset))?;
        bytes.truncate(read);
        Ok(guard.open(&mut bytes, self.at.offset).is_none())
    }
}

/// Overwrites records and syncs their files. A segment that is no more needs none. What takes the place of a sealed record is sealed with
/// a salt of its own, each time.
pub(super) fn run(
    storage: &dyn Storage,
    dir: &Path,
    guards: &Guards,
    erasures: &[Erasure],
) -> io::Result<()> {
    for Erasure { at, front } in erasures {
        match storage.open(&segment_path(dir, at.segment), OpenMode::Write) {
            Ok(file) => {
                let mut bytes = front.clone();
                bytes.resize(at.len as usize, 0);
                if let Some(keys) = guards.keys.as_ref().filter(|_| frame::is_sealed(&bytes)) {
                    let guard = guards.of(at.segment);
                    guard.seal(&mut bytes, at.offset, keys.salt());
                }
                file.write_all_at(&bytes, u64::from(at.offset))?;
                file.sync_data()?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What stays of headers and payload, which together have the length that they had.
fn blank(message: &Message<'_>) -> (Vec<u8>, Vec<u8>) {
    let len = message.headers.len() + message.payload.len();
    let mut headers = Vec::new();
    if !message.headers.is_empty() {
        headers.extend_from_slice(b"NATS/1.0\r\n");
        for line in message.headers.split_inclusive(|byte| *byte == b'\n') {
            if line.ends_with(b"\r\n") && KEPT.iter().any(|kept| line.starts_with(kept)) {
                headers.extend_from_slice(line);
            }
        }
        headers.extend_from_slice(b"\r\n");
        if headers.len() > message.headers.len() {
            headers = vec![0; message.headers.len()];
        }
    }
    let payload = vec![0; len - headers.len()];
    (headers, payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_headers_only_those_that_a_replay_needs_stay() {
        let check = |headers: &[u8], expected: &[u8]| {
            let message = Message {
                stream: StreamId(1),
                seq: 1,
                timestamp: 0,
                subject: b"a",
                headers,
                payload: b"secret",
            };
            let (left, payload) = blank(&message);
            assert_eq!(
                left.escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
            assert!(payload.iter().all(|byte| *byte == 0));
            assert_eq!(left.len() + payload.len(), headers.len() + 6);
        };
        check(b"", b"");
        check(b"NATS/1.0\r\n\r\n", b"NATS/1.0\r\n\r\n");
        check(b"NATS/1.0\r\nA: secret\r\n\r\n", b"NATS/1.0\r\n\r\n");
        check(
            b"NATS/1.0\r\nNats-Msg-Id: 1\r\nA: Nats-Rollup: all\r\nNats-Rollup: sub\r\n\r\n",
            b"NATS/1.0\r\nNats-Msg-Id: 1\r\nNats-Rollup: sub\r\n\r\n",
        );
        check(b"secret", &[0; 6]);
    }
}
