//! Measuring services: which requests, and what is published of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jetsled_auth::{LatencySampling, LatencyTracking, ServiceExport};
use jetsled_protocol::headers;
use jiff::Timestamp;
use rand::RngExt;
use rand::rngs::SmallRng;
use serde::Serialize;

use super::{FlushSet, Message, OutboundMessage, Payload};
use crate::account::Account;
use crate::client::Client;
use crate::events::{ClientInfo, Detail};

/// A request that is measured.
#[derive(Debug)]
pub(crate) struct Measured {
    requestor: Option<Arc<Client>>,
    /// Whether the exporting account may know who asked.
    share: bool,
    /// What made it measured, if headers did.
    headers: Vec<(&'static str, String)>,
    asked: Instant,
    asked_at: Timestamp,
}

/// How a measured request ended without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    NoDelivery,
    InterestLost,
    Timeout,
}

impl Measured {
    /// Decides whether a request is measured.
    pub(super) fn sample(
        tracking: &LatencyTracking,
        request: &Message<'_>,
        share: bool,
        random: &mut SmallRng,
    ) -> Option<Box<Self>> {
        let by_chance = match tracking.sampling {
            LatencySampling::Percent(percent) => {
                // nats-server takes one more of a hundred (observed 2.15.1).
                percent >= 100 || random.random_range(0..100) <= percent
            }
            LatencySampling::Headers => false,
        };
        let headers = if by_chance {
            Vec::new()
        } else {
            trace_headers(request.headers)?
        };
        Some(Box::new(Self {
            requestor: request.origin.client.cloned(),
            share,
            headers,
            asked: Instant::now(),
            asked_at: Timestamp::now(),
        }))
    }

    fn requestor(&self) -> Option<ClientInfo<'static>> {
        let client = self.requestor.as_ref()?;
        Some(ClientInfo::of(client, Detail::shared(self.share)))
    }
}

/// What is published of a measured request.
#[derive(Serialize)]
struct ServiceLatency<'a> {
    r#type: &'static str,
    id: String,
    timestamp: Timestamp,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requestor: Option<ClientInfo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    responder: Option<ClientInfo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<serde_json::Map<String, serde_json::Value>>,
    start: Timestamp,
    /// Nanoseconds, as the following.
    service: u64,
    system: u64,
    total: u64,
}

/// Publishes the measurement of a request that `response` answers.
pub(super) fn answered(
    exporter: &Arc<Account>,
    export: &ServiceExport,
    measured: &Measured,
    response: &Message<'_>,
    flush: &mut FlushSet,
) {
    let now = Instant::now();
    let taken = nanos(now.saturating_duration_since(measured.asked));
    let requestor = measured.requestor();
    let responder = response
        .origin
        .client
        .map(|client| ClientInfo::of(client, Detail::All));
    let rtt = |client: &Option<ClientInfo<'_>>| client.as_ref().map_or(0, |client| client.rtt);
    let (to_requestor, to_responder) = (rtt(&requestor), rtt(&responder));
    let system = if to_responder > 0 {
        nanos(now.elapsed())
    } else {
        0
    };
    let latency = ServiceLatency {
        status: 200,
        requestor,
        responder,
        service: taken.saturating_sub(to_responder),
        system,
        total: to_requestor + taken + system,
        ..new(measured, to_requestor)
    };
    publish(exporter, export, &latency, flush);
}

/// Publishes that a measured request will not be answered.
pub(super) fn unanswered(
    exporter: &Arc<Account>,
    export: &ServiceExport,
    measured: &Measured,
    outcome: Outcome,
    flush: &mut FlushSet,
) {
    let (status, description) = match outcome {
        Outcome::NoDelivery => (503, "Service Unavailable"),
        Outcome::InterestLost => (408, "Request Timeout"),
        Outcome::Timeout => (504, "Service Timeout"),
    };
    failed(exporter, export, measured, status, description, flush);
}

/// Publishes that a measured request had no reply subject.
pub(super) fn without_reply(
    exporter: &Arc<Account>,
    export: &ServiceExport,
    measured: &Measured,
    flush: &mut FlushSet,
) {
    failed(exporter, export, measured, 400, "Bad Request", flush);
}

fn failed(
    exporter: &Arc<Account>,
    export: &ServiceExport,
    measured: &Measured,
    status: u16,
    description: &'static str,
    flush: &mut FlushSet,
) {
    let requestor = measured.requestor();
    let rtt = requestor.as_ref().map_or(0, |requestor| requestor.rtt);
    let latency = ServiceLatency {
        status,
        description: Some(description),
        requestor,
        ..new(measured, rtt)
    };
    publish(exporter, export, &latency, flush);
}

fn new<'a>(measured: &Measured, requestor_rtt: u64) -> ServiceLatency<'a> {
    let header = (!measured.headers.is_empty()).then(|| {
        let headers = measured.headers.iter();
        headers
            .map(|(key, value)| ((*key).to_owned(), vec![value.clone()].into()))
            .collect()
    });
    let rtt = Duration::from_nanos(requestor_rtt);
    ServiceLatency {
        r#type: "io.nats.server.metric.v1.service_latency",
        id: crate::nuid::next(),
        timestamp: Timestamp::now(),
        status: 0,
        description: None,
        requestor: None,
        responder: None,
        header,
        start: measured
            .asked_at
            .checked_sub(rtt)
            .unwrap_or(measured.asked_at),
        service: 0,
        system: 0,
        total: 0,
    }
}

