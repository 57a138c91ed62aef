//! What is listed: connections, accounts, streams, consumers.

use std::sync::Arc;

use jetsled_jetstream_api::ConsumerInfo;
use jiff::Timestamp;
use serde::Serialize;

use super::list::{Key, Listed};
use crate::jetstream::{Room, StreamRow};
use crate::monitor::accstatz::{self, AccountStat};
use crate::monitor::connection::Connection;
use crate::monitor::jsz;
use crate::server::ServerState;

/// Consumers that are looked at for one list.
const MAX_CONSUMERS: usize = 20_000;

/// A connection, with the account that it belongs to.
#[derive(Debug, Serialize)]
pub(super) struct ConnectionRow {
    #[serde(flatten)]
    connection: Connection,
    /// Its account, `$G` too.
    of_account: String,
}

pub(super) fn connections(server: &ServerState) -> Vec<ConnectionRow> {
    let now = Timestamp::now();
    let row = |client: &Arc<crate::client::Client>| {
        let mut connection = Connection::of(client, now);
        let of_account = connection.account_name.clone();
        let user = connection.authorized_user.take();
        connection.hide_authentication();
        connection.authorized_user = user;
        ConnectionRow {
            connection,
            of_account,
        }
    };
    server.clients().iter().map(row).collect()
}

impl Listed for ConnectionRow {
    fn texts(&self) -> Vec<String> {
        let mut texts = self.connection.texts();
        texts.push(self.of_account.clone());
        texts
    }

    fn key(&self, column: &str) -> Option<Key> {
        let connection = &self.connection;
        Some(match column {
            "name" => Key::Text(connection.shown_name().to_lowercase()),
            "account" => Key::Text(self.of_account.to_lowercase()),
            "in_msgs" => Key::Number(connection.in_msgs),
            "out_msgs" => Key::Number(connection.out_msgs),
            "in_bytes" => Key::Number(connection.in_bytes),
            "out_bytes" => Key::Number(connection.out_bytes),
            "pending_bytes" => Key::Number(connection.pending_bytes as u64),
            "subscriptions" => Key::Number(connection.subscriptions as u64),
            "rtt" => Key::Number(u64::try_from(connection.rtt.as_nanos()).unwrap_or(u64::MAX)),
            _ => Key::Number(connection.cid),
        })
    }
}

/// An account with what its streams take.
#[derive(Debug, Serialize)]
pub(super) struct AccountRow {
    #[serde(flatten)]
    stat: AccountStat,
    streams: usize,
    consumers: usize,
    /// Bytes.
    stored: u64,
}

pub(super) fn accounts(server: &ServerState) -> Vec<AccountRow> {
    let uses = jsz::account_uses(server);
    let row = |stat: AccountStat| {
        let found = uses.iter().find(|(name, _)| *name == stat.acc);
        let used = found.map(|(_, used)| *used).unwrap_or_default();
        AccountRow {
            stat,
            streams: used.streams,
            consumers: used.consumers,
            stored: used.memory + used.storage,
        }
    };
    let stats = accstatz::of_accounts(server, true, |_| true).account_statz;
    stats.into_iter().map(row).collect()
}

impl Listed for AccountRow {
    fn texts(&self) -> Vec<String> {
        vec![self.stat.acc.clone(), self.stat.name.clone()]
    }

    fn key(&self, column: &str) -> Option<Key> {
        let stat = &self.stat;
        Some(match column {
            "conns" => Key::Number(stat.conns),
            "subscriptions" => Key::Number(stat.num_subscriptions as u64),
            "received" => Key::Number(stat.received.msgs),
            "sent" => Key::Number(stat.sent.msgs),
            "streams" => Key::Number(self.streams as u64),
            "consumers" => Key::Number(self.consumers as u64),
            "stored" => Key::Number(self.stored),
            _ => Key::Text(stat.name.to_lowercase()),
        })
    }
}

/// A stream and whose it is.
#[derive(Debug, Serialize)]
pub(super) struct AccountStreamRow {
    account: String,
    #[serde(flatten)]
    stream: StreamRow,
}

pub(super) fn streams(server: &ServerState) -> Vec<AccountStreamRow> {
    let mut rows = Vec::new();
    for account in server.accounts() {
        let Some(jetstream) = account.jetstream() else {
            continue;
        };
        rows.extend(jetstream.stream_rows().map(|stream| AccountStreamRow {
            account: account.name().to_owned(),
            stream,
        }));
    }
    rows
}

impl Listed for AccountStreamRow {
    fn texts(&self) -> Vec<String> {
        let config = &self.stream.config;
        let mut texts = vec![self.account.clone(), config.name.clone()];
        texts.extend(config.subjects.iter().cloned());
        texts
    }

    fn key(&self, column: &str) -> Option<Key> {
        let stream = &self.stream;
        Some(match column {
            "account" => Key::Text(self.account.to_lowercase()),
            "messages" => Key::Number(stream.messages),
            "bytes" => Key::Number(stream.bytes),
            "subjects" => Key::Number(stream.num_subjects),
            "consumers" => Key::Number(stream.consumers as u64),
            "last_seq" => Key::Number(stream.last_seq),
            _ => Key::Text(stream.config.name.to_lowercase()),
        })
    }
}

/// A consumer and whose it is.
#[derive(Debug, Serialize)]
pub(super) struct ConsumerRow {
    account: String,
    #[serde(flatten)]
    info: ConsumerInfo,
}

pub(super) fn consumers(server: &ServerState) -> Vec<ConsumerRow> {
    let mut room = Room {
        streams: usize::MAX,
        consumers: MAX_CONSUMERS,
    };
    let mut rows = Vec::new();
    for account in server.accounts() {
        let Some(jetstream) = account.jetstream() else {
            continue;
        };
        let observed = jetstream.observe(&mut room);
        let infos = observed.into_iter().flat_map(|stream| stream.consumers);
        rows.extend(infos.map(|info| ConsumerRow {
            account: account.name().to_owned(),
            info,
        }));
    }
    rows
}

impl Listed for ConsumerRow {
    fn texts(&self) -> Vec<String> {
        let info = &self.info;
        vec![self.account.clone(), info.stream.clone(), info.name.clone()]
    }

    fn key(&self, column: &str) -> Option<Key> {
        let info = &self.info;
        Some(match column {
            "account" => Key::Text(self.account.to_lowercase()),
            "stream" => Key::Text(info.stream.to_lowercase()),
            "pending" => Key::Number(info.num_pending),
            "ack_pending" => Key::Number(info.num_ack_pending),
            "redelivered" => Key::Number(info.num_redelivered),
            "waiting" => Key::Number(info.num_waiting),
            "delivered" => Key::Number(info.delivered.consumer_seq.0),
            _ => Key::Text(info.name.to_lowercase()),
        })
    }
}
