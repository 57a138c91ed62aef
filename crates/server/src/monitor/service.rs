//! Monitoring as a service: the same answers to requests below `$SYS.REQ`.

use serde::Serialize;
use serde_json::Value;

use super::query::Query;
use super::{accountz, accstatz, alone, connz, healthz, jsz, process, subsz, varz};
use crate::server::ServerState;

/// What the process takes from the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Bytes.
    pub(crate) memory: u64,
    pub(crate) cores: usize,
    /// Percent of one core.
    pub(crate) cpu: f64,
}

/// What the process takes from the machine now.
pub(crate) fn usage(server: &ServerState) -> Usage {
    Usage {
        memory: process::resident_bytes(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        cpu: server.monitoring.cpu_percent(),
    }
}

/// The JSON that the endpoint `what` answers to these options, which are named as services name them.
///
/// # Errors
///
/// The endpoint's text for what makes no sense.
pub(crate) fn answer_service(
    server: &ServerState,
    what: &'static str,
    options: &Value,
) -> Result<Vec<u8>, String> {
    let query = query_of(what, options);
    let failed = |error: super::query::BadRequest| error.to_string();
    Ok(match what {
        "varz" => json(&varz::gather(server)),
        "connz" => {
            let filter = text(options, "filter_subject");
            json(&connz::gather(server, &query, filter).map_err(failed)?)
        }
        "routez" => json(&alone::routez(server, &query).map_err(failed)?),
        "gatewayz" => json(&alone::gatewayz(server, &query).map_err(failed)?),
        "leafz" => json(&alone::leafz(server, &query).map_err(failed)?),
        "subsz" => json(&subsz::gather(server, &query).map_err(failed)?),
        "accountz" => json(&accountz::gather(server, &query).map_err(failed)?),
        "jsz" => json(&jsz::gather(server, &query).map_err(failed)?),
        "healthz" => healthz::check(server, &query)
            .map_err(failed)?
            .with_status_code(),
        other => return Err(format!("unknown service {other}")),
    })
}

/// One account's part of `/jsz`.
pub(crate) fn account_jsz(
    server: &ServerState,
    account: &str,
    options: &Value,
) -> Result<Vec<u8>, String> {
    if server.jetstream().is_none() {
        return Err("jetstream not enabled".to_owned());
    }
    if server.account(account).is_none() {
        return Err(format!("account {account:?} not found"));
    }
    let query = query_of("jsz", options);
    let detail = jsz::account(server, account, &query).map_err(|error| error.to_string())?;
    detail
        .map(|detail| json(&detail))
        .ok_or_else(|| format!("account {account:?} not jetstream enabled"))
}

/// One account's part of `/accountz`.
pub(crate) fn account_info(server: &ServerState, account: &str) -> Option<Vec<u8>> {
    let account = server.account(account)?;
    Some(json(&accountz::detail(server, &account)))
}

/// The traffic of these accounts, all if none is named; `None` if there is nothing to tell.
pub(crate) fn account_statz(
    server: &ServerState,
    accounts: &[String],
    with_unused: bool,
) -> Option<Vec<u8>> {
    let statz = accstatz::of_accounts(server, with_unused, |name| {
        accounts.is_empty() || accounts.iter().any(|wanted| wanted == name)
    });
    (with_unused || !statz.is_empty()).then(|| json(&statz))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn text<'a>(options: &'a Value, name: &str) -> &'a str {
    options
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The parameters of the HTTP endpoint that mean what the service's options say.
fn query_of(what: &str, options: &Value) -> Query {
    let Some(fields) = options.as_object() else {
        return Query::default();
    };
    let mut parameters = Vec::new();
    for (name, value) in fields {
        let name = match (what, name.as_str()) {
            ("subsz" | "accountz" | "jsz", "account") => "acc",
            ("connz" | "subsz", "subscriptions") => "subs",
            ("jsz", "consumer") => "consumers",
            ("jsz", "direct_consumer") => "direct-consumers",
            ("jsz", "leader_only") => "leader-only",
            ("jsz", "stream_leader_only") => "stream-leader-only",
            (_, name) => name,
        };
        let value = match (what, name, value) {
            (_, "subscriptions_detail", Value::Bool(true)) => {
                parameters.insert(0, ("subs".to_owned(), "detail".to_owned()));
                continue;
            }
            ("connz", "state", Value::Number(state)) => match state.as_u64() {
                Some(1) => "closed".to_owned(),
                Some(2) => "all".to_owned(),
                _ => "open".to_owned(),
            },
            (_, _, Value::String(text)) => text.clone(),
            (_, _, Value::Bool(_) | Value::Number(_)) => value.to_string(),
            _ => continue,
        };
        parameters.push((name.to_owned(), value));
    }
    Query::of(parameters)
}
