//! What a follower asks of its origin.

use std::collections::BTreeMap;

use jetsled_jetstream_api::{
    AckPolicy, ConsumerConfig, DeliverPolicy, Nanos, StreamSeq, StreamSource, json,
};
use rand::RngExt;
use serde::Serialize;

use super::{FollowKind, FollowPlan, Follower, Tail};

/// A request to the origin's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowRequest {
    /// The subject to publish to.
    pub subject: String,
    /// Headers as names and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for a reset.
    pub body: Vec<u8>,
}

/// What the origin's server has to know; tried from the newest down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// It checks the stream's identity (2.15).
    Identity,
    /// It knows sourcing consumers (2.14).
    Sourcing,
    /// It knows neither.
    Plain,
}

impl Level {
    pub(super) fn newest(kind: FollowKind) -> Self {
        match kind {
            FollowKind::Mirror => Self::Sourcing,
            FollowKind::Source => Self::Identity,
        }
    }

    /// What to try when the origin does not know this one. The reset of a durable consumer needs a server that knows sourcing ones.
    pub(super) fn older(self, source: &StreamSource) -> Option<Self> {
        match self {
            Self::Identity => Some(Self::Sourcing),
            Self::Sourcing => source.consumer.is_none().then_some(Self::Plain),
            Self::Plain => None,
        }
    }
}

/// The body of a create request, as nats-server writes it.
#[derive(Serialize)]
struct CreateRequest<'a> {
    stream_name: &'a str,
    config: &'a ConsumerConfig,
    action: &'a str,
}

/// The request that deletes the consumer that a stream asked for, when it follows no longer; `None` if the consumer is not its own.
#[must_use]
pub fn delete_request(plan: &FollowPlan) -> Option<String> {
    let own = plan.source.consumer.is_none();
    own.then(|| {
        plan.api(&format!(
            "CONSUMER.DELETE.{}.{}",
            plan.source.name, plan.consumer
        ))
    })
}

impl FollowPlan {
    /// A subject of the origin's API.
    fn api(&self, rest: &str) -> String {
        let prefix = self
            .source
            .external
            .as_ref()
            .map(|external| external.api.as_str());
        format!("{}.{rest}", prefix.unwrap_or("$JS.API")).replace("..", ".")
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let family = match self.kind {
            FollowKind::Mirror => "_nats.mirror",
            FollowKind::Source => "_nats.src",
        };
        let entry = |key: &str, value: &str| (format!("{family}.{key}"), value.to_owned());
        let mut metadata =
            BTreeMap::from([entry("stream", &self.stream), entry("acc", &self.account)]);
        metadata.extend(self.domain.as_ref().map(|domain| entry("domain", domain)));
        metadata
    }
}

impl Follower {
    /// The request, and the deliver subject of the consumer that it is to make.
    pub(super) fn request(&mut self, level: Level, tail: &Tail) -> (FollowRequest, Option<String>) {
        let headers = self.headers(level);
        let source = &self.plan.source;
        if let Some(consumer) = &source.consumer {
            let reset = format!("CONSUMER.RESET.{}.{}", source.name, consumer.name);
            let request = FollowRequest {
                subject: self.plan.api(&reset),
                headers: match self.plan.kind {
                    FollowKind::Mirror => Vec::new(),
                    FollowKind::Source => headers,
                },
                body: Vec::new(),
            };
            return (request, None);
        }
        let config = self.consumer(level, tail);
        let (origin, name) = (&self.plan.source.name, &config.name);
        let subject = if config.filter_subject.is_empty() {
            format!("CONSUMER.CREATE.{origin}")
        } else {
            format!("CONSUMER.CREATE.{origin}.{name}.{}", config.filter_subject)
        };
        let body = CreateRequest {
            stream_name: origin,
            config: &config,
            action: "",
        };
        let request = FollowRequest {
            subject: self.plan.api(&subject),
            headers,
            body: json::to_vec(&body),
        };
        (request, Some(config.deliver_subject))
    }

