//! Streams on their way out (snapshots) and in (restores), as archives cut into chunks.
//!
//! Each has a thread of its own, since it compresses and waits for a client; it takes its shard's lock for a short stretch of
//! messages at a time. Memory is bounded whatever the stream's size: a block being compressed, a stretch of messages, and
//! what the client has not acknowledged.

mod chunk_queue;
mod chunk_sender;
mod filling;
mod restore;
mod snapshot;

use std::sync::Arc;
use std::thread::JoinHandle;

use hashbrown::HashMap;
use jetsled_protocol::subject;
use parking_lot::Mutex;

use self::chunk_queue::ChunkQueue;
use self::chunk_sender::Window;
use super::ingest::Request;
use super::target::Target;
use crate::account::Account;
use crate::routing;

pub(super) use restore::Restore;
pub(super) use snapshot::Snapshot;

/// Snapshots and restores at a time; each takes a thread and some megabytes.
const MAX_TRANSFERS: usize = 64;

/// Messages are read and written in stretches of so many bytes and messages, between which the shard is free for others.
const STRETCH_BYTES: usize = 256 << 10;
const STRETCH_MESSAGES: usize = 512;

/// A snapshot or restore under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TransferId(u64);

/// All snapshots and restores under way.
#[derive(Default)]
pub(super) struct Transfers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    active: HashMap<TransferId, Peer>,
    threads: Vec<JoinHandle<()>>,
    stopping: bool,
}

/// What messages to a transfer's subject are for.
#[derive(Clone)]
enum Peer {
    /// Each acknowledges a chunk.
    Snapshot(Arc<Window>),
    /// Each is a chunk.
    Restore(Arc<ChunkQueue>),
}

/// Why none can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("{MAX_TRANSFERS} snapshots and restores are under way")]
    TooMany,
    #[error("server is shutting down")]
    Stopping,
    #[error("no thread for it")]
    NoThread,
}

/// A transfer's place among the others, and its subject, until it is dropped.
struct Seat {
    id: TransferId,
    account: Arc<Account>,
    subject: String,
    transfers: Arc<Transfers>,
}

impl Transfers {
    /// A message to a transfer's subject.
    pub(super) fn receive(&self, id: TransferId, request: &Request<'_>) {
        let peer = self.state.lock().active.get(&id).cloned();
        match peer {
            Some(Peer::Snapshot(window)) => window.acknowledged(),
            Some(Peer::Restore(queue)) => queue.push(request.payload, request.reply),
            None => {}
        }
    }

    /// Ends all transfers and waits for them. None begins from now on.
    pub(super) fn stop(&self) {
        let (peers, threads) = {
            let mut state = self.state.lock();
            state.stopping = true;
            let peers: Vec<Peer> = state.active.values().cloned().collect();
            (peers, std::mem::take(&mut state.threads))
        };
        for peer in peers {
            match peer {
                Peer::Snapshot(window) => window.stop(),
                Peer::Restore(queue) => queue.stop(),
            }
        }
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("JetStream snapshot or restore ended by a panic");
            }
        }
    }

    /// Takes a place for a transfer that listens on `subject`.
    fn begin(
        self: &Arc<Self>,
        account: &Arc<Account>,
        subject: String,
        peer: Peer,
    ) -> Result<Seat, Refused> {
        let id = {
            let mut state = self.state.lock();
            if state.stopping {
                return Err(Refused::Stopping);
            }
            if state.active.len() >= MAX_TRANSFERS {
                return Err(Refused::TooMany);
            }
            state.next += 1;
            let id = TransferId(state.next);
            state.active.insert(id, peer);
            id
        };
        account.insert_target(subject.as_bytes(), b"", target(id));
        Ok(Seat {
            id,
            account: Arc::clone(account),
            subject,
            transfers: Arc::clone(self),
        })
    }

    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Refused> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(|_| Refused::NoThread)?;
        let mut state = self.state.lock();
        state.threads.retain(|thread| !thread.is_finished());
        state.threads.push(thread);
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.account
            .remove_target(self.subject.as_bytes(), b"", &target(self.id));
        self.transfers.state.lock().active.remove(&self.id);
    }
}

fn target(id: TransferId) -> routing::Target {
    routing::Target::JetStream(Target::Transfer(id))
}

/// Whether chunks can be sent here.
pub(super) fn is_deliver_subject(name: &str) -> bool {
    subject::is_valid_literal(name.as_bytes())
}
