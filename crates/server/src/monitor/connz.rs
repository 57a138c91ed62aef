//! `/connz`: connections, open and closed.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde::Serialize;

use super::connection::{Connection, SubscriptionDetail};
use super::query::{BadRequest, Page, Query};
use crate::client::Client;
use crate::server::ServerState;

#[derive(Debug, Serialize)]
pub(super) struct Connz {
    server_id: String,
    now: Timestamp,
    num_connections: usize,
    total: usize,
    offset: usize,
    limit: usize,
    connections: Vec<Connection>,
}

/// Whether subscriptions are listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subscriptions {
    No,
    Subjects,
    Detail,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
    All,
}

pub(super) fn gather(server: &ServerState, query: &Query) -> Result<Connz, BadRequest> {
    let sort = Sort::of(query.text("sort"))?;
    let user = query.text("user");
    let account = query.text("acc");
    let shows_authentication = query.flag("auth")? || !user.is_empty();
    let subscriptions = match query.text("subs") {
        text if text.eq_ignore_ascii_case("detail") => Subscriptions::Detail,
        _ if query.flag("subs")? => Subscriptions::Subjects,
        _ => Subscriptions::No,
    };
    let state = match query.text("state").to_lowercase().as_str() {
        "" | "open" => State::Open,
        "closed" => State::Closed,
        "all" | "any" => State::All,
        _ => return Err(BadRequest::State(query.text("state").to_owned())),
    };
    let cid = query.unsigned("cid")?;
    let mut page = query.page()?;
    if state != State::Closed {
        sort.check_open()?;
    }
    if cid > 0 {
        page = Page {
            offset: 0,
            limit: 1,
        };
    }

    let now = Timestamp::now();
    let open = || {
        let clients = match cid {
            0 => server.clients(),
            cid => server.client(cid).into_iter().collect(),
        };
        clients
            .into_iter()
            .map(move |client| listed(&client, subscriptions, now))
    };
    let closed = || {
        server
            .monitoring
            .closed()
            .into_iter()
            .filter(move |closed| cid == 0 || closed.cid == cid)
    };
    let mut connections: Vec<Connection> = match state {
        State::Open => open().collect(),
        State::Closed => closed().collect(),
        State::All => open().chain(closed()).collect(),
    };
    // MQTT comes with a later version: no connection has an MQTT client id.
    let of_mqtt_client = !query.text("mqtt_client").is_empty();
    connections.retain(|connection| {
        !of_mqtt_client
            && (account.is_empty() || connection.account_name == account)
            && (user.is_empty() || connection.authorized_user.as_deref() == Some(user))
    });
    let filtered = !user.is_empty() || !account.is_empty();
    let total = match state {
        _ if filtered => connections.len(),
        State::Open => server.client_count(),
        State::Closed => server.monitoring.closed_count(),
        State::All => server.client_count() + server.monitoring.closed_count(),
    };
    sort.apply(&mut connections);
    let mut connections = page.of(connections);
    if !shows_authentication {
        connections
            .iter_mut()
            .for_each(Connection::hide_authentication);
    }
    Ok(Connz {
        server_id: server.id().to_owned(),
        now,
        num_connections: connections.len(),
        total,
        offset: page.offset,
        limit: page.limit,
        connections,
    })
}

fn listed(client: &Client, subscriptions: Subscriptions, now: Timestamp) -> Connection {
    let mut connection = Connection::of(client, now);
    if subscriptions == Subscriptions::No || connection.subscriptions == 0 {
        return connection;
    }
    let details = client
        .subscriptions()
        .iter()
        .map(|subscription| SubscriptionDetail::of(subscription))
        .collect();
    match subscriptions {
        Subscriptions::Detail => connection.subscriptions_list_detail = Some(details),
        _ => {
            connection.subscriptions_list =
                Some(details.into_iter().map(|detail| detail.subject).collect())
        }
    }
    connection
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Cid,
    Subscriptions,
    Pending,
    OutMessages,
    InMessages,
    OutBytes,
    InBytes,
    Last,
    Idle,
    Uptime,
    Stop,
    Reason,
    Rtt,
}

impl Sort {
    fn of(text: &str) -> Result<Self, BadRequest> {
        Ok(match text {
            "" | "cid" | "start" => Self::Cid,
            "subs" => Self::Subscriptions,
            "pending" => Self::Pending,
            "msgs_to" => Self::OutMessages,
            "msgs_from" => Self::InMessages,
            "bytes_to" => Self::OutBytes,
            "bytes_from" => Self::InBytes,
            "last" => Self::Last,
            "idle" => Self::Idle,
            "uptime" => Self::Uptime,
            "stop" => Self::Stop,
            "reason" => Self::Reason,
            "rtt" => Self::Rtt,
            _ => return Err(BadRequest::Sort(text.to_owned())),
        })
    }

    /// Open connections have no end to sort by.
    fn check_open(self) -> Result<(), BadRequest> {
        match self {
            Self::Stop => Err(BadRequest::SortOfClosed("stop")),
            Self::Reason => Err(BadRequest::SortOfClosed("reason")),
            _ => Ok(()),
        }
    }

    /// Connection ids, uptimes and reasons ascend, everything else descends.
    fn apply(self, connections: &mut [Connection]) {
        connections.sort_by_key(|connection| connection.cid);
        match self {
            Self::Cid => {}
            Self::Subscriptions => connections.sort_by_key(|c| Reverse(c.subscriptions)),
            Self::Pending => connections.sort_by_key(|c| Reverse(c.pending_bytes)),
            Self::OutMessages => connections.sort_by_key(|c| Reverse(c.out_msgs)),
            Self::InMessages => connections.sort_by_key(|c| Reverse(c.in_msgs)),
            Self::OutBytes => connections.sort_by_key(|c| Reverse(c.out_bytes)),
            Self::InBytes => connections.sort_by_key(|c| Reverse(c.in_bytes)),
            Self::Last => connections.sort_by_key(|c| Reverse(c.last_activity)),
            Self::Idle => connections.sort_by_key(|c| c.last_activity),
            Self::Uptime => connections.sort_by_key(|c| c.uptime),
            Self::Stop => connections.sort_by_key(|c| Reverse(c.stop)),
            Self::Reason => connections.sort_by_key(|c| c.reason),
            Self::Rtt => connections.sort_by_key(|c| Reverse(c.rtt)),
        }
    }
}
