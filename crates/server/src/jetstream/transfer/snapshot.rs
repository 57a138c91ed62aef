//! `STREAM.SNAPSHOT`: a stream as an archive, sent to a client.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use jetsled_archive::{ArchiveWriter, ArchivedMessage};
use jetsled_jetstream_api::advisory::{SnapshotComplete, SnapshotCreate};
use jetsled_jetstream_api::request::StreamSnapshotRequest;
use jetsled_jetstream_api::response::{Response, StreamSnapshot};
use jetsled_jetstream_api::{
    ApiError, ConsumerConfig, ConsumerState, StreamSeq, StreamState, Timestamp,
};
use jetsled_store::DeletedDetails;
use serde_json::value::RawValue;

use super::chunk_sender::{ChunkSender, Window};
use super::{Peer, STRETCH_BYTES, STRETCH_MESSAGES, Seat};
use crate::account::Account;
use crate::jetstream::account::{AccountJetStream, StreamHandle};
use crate::jetstream::reply::send;
use crate::jetstream::shard::ShardHandle;
use crate::jetstream::{advisory, clock};
use crate::routing::FlushSet;

/// How long a client may take to subscribe to the chunks.
const PATIENCE: Duration = Duration::from_secs(2);

/// A snapshot that was asked for.
pub(in crate::jetstream) struct Snapshot {
    pub(in crate::jetstream) jetstream: Arc<AccountJetStream>,
    pub(in crate::jetstream) account: Arc<Account>,
    pub(in crate::jetstream) stream: StreamHandle,
    pub(in crate::jetstream) request: StreamSnapshotRequest,
    /// Where the answer goes.
    pub(in crate::jetstream) reply: Vec<u8>,
    pub(in crate::jetstream) client: Box<RawValue>,
}

/// What a stream holds at the beginning of its snapshot.
struct Contents {
    state: StreamState,
    consumers: Vec<(String, ConsumerConfig, ConsumerState)>,
}

impl Snapshot {
    /// Takes the snapshot on a thread of its own, which also answers the request.
    pub(in crate::jetstream) fn start(self) -> Result<(), ApiError> {
        let (chunk_size, window) = sizes(&self.request);
        let window = Window::new(window / chunk_size);
        let prefix = format!(
            "$JS.SNAPSHOT.ACK.{}.{}",
            self.stream.config.name,
            crate::nuid::next()
        );
        let transfers = Arc::clone(&self.jetstream.runtime().transfers);
        let peer = Peer::Snapshot(Arc::clone(&window));
        let seat = transfers
            .begin(&self.account, format!("{prefix}.>"), peer)
            .map_err(ApiError::stream_snapshot)?;
        let sender = ChunkSender::new(
            &self.account,
            &self.request.deliver_subject,
            &prefix,
            window,
            chunk_size,
        );
        transfers
            .spawn("snapshot", move || self.run(sender, &seat))
            .map_err(ApiError::stream_snapshot)
    }

    fn run(&self, mut sender: ChunkSender, _seat: &Seat) {
        let name = self.stream.config.name.as_str();
        let account = self.account.name();
        tracing::info!("Starting snapshot for stream '{account} > {name}'");
        let began = clock::now();
        let contents = match self.gather() {
            Ok(contents) => contents,
            Err(error) => {
                tracing::warn!(
                    "Snapshot of stream '{account} > {name}' failed: {}",
                    error.description
                );
                self.answer(&Response::<StreamSnapshot>::error(error));
                return;
            }
        };
        self.answer(&Response::ok(StreamSnapshot {
            config: Some((*self.stream.config).clone()),
            state: Some(contents.state.clone()),
        }));
        self.announce_begin(&contents.state);
        sender.await_interest(PATIENCE);
        let sent = self.write(&contents, &mut sender, began);
        match &sent {
            Ok(()) => sender.finish(),
            Err(error) => sender.abort(error),
        }
        let ended = clock::now();
        self.announce_end(began, ended, sent.as_ref().err());
        let took = Duration::from_nanos(ended.since(began).0.unsigned_abs());
        match sent {
            Ok(()) => tracing::info!(
                "Completed snapshot of {} bytes for stream '{account} > {name}' in {took:.1?}",
                contents.state.bytes,
            ),
            Err(error) => tracing::warn!(
                "Snapshot for stream '{account} > {name}' failed after {took:.1?}: {error}"
            ),
        }
    }

    /// What the stream holds now, once all of it is durable.
    fn gather(&self) -> Result<Contents, ApiError> {
        let failed = |error: &dyn std::fmt::Display| ApiError::stream_snapshot(error);
        let shard = self.shard().ok_or(ApiError::STREAM_NOT_FOUND)?;
        let mut flush = FlushSet::new();
        let with_consumers = !self.request.no_consumers;
        let gathered = self.jetstream.with_stream_at(
            &self.stream,
            &mut flush,
            |access, _| -> Result<_, ApiError> {
                let id = access.id();
                let state = access.store().state(id, DeletedDetails::Count);
                let mut state = state.map_err(|error| failed(&error))?;
                let consumers = access.archived_consumers(state.last_seq);
                state.consumer_count = consumers.len() as u64;
                let consumers = if with_consumers {
                    consumers
                } else {
                    Vec::new()
                };
                Ok((Contents { state, consumers }, access.wait()))
            },
        );
        flush.flush();
        let (contents, wait) = gathered.ok_or(ApiError::STREAM_NOT_FOUND)??;
        shard.wait_durable(wait).map_err(|error| failed(&error))?;
        Ok(contents)
    }

