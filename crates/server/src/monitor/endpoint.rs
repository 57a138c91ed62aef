//! The paths, and what answers them.

use hyper::StatusCode;

use super::query::Query;
use super::reply::Reply;
use super::{accountz, accstatz, alone, connz, healthz, index, jsz, subsz, varz};
use crate::server::ServerState;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Index,
    Varz,
    Connz,
    Routez,
    Gatewayz,
    Leafz,
    Subsz,
    Accountz,
    Accstatz,
    Jsz,
    Healthz,
    Raftz,
}

impl Endpoint {
    pub(super) const ALL: [Self; 12] = [
        Self::Index,
        Self::Varz,
        Self::Connz,
        Self::Routez,
        Self::Gatewayz,
        Self::Leafz,
        Self::Subsz,
        Self::Accountz,
        Self::Accstatz,
        Self::Jsz,
        Self::Healthz,
        Self::Raftz,
    ];

    /// Its path, which is also its name in `http_req_stats`.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Index => "/",
            Self::Varz => "/varz",
            Self::Connz => "/connz",
            Self::Routez => "/routez",
            Self::Gatewayz => "/gatewayz",
            Self::Leafz => "/leafz",
            Self::Subsz => "/subsz",
            Self::Accountz => "/accountz",
            Self::Accstatz => "/accstatz",
            Self::Jsz => "/jsz",
            Self::Healthz => "/healthz",
            Self::Raftz => "/raftz",
        }
    }

    fn at(path: &str) -> Option<Self> {
        match path {
            "" => Some(Self::Index),
            "/subscriptionsz" => Some(Self::Subsz),
            path => Self::ALL
                .into_iter()
                .find(|endpoint| endpoint.path() == path),
        }
    }
}

/// Answers one request.
pub(super) fn answer(path: &str, query: &Query, server: &ServerState) -> Reply {
    let base = &server.options().monitor.base_path;
    let Some(endpoint) = path.strip_prefix(base.as_str()).and_then(Endpoint::at) else {
        return Reply::text(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    server.monitoring.count(endpoint);
    let reply = match endpoint {
        Endpoint::Index => Ok(Reply::html(index::page())),
        Endpoint::Varz => Ok(Reply::json(&varz::gather(server))),
        Endpoint::Connz => connz::gather(server, query).map(|connz| Reply::json(&connz)),
        Endpoint::Routez => Ok(Reply::json(&alone::routez(server))),
        Endpoint::Gatewayz => Ok(Reply::json(&alone::gatewayz(server))),
        Endpoint::Leafz => Ok(Reply::json(&alone::leafz(server))),
        Endpoint::Subsz => subsz::gather(server, query).map(|subsz| Reply::json(&subsz)),
        Endpoint::Accountz => {
            accountz::gather(server, query).map(|accountz| Reply::json(&accountz))
        }
        Endpoint::Accstatz => {
            accstatz::gather(server, query).map(|accstatz| Reply::json(&accstatz))
        }
        Endpoint::Jsz => jsz::gather(server, query).map(|jsz| Reply::json(&jsz)),
        Endpoint::Healthz => healthz::check(server, query),
        Endpoint::Raftz => Ok(Reply::text(
            StatusCode::NOT_FOUND,
            "No Raft nodes registered",
        )),
    };
    reply.unwrap_or_else(|error| Reply::text(StatusCode::BAD_REQUEST, error.to_string()))
}
