//! All that a server has, as clients read it, while nothing else goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;

use jetsled_testkit::Peer;
use serde_json::{Value, json};

use super::changes::{Name, Version};
use super::plan;
use crate::jetstream::expect;

/// Streams and consumers by name.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) streams: BTreeMap<String, FoundStream>,
}

/// A stream with what it holds.
#[derive(Debug, Default)]
pub(super) struct FoundStream {
    pub(super) version: Version,
    pub(super) count: u64,
    pub(super) last: u64,
    pub(super) messages: BTreeMap<u64, FoundMessage>,
    /// The last sequence of each subject, for streams whose clients ask for that.
    pub(super) last_of: BTreeMap<String, Option<u64>>,
    pub(super) consumers: BTreeMap<String, ConsumerInfo>,
}

/// A stored message.
#[derive(Debug)]
pub(super) struct FoundMessage {
    pub(super) subject: String,
    pub(super) headers: String,
    pub(super) payload: Vec<u8>,
}

/// What a consumer says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct ConsumerInfo {
    pub(super) name: String,
    pub(super) version: Version,
    /// Stream sequences.
    pub(super) delivered: u64,
    pub(super) floor: u64,
    pub(super) pending: u64,
    pub(super) ack_pending: u64,
}

impl Found {
    /// Reads everything.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    pub(super) fn read(address: SocketAddr) -> io::Result<Self> {
        let (mut peer, _info) = Peer::ready(address)?;
        peer.send("SUB got 1\r\n")?;
        let mut found = Self::default();
        for info in list(&mut peer, "STREAM.LIST", "streams")? {
            let name = info["config"]["name"].as_str().unwrap_or_default();
            let mut stream = FoundStream {
                version: version(&info),
                count: info["state"]["messages"].as_u64().unwrap_or(0),
                last: info["state"]["last_seq"].as_u64().unwrap_or(0),
                messages: messages(&mut peer, name)?,
                ..FoundStream::default()
            };
            if name == plan::STATE {
                let subjects = stream.messages.values().map(|message| &message.subject);
                for subject in subjects.cloned().collect::<BTreeSet<_>>() {
                    let call = format!("$JS.API.DIRECT.GET.{name}.{subject}");
                    let answer = peer.request(&call, b"")?;
                    let last = answer.header("Nats-Sequence");
                    let last = last.and_then(|seq| seq.parse().ok());
                    stream.last_of.insert(subject, last);
                }
            }
            for info in list(&mut peer, &format!("CONSUMER.LIST.{name}"), "consumers")? {
                let info = ConsumerInfo::of(&info);
                stream.consumers.insert(info.name.clone(), info);
            }
            found.streams.insert(name.to_owned(), stream);
        }
        Ok(found)
    }

    /// The version that each stream and consumer says it has.
    pub(super) fn versions(&self) -> BTreeMap<Name, Version> {
        let mut versions = BTreeMap::new();
        for (name, stream) in &self.streams {
            versions.insert(Name::stream(name), stream.version);
            for (consumer, info) in &stream.consumers {
                versions.insert(Name::consumer(name, consumer), info.version);
            }
        }
        versions
    }
}

impl ConsumerInfo {
    fn of(info: &Value) -> Self {
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        Self {
            name: info["name"].as_str().unwrap_or_default().to_owned(),
            version: version(info),
            delivered: number(&info["delivered"]["stream_seq"]),
            floor: number(&info["ack_floor"]["stream_seq"]),
            pending: number(&info["num_pending"]),
            ack_pending: number(&info["num_ack_pending"]),
        }
    }
}

/// The consumers of the streams that stay.
///
/// # Errors
///
/// When the server does not answer.
pub(super) fn consumers(peer: &mut Peer) -> io::Result<Vec<ConsumerInfo>> {
    let mut infos = Vec::new();
    for plan in plan::CONSUMERS {
        let call = format!("CONSUMER.INFO.{}.{}", plan.stream, plan.name);
        infos.push(ConsumerInfo::of(&expect(peer, &call, &Value::Null)?));
    }
    Ok(infos)
}

fn version(info: &Value) -> Version {
    let description = info["config"]["description"].as_str();
    description.and_then(Version::read).unwrap_or_default()
}

fn list(peer: &mut Peer, call: &str, member: &str) -> io::Result<Vec<Value>> {
    let mut all = Vec::new();
    loop {
        let page = expect(peer, call, &json!({"offset": all.len()}))?;
        let items = page[member].as_array().cloned().unwrap_or_default();
        let is_end = items.is_empty();
        all.extend(items);
        if is_end || all.len() as u64 >= page["total"].as_u64().unwrap_or(0) {
            return Ok(all);
        }
    }
}

fn messages(peer: &mut Peer, stream: &str) -> io::Result<BTreeMap<u64, FoundMessage>> {
    let mut messages = BTreeMap::new();
    let mut from = 1;
    loop {
        let body = json!({"seq": from, "batch": 500}).to_string();
        let len = body.len();
        peer.send(format!(
            "PUB $JS.API.DIRECT.GET.{stream} got {len}\r\n{body}\r\n"
        ))?;
        let before = from;
        let status = loop {
            let message = peer.message()?;
            if let Some(status) = message.status().filter(|status| !status.is_empty()) {
                break status.to_owned();
            }
            let seq = message.header("Nats-Sequence");
            let seq = seq.and_then(|seq| seq.parse::<u64>().ok());
            let seq = seq.ok_or_else(|| io::Error::other(format!("{stream}: {message:?}")))?;
            from = seq + 1;
            messages.insert(
                seq,
                FoundMessage {
                    subject: message
                        .header("Nats-Subject")
                        .unwrap_or_default()
                        .to_owned(),
                    headers: message.headers,
                    payload: message.payload,
                },
            );
        };
        if !status.starts_with("204") && !status.starts_with("404") {
            return Err(io::Error::other(format!("{stream}: {status}")));
        }
        if from == before {
            return Ok(messages);
        }
    }
}
