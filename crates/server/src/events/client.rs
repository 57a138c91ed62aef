//! Events of client connections.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use jiff::Timestamp;
use serde::Serialize;

use super::client_info::{ClientInfo, Detail};
use super::queue::{EventBody, Job};
use crate::account::Account;
use crate::client::{Client, CloseReason};
use crate::monitor::shown_token;
use crate::server::ServerState;

const CONNECT: &str = "io.nats.server.advisory.v1.client_connect";
const DISCONNECT: &str = "io.nats.server.advisory.v1.client_disconnect";
const ACCOUNT_AUTH_ERR: &str = "$SYS.ACCOUNT.CLIENT.AUTH.ERR";

#[derive(Serialize)]
struct Connect<'a> {
    client: ClientInfo<'a>,
}

#[derive(Serialize)]
struct Disconnect<'a> {
    client: ClientInfo<'a>,
    /// From the client's point of view.
    sent: Traffic,
    received: Traffic,
    reason: &'static str,
}

#[derive(Serialize)]
struct Traffic {
    msgs: u64,
    bytes: u64,
}

/// A connection has logged in.
pub(crate) fn connected(server: &ServerState, client: &Client) {
    let account = client.login();
    let subject = format!("$SYS.ACCOUNT.{}.CONNECT", account.account.name());
    if is_heard(server, &subject) {
        let event = Connect {
            client: ClientInfo {
                // No PING has been answered yet.
                rtt: 0,
                ..described(client)
            },
        };
        let id = crate::nuid::next();
        push(server, subject, CONNECT, id, Timestamp::now(), &event);
    }
}

/// A connection has ended.
pub(crate) fn disconnected(server: &ServerState, client: &Client, reason: CloseReason) {
    let account = client.login();
    let subject = format!("$SYS.ACCOUNT.{}.DISCONNECT", account.account.name());
    send_end(server, client, reason, subject);
}

/// Who may not stay is told of.
pub(crate) fn refused(server: &ServerState, client: &Client, reason: CloseReason) {
    let subject = format!("$SYS.SERVER.{}.CLIENT.AUTH.ERR", server.id());
    send_end(server, client, reason, subject);
}

/// What a client says of itself was not believed: told of in the account that it is in as well, which is `$G` before it
/// has logged in (observed nats-server 2.15.1).
pub(crate) fn not_authenticated(server: &ServerState, client: &Client, reason: CloseReason) {
    refused(server, client, reason);
    if server.system().is_some() {
        let account = Arc::clone(&client.login().account);
        send_end_in(&account, client, reason, ACCOUNT_AUTH_ERR.to_owned());
    }
}

fn send_end(server: &ServerState, client: &Client, reason: CloseReason, subject: String) {
    if let Some(system) = server.system() {
        send_end_in(system, client, reason, subject);
    }
}

fn send_end_in(account: &Arc<Account>, client: &Client, reason: CloseReason, subject: String) {
    if !account.has_interest(subject.as_bytes()) {
        return;
    }
    let server = &client.server;
    let now = Timestamp::now();
    let counted = client.outbound.counted();
    let event = Disconnect {
        client: ClientInfo {
            stop: Some(now),
            ..described(client)
        },
        sent: Traffic {
            msgs: client.counters.in_messages.load(Relaxed),
            bytes: client.counters.in_bytes.load(Relaxed),
        },
        received: Traffic {
            msgs: counted.messages,
            bytes: counted.bytes,
        },
        reason: reason.text(),
    };
    push_in(
        server,
        account,
        subject,
        DISCONNECT,
        crate::nuid::next(),
        now,
        &event,
    );
}

/// As events describe clients: without the server, which they name anyway.
fn described(client: &Client) -> ClientInfo<'static> {
    let info = ClientInfo::of(client, Detail::All);
    let login = client.login();
    let claims = login.claims.as_deref();
    ClientInfo {
        server: Cow::Borrowed(""),
        jwt: shown_token(&login).into(),
        issuer_key: claims
            .map_or_else(String::new, |claims| claims.issuer.clone())
            .into(),
        name_tag: client.server.name_tag(&info.acc).into(),
        tags: claims.map_or_else(Vec::new, |claims| claims.tags.clone()),
        ..info
    }
}

pub(super) fn is_heard(server: &ServerState, subject: &str) -> bool {
    server
        .system()
        .is_some_and(|system| system.has_interest(subject.as_bytes()))
}

/// Publishes to the system account.
pub(super) fn push(
    server: &ServerState,
    subject: String,
    r#type: &'static str,
    id: String,
    timestamp: Timestamp,
    event: &impl Serialize,
) {
    if let Some(system) = server.system() {
        push_in(server, system, subject, r#type, id, timestamp, event);
    }
}

fn push_in(
    server: &ServerState,
    account: &Arc<Account>,
    subject: String,
    r#type: &'static str,
    id: String,
    timestamp: Timestamp,
    event: &impl Serialize,
) {
    let account = Arc::clone(account);
    let body = EventBody::Typed {
        r#type,
        id,
        timestamp,
        rest: serde_json::to_vec(event).unwrap_or_default(),
    };
    server.events().push(Job::Event {
        account,
        subject,
        body,
    });
}
