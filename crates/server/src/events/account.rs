//! Events of accounts: how many connections they have.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use jiff::Timestamp;

use super::client::{is_heard, push};
use crate::account::Account;
use crate::monitor::AccountStat;
use crate::server::ServerState;

pub(super) const CONNECTIONS: &str = "io.nats.server.advisory.v1.account_connections";

/// The number of an account's connections has changed, or is told again.
pub(crate) fn connections_changed(server: &ServerState, account: &Arc<Account>) {
    if Arc::ptr_eq(account, server.global()) {
        return;
    }
    let name = account.name();
    let (id, now) = (crate::nuid::next(), Timestamp::now());
    for subject in [
        format!("$SYS.SERVER.ACCOUNT.{name}.CONNS"),
        format!("$SYS.ACCOUNT.{name}.SERVER.CONNS"),
    ] {
        if is_heard(server, &subject) {
            let stat = AccountStat::of(server, account);
            push(server, subject, CONNECTIONS, id.clone(), now, &stat);
        }
    }
}

/// Tells the connections of all accounts that have any.
pub(super) fn tell_connections(server: &ServerState) {
    for account in server.accounts() {
        if account.counters.connections.load(Relaxed) > 0 {
            connections_changed(server, &account);
        }
    }
}
