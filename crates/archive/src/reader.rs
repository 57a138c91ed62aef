use std::io::{BufRead, Read};

use jetsled_jetstream_api::{ConsumerConfig, ConsumerState, StreamSeq, StreamState, Timestamp};
use serde::Deserialize;

use crate::entry::{CONSUMERS, Head, MAGIC, STATE, take};
use crate::{ArchiveError, ArchivedMessage, LegacyArchive, S2Reader};

/// How much of an archive may be in memory at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Headers and payload of a message, in bytes.
    pub message: u64,
    /// The state, or a consumer with everything that waits for its ack, in bytes.
    pub json: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 64 << 20,
            json: 64 << 20,
        }
    }
}

/// What an archive holds next.
#[derive(Debug)]
pub enum Entry<'a> {
    /// The stream's state; comes first.
    State(StreamState),
    /// A consumer; all come before the messages.
    Consumer(Box<ArchivedConsumer>),
    /// A message; sequences rise.
    Message(ArchivedMessage<'a>),
    /// Everything was read.
    End,
}

/// A consumer of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedConsumer {
    /// Its name.
    pub name: String,
    /// Its configuration, not validated.
    pub config: ConsumerConfig,
    /// What it has delivered and what was acked, not validated.
    pub state: ConsumerState,
}

#[derive(Deserialize)]
struct Consumer {
    config: ConsumerConfig,
    state: ConsumerState,
}

/// An archive of either form.
#[derive(Debug)]
pub enum Archive<R: Read> {
    /// `NATSARC1`, since nats-server 2.15.
    Current(ArchiveReader<R>),
    /// A tar.
    Legacy(LegacyArchive<R>),
}

impl<R: Read> Archive<R> {
    /// Finds out which form this is.
    ///
    /// # Errors
    /// When this is no S2 stream, an empty one, or reading fails.
    pub fn open(from: R, limits: Limits) -> Result<Self, ArchiveError> {
        let mut from = S2Reader::new(from);
        let front = from.fill_buf()?;
        if front.is_empty() {
            return Err(ArchiveError::Truncated);
        }
        // A block may be shorter, but no tar begins like it.
        let len = front.len().min(MAGIC.len());
        if front[..len] == MAGIC[..len] {
            ArchiveReader::begin(from, limits).map(Self::Current)
        } else {
            Ok(Self::Legacy(LegacyArchive::new(from, limits)))
        }
    }
}

/// Reads a `NATSARC1` archive front to back.
#[derive(Debug)]
pub struct ArchiveReader<R> {
    from: S2Reader<R>,
    limits: Limits,
    expect: Expect,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Expect {
    State,
    /// So many consumers; then messages.
    Consumers(u64),
    /// Messages above this sequence.
    Messages(u64),
    Nothing,
}

impl<R: Read> ArchiveReader<R> {
    /// Reads the front of an archive.
    ///
    /// # Errors
    /// When this is no archive, or reading fails.
    pub fn open(from: R, limits: Limits) -> Result<Self, ArchiveError> {
        Self::begin(S2Reader::new(from), limits)
    }

    fn begin(mut from: S2Reader<R>, limits: Limits) -> Result<Self, ArchiveError> {
        if from.fill_buf()?.is_empty() {
            return Err(ArchiveError::Truncated);
        }
        let mut magic = Vec::new();
        take(&mut from, MAGIC.len() as u64, &mut magic)?;
        if magic != MAGIC {
            return Err(ArchiveError::Invalid);
        }
        Ok(Self {
            from,
            limits,
            expect: Expect::State,
            buffer: Vec::new(),
        })
    }

    /// The next entry. After [`Entry::End`] or an error there is only [`Entry::End`].
    ///
    /// # Errors
    /// When the archive is damaged, truncated or beyond the limits, or reading fails.
    #[expect(
        clippy::should_implement_trait,
        reason = "entries borrow from the reader"
    )]
    pub fn next(&mut self) -> Result<Entry<'_>, ArchiveError> {
        match std::mem::replace(&mut self.expect, Expect::Nothing) {
            Expect::State => self.state(),
            Expect::Consumers(0) => self.message(0),
            Expect::Consumers(left) => self.consumer(left),
            Expect::Messages(above) => self.message(above),
            Expect::Nothing => Ok(Entry::End),
        }
    }

    /// What is left behind the archive, if anything.
    pub fn into_rest(self) -> S2Reader<R> {
        self.from
    }

    fn state(&mut self) -> Result<Entry<'_>, ArchiveError> {
        let head = Head::read(&mut self.from)?;
        if self.name(&head)? != STATE {
            return Err(ArchiveError::NoState);
        }
        let json = self.json(&head, "state.json")?;
        let state: StreamState = serde_json::from_slice(json).map_err(ArchiveError::State)?;
        self.expect = Expect::Consumers(state.consumer_count);
        Ok(Entry::State(state))
    }

    fn consumer(&mut self, left: u64) -> Result<Entry<'_>, ArchiveError> {
        let head = Head::read(&mut self.from)?;
        let name = self.name(&head)?;
        let Some(name) = name.strip_prefix(CONSUMERS) else {
            return Err(ArchiveError::NoConsumer(
                String::from_utf8_lossy(name).into_owned(),
            ));
        };
        let name = String::from_utf8_lossy(name).into_owned();
        let json = self.json(&head, "a consumer")?;
        match serde_json::from_slice(json) {
            Ok(Consumer { config, state }) => {
                self.expect = Expect::Consumers(left - 1);
                Ok(Entry::Consumer(Box::new(ArchivedConsumer {
                    name,
                    config,
                    state,
                })))
            }
            Err(error) => Err(ArchiveError::Consumer { name, error }),
        }
    }

    fn message(&mut self, above: u64) -> Result<Entry<'_>, ArchiveError> {
        let head = Head::read(&mut self.from)?;
        if head.is_sentinel() {
            return Ok(Entry::End);
        }
        if head.seq == 0 {
            return Err(ArchiveError::NoSequence);
        }
        let len = head.headers_len + head.payload_len;
        if len > self.limits.message {
            return Err(ArchiveError::TooLarge(head.seq));
        }
        if head.seq <= above {
            return Err(ArchiveError::OutOfOrder(head.seq));
        }
        self.buffer.clear();
        take(&mut self.from, head.name_len + len, &mut self.buffer)?;
        self.expect = Expect::Messages(head.seq);
        let (subject, rest) = self.buffer.split_at(head.name_len as usize);
        let (headers, payload) = rest.split_at(head.headers_len as usize);
        Ok(Entry::Message(ArchivedMessage {
            seq: StreamSeq(head.seq),
            timestamp: Timestamp(head.timestamp),
            subject,
            headers,
            payload,
        }))
    }

    fn name(&mut self, head: &Head) -> Result<&[u8], ArchiveError> {
        self.buffer.clear();
        take(&mut self.from, head.name_len, &mut self.buffer)?;
        Ok(&self.buffer)
    }

    /// The body of an entry whose name was read.
    fn json(&mut self, head: &Head, what: &'static str) -> Result<&[u8], ArchiveError> {
        let len = head.headers_len + head.payload_len;
        if len > self.limits.json {
            return Err(ArchiveError::EntryTooLarge(what));
        }
        self.buffer.clear();
        take(&mut self.from, len, &mut self.buffer)?;
        Ok(&self.buffer)
    }
}
