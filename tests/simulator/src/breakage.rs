//! Rules broken on purpose, to see that the simulator notices.
//!
//! The server is as it is; between it and the disk somebody alters what it writes, so that it looks as if a server without the rule had written it:
//! checksums hold. The server's memory is right, so that only a start can show it.

/// A rule that can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// What is answered has been synced.
    SyncBeforeAnswer,
    /// Bytes that fail their checksum are not served.
    Checksums,
    /// Deletions and purges are in the log before they are answered.
    DeletionsAreLogged,
    /// Message ids are known again after a start.
    MessageIdsAreKept,
    /// An ack floor passes no message for which nobody sent an ack.
    FloorsWaitForAcks,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::SyncBeforeAnswer,
        Self::Checksums,
        Self::DeletionsAreLogged,
        Self::MessageIdsAreKept,
        Self::FloorsWaitForAcks,
    ];

    /// What of a segment reaches the disk in place of these bytes, which are written at `offset`.
    pub(crate) fn break_write(self, bytes: &[u8], offset: u64) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let mut at = if offset == 0 { SEGMENT_HEADER } else { 0 };
        while let Some(record) = bytes.get_mut(at..)
            && record.len() >= HEADER
            && record[4..6] == MAGIC
        {
            let len = u32::from_le_bytes([record[8], record[9], record[10], record[11]]) as usize;
            let Some(record) = record.get_mut(..len) else {
                break;
            };
            // Not all of them, so that a run goes on for a while.
            if ((offset as usize + at) / 8).is_multiple_of(3) {
                self.forge(record);
            }
            at += len.next_multiple_of(8);
        }
        bytes
    }

    fn forge(self, record: &mut [u8]) {
        let before = crc32c::crc32c(&record[4..]);
        let (header, body) = record.split_at_mut(HEADER);
        match (self, header[6]) {
            (Self::Checksums, MESSAGE) => {
                if let Some(last) = body.last_mut() {
                    *last ^= 1;
                }
            }
            (Self::DeletionsAreLogged, DELETE | PURGE) => body[..8].fill(0),
            (Self::DeletionsAreLogged, STREAM_DELETED) => header[20..24].fill(0),
            (Self::DeletionsAreLogged, CONSUMER_DELETED) => body[..4].fill(0),
            (Self::MessageIdsAreKept, MESSAGE) => {
                let name = b"Nats-Msg-Id:";
                let found = body.windows(name.len()).position(|part| part == name);
                if let Some(found) = found {
                    body[found] = b'n';
                    body[found + name.len() - 2] = b'x';
                }
            }
            (Self::FloorsWaitForAcks, CONSUMER_PROGRESS) => ack_one_more(&mut body[4..]),
            _ => {}
        }
        // A checksum of that kind changes by the same, whatever it began with.
        let change = before ^ crc32c::crc32c(&record[4..]);
        for (byte, change) in record.iter_mut().zip(change.to_le_bytes()) {
            *byte ^= change;
        }
    }
}

/// If a consumer's progress ends with the ack of one message, it acks the next one as well.
fn ack_one_more(progress: &mut [u8]) {
    let mut at = 0;
    while let Some(tag) = progress.get(at) {
        let numbers = match *tag {
            SKIP_LIST => return,
            DELIVERED | ACKED | ACKED_THROUGH | SINCE => 2,
            _ => 1,
        };
        let is_ack = *tag == ACKED;
        at += 1;
        for _ in 0..numbers {
            while progress.get(at).is_some_and(|byte| byte & 0x80 != 0) {
                at += 1;
            }
            at += 1;
        }
        if is_ack && at == progress.len() && progress[at - 1] == 1 {
            progress[at - 1] = 2;
        }
    }
}

// As docs/storage-format.md has them, and dispatch's progress records.
const SEGMENT_HEADER: usize = 64;
const HEADER: usize = 24;
const MAGIC: [u8; 2] = 0x7A4A_u16.to_le_bytes();
const MESSAGE: u8 = 1;
const DELETE: u8 = 2;
const PURGE: u8 = 3;
const STREAM_DELETED: u8 = 6;
const CONSUMER_DELETED: u8 = 9;
const CONSUMER_PROGRESS: u8 = 10;
const SKIP_LIST: u8 = 2;
const DELIVERED: u8 = 4;
const ACKED: u8 = 7;
const ACKED_THROUGH: u8 = 8;
const SINCE: u8 = 10;
