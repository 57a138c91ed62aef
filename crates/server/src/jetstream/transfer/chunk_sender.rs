//! An archive on its way out: chunks, as many at a time as the client's window lets.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jetsled_protocol::MatchResult;
use parking_lot::{Condvar, Mutex};

use crate::account::Account;
use crate::routing::{FlushSet, OutboundMessage, Payload, Target};

/// How long a client may take to acknowledge anything.
const FLOW_TIMEOUT: Duration = Duration::from_secs(5);
/// How often to see whether somebody still listens.
const INTEREST_CHECK: Duration = Duration::from_millis(100);

/// Why sending ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stopped {
    /// Nobody listens any more.
    #[error("no interest")]
    NoInterest,
    /// Chunks are not acknowledged.
    #[error("no flow response")]
    NoFlowResponse,
    /// The server ends.
    #[error("server is shutting down")]
    Shutdown,
}

/// How many more chunks may be on their way.
pub(super) struct Window {
    state: Mutex<WindowState>,
    changed: Condvar,
}

struct WindowState {
    free: usize,
    size: usize,
    stopped: bool,
}

impl Window {
    pub(super) fn new(chunks: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(WindowState {
                free: chunks,
                size: chunks,
                stopped: false,
            }),
            changed: Condvar::new(),
        })
    }

    /// A chunk has arrived.
    pub(super) fn acknowledged(&self) {
        let mut state = self.state.lock();
        state.free = state.size.min(state.free + 1);
        self.changed.notify_one();
    }

    fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    pub(super) fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_one();
    }

    /// Waits until a chunk may be sent; `is_wanted` tells whether anybody listens.
    fn take(&self, is_wanted: impl Fn() -> bool) -> Result<(), Stopped> {
        let deadline = Instant::now() + FLOW_TIMEOUT;
        loop {
            if !is_wanted() {
                return Err(Stopped::NoInterest);
            }
            let mut state = self.state.lock();
            if state.stopped {
                return Err(Stopped::Shutdown);
            }
            if state.free > 0 {
                state.free -= 1;
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Stopped::NoFlowResponse);
            }
            self.changed.wait_for(&mut state, INTEREST_CHECK);
        }
    }
}

/// Cuts what is written into chunks and sends them.
pub(super) struct ChunkSender {
    account: Arc<Account>,
    deliver_subject: Vec<u8>,
    /// What the reply subjects of chunks begin with.
    ack_prefix: String,
    window: Arc<Window>,
    chunk: Vec<u8>,
    chunk_size: usize,
    /// Somebody listens on exactly the deliver subject.
    exact: bool,
    /// Full chunks sent.
    sent: u64,
    flush: FlushSet,
}

impl ChunkSender {
    pub(super) fn new(
        account: &Arc<Account>,
        deliver_subject: &str,
        ack_prefix: &str,
        window: Arc<Window>,
        chunk_size: usize,
    ) -> Self {
        Self {
            account: Arc::clone(account),
            deliver_subject: deliver_subject.as_bytes().to_vec(),
            ack_prefix: ack_prefix.to_owned(),
            window,
            chunk: Vec::with_capacity(chunk_size),
            chunk_size,
            exact: false,
            sent: 0,
            flush: FlushSet::new(),
        }
    }

    /// Waits up to `patience` for a subscription to exactly the deliver subject: a client's inbox often lies below a wildcard to
    /// which it listens anyway, before it is ready for chunks (observed nats-server 2.15.1).
    pub(super) fn await_interest(&mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            self.exact = self.has_exact_interest();
            if self.exact || Instant::now() >= deadline || self.window.is_stopped() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends the last chunk, which needs no acknowledgement, and the end.
    pub(super) fn finish(&mut self) {
        if !self.chunk.is_empty() {
            let chunk = std::mem::take(&mut self.chunk);
            self.send(b"", b"", chunk);
        }
        let end: &[u8] = if self.sent > 0 {
            b"NATS/1.0 204\r\n\r\n"
        } else {
            b""
        };
        self.send(b"", end, Vec::new());
    }

    /// Sends an end that tells why there is no more.
    pub(super) fn abort(&mut self, error: &io::Error) {
        let stopped = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Stopped>());
        let status = match stopped {
            Some(Stopped::NoInterest) => "408 No Interest".to_owned(),
            Some(Stopped::NoFlowResponse) => "408 No Flow Response".to_owned(),
            _ => format!("500 {error}"),
        };
        self.send(
            b"",
            format!("NATS/1.0 {status}\r\n\r\n").as_bytes(),
            Vec::new(),
        );
    }

    /// Whether who listened at the beginning still does.
    fn is_wanted(&self) -> bool {
        if self.exact {
            self.has_exact_interest()
        } else {
            self.account.has_interest(&self.deliver_subject)
        }
    }

    fn has_exact_interest(&self) -> bool {
        let mut found = MatchResult::default();
        self.account
            .match_subject(&self.deliver_subject, &mut found);
        let members = found.queues.iter().flat_map(|group| &group.members);
        found.plain.iter().chain(members).any(|target| {
            matches!(target, Target::Client(client) if *client.subject() == *self.deliver_subject)
        })
    }

    fn send_full(&mut self) -> Result<(), Stopped> {
        self.window.take(|| self.is_wanted())?;
        self.sent += 1;
        let next = Vec::with_capacity(self.chunk_size);
        let chunk = std::mem::replace(&mut self.chunk, next);
        let reply = format!("{}.{}.{}", self.ack_prefix, chunk.len(), self.sent);
        self.send(reply.as_bytes(), b"", chunk);
        Ok(())
    }

    fn send(&mut self, reply: &[u8], headers: &[u8], payload: Vec<u8>) {
        let payload = Bytes::from(payload);
        let message = OutboundMessage {
            subject: &self.deliver_subject,
            deliver_as: &self.deliver_subject,
            reply,
            headers,
            payload: Payload::Shared(&payload),
        };
        self.account.deliver(&message, &mut self.flush);
        self.flush.flush();
    }
}

impl Write for ChunkSender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.chunk_size - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == self.chunk_size {
            self.send_full().map_err(io::Error::other)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
