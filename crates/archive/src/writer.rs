use std::io::{self, Write};

use jetsled_jetstream_api::{ConsumerConfig, ConsumerState, StreamState, Timestamp};
use serde::Serialize;

use crate::entry::{CONSUMERS, Head, MAGIC, STATE};
use crate::{ArchivedMessage, S2Writer};

/// Writes an archive: the state, as many consumers as it says, the messages in order of sequence.
#[derive(Debug)]
pub struct ArchiveWriter<W> {
    to: S2Writer<W>,
}

#[derive(Serialize)]
struct Consumer<'a> {
    config: &'a ConsumerConfig,
    state: &'a ConsumerState,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive.
    pub fn new(to: W) -> Self {
        Self {
            to: S2Writer::new(to),
        }
    }

    /// Writes the stream's state, which comes first; `consumer_count` says how many consumers follow.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn state(&mut self, state: &StreamState, now: Timestamp) -> io::Result<()> {
        self.to.write_all(MAGIC)?;
        let json = jetsled_jetstream_api::json::to_vec(state);
        self.entry(STATE, now, 0, b"", &json)
    }

    /// Writes a consumer.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn consumer(
        &mut self,
        name: &str,
        config: &ConsumerConfig,
        state: &ConsumerState,
        now: Timestamp,
    ) -> io::Result<()> {
        let json = jetsled_jetstream_api::json::to_vec(&Consumer { config, state });
        self.entry(&[CONSUMERS, name.as_bytes()].concat(), now, 0, b"", &json)
    }

    /// Writes a message.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn message(&mut self, message: &ArchivedMessage<'_>) -> io::Result<()> {
        let ArchivedMessage {
            seq,
            timestamp,
            subject,
            headers,
            payload,
        } = *message;
        self.entry(subject, timestamp, seq.get(), headers, payload)
    }

    /// Writes the end, without which the archive is truncated, and gives back what it was written to.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn finish(mut self) -> io::Result<W> {
        Head::default().write(&mut self.to)?;
        self.to.finish()
    }

    fn entry(
        &mut self,
        name: &[u8],
        time: Timestamp,
        seq: u64,
        headers: &[u8],
        payload: &[u8],
    ) -> io::Result<()> {
        let head = Head {
            name_len: name.len() as u64,
            timestamp: time.0,
            seq,
            headers_len: headers.len() as u64,
            payload_len: payload.len() as u64,
        };
        head.write(&mut self.to)?;
        for part in [name, headers, payload] {
            self.to.write_all(part)?;
        }
        Ok(())
    }
}
