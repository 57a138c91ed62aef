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
    #[serde(skip_serializing_if = "Option::is_none")]
    response_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_latency: Option<Latency>,
    #[serde(skip_serializing_if = "is_false")]
    allow_trace: bool,
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
    #[serde(skip_serializing_if = "is_false")]
    allow_trace: bool,
    invalid: bool,
    share: bool,
    tracking: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Latency>,
}

#[derive(Debug, Serialize)]
struct Latency {
    /// In percent; 0: headers decide.
    sampling: u8,
    results: String,
}

pub(super) fn gather(account: &Account, system: Option<&str>) -> Sharing {
    let wiring = account.wiring();
    let mut imports = imports(&wiring);
    if let Some(system) = system.filter(|_| !account.is_system()) {
        imports.extend(of_system(account.name(), system));
    }
    Sharing {
        mappings: mappings(&wiring),
        exports: exports(&wiring),
        imports,
    }
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
            response_type: Some(service.response_type.name()),
            service_latency: latency(service),
            allow_trace: service.allow_trace,
            approved_accounts: approved(&audience.accounts),
        });
    let streams = shared
        .stream_exports
        .iter()
        .map(|(subject, audience)| Export {
            subject: subject.clone(),
            kind: "stream",
            response_type: None,
            service_latency: None,
            allow_trace: false,
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
        allow_trace: link.import.allow_trace,
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
        allow_trace: false,
        invalid: false,
        share: link.import.share,
        tracking: false,
        latency: latency(&link.import.export),
    });
    streams.chain(services).collect()
}

/// The services of the system account that every account has.
fn of_system(account: &str, system: &str) -> Vec<Import> {
    let import = |subject: String, local: &str, share| Import {
        subject,
        account: system.to_owned(),
        to: Some(local.to_owned()),
        local_subject: local.to_owned(),
        kind: "service",
        allow_trace: false,
        invalid: false,
        share,
        tracking: false,
        latency: None,
    };
    let connz = format!("$SYS.REQ.ACCOUNT.{account}.CONNZ");
    let statz = format!("$SYS.REQ.ACCOUNT.{account}.STATZ");
    let user = format!("$SYS.REQ.USER.{account}.INFO");
    vec![
        import(connz.clone(), "$SYS.REQ.ACCOUNT.PING.CONNZ", false),
        import(connz, "$SYS.REQ.SERVER.PING.CONNZ", false),
        import(statz, "$SYS.REQ.ACCOUNT.PING.STATZ", false),
        import(user, "$SYS.REQ.USER.INFO", true),
    ]
}

fn latency(service: &ServiceExport) -> Option<Latency> {
    let LatencyTracking { subject, sampling } = service.latency.as_ref()?;
    Some(Latency {
        sampling: match sampling {
            LatencySampling::Percent(percent) => *percent,
            LatencySampling::Headers => 0,
        },
        results: subject.clone(),
    })
}

fn text(subject: &[u8]) -> String {
    String::from_utf8_lossy(subject).into_owned()
}
