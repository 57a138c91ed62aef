//! A running consumer: its state machine and how its deliveries reach clients.

use jetsled_dispatch::Consumer;
use jetsled_jetstream_api::{AckPolicy, AckSubjectPrefix, Timestamp, flow_control_subject};
use jetsled_protocol::SubjectFilter;
use jetsled_store::{ConsumerKey, Selection};

use super::domain;
use super::stream::RunningStream;
use super::target::{ConsumerTarget, Target};
use crate::routing;

/// A consumer, owned by its stream's shard.
pub(super) struct RunningConsumer {
    pub(super) target: ConsumerTarget,
    pub(super) state: Consumer,
    pub(super) filter: SubjectFilter,
    /// What the store has worked out about `filter`.
    pub(super) selection: Selection,
    pub(super) ack_prefix: AckSubjectPrefix,
    pub(super) headers_only: bool,
    /// Empty for pull consumers.
    pub(super) deliver_subject: Box<[u8]>,
    /// Deliveries may start: its creation is durable and answered.
    pub(super) started: bool,
    /// The earliest wake that is queued for it.
    pub(super) wake: Option<Timestamp>,
    /// It waits for its turn in the shard's ready queue.
    pub(super) queued: bool,
}

impl RunningConsumer {
    pub(super) fn new(target: ConsumerTarget, state: Consumer) -> Self {
        let config = state.config();
        let filter = SubjectFilter::new(config.filters());
        Self {
            target,
            selection: Selection::of(&filter),
            filter,
            ack_prefix: state.identity().ack_prefix.clone(),
            headers_only: config.headers_only,
            deliver_subject: config.deliver_subject.as_bytes().into(),
            started: false,
            wake: None,
            queued: false,
            state,
        }
    }

    pub(super) fn key(&self) -> ConsumerKey {
        self.target.consumer
    }

    pub(super) fn name(&self) -> &str {
        &self.state.identity().name
    }

    /// Takes over what changed in the configuration of `state`.
    pub(super) fn reconfigured(&mut self) {
        let config = self.state.config();
        self.filter = SubjectFilter::new(config.filters());
        self.selection = Selection::of(&self.filter);
        self.headers_only = config.headers_only;
        self.deliver_subject = config.deliver_subject.as_bytes().into();
    }
}

/// The subjects on which a consumer listens.
fn subjects(stream: &RunningStream, consumer: &RunningConsumer) -> Vec<(String, Kind)> {
    let config = consumer.state.config();
    let (name, domain) = (consumer.name(), stream.domain.as_deref());
    let account = stream.account.name();
    let stream = &stream.config.name;
    let second = AckSubjectPrefix::with_origin(domain, account, stream, name);
    let mut subjects = Vec::with_capacity(5);
    if matches!(config.ack_policy, AckPolicy::Explicit | AckPolicy::All) {
        for prefix in [AckSubjectPrefix::new(stream, name), second] {
            let prefix = String::from_utf8_lossy(prefix.as_bytes());
            subjects.push((format!("{prefix}>"), Kind::Ack));
        }
    }
    let pull = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}");
    subjects.extend(domain::forms(pull, domain).map(|form| (form, Kind::Pull)));
    if config.flow_control {
        for origin in [None, Some((domain, account))] {
            let subject = flow_control_subject(origin, stream, name, "*");
            subjects.push((subject, Kind::FlowControl));
        }
    }
    subjects
}

#[derive(Clone, Copy)]
enum Kind {
    Ack,
    Pull,
    FlowControl,
}

impl Kind {
    fn target(self, consumer: ConsumerTarget) -> routing::Target {
        routing::Target::JetStream(match self {
            Self::Ack => Target::Ack(consumer),
            Self::Pull => Target::Pull(consumer),
            Self::FlowControl => Target::FlowControl(consumer),
        })
    }
}

/// Lets the consumer hear acks, pull requests and flow control answers.
pub(super) fn listen(stream: &RunningStream, consumer: &RunningConsumer) {
    for (subject, kind) in subjects(stream, consumer) {
        let target = kind.target(consumer.target);
        stream
            .account
            .insert_target(subject.as_bytes(), b"", target);
    }
}

/// Undoes [`listen`].
pub(super) fn stop_listening(stream: &RunningStream, consumer: &RunningConsumer) {
    for (subject, kind) in subjects(stream, consumer) {
        let target = kind.target(consumer.target);
        stream
            .account
            .remove_target(subject.as_bytes(), b"", &target);
    }
}
