//! A server without threads, sockets and a clock of its own.

use std::cell::RefCell;
use std::sync::Arc;

use jetsled_config::Options;
use jetsled_jetstream_api::Timestamp;
use jetsled_store::storage::Storage;
use jetsled_store::{OpenReport, StoreOptions};

use super::{ServerState, StartError};
use crate::jetstream::{self, JetStream};
use crate::{chance, client};

/// A server that does nothing by itself: whoever has it gives clients' bytes, calls the shards' workers, and sets the time. Everything else is
/// what [`Server`](super::Server) runs: sessions, accounts, routing, JetStream.
///
/// It has no listeners and no monitoring, and its events are not published. Snapshots and restores start threads of their own.
///
/// Time and randomness belong to the calling thread: [`set_time`](ServerByHand::set_time), [`seed`](ServerByHand::seed).
pub struct ServerByHand {
    state: Arc<ServerState>,
    workers: Vec<RefCell<jetstream::ByHand>>,
    report: OpenReport,
}

impl ServerByHand {
    /// Starts a server on a store. The options must be such that a login waits for nothing: no operator mode, no callout.
    ///
    /// # Errors
    ///
    /// When the store can't be opened.
    pub fn start(
        options: Options,
        store: &StoreOptions,
        storage: Arc<dyn Storage>,
    ) -> Result<Self, StartError> {
        let state = Arc::new(ServerState::new(options)?);
        let (jetstream, report, workers) =
            JetStream::start_by_hand(&state, store, storage).map_err(StartError::JetStream)?;
        state.set_jetstream(jetstream);
        Ok(Self {
            state,
            workers: workers.into_iter().map(RefCell::new).collect(),
            report,
        })
    }

    /// The present time for all servers of this thread.
    pub fn set_time(now: Timestamp) {
        jetstream::give_time(Some(now));
    }

    /// What all servers of this thread make their random numbers from.
    pub fn seed(seed: u64) {
        chance::seed(Some(seed));
    }

    /// What opening the store has found.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// A new connection; the INFO that a socket would have got first is left out.
    #[must_use]
    pub fn connect(&self) -> SessionByHand {
        SessionByHand(client::ByHand::open(&self.state))
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.workers.len()
    }

    /// Lets a shard's worker do one round of what is due: a commit, timers, deliveries, upkeep. Answers when the next is due; a past
    /// time means now.
    ///
    /// # Panics
    ///
    /// If there is no such shard, or its worker is at work: a [`Storage`] that calls back must not call this.
    pub fn step(&self, shard: usize) -> Option<Timestamp> {
        self.workers[shard].borrow_mut().step()
    }

    /// Whether no shard is locked: a [`Storage`] that calls back may let sessions receive now.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.state.jetstream().is_none_or(JetStream::is_at_rest)
    }

    /// Whether a shard refuses writes until the next start, since what its disk holds is not known.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.state.jetstream().is_some_and(JetStream::is_fenced)
    }

    /// An orderly stop, after the last session was dropped.
    pub fn stop(self) {
        if let Some(jetstream) = self.state.jetstream() {
            jetstream.stop_workers(self.workers.into_iter().map(RefCell::into_inner));
        }
    }

    /// Lets go of everything without another word to the disk. Sessions are to be dropped before.
    pub fn abandon(self) {
        if let Some(jetstream) = self.state.jetstream() {
            jetstream.let_go();
        }
    }
}

impl std::fmt::Debug for ServerByHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerByHand").finish_non_exhaustive()
    }
}

/// A client's connection to a [`ServerByHand`]: bytes of the protocol in and out. Dropping it closes the connection.
pub struct SessionByHand(client::ByHand);

impl SessionByHand {
    /// Acts on bytes of the client, whatever their ends cut in two. `false`: the server ends the connection.
    pub fn receive(&mut self, bytes: &[u8]) -> bool {
        self.0.receive(bytes)
    }

    /// Moves at most `max` bytes for the client into `out`.
    pub fn take_output(&self, max: usize, out: &mut Vec<u8>) {
        self.0.take_output(max, out);
    }

    /// Whether the server has closed the connection, as a slow consumer for instance.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.0.is_closing()
    }
}

impl std::fmt::Debug for SessionByHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionByHand").finish_non_exhaustive()
    }
}
