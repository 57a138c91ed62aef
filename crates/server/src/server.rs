//! Starting and stopping a server.

use std::sync::{Arc, OnceLock};

use crate::account::Account;
use crate::jetstream::JetStream;

/// A running server.
#[derive(Debug)]
pub struct Server {
    _state: Arc<ServerState>,
}

/// What every part of a running server shares.
#[derive(Debug)]
pub(crate) struct ServerState {
    /// The account of connections that need no credentials, `$G`.
    pub(crate) global: Arc<Account>,
    /// The system account, `$SYS` unless configured otherwise.
    pub(crate) system: Arc<Account>,
    /// Set when JetStream is enabled.
    pub(crate) jetstream: OnceLock<JetStream>,
}
