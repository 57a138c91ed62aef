//! `/connz`: connections, open and closed.

use std::cmp::Reverse;

use jetsled_protocol::subject;
use jiff::Timestamp;
use serde::Serialize;

use super::connection::{Connection, SubscriptionDetail};
use super::query::{BadRequest, Query};
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
    /// `null` for an account that does not exist (observed nats-server 2.15.1).
    connections: Option<Vec<Connection>>,
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

/// `filter` is a subject that connections must have an interest in, which only services can ask for; empty for none.
pub(super) fn gather(
    server: &ServerState,
    query: &Query,
    filter: &str,
) -> Result<Connz, BadRequest> {
    let sort = Sort::of(query.text("sort"))?;
    let user = query.text("user");
    let account = query.text("acc");
    let shows_authentication = query.flag("auth")?;
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
    let filter = if filter == ">" { "" } else { filter };
    if !filter.is_empty() && account.is_empty() {
        return Err(BadRequest::SubjectWithoutAccount);
    }
    let mut page = query.page()?;
    if state != State::Closed {
        sort.check_open()?;
    }
    if cid > 0 {
        page.limit = 1;
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
            .map(move |closed| listed_closed(closed, subscriptions))
    };
    let mut connections: Vec<Connection> = match state {
        State::Open => open().collect(),
        State::Closed => closed().collect(),
        State::All => open().chain(closed()).collect(),
    };
    // MQTT comes with a later version: no connection has an MQTT client id.
    let of_mqtt_client = !query.text("mqtt_client").is_empty();
    connections.retain(|connection| {
        // Of closed ones nats-server 2.15.1 does not know that they belonged to `$G`.
        let is_known = connection.stop.is_none() || !connection.is_global();
        !of_mqtt_client && (account.is_empty() || (connection.account_name == account && is_known))
    });
    // Those of a user, or with an interest, are chosen among those that are counted (observed nats-server 2.15.1).
    let total = match state {
        _ if !account.is_empty() => connections.len(),
        State::Open => server.client_count(),
        State::Closed => server.monitoring.closed_count(),
        State::All => server.client_count() + server.monitoring.closed_count(),
    };
    connections.retain(|connection| {
        let of_user = user.is_empty() || connection.authorized_user.as_deref() == Some(user);
        let is_open = connection.stop.is_none();
        of_user && (filter.is_empty() || !is_open || has_interest(server, connection.cid, filter))
    });
    let is_known = account.is_empty() || server.account(account).is_some();
    sort.apply(&mut connections);
    let mut connections = page.of(connections);
    let show: fn(&mut Connection) = if shows_authentication {
        Connection::show_certificates
    } else {
        Connection::hide_authentication
    };
    connections.iter_mut().for_each(show);
    Ok(Connz {
        server_id: server.id().to_owned(),
        now,
        num_connections: connections.len(),
        total,
        offset: page.offset,
        limit: page.limit,
        connections: is_known.then_some(connections),
    })
}

/// Whether a subscription of the connection may get messages that `filter` matches.
fn has_interest(server: &ServerState, cid: u64, filter: &str) -> bool {
    let subscriptions = server
        .client(cid)
        .map_or_else(Vec::new, |client| client.subscriptions());
    let mut subjects = subscriptions.iter().map(|one| one.subject());
    subjects.any(|subject| subject::collides(subject, filter.as_bytes()))
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
    list(&mut connection, subscriptions, details);
    connection
}

fn listed_closed(mut connection: Connection, subscriptions: Subscriptions) -> Connection {
    let details = std::mem::take(&mut connection.ended_subscriptions);
    if subscriptions != Subscriptions::No && !details.is_empty() {
        list(&mut connection, subscriptions, details.to_vec());
    }
    connection
}

fn list(
    connection: &mut Connection,
    subscriptions: Subscriptions,
    details: Vec<SubscriptionDetail>,
) {
    if subscriptions == Subscriptions::Detail {
        connection.subscriptions_list_detail = Some(details);
    } else {
        let subjects = details.into_iter().map(|detail| detail.subject);
        connection.subscriptions_list = Some(subjects.collect());
    }
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
