//! The paths, and what answers them.

use hyper::StatusCode;

use super::access::Asker;
use super::query::Query;
use super::reply::Reply;
use super::{
    accountz, accstatz, alone, connz, dashboard, healthz, index, jsz, metrics, subsz, varz,
};
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
    /// Not nats-server's.
    Metrics,
    /// Not nats-server's, with everything below it.
    Dashboard,
}

impl Endpoint {
    pub(super) const ALL: [Self; 14] = [
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
        Self::Metrics,
        Self::Dashboard,
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
            Self::Metrics => "/metrics",
            Self::Dashboard => "/dashboard",
        }
    }

    fn at(path: &str) -> Option<Self> {
        match path {
            "" => Some(Self::Index),
            "/subscriptionsz" => Some(Self::Subsz),
            path if dashboard::has(path) => Some(Self::Dashboard),
            path => Self::ALL
                .into_iter()
                .find(|endpoint| endpoint.path() == path),
        }
    }
}

/// Answers one request.
pub(super) fn answer(
    path: &str,
    raw_query: Option<&str>,
    asker: &Asker,
    server: &ServerState,
) -> Reply {
    let base = &server.options().monitor.base_path;
    if let Some(location) = cleaned(path) {
        return Reply::redirect(match raw_query {
            Some(query) => format!("{location}?{query}"),
            None => location,
        });
    }
    let query = &Query::parse(raw_query.unwrap_or_default());
    let Some(path) = path.strip_prefix(base.as_str()) else {
        return Reply::not_found();
    };
    let Some(endpoint) = Endpoint::at(path) else {
        return Reply::not_found();
    };
    if endpoint != Endpoint::Raftz {
        server.monitoring.count(endpoint);
    }
    let reply = match endpoint {
        Endpoint::Index => Ok(Reply::html(index::page())),
        Endpoint::Varz => Ok(Reply::json(&varz::gather(server))),
        Endpoint::Connz => connz::gather(server, query, "").map(|connz| Reply::json(&connz)),
        Endpoint::Routez => alone::routez(server, query).map(|routez| Reply::json(&routez)),
        Endpoint::Gatewayz => alone::gatewayz(server, query).map(|gatewayz| Reply::json(&gatewayz)),
        Endpoint::Leafz => alone::leafz(server, query).map(|leafz| Reply::json(&leafz)),
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
        Endpoint::Metrics => Ok(Reply::page(
            metrics::CONTENT_TYPE,
            metrics::gather(Some(server)),
        )),
        Endpoint::Dashboard => dashboard::answer(path, query, asker, server),
    };
    reply.unwrap_or_else(|error| {
        // Only these two look at the parameters before they count (observed nats-server 2.15.1).
        if matches!(endpoint, Endpoint::Connz | Endpoint::Routez) && error.is_unreadable() {
            server.monitoring.uncount(endpoint);
        }
        Reply::text(StatusCode::BAD_REQUEST, error.to_string())
    })
}

/// Where a path leads that is not in its shortest form (`//varz`, `/x/../varz`).
fn cleaned(path: &str) -> Option<String> {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    let mut clean = format!("/{}", steps.join("/"));
    if path.ends_with('/') && !steps.is_empty() {
        clean.push('/');
    }
    (clean != path).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::cleaned;

    #[test]
    fn paths_lead_to_their_shortest_form() {
        for (path, clean) in [
            ("//varz", Some("/varz")),
            ("/a/../varz", Some("/varz")),
            ("/./varz", Some("/varz")),
            ("/varz//", Some("/varz/")),
            ("/../..", Some("/")),
            ("/varz", None),
            ("/varz/", None),
            ("/", None),
        ] {
            assert_eq!(cleaned(path).as_deref(), clean, "{path}");
        }
    }
}
