//! A running stream: what the runtime keeps beside the store's stream.

use std::sync::Arc;

use jetsled_dispatch::StreamIdentity;
use jetsled_jetstream_api::{PubAckPrefix, RetentionPolicy, StorageType, StreamConfig};
use jetsled_store::StreamId;

use super::batch::Batches;
use super::consumer::RunningConsumer;
use super::consumers::Consumers;
use super::follower::OriginFollower;
use super::listener::direct_listeners;
use super::rename::{InputTransform, Republish};
use super::target::StreamTarget;
use crate::account::Account;

/// A stream and its consumers, owned by its shard.
pub(super) struct RunningStream {
    pub(super) id: StreamId,
    pub(super) account: Arc<Account>,
    pub(super) config: Arc<StreamConfig>,
    pub(super) pub_ack: Arc<PubAckPrefix>,
    pub(super) domain: Option<Box<str>>,
    pub(super) consumers: Consumers,
    /// What its consumers are told of it.
    identity: Option<Arc<StreamIdentity>>,
    pub(super) input: Option<Box<InputTransform>>,
    pub(super) republish: Option<Box<Republish>>,
    pub(super) batches: Batches,
    /// For its mirror or sources, in the order of the configuration.
    pub(super) followers: Vec<Arc<OriginFollower>>,
    /// The origin for which it answers direct gets.
    direct_for: Option<String>,
    /// Whether messages were stored that its consumers have not been told of.
    unseen: bool,
}

impl RunningStream {
    pub(super) fn new(
        id: StreamId,
        account: Arc<Account>,
        config: Arc<StreamConfig>,
        domain: Option<&str>,
    ) -> Self {
        Self {
            id,
            account,
            pub_ack: Arc::new(PubAckPrefix::new(&config.name, domain)),
            domain: domain.map(Box::from),
            input: InputTransform::new(&config),
            republish: Republish::new(&config),
            config,
            consumers: Consumers::default(),
            identity: None,
            batches: Batches::default(),
            followers: Vec::new(),
            direct_for: None,
            unseen: false,
        }
    }

    /// Takes over a changed configuration. `max_payload` is the largest message that a client may publish, in bytes.
    pub(super) fn reconfigure(&mut self, config: Arc<StreamConfig>, max_payload: usize) {
        self.input = InputTransform::new(&config);
        self.republish = Republish::new(&config);
        self.batches.reconfigure(&config);
        self.config = config;
        self.identity = None;
        if self.consumers.is_empty() {
            return;
        }
        let identity = self.identity(max_payload);
        for consumer in self.consumers.iter_mut() {
            consumer.state.set_stream(Arc::clone(&identity));
        }
    }

    /// What its consumers are told of it. `max_payload` is the largest message that a client may publish, in bytes.
    pub(super) fn identity(&mut self, max_payload: usize) -> Arc<StreamIdentity> {
        let config = &self.config;
        let identity = self.identity.get_or_insert_with(|| {
            let limit = usize::try_from(config.max_msg_size).ok();
            Arc::new(StreamIdentity {
                name: config.name.clone(),
                retention: config.retention,
                one_per_subject: config.max_msgs_per_subject == 1,
                max_message_bytes: limit.filter(|size| *size > 0).unwrap_or(max_payload) as u64,
            })
        });
        Arc::clone(identity)
    }

    /// Remembers in `unseen` that its consumers have new messages to see: one of this subject, or any.
    pub(super) fn note_stored(&mut self, subject: Option<&[u8]>, unseen: &mut Vec<StreamId>) {
        if self.consumers.is_empty() {
            return;
        }
        self.consumers.note_stored(subject);
        if !self.unseen {
            self.unseen = true;
            unseen.push(self.id);
        }
    }

    /// What was stored so far is about to be shown; the rest comes after that.
    pub(super) fn take_unseen(&mut self) {
        self.unseen = false;
        self.consumers.take_stored();
    }

    /// Answers direct gets for its origin, too, if it is a mirror that may.
    pub(super) fn join_direct(&mut self, target: StreamTarget) {
        if self.direct_for.is_some() || !self.config.mirror_direct {
            return;
        }
        if let Some(mirror) = &self.config.mirror {
            for listener in direct_listeners(&mirror.name, target, self.domain.as_deref()) {
                listener.join(&self.account);
            }
            self.direct_for = Some(mirror.name.clone());
        }
    }

    /// Answers direct gets for itself only.
    pub(super) fn leave_direct(&mut self, target: StreamTarget) {
        if let Some(origin) = self.direct_for.take() {
            for listener in direct_listeners(&origin, target, self.domain.as_deref()) {
                listener.leave(&self.account);
            }
        }
    }

    /// How many consumers there are, those of mirrors and sources too.
    pub(super) fn all_consumers(&self) -> usize {
        self.consumers.len()
    }

    /// How many consumers clients may see.
    pub(super) fn public_consumers(&self) -> usize {
        self.consumers.public()
    }

    /// Whether consumers decide how long a message stays.
    pub(super) fn retains_by_interest(&self) -> bool {
        !matches!(self.config.retention, RetentionPolicy::Limits)
    }

    /// Whether what is published to it is stored as it comes, whatever the interest, and nobody but its consumers and the publisher hears of that,
    /// unless headers say otherwise.
    pub(super) fn stores_plainly(&self) -> bool {
        self.input.is_none()
            && self.republish.is_none()
            && !self.config.allow_msg_counter
            && !self.retains_by_interest()
    }

    /// Memory streams answer at once: nothing of them waits for a commit.
    pub(super) fn in_memory(&self) -> bool {
        matches!(self.config.storage, StorageType::Memory)
    }

    /// Whether a consumer wants messages of this subject.
    pub(super) fn has_interest(&self, subject: &[u8]) -> bool {
        self.consumers.want(subject)
    }

    pub(super) fn consumer_named(&self, name: &str) -> Option<&RunningConsumer> {
        self.consumers.named(name)
    }
}
