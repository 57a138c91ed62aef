//! What accounts share comes into force, one change after the other.

use std::sync::Arc;

use hashbrown::HashMap;
use jetsled_auth::{Exchange, GLOBAL_ACCOUNT, SharingError};
use jetsled_config::{AccountOptions, MappingOptions, Options};
use jetsled_protocol::SubjectMapping;
use parking_lot::MutexGuard;
use tokio::sync::Notify;

use super::ServerState;
use crate::account::Account;
use crate::wiring::wire;

/// The right to change what accounts share. Others wait until it is dropped.
pub(crate) struct WiringTurn<'a> {
    server: &'a ServerState,
    _others_wait: MutexGuard<'a, ()>,
}

impl ServerState {
    /// Waits for the turn to change what accounts share.
    pub(crate) fn wiring_turn(&self) -> WiringTurn<'_> {
        WiringTurn {
            server: self,
            _others_wait: self.wiring.lock(),
        }
    }

    /// Puts exports, imports and mappings of all accounts in force anew.
    pub(crate) fn rewire(&self) {
        let turn = self.wiring_turn();
        match self.operator() {
            None => wire_configured(
                &self.accounts.read().clone(),
                &self.options(),
                &self.awaited,
            ),
            Some(operator) => turn.wire_claimed(&operator.known_options(None)),
        }
    }
}

impl WiringTurn<'_> {
    /// Puts exports, imports and mappings in force that accounts have claimed.
    pub(crate) fn wire_claimed(&self, claimed: &[AccountOptions]) {
        let server = self.server;
        let accounts = server.accounts.read().clone();
        for error in wire_accounts(&accounts, claimed, &server.options(), &server.awaited) {
            tracing::debug!("{error}");
        }
    }
}

/// Puts exports, imports and mappings of the configuration in force.
pub(super) fn wire_configured(
    accounts: &HashMap<Arc<str>, Arc<Account>>,
    options: &Options,
    awaited: &Arc<Notify>,
) {
    for error in wire_accounts(accounts, &options.accounts, options, awaited) {
        tracing::error!("{error}");
    }
}

/// As far as it is granted; returns what is not.
fn wire_accounts(
    accounts: &HashMap<Arc<str>, Arc<Account>>,
    wanted: &[AccountOptions],
    options: &Options,
    awaited: &Arc<Notify>,
) -> Vec<SharingError> {
    let sharing = wanted
        .iter()
        .map(|account| (&account.name, &account.sharing));
    let (exchange, errors) = Exchange::build(sharing);
    let of_accounts = wanted
        .iter()
        .map(|account| (Arc::clone(&account.name), compile(&account.mappings)));
    let of_global = (GLOBAL_ACCOUNT.into(), compile(&options.mappings));
    let mappings = of_accounts.chain([of_global]).collect();
    wire(accounts, &exchange, mappings, awaited);
    errors
}

fn compile(mappings: &[MappingOptions]) -> Vec<SubjectMapping> {
    let compiled = mappings.iter().filter_map(|mapping| {
        let source = mapping.source.as_bytes();
        // The configuration reader has made each of them once.
        SubjectMapping::new(source, &mapping.destinations, "").ok()
    });
    compiled.collect()
}
