//! `/accstatz`: traffic by account.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use jiff::Timestamp;
use serde::Serialize;

use super::query::{BadRequest, Query};
use crate::account::Account;
use crate::client::Client;
use crate::server::ServerState;

#[derive(Debug, Serialize)]
pub(super) struct Accstatz {
    server_id: String,
    now: Timestamp,
    pub(super) account_statz: Vec<AccountStat>,
}

/// What an account's connections have done so far.
#[derive(Debug, Serialize)]
pub(crate) struct AccountStat {
    pub(super) acc: String,
    pub(super) name: String,
    pub(super) conns: u64,
    pub(super) leafnodes: u64,
    pub(super) total_conns: u64,
    pub(super) num_subscriptions: usize,
    pub(super) sent: Traffic,
    pub(super) received: Traffic,
    pub(super) slow_consumers: u64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Traffic {
    pub(super) msgs: u64,
    pub(super) bytes: u64,
    gateways: Share,
    routes: Share,
    leafs: Share,
}

/// The part that went between servers: none, since this server runs alone.
#[derive(Debug, Default, Serialize)]
struct Share {
    msgs: u64,
    bytes: u64,
}

pub(super) fn gather(server: &ServerState, query: &Query) -> Result<Accstatz, BadRequest> {
    let with_unused = query.flag("unused")?;
    Ok(of_accounts(server, with_unused, |_| true))
}

/// The traffic of the accounts that `is_wanted` names.
pub(super) fn of_accounts(
    server: &ServerState,
    with_unused: bool,
    is_wanted: impl Fn(&str) -> bool,
) -> Accstatz {
    let mut accounts = server.accounts();
    accounts.retain(|account| is_wanted(account.name()));
    accounts.sort_by(|a, b| a.name().cmp(b.name()));
    let clients = server.clients();
    let account_statz = accounts
        .iter()
        .map(|account| AccountStat::with_clients(server, account, &clients))
        .filter(|stat| with_unused || stat.conns > 0)
        .collect();
    Accstatz {
        server_id: server.id().to_owned(),
        now: Timestamp::now(),
        account_statz,
    }
}

impl Accstatz {
    pub(super) fn is_empty(&self) -> bool {
        self.account_statz.is_empty()
    }
}

impl AccountStat {
    /// What an account's connections have done so far.
    pub(crate) fn of(server: &ServerState, account: &Account) -> Self {
        Self::with_clients(server, account, &server.clients())
    }

    fn with_clients(server: &ServerState, account: &Account, clients: &[Arc<Client>]) -> Self {
        let counters = &account.counters;
        let mut sent = Traffic {
            msgs: counters.closed_out_messages.load(Relaxed),
            bytes: counters.closed_out_bytes.load(Relaxed),
            ..Traffic::default()
        };
        for client in clients
            .iter()
            .filter(|client| client.login().account.name() == account.name())
        {
            let counted = client.outbound.counted();
            sent.msgs += counted.messages;
            sent.bytes += counted.bytes;
        }
        let conns = counters.connections.load(Relaxed);
        Self {
            acc: account.name().to_owned(),
            name: server.name_tag(account.name()),
            conns,
            leafnodes: 0,
            // The connections that count now (observed nats-server 2.15.1).
            total_conns: conns,
            num_subscriptions: account.target_count(),
            sent,
            received: Traffic {
                msgs: counters.in_messages.load(Relaxed),
                bytes: counters.in_bytes.load(Relaxed),
                ..Traffic::default()
            },
            slow_consumers: counters.slow_consumers.load(Relaxed),
        }
    }
}
