//! A running consumer: its state machine and how its deliveries reach clients.

use jetsled_dispatch::Consumer;
use jetsled_jetstream_api::{AckPolicy, AckSubjectPrefix, ConsumerConfig, Timestamp};
use jetsled_store::{ConsumerKey, Selection};

use super::domain;
use super::stream::RunningStream;
use super::target::{ConsumerTarget, Target};
use crate::routing;

/// A consumer, owned by its stream's shard. Its configuration is in the store.
pub(super) struct RunningConsumer {
    pub(super) target: ConsumerTarget,
    pub(super) state: Consumer,
    /// What the store has worked out about the filter; `None` if all matches.
    pub(super) selection: Option<Box<Selection>>,
    pub(super) serves: Serves,
    /// Deliveries may start: its creation is durable and answered.
    pub(super) started: bool,
    /// The earliest wake that is queued for it.
    pub(super) wake: Option<Timestamp>,
    /// It waits for its turn in the shard's ready queue.
    pub(super) queued: bool,
    /// It is among its stream's waiting consumers.
    pub(super) waits: bool,
    /// The log has refused its progress and is behind it, until all of its state is logged: when that is tried next.
    pub(super) unlogged: Option<Timestamp>,
}

/// Whom a consumer serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    Clients,
    /// A mirror or source of another stream, for as long as both run (`direct`).
    Follower,
    /// The same, durably (`sourcing`).
    DurableFollower,
}

impl Serves {
    fn new(config: &ConsumerConfig) -> Self {
        match (config.direct, config.sourcing) {
            (true, _) => Self::Follower,
            (false, true) => Self::DurableFollower,
            (false, false) => Self::Clients,
        }
    }

    /// Whether clients are shown it.
    pub(super) fn is_public(self) -> bool {
        self != Self::Follower
    }

    /// Whether it counts for limits.
    pub(super) fn is_limited(self) -> bool {
        self == Self::Clients
    }
}

impl RunningConsumer {
    pub(super) fn new(target: ConsumerTarget, state: Consumer, config: &ConsumerConfig) -> Self {
        Self {
            target,
            selection: selection(&state),
            serves: Serves::new(config),
            started: false,
            wake: None,
            queued: false,
            waits: false,
            unlogged: None,
            state,
        }
    }

    pub(super) fn key(&self) -> ConsumerKey {
        self.target.consumer
    }

    pub(super) fn name(&self) -> &str {
        self.state.identity().name()
    }

    pub(super) fn ack_prefix(&self) -> &AckSubjectPrefix {
        &self.state.identity().ack_prefix
    }

    /// Empty for pull consumers.
    pub(super) fn deliver_subject(&self) -> &[u8] {
        self.state.deliver_subject().map_or(b"", |subject| subject)
    }

    /// Whether it would deliver a new message.
    pub(super) fn wants_messages(&self) -> bool {
        self.started && self.state.wants_messages()
    }

    /// Whether its filter lets everything through.
    pub(super) fn wants_everything(&self) -> bool {
        self.state.filter().matches_all()
    }

    /// Forgets what was worked out about a filter that may have changed.
    pub(super) fn select_anew(&mut self) {
        self.selection = selection(&self.state);
    }
}

fn selection(state: &Consumer) -> Option<Box<Selection>> {
    let filter = state.filter();
    (!filter.matches_all()).then(|| Box::new(Selection::of(filter)))
}

/// The subjects on which a consumer listens.
fn subjects(stream: &RunningStream, consumer: &RunningConsumer) -> Vec<(String, Kind)> {
    let (name, domain) = (consumer.name(), stream.domain.as_deref());
    let account = stream.account.name();
    let stream = &stream.config.name;
    let forms = [
        AckSubjectPrefix::new(stream, name),
        AckSubjectPrefix::with_origin(domain, account, stream, name),
    ];
    let mut subjects = Vec::with_capacity(5);
    if matches!(
        consumer.state.ack_policy(),
        AckPolicy::Explicit | AckPolicy::All
    ) {
        for (prefix, kind) in forms.iter().zip([Kind::Ack, Kind::AckWithOrigin]) {
            let prefix = String::from_utf8_lossy(prefix.as_bytes());
            subjects.push((format!("{prefix}>"), kind));
        }
    }
    let pull = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}");
    subjects.extend(domain::forms(pull, domain).map(|form| (form, Kind::Pull)));
    if consumer.state.has_flow_control() {
        for prefix in &forms {
            subjects.push((prefix.flow_control_subject("*"), Kind::FlowControl));
        }
    }
    subjects
}

#[derive(Clone, Copy)]
enum Kind {
    Ack,
    AckWithOrigin,
    Pull,
    FlowControl,
}

impl Kind {
    fn target(self, consumer: ConsumerTarget) -> routing::Target {
        routing::Target::JetStream(match self {
            Self::Ack => Target::Ack(consumer),
            Self::AckWithOrigin => Target::AckWithOrigin(consumer),
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