fn publish(
    exporter: &Arc<Account>,
    export: &ServiceExport,
    latency: &ServiceLatency<'_>,
    flush: &mut FlushSet,
) {
    let Some(tracking) = &export.latency else {
        return;
    };
    let subject = tracking.subject.as_bytes();
    let json = serde_json::to_vec(latency).unwrap_or_default();
    let message = OutboundMessage {
        subject,
        deliver_as: subject,
        reply: b"",
        headers: b"",
        payload: Payload::Borrowed(&json),
    };
    exporter.deliver(&message, flush);
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The headers of a distributed trace that ask for a measurement, if they do.
fn trace_headers(block: &[u8]) -> Option<Vec<(&'static str, String)>> {
    let value = |name: &str| {
        headers::iter(block)
            .find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| String::from_utf8_lossy(value).trim_end().to_owned())
    };
    let take = |names: &[&'static str]| {
        let found = names.iter().filter_map(|name| Some((*name, value(name)?)));
        Some(found.collect())
    };
    if let Some(uber) = value(UBER) {
        return is_uber_sampled(&uber).then(|| vec![(UBER, uber)]);
    }
    match value(B3_SAMPLED).as_deref() {
        Some("1") => return take(&B3_PARTS),
        Some("0") => return None,
        _ => {}
    }
    if value(B3_TRACE_ID).is_some() {
        return take(&B3_PARTS);
    }
    if let Some(b3) = value(B3) {
        let parts: Vec<&str> = b3.split('-').collect();
        let is_denied = matches!(parts.as_slice(), ["0"] | [_, _, "0", ..]);
        return (!is_denied).then(|| vec![(B3, b3)]);
    }
    let parent = value(TRACE_PARENT)?;
    if is_sampled(&parent) {
        take(&[TRACE_PARENT, TRACE_STATE])
    } else {
        None
    }
}

/// `{trace-id}:{span-id}:{parent-span-id}:{flags}`
fn is_uber_sampled(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let [_, _, _, flags] = parts.as_slice() else {
        return false;
    };
    matches!(flags.len(), 1 | 2) && u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1)
}

/// `{version}-{trace-id}-{parent-id}-{flags}`. Flags above 7f count as none (observed nats-server 2.15.1).
pub(super) fn is_sampled(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [_, _, _, flags] = parts.as_slice() else {
        return false;
    };
    flags.len() == 2 && i8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1)
}

// As Go spells header names.
const UBER: &str = "Uber-Trace-Id";
const B3: &str = "B3";
const B3_SAMPLED: &str = "X-B3-Sampled";
const B3_TRACE_ID: &str = "X-B3-Traceid";
const B3_PARTS: [&str; 4] = [B3_SAMPLED, B3_TRACE_ID, "X-B3-Parentspanid", "X-B3-Spanid"];
const TRACE_PARENT: &str = "Traceparent";
const TRACE_STATE: &str = "Tracestate";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], expected: Option<&[&str]>) {
        let mut block = headers::HEADER_LINE.to_vec();
        for line in lines {
            block.extend_from_slice(line.as_bytes());
            block.extend_from_slice(b"\r\n");
        }
        block.extend_from_slice(b"\r\n");
        let found = trace_headers(&block);
        let names = found
            .as_ref()
            .map(|found| found.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        assert_eq!(names.as_deref(), expected, "{lines:?}");
    }

    #[test]
    fn headers_ask_for_measurements() {
        check(&[], None);
        check(&["Other: 1"], None);
        check(&["Uber-Trace-Id: 479:5ad:479:1"], Some(&[UBER]));
        check(&["uber-trace-id: 479:5ad:479:1"], Some(&[UBER]));
        check(&["Uber-Trace-Id: 479:5ad:479:2"], None);
        check(&["Uber-Trace-Id: 479:5ad:479"], None);
        // The first kind of header decides.
        check(&["Uber-Trace-Id: 479:5ad:479:0", "X-B3-Sampled: 1"], None);
        check(&["X-B3-Sampled: 1"], Some(&[B3_SAMPLED]));
        check(
            &["X-B3-TraceId: 80f", "X-B3-SpanId: e4"],
            Some(&[B3_TRACE_ID, "X-B3-Spanid"]),
        );
        check(&["X-B3-Sampled: 0", "X-B3-TraceId: 80f"], None);
        check(&["b3: 80f1-e457-1-05e3"], Some(&[B3]));
        check(&["b3: 80f1-e457-0-05e3"], None);
        check(&["b3: 0"], None);
        check(&["traceparent: 00-4bf9-00f0-01"], Some(&[TRACE_PARENT]));
        check(
            &["traceparent: 00-4bf9-00f0-01", "tracestate: a=b"],
            Some(&[TRACE_PARENT, TRACE_STATE]),
        );
        check(&["traceparent: 00-4bf9-00f0-00"], None);
        check(&["traceparent: 00-4bf9-00f0"], None);
    }
}
