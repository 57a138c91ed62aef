//! `STREAM.RESTORE`: a stream from an archive that a client sends.

use std::sync::Arc;
use std::time::Duration;

use jetsled_archive::{
    Archive, ArchiveError, ArchiveReader, Entry, LegacyArchive, LegacyEntry, Limits, S2Reader,
};
use jetsled_jetstream_api::advisory::{RestoreComplete, RestoreCreate};
use jetsled_jetstream_api::response::{Response, StreamCreate};
use jetsled_jetstream_api::{ApiError, StreamConfig, Timestamp};
use serde_json::value::RawValue;

use super::chunk_queue::{Broken, ChunkQueue, ChunkReader};
use super::filling::Filling;
use super::{Peer, Seat};
use crate::account::Account;
use crate::jetstream::account::{AccountJetStream, ApiReply, RestoredStream};
use crate::jetstream::reply::send;
use crate::jetstream::{advisory, clock};
use crate::routing::FlushSet;

/// A restore that was asked for and may begin.
pub(in crate::jetstream) struct Restore {
    pub(in crate::jetstream) jetstream: Arc<AccountJetStream>,
    pub(in crate::jetstream) account: Arc<Account>,
    /// The stream's configuration, validated.
    pub(in crate::jetstream) config: StreamConfig,
    pub(in crate::jetstream) client: Box<RawValue>,
}

impl Restore {
    /// Waits for the chunks on a thread of its own. Answers where they are to be sent.
    pub(in crate::jetstream) fn start(self) -> Result<String, ApiError> {
        let subject = format!(
            "$JS.SNAPSHOT.RESTORE.{}.{}",
            self.config.name,
            crate::nuid::next()
        );
        let queue = ChunkQueue::new();
        let transfers = Arc::clone(&self.jetstream.runtime().transfers);
        let peer = Peer::Restore(Arc::clone(&queue));
        let seat = transfers
            .begin(&self.account, subject.clone(), peer)
            .map_err(ApiError::stream_restore)?;
        let reader = ChunkReader::new(queue, Arc::clone(&self.account));
        transfers
            .spawn("restore", move || self.run(reader, seat))
            .map_err(ApiError::stream_restore)?;
        Ok(subject)
    }

    fn run(&self, mut chunks: ChunkReader, seat: Seat) {
        let (account, name) = (self.account.name(), self.config.name.as_str());
        tracing::info!("Starting restore for stream '{account} > {name}'");
        let began = clock::now();
        self.announce_begin();
        let restored = self.fill(&mut chunks);
        if restored.is_err() {
            // The client is told when it has sent all (observed nats-server 2.15.1).
            std::io::copy(&mut chunks, &mut std::io::sink()).ok();
        }
        // What comes now is too late.
        drop(seat);
        let ended = clock::now();
        let took = Duration::from_nanos(ended.since(began).0.unsigned_abs());
        let bytes = chunks.bytes();
        if let Err(error) = &restored {
            tracing::warn!(
                "Restore failed for {bytes} bytes for stream '{account} > {name}' in {took:.1?}: {}",
                error.description
            );
            if chunks.is_stalled() {
                return;
            }
        } else {
            tracing::info!(
                "Completed restore of {bytes} bytes for stream '{account} > {name}' in {took:.1?}"
            );
        }
        self.announce_end(began, ended, bytes);
        self.answer(&chunks.take_reply(), restored);
    }

    /// Reads the archive and makes the stream of it; leaves nothing if anything goes wrong.
    fn fill(&self, chunks: &mut ChunkReader) -> Result<RestoredStream, ApiError> {
        let max_payload = self.jetstream.runtime().max_payload as u64;
        let limits = Limits {
            message: max_payload,
            ..Limits::default()
        };
        match Archive::open(chunks, limits).map_err(|e| self.unreadable(e))? {
            Archive::Current(archive) => self.fill_from(archive),
            Archive::Legacy(archive) => self.fill_from_legacy(archive),
        }
    }

    fn fill_from(
        &self,
        mut archive: ArchiveReader<&mut ChunkReader>,
    ) -> Result<RestoredStream, ApiError> {
        let Entry::State(state) = archive.next().map_err(|e| self.unreadable(e))? else {
            return Err(self.unreadable(ArchiveError::NoState));
        };
        let mut filling = Filling::begin(self, state.bytes, None)?;
        filling.use_up_to(state.first_seq.previous())?;
        loop {
            match archive.next().map_err(|e| self.unreadable(e))? {
                Entry::Message(message) => filling.message(&message)?,
                Entry::Consumer(consumer) => filling.consumer(*consumer)?,
                Entry::State(_) => {}
                Entry::End => break,
            }
        }
        self.drain(archive.into_rest())?;
        filling.use_up_to(state.last_seq)?;
        filling.finish()
    }

