//! An archive on its way in: the chunks that a client has sent and nobody has read yet.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::account::Account;
use crate::jetstream::reply::send;
use crate::routing::FlushSet;

/// Bytes that a client may send ahead of the acknowledgements.
const MAX_QUEUED: usize = 32 << 20;
/// How long a client may take for its next chunk.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// Why no more chunks come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// Nothing came for too long. Nobody is told (observed nats-server 2.15.1).
    #[error("is stalled")]
    Stalled,
    /// A chunk came without a reply subject.
    #[error("requires reply subject for each chunk")]
    NoReply,
    /// More was sent than may wait.
    #[error("has more than {MAX_QUEUED} bytes of unacknowledged chunks")]
    TooFarAhead,
    /// The server ends.
    #[error("is ended by the server's shutdown")]
    Shutdown,
}

/// Chunks that wait.
pub(super) struct ChunkQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    broken: Option<Broken>,
}

struct Chunk {
    payload: Box<[u8]>,
    reply: Box<[u8]>,
}

impl ChunkQueue {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Takes a chunk; an empty one is the end. It is acknowledged when it has been read.
    pub(super) fn push(&self, payload: &[u8], reply: &[u8]) {
        let mut state = self.state.lock();
        if state.broken.is_some() {
            return;
        }
        if reply.is_empty() {
            state.broken = Some(Broken::NoReply);
        } else if state.bytes + payload.len() + reply.len() > MAX_QUEUED {
            state.broken = Some(Broken::TooFarAhead);
        } else {
            state.bytes += payload.len() + reply.len();
            state.chunks.push_back(Chunk {
                payload: payload.into(),
                reply: reply.into(),
            });
        }
        self.changed.notify_one();
    }

    pub(super) fn stop(&self) {
        self.state.lock().broken = Some(Broken::Shutdown);
        self.changed.notify_one();
    }

    fn pop(&self) -> Result<Chunk, Broken> {
        let mut state = self.state.lock();
        loop {
            if let Some(broken) = state.broken {
                return Err(broken);
            }
            if let Some(chunk) = state.chunks.pop_front() {
                state.bytes -= chunk.payload.len() + chunk.reply.len();
                return Ok(chunk);
            }
            if self.changed.wait_for(&mut state, STALLED_AFTER).timed_out()
                && state.chunks.is_empty()
                && state.broken.is_none()
            {
                state.broken = Some(Broken::Stalled);
            }
        }
    }
}

/// Reads the chunks one after the other, and acknowledges each when all of it was read.
pub(super) struct ChunkReader {
    queue: Arc<ChunkQueue>,
    account: Arc<Account>,
    chunk: Box<[u8]>,
    at: usize,
    /// Where the client waits for an answer to the chunk being read.
    reply: Box<[u8]>,
    ended: bool,
    bytes: u64,
    flush: FlushSet,
}

impl ChunkReader {
    pub(super) fn new(queue: Arc<ChunkQueue>, account: Arc<Account>) -> Self {
        Self {
            queue,
            account,
            chunk: Box::default(),
            at: 0,
            reply: Box::default(),
            ended: false,
            bytes: 0,
            flush: FlushSet::new(),
        }
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the client has fallen silent.
    pub(super) fn is_stalled(&self) -> bool {
        self.queue.state.lock().broken == Some(Broken::Stalled)
    }

    /// Where the client waits for an answer, if it does; it is not answered by this any more.
    pub(super) fn take_reply(&mut self) -> Box<[u8]> {
        std::mem::take(&mut self.reply)
    }
}

impl Read for ChunkReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() && !self.ended {
            let reply = std::mem::take(&mut self.reply);
            if !reply.is_empty() {
                send(&self.account, &reply, b"", &mut self.flush);
                self.flush.flush();
            }
            let Chunk { payload, reply } = self.queue.pop().map_err(io::Error::other)?;
            self.ended = payload.is_empty();
            self.bytes += payload.len() as u64;
            (self.chunk, self.at, self.reply) = (payload, 0, reply);
        }
        let rest = &self.chunk[self.at..];
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}
