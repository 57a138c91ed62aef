//! An account: a subject space of its own, with everything that listens in it.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

use jetsled_config::AccountLimits;
use jetsled_protocol::{MatchResult, Sublist};
use parking_lot::RwLock;

use crate::client::{Counted, Subscription};
use crate::jetstream::AccountJetStream;
use crate::routing::admission::AdmittedSubscription;
use crate::routing::{Destination, FlushSet, OutboundMessage, Target};

/// A subject space. A connection belongs to exactly one account.
///
/// Every kind of destination is an entry of the account's sublist, so that interest, no-responders
/// and routing have one truth.
pub(crate) struct Account {
    name: Arc<str>,
    limits: AccountLimits,
    /// Private to this file. Written by SUB and UNSUB, read by matches that no cache answers.
    sublist: RwLock<Sublist<Target>>,
    /// Grows with every change of the sublist; a cached match result of an older generation is
    /// worthless.
    generation: AtomicU64,
    /// Entries ever added to the sublist; changed with its lock held.
    inserts: AtomicU64,
    listeners: RwLock<Vec<Arc<dyn InterestListener>>>,
    has_listeners: AtomicBool,
    /// Set when JetStream is enabled for the account.
    pub(crate) jetstream: OnceLock<Arc<AccountJetStream>>,
    pub(crate) counters: AccountCounters,
}

/// What an account's connections have done so far.
#[derive(Debug, Default)]
pub(crate) struct AccountCounters {
    pub(crate) in_messages: AtomicU64,
    pub(crate) in_bytes: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) total_connections: AtomicU64,
    pub(crate) slow_consumers: AtomicU64,
    /// Messages that connections got that have ended.
    pub(crate) closed_out_messages: AtomicU64,
    /// Their bytes.
    pub(crate) closed_out_bytes: AtomicU64,
}

/// Told of subscriptions that come and go in an account.
///
/// Called right after the sublist has changed, without any lock held, mostly on the task of the connection
/// concerned. It must be quick and must not block. Costs nothing while no listener is registered.
pub(crate) trait InterestListener: Send + Sync {
    /// A client subscription was made or went away (UNSUB, auto-unsubscribe, closed connection).
    /// `subject` may have wildcards; other subscriptions on it may remain.
    fn interest_changed(&self, subject: &[u8]);
}

impl Account {
    pub(crate) fn new(name: Arc<str>, limits: AccountLimits) -> Self {
        Self {
            name,
            limits,
            sublist: RwLock::new(Sublist::new()),
            generation: AtomicU64::new(0),
            inserts: AtomicU64::new(0),
            listeners: RwLock::new(Vec::new()),
            has_listeners: AtomicBool::new(false),
            jetstream: OnceLock::new(),
            counters: AccountCounters::default(),
        }
    }

    /// The account's name, `$G` for the default one.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The configured limits.
    pub(crate) fn limits(&self) -> &AccountLimits {
        &self.limits
    }

    /// The generation of the interest; see [`Destination::is_current`].
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// Delivers a message of the server itself (an ack, a consumer's delivery, an advisory) to all
    /// that listen on `message.subject`; each queue group gets it once.
    ///
    /// Client destinations are staged in `flush`; JetStream destinations go to its ingest batch.
    /// Nothing leaves before [`FlushSet::flush`]. May be called from any thread.
    ///
    /// Returns to how many destinations it went.
    pub(crate) fn deliver(
        self: &Arc<Self>,
        message: &OutboundMessage<'_>,
        flush: &mut FlushSet,
    ) -> usize {
        self.resolve(message.subject).deliver(message, flush)
    }

    /// Resolves a subject once for many deliveries. The result is valid until the account's interest
    /// changes, which [`Destination::is_current`] tells.
    pub(crate) fn resolve(self: &Arc<Self>, subject: &[u8]) -> Destination {
        Destination::resolve(self, subject)
    }