    /// Writes the archive.
    fn write(
        &self,
        contents: &Contents,
        sender: &mut ChunkSender,
        now: Timestamp,
    ) -> io::Result<()> {
        let mut archive = ArchiveWriter::new(sender);
        let mut state = contents.state.clone();
        state.consumer_count = contents.consumers.len() as u64;
        archive.state(&state, now)?;
        for (name, config, state) in &contents.consumers {
            archive.consumer(name, config, state, now)?;
        }
        let mut stretch = Stretch::default();
        let mut next = state.first_seq.max(StreamSeq::FIRST);
        while next <= state.last_seq {
            next = self.read(next, state.last_seq, &mut stretch)?;
            stretch.write(&mut archive)?;
        }
        archive.finish()?;
        Ok(())
    }

    /// Reads a stretch of messages; answers where the next begins.
    fn read(
        &self,
        from: StreamSeq,
        last: StreamSeq,
        stretch: &mut Stretch,
    ) -> io::Result<StreamSeq> {
        let gone = || io::Error::other("stream closed");
        let mut state = self.shard().ok_or_else(gone)?.lock();
        let id = self.stream.target.stream;
        if state.store.stream(id).is_none() {
            return Err(gone());
        }
        let read = state.store.read_run(id, from, last, &mut |message| {
            stretch.push(&ArchivedMessage {
                seq: message.seq,
                timestamp: message.timestamp,
                subject: message.subject,
                headers: message.headers,
                payload: message.payload,
            })
        });
        read.map_err(|error| {
            io::Error::other(format!(
                "couldn't load next message after seq {from}: {error}"
            ))
        })
    }

    fn shard(&self) -> Option<&ShardHandle> {
        self.jetstream
            .shard(self.stream.target.shard)
            .map(|shard| &**shard)
    }

    fn answer(&self, response: &Response<StreamSnapshot>) {
        self.jetstream.count_api(response.is_error());
        if !self.reply.is_empty() {
            let mut flush = FlushSet::new();
            send(&self.account, &self.reply, &response.to_json(), &mut flush);
            flush.flush();
        }
    }

    fn announce_begin(&self, state: &StreamState) {
        let runtime = self.jetstream.runtime();
        advisory::publish_now(
            &self.account,
            &SnapshotCreate {
                stream: &self.stream.config.name,
                state,
                client: &self.client,
                domain: runtime.domain.as_deref(),
            },
        );
    }

    fn announce_end(&self, start: Timestamp, end: Timestamp, error: Option<&io::Error>) {
        let runtime = self.jetstream.runtime();
        advisory::publish_now(
            &self.account,
            &SnapshotComplete {
                stream: &self.stream.config.name,
                start,
                end,
                client: &self.client,
                domain: runtime.domain.as_deref(),
                error: error.map(ToString::to_string),
            },
        );
    }
}

/// Messages between the shard and the archive.
#[derive(Default)]
struct Stretch {
    bytes: Vec<u8>,
    messages: Vec<(StreamSeq, Timestamp, [usize; 3])>,
}

impl Stretch {
    fn push(&mut self, message: &ArchivedMessage<'_>) -> ControlFlow<()> {
        let parts = [message.subject, message.headers, message.payload];
        parts
            .iter()
            .for_each(|part| self.bytes.extend_from_slice(part));
        self.messages
            .push((message.seq, message.timestamp, parts.map(<[u8]>::len)));
        if self.bytes.len() < STRETCH_BYTES && self.messages.len() < STRETCH_MESSAGES {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }

    fn write(&mut self, archive: &mut ArchiveWriter<&mut ChunkSender>) -> io::Result<()> {
        let mut rest = self.bytes.as_slice();
        for (seq, timestamp, lens) in self.messages.drain(..) {
            let [subject, headers, payload] = lens.map(|len| {
                let (part, behind) = rest.split_at(len);
                rest = behind;
                part
            });
            archive.message(&ArchivedMessage {
                seq,
                timestamp,
                subject,
                headers,
                payload,
            })?;
        }
        self.bytes.clear();
        Ok(())
    }
}

/// The sizes of a chunk and of the window, in bytes (observed nats-server 2.15.1).
fn sizes(request: &StreamSnapshotRequest) -> (usize, usize) {
    let clamped = |asked: i64, default: i64, most: i64| {
        let asked = if asked == 0 { default } else { asked };
        usize::try_from(asked.clamp(1024, most)).unwrap_or(1024)
    };
    let chunk = clamped(request.chunk_size, 128 << 10, 1 << 20);
    let window = clamped(request.window_size, 8 << 20, 32 << 20);
    (chunk, window.max(chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_clamped() {
        for (chunk_size, window_size, want) in [
            (0, 0, (128 << 10, 8 << 20)),
            (1, 1, (1024, 1024)),
            (-5, -5, (1024, 1024)),
            (1 << 40, 1 << 40, (1 << 20, 32 << 20)),
            (1 << 20, 1024, (1 << 20, 1 << 20)),
        ] {
            let request = StreamSnapshotRequest {
                chunk_size,
                window_size,
                ..StreamSnapshotRequest::default()
            };
            assert_eq!(sizes(&request), want, "{chunk_size} {window_size}");
        }
    }
}