    fn headers(&self, level: Level) -> Vec<(&'static str, String)> {
        match level {
            Level::Identity => vec![
                (REQUIRED_API_LEVEL, "5".to_owned()),
                (STREAM_IDENTITY, self.identity.clone()),
            ],
            Level::Sourcing => vec![(REQUIRED_API_LEVEL, "4".to_owned())],
            Level::Plain => Vec::new(),
        }
    }

    fn consumer(&mut self, level: Level, tail: &Tail) -> ConsumerConfig {
        let kind = match self.plan.kind {
            FollowKind::Mirror => 'M',
            FollowKind::Source => 'S',
        };
        let unique = self.random_name();
        let external = self.plan.source.external.as_ref();
        let deliver_subject = match external.map(|external| external.deliver.as_str()) {
            Some(prefix) if !prefix.is_empty() => {
                format!("{prefix}.{kind}.{unique}").replace("..", ".")
            }
            _ => format!("$JS.{kind}.{unique}"),
        };
        // A server that does not know sourcing consumers would take the name as it is.
        let name = match level {
            Level::Plain => {
                let unique = self.random_name();
                format!("{}_{unique}", self.plan.consumer)
            }
            Level::Sourcing | Level::Identity => self.plan.consumer.clone(),
        };
        let mut config = ConsumerConfig {
            name,
            deliver_subject,
            ack_policy: AckPolicy::None,
            ack_wait: Nanos::from_secs(22 * 3600),
            max_deliver: 1,
            heartbeat: Nanos::from_secs(1),
            flow_control: true,
            direct: true,
            sourcing: level != Level::Plain,
            inactive_threshold: Nanos::from_secs(10),
            metadata: self.plan.metadata().into(),
            ..ConsumerConfig::default()
        };
        self.set_start(tail, &mut config);
        set_filters(&self.plan.source, &mut config);
        config
    }

    fn set_start(&self, tail: &Tail, config: &mut ConsumerConfig) {
        let source = &self.plan.source;
        let fresh = match self.plan.kind {
            FollowKind::Mirror => tail.last.is_zero(),
            FollowKind::Source => self.position.is_zero(),
        };
        let mut start_time = None;
        if !fresh {
            config.opt_start_seq = self.position.next();
        } else if !source.opt_start_seq.is_zero() {
            config.opt_start_seq = source.opt_start_seq;
        } else if self.plan.kind == FollowKind::Mirror {
            start_time = source.opt_start_time;
        } else {
            // A source that was never heard of by a stream with a past starts where that ends.
            let past = Some(tail.last_time).filter(|time| !time.is_unset());
            start_time = match source.opt_start_time {
                Some(time) => Some(past.map_or(time, |past| past.max(time))),
                None if tail.first > StreamSeq::FIRST && !self.recreated => past,
                None => None,
            };
        }
        config.opt_start_time = start_time;
        config.deliver_policy = if start_time.is_some() {
            DeliverPolicy::ByStartTime
        } else if config.opt_start_seq.is_zero() {
            DeliverPolicy::All
        } else {
            DeliverPolicy::ByStartSequence
        };
    }

    fn random_name(&mut self) -> String {
        const ALPHABET: &[u8; 62] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut character = || char::from(ALPHABET[self.rng.random_range(0..ALPHABET.len())]);
        (0..8).map(|_| character()).collect()
    }
}

/// One filter goes into the subject of the request, which can not hold more.
fn set_filters(source: &StreamSource, config: &mut ConsumerConfig) {
    let mut filters: Vec<String> = source
        .subject_transforms
        .iter()
        .map(|transform| transform.src.clone())
        .collect();
    if filters.len() == 1 {
        config.filter_subject = filters.remove(0);
    } else {
        config.filter_subject.clone_from(&source.filter_subject);
        config.filter_subjects = filters;
    }
}

const REQUIRED_API_LEVEL: &str = "Nats-Required-Api-Level";
pub(super) const STREAM_IDENTITY: &str = "Nats-Stream-Identity";
