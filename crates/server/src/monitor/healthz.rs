//! `/healthz`: whether the server serves.

use hyper::StatusCode;
use serde::Serialize;

use super::query::{BadRequest, Query};
use super::reply::Reply;
use crate::jetstream::{DamagedStream, JetStream};
use crate::server::ServerState;

#[derive(Debug, Serialize)]
struct Healthz {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<[Detail; 1]>,
    /// Ours: what damage took. The server serves all else, so its status stays as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damage: Vec<DamagedStream>,
}

/// What is wrong, and with what.
#[derive(Debug, Default, Serialize)]
struct Detail {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<String>,
    error: String,
}

pub(super) fn check(server: &ServerState, query: &Query) -> Result<Reply, BadRequest> {
    let details = query.flag("details")?;
    // Every flag is checked, whichever comes to matter.
    let enabled_only = query.flag("js-enabled-only")? | query.flag("js-enabled")?;
    let server_only = query.flag("js-server-only")?;
    // There is no meta layer to check on a server alone; everything else is.
    query.flag("js-meta-only")?;
    let asked = Asked {
        account: query.text("account"),
        stream: query.text("stream"),
        consumer: query.text("consumer"),
    };
    let found = find_fault(server, &asked, enabled_only, server_only);
    Ok(match found {
        None => {
            let healthy = Healthz {
                status: "ok",
                error: None,
                errors: None,
                damage: server
                    .jetstream()
                    .map(JetStream::damaged_streams)
                    .unwrap_or_default(),
            };
            Reply::compact_json(StatusCode::OK, &healthy)
        }
        Some((status, fault)) => {
            tracing::warn!("Healthcheck failed: {:?}", fault.error);
            let word = if details { "error" } else { word(status) };
            let healthz = if details {
                Healthz {
                    status: word,
                    error: None,
                    errors: Some([fault]),
                    damage: Vec::new(),
                }
            } else {
                Healthz {
                    status: word,
                    error: Some(fault.error),
                    errors: None,
                    damage: Vec::new(),
                }
            };
            Reply::compact_json(status, &healthz)
        }
    })
}

/// What it says of the server as a whole: `ok`, `unavailable` or `error`. Nothing is logged.
pub(super) fn status(server: &ServerState) -> &'static str {
    let everything = Asked::default();
    find_fault(server, &everything, false, false).map_or("ok", |(status, _)| word(status))
}

fn word(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST | StatusCode::INTERNAL_SERVER_ERROR => "error",
        _ => "unavailable",
    }
}

/// What the request is about; empty is everything.
#[derive(Default)]
struct Asked<'a> {
    account: &'a str,
    stream: &'a str,
    consumer: &'a str,
}

fn find_fault(
    server: &ServerState,
    asked: &Asked<'_>,
    enabled_only: bool,
    server_only: bool,
) -> Option<(StatusCode, Detail)> {
    let bad_request = |error: &str| {
        let fault = Detail {
            kind: "BAD_REQUEST",
            error: error.to_owned(),
            ..Detail::default()
        };
        Some((StatusCode::BAD_REQUEST, fault))
    };
    if asked.account.is_empty() && !asked.stream.is_empty() {
        return bad_request("\"account\" must not be empty when checking stream health");
    }
    if asked.stream.is_empty() && !asked.consumer.is_empty() {
        return bad_request("\"stream\" must not be empty when checking consumer health");
    }
    if !server.is_ready() {
        let error = "server is not ready for connections yet".to_owned();
        return Some((
            StatusCode::INTERNAL_SERVER_ERROR,
            Detail {
                kind: "CONNECTION",
                error,
                ..Detail::default()
            },
        ));
    }
    if server_only || !server.options().jetstream.enabled {
        return None;
    }
    let Some(jetstream) = server.jetstream() else {
        let error = "JetStream is not running".to_owned();
        return Some((
            StatusCode::SERVICE_UNAVAILABLE,
            Detail {
                kind: "JETSTREAM",
                error,
                ..Detail::default()
            },
        ));
    };
    if enabled_only {
        return None;
    }
    if jetstream.is_fenced() {
        let error = "JetStream refuses writes until the next start: see the log".to_owned();
        return Some((
            StatusCode::SERVICE_UNAVAILABLE,
            Detail {
                kind: "JETSTREAM",
                error,
                ..Detail::default()
            },
        ));
    }
    missing(server, asked).map(|fault| (StatusCode::NOT_FOUND, fault))
}

/// What was asked for and is not there.
fn missing(server: &ServerState, asked: &Asked<'_>) -> Option<Detail> {
    let Asked {
        account,
        stream,
        consumer,
    } = *asked;
    if account.is_empty() {
        return None;
    }
    let name = |text: &str| Some(text.to_owned());
    let found = server
        .account(account)
        .and_then(|account| account.jetstream().cloned());
    let Some(jetstream) = found else {
        return Some(Detail {
            kind: "ACCOUNT",
            account: name(account),
            error: format!("JetStream account {account:?} not found"),
            ..Detail::default()
        });
    };
    if stream.is_empty() {
        return None;
    }
    let Some(consumers) = jetstream.consumer_names(stream) else {
        return Some(Detail {
            kind: "STREAM",
            account: name(account),
            stream: name(stream),
            error: format!("JetStream stream {stream:?} not found on account {account:?}"),
            ..Detail::default()
        });
    };
    if consumer.is_empty() || consumers.iter().any(|known| known == consumer) {
        return None;
    }
    Some(Detail {
        kind: "CONSUMER",
        account: name(account),
        stream: name(stream),
        consumer: name(consumer),
        error: format!(
            "JetStream consumer {consumer:?} not found for stream {stream:?} on account {account:?}"
        ),
    })
}
