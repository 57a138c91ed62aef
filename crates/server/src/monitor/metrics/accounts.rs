//! `gnatsd_accstatz_...`: the accounts' connections and traffic, as `/accstatz?unused=1` has them.

use super::text::{Exposition, Labels};
use super::{MAX_ACCOUNTS, Row};
use crate::monitor::accstatz::{self, AccountStat};
use crate::server::ServerState;

const ROWS: [Row<AccountStat>; 9] = [
    Row {
        name: "gnatsd_accstatz_current_connections",
        help: "Connections of the account.",
        value: |stat| Some(stat.conns.into()),
    },
    Row {
        name: "gnatsd_accstatz_total_connections",
        help: "Connections of the account that count.",
        value: |stat| Some(stat.total_conns.into()),
    },
    Row {
        name: "gnatsd_accstatz_subscriptions",
        help: "Subscriptions of the account, the server's own included.",
        value: |stat| Some((stat.num_subscriptions as u64).into()),
    },
    Row {
        name: "gnatsd_accstatz_leaf_nodes",
        help: "Leaf nodes of the account.",
        value: |stat| Some(stat.leafnodes.into()),
    },
    Row {
        name: "gnatsd_accstatz_sent_messages",
        help: "Messages sent to connections of the account.",
        value: |stat| Some(stat.sent.msgs.into()),
    },
    Row {
        name: "gnatsd_accstatz_sent_bytes",
        help: "Bytes of messages sent to connections of the account.",
        value: |stat| Some(stat.sent.bytes.into()),
    },
    Row {
        name: "gnatsd_accstatz_received_messages",
        help: "Messages received from connections of the account.",
        value: |stat| Some(stat.received.msgs.into()),
    },
    Row {
        name: "gnatsd_accstatz_received_bytes",
        help: "Bytes of messages received from connections of the account.",
        value: |stat| Some(stat.received.bytes.into()),
    },
    Row {
        name: "gnatsd_accstatz_slow_consumers",
        help: "Connections of the account that were closed because they were too slow.",
        value: |stat| Some(stat.slow_consumers.into()),
    },
];

/// Answers how many accounts were left out.
pub(super) fn tell(server: &ServerState, id: &Labels, exposition: &mut Exposition) -> usize {
    let mut stats = accstatz::of_accounts(server, true, |_| true).account_statz;
    let left_out = stats.len().saturating_sub(MAX_ACCOUNTS);
    stats.truncate(MAX_ACCOUNTS);
    let labelled = |stat: AccountStat| {
        let labels = id
            .clone()
            .with("account", &stat.acc)
            .with("account_id", &stat.acc)
            .with("account_name", &stat.name);
        (labels, stat)
    };
    let items: Vec<_> = stats.into_iter().map(labelled).collect();
    Row::tell_all(&ROWS, &items, exposition);
    left_out
}
