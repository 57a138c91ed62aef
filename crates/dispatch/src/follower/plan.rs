//! Who follows what.

use jetsled_jetstream_api::{
    Nanos, SourceIndex, SourceInfo, StreamSeq, StreamSource, Timestamp, short_hash,
};

use super::FollowStatus;

/// How a stream follows another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowKind {
    /// It is a copy of the origin, with its sequences and times.
    Mirror,
    /// It gathers messages of the origin among others.
    Source,
}

/// What a [`Follower`](super::Follower) is to follow; none of it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowPlan {
    /// As a mirror or as a source.
    pub kind: FollowKind,
    /// The origin.
    pub source: StreamSource,
    /// What identifies it among the stream's sources.
    pub index: SourceIndex,
    /// The name of the consumer that is asked for; the origin may add to it.
    pub consumer: String,
    /// The stream that follows.
    pub stream: String,
    /// The account of that stream.
    pub account: String,
    /// Its JetStream domain.
    pub domain: Option<String>,
}

impl FollowPlan {
    /// How `stream` follows `source`, one of all its `sources`; these are empty for a mirror.
    #[must_use]
    pub fn new(
        kind: FollowKind,
        source: &StreamSource,
        sources: &[StreamSource],
        stream: &str,
        account: &str,
        domain: Option<&str>,
    ) -> Self {
        let mut id = format!("{stream} {account}");
        if let Some(domain) = domain {
            id = format!("{id} {domain}");
        }
        let mut hash = short_hash(id.as_bytes());
        let index = source.index();
        let consumer = match kind {
            FollowKind::Mirror => format!("JS_MIRROR_{hash}"),
            FollowKind::Source => {
                let same_origin = sources.iter().filter(|other| other.name == source.name);
                if same_origin.count() > 1 {
                    hash = format!("{hash} {}", index.as_str());
                }
                format!("JS_SRC_{}", short_hash(hash.as_bytes()))
            }
        };
        Self {
            kind,
            source: source.clone(),
            index,
            consumer,
            stream: stream.to_owned(),
            account: account.to_owned(),
            domain: domain.map(str::to_owned),
        }
    }

    /// What stream info says of the origin.
    #[must_use]
    pub fn info(&self, status: &FollowStatus, now: Timestamp) -> SourceInfo {
        let source = &self.source;
        SourceInfo {
            name: source.name.clone(),
            external: source.external.clone(),
            lag: status.lag,
            seq: match self.kind {
                FollowKind::Mirror => StreamSeq(0),
                FollowKind::Source => status.stored,
            },
            active: status.heard_at.map_or(Nanos(-1), |at| now.since(at)),
            error: status.error.clone(),
            // A mirror has none until it asks its origin for it (observed nats-server 2.15.1): the answer to its creation has none.
            filter_subject: match self.kind {
                FollowKind::Mirror if !status.asked => String::new(),
                FollowKind::Mirror | FollowKind::Source => source.filter_subject.clone(),
            },
            subject_transforms: source.subject_transforms.clone(),
        }
    }
}
