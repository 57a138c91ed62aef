//! What an account exports, imports and maps.

use std::collections::BTreeMap;

use jetsled_auth::{LatencySampling, LatencyTracking, ServiceExport};
use serde::Serialize;

use super::omit::is_false;
use crate::account::Account;
use crate::wiring::Wiring;

#[derive(Debug, Serialize)]
pub(super) struct Sharing {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    mappings: BTreeMap<String, Vec<Destination>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exports: Vec<Export>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    imports: Vec<Import>,
}

#[derive(Debug, Serialize)]
struct Destination {
    subject: String,
    /// Summed up (observed nats-server 2.15.1).
    weight: u8,
}

#[derive(Debug, Serialize)]
struct Export {
    subject: String,
    #[serde(rename = "type")]
    kind: &'static str,
    /// Imports need an activation token.
    #[serde(skip_serializing_if = "is_false")]
    token_req: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_latency: Option<Latency>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    approved_accounts: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Import {
    subject: String,
    account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    local_subject: String,
    #[serde(rename = "type")]
    kind: &'static str,
    invalid: bool,
    share: bool,
    tracking: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Latency>,
}

/// A request of another account that is not answered yet.
#[derive(Debug, Serialize)]
pub(super) struct OpenResponse {
    /// Where the answer goes in the end.
    subject: String,
    account: String,
    to: String,
    local_subject: String,
    #[serde(rename = "type")]
    kind: u8,
    invalid: bool,
    share: bool,
    tracking: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Latency>,
}

#[derive(Debug, Serialize)]
struct Latency {
    sampling: Sampling,
    results: String,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Sampling {
    Percent(u8),
    Headers(&'static str),
}

pub(super) fn gather(account: &Account, system: Option<&str>, has_jetstream: bool) -> Sharing {
    let wiring = account.wiring();
    let mut imports = imports(&wiring);
    let mut exports = exports(&wiring);
    if let Some(system) = system {
        imports.extend(of_system(account, system));
        if has_jetstream && !account.is_system() {
            imports.push(service_of(system, API.to_owned(), API, true));
        }
    }
    if account.is_system() {
        let api = has_jetstream.then_some((API, "Singleton"));
        exports.extend(SERVICES.into_iter().chain(api).map(system_service));
    }
    Sharing {
        mappings: mappings(&wiring),
        exports,
        imports,
    }
}

/// As many of the open ones as are shown at a time; nats-server shows all.
const MAX_RESPONSES: usize = 1024;
/// The number of services among nats-server's kinds of imports.
const SERVICE: u8 = 2;

/// By the subjects that answers are published to.
pub(super) fn responses(account: &Account) -> BTreeMap<String, OpenResponse> {
    let open = account.responses.some(MAX_RESPONSES).into_iter();
    open.map(|(subject, way, is_measured)| {
        let subject = text(&subject);
        let response = OpenResponse {
            subject: text(&way.reply),
            account: way.requestor.name().to_owned(),
            to: subject.clone(),
            local_subject: subject.clone(),
            kind: SERVICE,
            invalid: false,
            share: way.share,
            tracking: is_measured,
            latency: is_measured.then(|| latency(&way.export)).flatten(),
        };
        (subject, response)
    })
    .collect()
}

fn mappings(wiring: &Wiring) -> BTreeMap<String, Vec<Destination>> {
    let shown = wiring.mappings.iter().map(|mapping| {
        let destinations = mapping.destinations().map(|(weight, subject)| Destination {
            subject: text(subject),
            weight,
        });
        (text(mapping.source()), destinations.collect())
    });
    shown.collect()
}

fn exports(wiring: &Wiring) -> Vec<Export> {
    let Some(shared) = &wiring.shared else {
        return Vec::new();
    };
    let approved =
        |accounts: &[std::sync::Arc<str>]| accounts.iter().map(ToString::to_string).collect();
    let services = shared
        .service_exports
        .iter()
        .map(|(subject, audience, service)| Export {
            subject: subject.clone(),
            kind: "service",
            token_req: audience.token_required,
            response_type: Some(service.response_type.name()),
            service_latency: latency(service),
            approved_accounts: approved(&audience.accounts),
        });
    let streams = shared
        .stream_exports
        .iter()
        .map(|(subject, audience)| Export {
            subject: subject.clone(),
            kind: "stream",
            token_req: audience.token_required,
            response_type: None,
            service_latency: None,
            approved_accounts: approved(&audience.accounts),
        });
    services.chain(streams).collect()
}

fn imports(wiring: &Wiring) -> Vec<Import> {
    let streams = wiring.streams.iter().map(|link| Import {
        subject: text(&link.import.from),
        account: link.import.exporter.to_string(),
        to: None,
        local_subject: text(&link.import.to),
        kind: "stream",
        invalid: false,
        share: false,
        tracking: false,
        latency: None,
    });
    let services = wiring.services.iter().map(|link| Import {
        subject: text(&link.import.to),
        account: link.import.exporter.to_string(),
        to: Some(text(&link.import.from)),
        local_subject: text(&link.import.from),
        kind: "service",
        invalid: false,
        share: link.import.share,
        tracking: false,
        latency: latency(&link.import.export),
    });
    streams.chain(services).collect()
}

/// Where JetStream is on, every account has its API from the system account.
const API: &str = "$JS.API.>";
/// What else the system account exports to every account, with the kind of response.
const SERVICES: [(&str, &str); 4] = [
    ("$SYS.REQ.ACCOUNT.*.CONNZ", "Streamed"),
    ("$SYS.REQ.ACCOUNT.*.STATZ", "Streamed"),
    ("$SYS.REQ.USER.*.INFO", "Singleton"),
    ("$SYS.DEBUG.SUBSCRIBERS", "Singleton"),
];

fn system_service((subject, response): (&str, &'static str)) -> Export {
    Export {
        subject: subject.to_owned(),
        kind: "service",
        token_req: false,
        response_type: Some(response),
        service_latency: None,
        approved_accounts: Vec::new(),
    }
}

/// An import from the system account.
fn service_of(system: &str, subject: String, local: &str, share: bool) -> Import {
    Import {
        subject,
        account: system.to_owned(),
        to: Some(local.to_owned()),
        local_subject: local.to_owned(),
        kind: "service",
        invalid: false,
        share,
        tracking: false,
        latency: None,
    }
}

/// The services of the system account that every account has; the system account itself but for one does not import them.
fn of_system(account: &Account, system: &str) -> Vec<Import> {
    let (is_system, account) = (account.is_system(), account.name());
    let import = |subject: String, local: &str, share| service_of(system, subject, local, share);
    let connz = format!("$SYS.REQ.ACCOUNT.{account}.CONNZ");
    let statz = format!("$SYS.REQ.ACCOUNT.{account}.STATZ");
    let user = format!("$SYS.REQ.USER.{account}.INFO");
    let user = import(user, "$SYS.REQ.USER.INFO", true);
    if is_system {
        return vec![user];
    }
    vec![
        import(connz.clone(), "$SYS.REQ.ACCOUNT.PING.CONNZ", false),
        import(connz, "$SYS.REQ.SERVER.PING.CONNZ", false),
        import(statz, "$SYS.REQ.ACCOUNT.PING.STATZ", false),
        user,
    ]
}

fn latency(service: &ServiceExport) -> Option<Latency> {
    let LatencyTracking { subject, sampling } = service.latency.as_ref()?;
    Some(Latency {
        sampling: match sampling {
            LatencySampling::Percent(percent) => Sampling::Percent(*percent),
            LatencySampling::Headers => Sampling::Headers("headers"),
        },
        results: subject.clone(),
    })
}

fn text(subject: &[u8]) -> String {
    String::from_utf8_lossy(subject).into_owned()
}
