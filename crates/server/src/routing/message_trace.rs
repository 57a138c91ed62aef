//! Message tracing (ADR-41): what becomes of a message, told on a subject that its publisher or its account names.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use jetsled_protocol::headers;
use jiff::Timestamp;
use memchr::memmem;
use serde::Serialize;

use crate::account::Account;
use crate::client::{Client, Subscription};

/// The header that asks for a trace; its value is where the trace goes.
const DESTINATION: &[u8] = b"Nats-Trace-Dest";
/// The header by which a traced message is not delivered.
const ONLY: &[u8] = b"Nats-Trace-Only";
/// The destination of a message that is not to be traced any more.
const DISABLED: &[u8] = b"trace disabled";
/// The header of a distributed trace, in any case.
const TRACE_PARENT: &[u8] = b"traceparent";

/// What the headers of a message ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TraceRequest {
    pub(crate) by: AskedBy,
    headers: BTreeMap<String, Vec<String>>,
}

/// Who wants the trace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AskedBy {
    /// The publisher: on this subject, perhaps without delivering the message.
    Publisher { destination: Vec<u8>, only: bool },
    /// A distributed trace, if the account has a destination for it.
    DistributedTrace,
}

/// Whether [`TraceRequest::read`] may find that the publisher asks for a trace: to be asked for each message with headers.
#[inline]
pub(crate) fn is_asked_for(block: &[u8]) -> bool {
    static FINDER: LazyLock<memmem::Finder<'_>> =
        LazyLock::new(|| memmem::Finder::new(DESTINATION));
    FINDER.find(block).is_some()
}

/// Sets the header by which a message is traced no further.
pub(crate) fn disable(block: &mut Vec<u8>) {
    headers::set(block, DESTINATION, DISABLED);
}

/// As [`disable`], where the destination stood: what a stream keeps of a traced message.
pub(crate) fn disable_in_place(block: &mut Vec<u8>) {
    headers::replace(block, DESTINATION, DISABLED);
}

impl TraceRequest {
    pub(crate) fn read(block: &[u8]) -> Option<Self> {
        if !block.starts_with(headers::HEADER_LINE) {
            return None;
        }
        let (mut destination, mut only, mut is_sampled) = (None, None, false);
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, value) in headers::iter(block) {
            let value = value.trim_ascii();
            if key.is_empty() || value.is_empty() {
                continue;
            }
            if key == DESTINATION {
                if value == DISABLED {
                    return None;
                }
                destination.get_or_insert(value);
            } else if key == ONLY {
                only.get_or_insert(value);
            } else if key.eq_ignore_ascii_case(TRACE_PARENT) {
                is_sampled |= super::latency::is_sampled(&String::from_utf8_lossy(value));
            }
            all.entry(String::from_utf8_lossy(key).into_owned())
                .or_default()
                .push(String::from_utf8_lossy(value).into_owned());
        }
        let by = match destination {
            Some(destination) => AskedBy::Publisher {
                destination: destination.to_vec(),
                only: only.is_some_and(|only| {
                    [&b"1"[..], b"true", b"on"]
                        .iter()
                        .any(|yes| only.eq_ignore_ascii_case(yes))
                }),
            },
            None if is_sampled => AskedBy::DistributedTrace,
            None => return None,
        };
        Some(Self { by, headers: all })
    }
}

/// Collects what becomes of one message.
#[derive(Debug)]
pub(crate) struct Tracer {
    /// The account in which it was published, which gets the trace.
    account: Arc<Account>,
    destination: Vec<u8>,
    /// The message is not delivered.
    pub(super) only: bool,
    request: Requested,
    events: Vec<Event>,
}

#[derive(Debug, Serialize)]
struct Requested {
    header: BTreeMap<String, Vec<String>>,
    msgsize: usize,
}

#[derive(Debug, Serialize)]
struct Event {
    #[serde(rename = "type")]
    kind: &'static str,
    ts: Timestamp,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum What {
    Ingress {
        kind: u8,
        cid: u64,
        #[serde(skip_serializing_if = "String::is_empty")]
        name: String,
        acc: String,
        subj: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    Mapping {
        to: String,
    },
    StreamExport {
        acc: String,
        to: String,
    },
    ServiceImport {
        acc: String,
        from: String,
        to: String,
    },
    JetStream {
        stream: String,
        subject: String,
    },
    Egress {
        kind: u8,
        cid: u64,
        #[serde(skip_serializing_if = "String::is_empty")]
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        acc: Option<String>,
        sub: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        queue: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'static str>,
    },
}

/// The kind of a client connection.
const CLIENT: u8 = 0;

/// Why a subscription did not get a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum NotDelivered {
    NoEcho,
    SubscriptionDenied,
    ClientClosed,
    AutoUnsubscribed,
}

impl NotDelivered {
    fn text(self) -> &'static str {
        match self {
            Self::NoEcho => "Not delivered because of no echo",
            Self::SubscriptionDenied => "Not delivered because subscription denies this subject",
            Self::ClientClosed => "Not delivered because client is closed",
            Self::AutoUnsubscribed => "Not delivered because auto-unsubscribe exceeded",
        }
    }
}