    fn fill_from_legacy(
        &self,
        archive: LegacyArchive<&mut ChunkReader>,
    ) -> Result<RestoredStream, ApiError> {
        let mut filling = None;
        let rest = archive
            .read(&mut |entry| self.legacy_entry(entry, &mut filling))
            .map_err(|error| match error {
                LegacyError::Archive(error) => self.unreadable(error),
                LegacyError::Stream(error) => error,
            })?;
        self.drain(rest)?;
        match filling {
            Some(mut filling) => filling.finish(),
            None => Err(ApiError::stream_restore(
                "open meta.inf: no such file or directory",
            )),
        }
    }

    fn legacy_entry<'a>(
        &'a self,
        entry: LegacyEntry<'_>,
        filling: &mut Option<Filling<'a>>,
    ) -> Result<(), LegacyError> {
        match (entry, filling) {
            (LegacyEntry::Config(config, created), filling) => {
                if config.name != self.config.name {
                    return Err(ApiError::stream_restore("stream names do not match").into());
                }
                let created = Some(created).filter(|created| !created.is_unset());
                *filling = Some(Filling::begin(self, 0, created)?);
            }
            (_, None) => {}
            (LegacyEntry::Message(message), Some(filling)) => {
                if message.seq > filling.last() {
                    filling.message(&message)?;
                }
            }
            (LegacyEntry::Gone(seq), Some(filling)) if seq > filling.last() => {
                filling.use_up_to(seq)?;
            }
            (LegacyEntry::Gone(seq) | LegacyEntry::Deleted(seq), Some(filling)) => {
                filling.take_back(seq)?;
            }
            (LegacyEntry::First(seq), Some(filling)) => filling.begin_at(seq)?,
            (LegacyEntry::Consumer(consumer), Some(filling)) => filling.consumer(*consumer)?,
        }
        Ok(())
    }

    /// The client waits for the answer to its last chunk.
    fn drain(&self, mut rest: S2Reader<&mut ChunkReader>) -> Result<(), ApiError> {
        rest.drain()
            .map_err(|error| self.unreadable(ArchiveError::Io(error)))
    }

    fn unreadable(&self, error: ArchiveError) -> ApiError {
        let broken = match &error {
            ArchiveError::Io(error) => error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<Broken>()),
            _ => None,
        };
        match broken {
            Some(broken) => ApiError::stream_restore(format_args!(
                "restore for stream '{} > {}' {broken}",
                self.account.name(),
                self.config.name
            )),
            None => ApiError::stream_restore(error),
        }
    }

    /// Tells the client what has become of it.
    fn answer(&self, reply: &[u8], restored: Result<RestoredStream, ApiError>) {
        if reply.is_empty() {
            return;
        }
        let mut flush = FlushSet::new();
        match restored {
            Ok(RestoredStream { info, durable }) => {
                let body = Response::ok(StreamCreate {
                    info: Some(info),
                    did_create: false,
                });
                let failure = || {
                    let error = ApiError::stream_restore("it could not be written to disk");
                    Response::<StreamCreate>::error(error).to_json()
                };
                let reply = ApiReply {
                    subject: reply,
                    headers: b"",
                    body: &body.to_json(),
                };
                self.jetstream
                    .reply(&reply, Some(durable), failure, &mut flush);
            }
            Err(error) => {
                let body = Response::<StreamCreate>::error(error);
                send(&self.account, reply, &body.to_json(), &mut flush);
            }
        }
        flush.flush();
    }

    fn announce_begin(&self) {
        advisory::publish_now(
            &self.account,
            &RestoreCreate {
                stream: &self.config.name,
                client: &self.client,
                domain: self.jetstream.runtime().domain.as_deref(),
            },
        );
    }

    fn announce_end(&self, start: Timestamp, end: Timestamp, bytes: u64) {
        advisory::publish_now(
            &self.account,
            &RestoreComplete {
                stream: &self.config.name,
                start,
                end,
                bytes,
                client: &self.client,
                domain: self.jetstream.runtime().domain.as_deref(),
            },
        );
    }
}

/// What stops the reading of a legacy archive.
enum LegacyError {
    Archive(ArchiveError),
    Stream(ApiError),
}

impl From<ArchiveError> for LegacyError {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

impl From<ApiError> for LegacyError {
    fn from(error: ApiError) -> Self {
        Self::Stream(error)
    }
}
