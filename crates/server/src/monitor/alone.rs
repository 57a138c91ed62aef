//! `/routez`, `/gatewayz` and `/leafz` of a server that runs alone; exporters ask for them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

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

pub(super) fn routez(server: &ServerState) -> Routez {
    Routez {
        server_id: server.id().to_owned(),
        server_name: server.name().to_owned(),
        now: Timestamp::now(),
        num_routes: 0,
        routes: [],
    }
}

pub(super) fn gatewayz(server: &ServerState) -> Gatewayz {
    Gatewayz {
        server_id: server.id().to_owned(),
        now: Timestamp::now(),
        outbound_gateways: BTreeMap::new(),
        inbound_gateways: BTreeMap::new(),
    }
}

pub(super) fn leafz(server: &ServerState) -> Leafz {
    Leafz {
        server_id: server.id().to_owned(),
        now: Timestamp::now(),
        leafnodes: 0,
        leafs: [],
    }
}
