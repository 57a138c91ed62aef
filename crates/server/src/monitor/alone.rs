//! `/routez`, `/gatewayz` and `/leafz` of a server that runs alone; exporters ask for them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::query::{BadRequest, Query};
use crate::server::ServerState;

/// Nothing can be in these lists yet.
#[derive(Debug, Serialize)]
pub(super) enum None {}

#[derive(Debug, Serialize)]
pub(super) struct Routez {
    server_id: String,
    server_name: String,
    now: Timestamp,
    num_routes: usize,
    routes: [None; 0],
}

#[derive(Debug, Serialize)]
pub(super) struct Gatewayz {
    server_id: String,
    now: Timestamp,
    outbound_gateways: BTreeMap<String, None>,
    inbound_gateways: BTreeMap<String, None>,
}

#[derive(Debug, Serialize)]
pub(super) struct Leafz {
    server_id: String,
    now: Timestamp,
    leafnodes: usize,
    leafs: [None; 0],
}

/// `subs` is a boolean or `detail`; there is nothing that it would add.
fn check_subscriptions(query: &Query) -> Result<(), BadRequest> {
    if query.text("subs").eq_ignore_ascii_case("detail") {
        return Ok(());
    }
    query.flag("subs").map(|_| ())
}

pub(super) fn routez(server: &ServerState, query: &Query) -> Result<Routez, BadRequest> {
    check_subscriptions(query)?;
    Ok(Routez {
        server_id: server.id().to_owned(),
        server_name: server.name().to_owned(),
        now: Timestamp::now(),
        num_routes: 0,
        routes: [],
    })
}

pub(super) fn gatewayz(server: &ServerState, query: &Query) -> Result<Gatewayz, BadRequest> {
    check_subscriptions(query)?;
    query.flag("accs")?;
    Ok(Gatewayz {
        server_id: server.id().to_owned(),
        now: Timestamp::now(),
        outbound_gateways: BTreeMap::new(),
        inbound_gateways: BTreeMap::new(),
    })
}

pub(super) fn leafz(server: &ServerState, query: &Query) -> Result<Leafz, BadRequest> {
    query.flag("subs")?;
    Ok(Leafz {
        server_id: server.id().to_owned(),
        now: Timestamp::now(),
        leafnodes: 0,
        leafs: [],
    })
}