impl Tracer {
    /// Begins with the message's arrival on a client connection.
    pub(crate) fn new(
        request: TraceRequest,
        destination: Vec<u8>,
        client: &Client,
        subject: &[u8],
        msgsize: usize,
    ) -> Self {
        let login = client.login();
        let only = matches!(request.by, AskedBy::Publisher { only: true, .. });
        let mut tracer = Self {
            account: Arc::clone(&login.account),
            destination,
            only,
            request: Requested {
                header: request.headers,
                msgsize,
            },
            events: Vec::new(),
        };
        tracer.note(
            "in",
            What::Ingress {
                kind: CLIENT,
                cid: client.cid(),
                name: login.options.name.shown().into_owned(),
                acc: login.account.name().to_owned(),
                subj: text(subject),
                error: None,
            },
        );
        tracer
    }

    /// The message was refused.
    pub(crate) fn refused(&mut self, why: String) {
        if let Some(Event {
            what: What::Ingress { error, .. },
            ..
        }) = self.events.first_mut()
        {
            *error = Some(why);
        }
    }

    /// A mapping has rewritten its subject.
    pub(crate) fn mapped(&mut self, to: &[u8]) {
        self.note("sm", What::Mapping { to: text(to) });
    }

    pub(super) fn stream_export(&mut self, importer: &Account, to: &[u8]) {
        let acc = importer.name().to_owned();
        self.note("se", What::StreamExport { acc, to: text(to) });
    }

    pub(super) fn service_import(&mut self, exporter: &Account, from: &[u8], to: &[u8]) {
        self.note(
            "si",
            What::ServiceImport {
                acc: exporter.name().to_owned(),
                from: text(from),
                to: text(to),
            },
        );
    }

    pub(super) fn jetstream(&mut self, stream: &str, subject: &[u8]) {
        self.note(
            "js",
            What::JetStream {
                stream: stream.to_owned(),
                subject: text(subject),
            },
        );
    }

    pub(super) fn egress(&mut self, subscription: &Subscription, error: Option<NotDelivered>) {
        let login = subscription.client.login();
        let is_elsewhere = !Arc::ptr_eq(&login.account, &self.account);
        self.note(
            "eg",
            What::Egress {
                kind: CLIENT,
                cid: subscription.client.cid(),
                name: login.options.name.shown().into_owned(),
                acc: is_elsewhere.then(|| login.account.name().to_owned()),
                sub: text(subscription.subject()),
                queue: text(subscription.queue()),
                error: error.map(NotDelivered::text),
            },
        );
    }

    fn note(&mut self, kind: &'static str, what: What) {
        let ts = Timestamp::now();
        self.events.push(Event { kind, ts, what });
    }

    /// Sends what was collected.
    pub(crate) fn send(self, server: &crate::server::ServerState) {
        #[derive(Serialize)]
        struct Body {
            request: Requested,
            events: Vec<Event>,
        }
        let body = Body {
            request: self.request,
            events: self.events,
        };
        let rest = jetsled_jetstream_api::json::to_vec(&body);
        crate::events::trace(server, self.account, self.destination, rest);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &str, expected: Option<AskedBy>) {
        let block = format!("NATS/1.0\r\n{}\r\n", lines.replace('|', "\r\n"));
        let found = TraceRequest::read(block.as_bytes()).map(|request| request.by);
        assert_eq!(found, expected, "{lines}");
    }

    fn publisher(destination: &str, only: bool) -> AskedBy {
        AskedBy::Publisher {
            destination: destination.into(),
            only,
        }
    }

    #[test]
    fn headers_ask_for_traces() {
        check("", None);
        check("Nats-Trace-Only: 1|", None);
        check("Nats-Trace-Dest: a|", Some(publisher("a", false)));
        check("Nats-Trace-Dest:  a \t|", Some(publisher("a", false)));
        check("nats-trace-dest: a|", None);
        check("Nats-Trace-Dest: trace disabled|", None);
        for yes in ["1", "true", "TRUE", "on"] {
            let lines = format!("Nats-Trace-Only: {yes}|Nats-Trace-Dest: a|");
            check(&lines, Some(publisher("a", true)));
        }
        check(
            "Nats-Trace-Dest: a|Nats-Trace-Only: yes|",
            Some(publisher("a", false)),
        );
        let sampled = Some(AskedBy::DistributedTrace);
        check("traceparent: 00-4bf9-00f0-01|", sampled);
        check("TraceParent: 00-4bf9-00f0-00|", None);
        check(
            "traceparent: 00-4bf9-00f0-01|Nats-Trace-Dest: a|",
            Some(publisher("a", false)),
        );
    }
}
