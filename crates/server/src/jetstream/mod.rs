//! JetStream: streams and consumers on top of `store` and `dispatch`.

use std::sync::Arc;

use crate::account::Account;
use crate::routing::{FlushSet, RoutedMessage};
use crate::server::ServerState;

/// The JetStream of a running server.
#[derive(Debug)]
pub(crate) struct JetStream {}

/// What JetStream keeps for one account; hangs on [`Account::jetstream`](crate::account::Account).
#[derive(Debug)]
pub(crate) struct AccountJetStream {}

/// Why JetStream could not start. The text follows `Can't start JetStream: ` in the log.
#[derive(Debug, thiserror::Error)]
pub enum StartError {}

#[expect(clippy::todo, reason = "surface first, bodies follow")]
impl JetStream {
    /// Opens the store, restores streams and consumers of all accounts and inserts their targets.
    /// Called once, before the listeners open, inside the runtime.
    pub(crate) fn start(server: &Arc<ServerState>) -> Result<Self, StartError> {
        todo!("{server:?}")
    }

    /// Makes JetStream available in an account.
    pub(crate) fn enable(&self, account: &Arc<Account>) {
        todo!("{account:?}")
    }

    /// Finishes what is under way, makes it durable and closes the store. Called once, after all
    /// client connections are closed.
    pub(crate) fn shutdown(&self) {
        todo!()
    }
}

/// A destination inside JetStream, as an account's sublist holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {}

/// Messages of one read batch on their way to JetStream.
#[derive(Debug, Default)]
pub(crate) struct IngestBatch {}

#[expect(clippy::todo, reason = "surface first, bodies follow")]
impl IngestBatch {
    /// Takes a message that matched `target`. Copies what it needs; nothing happens before
    /// [`submit`](IngestBatch::submit).
    pub(crate) fn push(&mut self, target: &Target, message: &RoutedMessage<'_>) {
        todo!("{target:?} {message:?}")
    }

    /// Hands everything to the shards. Replies that are ready at once are staged in `flush`.
    pub(crate) fn submit(&mut self, flush: &mut FlushSet) {
        todo!("{flush:?}")
    }

    /// Whether nothing was pushed since the last submit.
    pub(crate) fn is_empty(&self) -> bool {
        todo!()
    }
}