    /// Whether a message published to `subject` would reach anybody; with a non-empty `queue`, whether
    /// a member of that queue group would get it.
    pub(crate) fn has_interest(&self, subject: &[u8], queue: &[u8]) -> bool {
        if queue.is_empty() {
            return self.sublist.read().has_interest(subject);
        }
        let mut found = MatchResult::default();
        self.match_subject(subject, &mut found);
        found.queues.iter().any(|group| *group.name == *queue)
    }

    /// Replaces `found` with who listens on `subject`; returns the generation that it shows.
    pub(crate) fn match_subject(&self, subject: &[u8], found: &mut MatchResult<Target>) -> u64 {
        let sublist = self.sublist.read();
        // Changed only with the lock held for writing.
        let generation = self.generation();
        sublist.match_subject(subject, found);
        generation
    }

    /// Adds an entry to the sublist. `queue` empty: every matching message, else as a member of the
    /// queue group.
    pub(crate) fn insert_target(&self, subject: &[u8], queue: &[u8], target: Target) {
        let mut sublist = self.sublist.write();
        sublist.insert(subject, (!queue.is_empty()).then_some(queue), target);
        self.inserts.fetch_add(1, Relaxed);
        self.generation.fetch_add(1, Release);
    }

    /// Removes the entry that equals `target` under exactly this subject and queue; tells whether
    /// there was one.
    pub(crate) fn remove_target(&self, subject: &[u8], queue: &[u8], target: &Target) -> bool {
        let mut sublist = self.sublist.write();
        let removed = sublist.remove(subject, (!queue.is_empty()).then_some(queue), |entry| {
            entry == target
        });
        if removed.is_some() {
            self.generation.fetch_add(1, Release);
        }
        drop(sublist);
        removed.is_some()
    }

    /// Adds a client's subscription.
    pub(crate) fn add_subscription(
        &self,
        subscription: &Arc<Subscription>,
        _admitted: AdmittedSubscription,
    ) {
        let target = Target::Client(Arc::clone(subscription));
        self.insert_target(&subscription.subject, &subscription.queue, target);
        self.tell(subscription);
    }

    /// Removes a client's subscription.
    pub(crate) fn remove_subscription(&self, subscription: &Arc<Subscription>) {
        let target = Target::Client(Arc::clone(subscription));
        if self.remove_target(&subscription.subject, &subscription.queue, &target) {
            self.tell(subscription);
        }
    }

    /// Makes all cached match results worthless: something about a subscription has changed.
    pub(crate) fn invalidate_routes(&self) {
        self.generation.fetch_add(1, AcqRel);
    }

    /// How many entries the sublist has.
    pub(crate) fn target_count(&self) -> usize {
        self.sublist.read().len()
    }

    /// Calls `each` with subject, queue and target of every entry of the sublist.
    pub(crate) fn for_each_target(&self, each: impl FnMut(&[u8], Option<&[u8]>, &Target)) {
        self.sublist.read().for_each(each);
    }

    /// How many entries were ever added and removed.
    pub(crate) fn interest_changes(&self) -> (u64, u64) {
        let sublist = self.sublist.read();
        let inserts = self.inserts.load(Relaxed);
        (inserts, inserts - sublist.len() as u64)
    }

    /// Registers a listener of interest changes.
    pub(crate) fn listen(&self, listener: Arc<dyn InterestListener>) {
        self.listeners.write().push(listener);
        self.has_listeners.store(true, Release);
    }

    fn tell(&self, subscription: &Subscription) {
        if !self.has_listeners.load(Acquire) {
            return;
        }
        let listeners = self.listeners.read().clone();
        for listener in listeners {
            listener.interest_changed(&subscription.subject);
        }
    }
}

impl AccountCounters {
    /// Keeps what an ended connection has got.
    pub(crate) fn add_closed(&self, counted: Counted) {
        self.closed_out_messages
            .fetch_add(counted.messages, Relaxed);
        self.closed_out_bytes.fetch_add(counted.bytes, Relaxed);
    }

    /// Adds one read batch.
    pub(crate) fn add_batch(&self, messages: u64, bytes: u64) {
        self.in_messages.fetch_add(messages, Relaxed);
        self.in_bytes.fetch_add(bytes, Relaxed);
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
