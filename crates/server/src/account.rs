//! An account: a subject space of its own, with everything that listens in it.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

use jetsled_config::{AccountLimits, TraceOptions};
use jetsled_protocol::{MatchResult, Sublist, subject};
use parking_lot::{Mutex, RwLock};

use crate::client::{Counted, Subscription};
use crate::jetstream::{self, AccountJetStream};
use crate::routing::admission::AdmittedSubscription;
use crate::routing::{Destination, FlushSet, OutboundMessage, Responses, Target};
use crate::wiring::Wiring;

/// A subject space. A connection belongs to exactly one account.
///
/// Every kind of destination is an entry of the account's sublist, so that interest, no-responders
/// and routing have one truth.
pub(crate) struct Account {
    name: Arc<str>,
    limits: RwLock<AccountLimits>,
    is_system: bool,
    /// The server's own services are heard here.
    has_services: AtomicBool,
    /// Private to this file. Written by SUB and UNSUB, read by matches that no cache answers.
    sublist: RwLock<Sublist<Target>>,
    /// Grows with every change of the sublist; a cached match result of an older generation is
    /// worthless.
    generation: AtomicU64,
    /// Entries ever added to the sublist; changed with its lock held.
    inserts: AtomicU64,
    listeners: RwLock<Vec<Arc<dyn InterestListener>>>,
    has_listeners: AtomicBool,
    wiring: RwLock<Arc<Wiring>>,
    /// Held while claims about the account come into force: those that came last hold.
    pub(crate) claims_turn: Mutex<()>,
    trace_destination: RwLock<Option<Arc<TraceOptions>>>,
    imports_streams: AtomicBool,
    imports_services: AtomicBool,
    exports_streams: AtomicBool,
    /// The ways back to those who asked this account's services.
    pub(crate) responses: Responses,
    /// Set when JetStream is enabled for the account.
    jetstream: OnceLock<Arc<AccountJetStream>>,
    /// Where it listens to the JetStream API, once the server has JetStream.
    api_subjects: OnceLock<Vec<String>>,
    /// Whether it does; changed with the sublist's lock held.
    listens_to_api: AtomicBool,
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
    /// A client subscription or a receiver was made or went away (UNSUB, auto-unsubscribe, closed connection).
    /// `subject` may have wildcards; other subscriptions on it may remain.
    fn interest_changed(&self, subject: &[u8]);

    /// Other accounts import this one's streams than before: who listens on any subject may have changed. Others who change what
    /// accounts share wait meanwhile.
    fn importers_changed(&self);
}

impl Account {
    pub(crate) fn new(name: Arc<str>, limits: AccountLimits, is_system: bool) -> Self {
        Self {
            name,
            limits: RwLock::new(limits),
            is_system,
            has_services: AtomicBool::new(false),
            sublist: RwLock::new(Sublist::new()),
            generation: AtomicU64::new(0),
            inserts: AtomicU64::new(0),
            listeners: RwLock::new(Vec::new()),
            has_listeners: AtomicBool::new(false),
            wiring: RwLock::new(Arc::default()),
            claims_turn: Mutex::new(()),
            trace_destination: RwLock::new(None),
            imports_streams: AtomicBool::new(false),
            imports_services: AtomicBool::new(false),
            exports_streams: AtomicBool::new(false),
            responses: Responses::default(),
            jetstream: OnceLock::new(),
            api_subjects: OnceLock::new(),
            listens_to_api: AtomicBool::new(false),
            counters: AccountCounters::default(),
        }
    }

    /// The account's name, `$G` for the default one.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its JetStream, while it has one.
    pub(crate) fn jetstream(&self) -> Option<&Arc<AccountJetStream>> {
        self.jetstream.get().filter(|jetstream| jetstream.is_on())
    }

    /// What JetStream keeps for it, also while it has none, and as long as its streams are being taken out of service.
    pub(crate) fn kept_jetstream(&self) -> Option<&Arc<AccountJetStream>> {
        self.jetstream.get()
    }

    /// What JetStream keeps for it, also while it has none; what `make` makes, if there is nothing yet.
    pub(crate) fn jetstream_or_new(
        &self,
        make: impl FnOnce() -> AccountJetStream,
    ) -> &Arc<AccountJetStream> {
        self.jetstream.get_or_init(|| Arc::new(make()))
    }

    /// Notes that the server's own services are heard here; whether they were before.
    pub(crate) fn note_services(&self) -> bool {
        self.has_services.swap(true, AcqRel)
    }

    /// Whether it is the system account.
    pub(crate) fn is_system(&self) -> bool {
        self.is_system
    }

    /// The limits in force.
    pub(crate) fn limits(&self) -> AccountLimits {
        self.limits.read().clone()
    }

    /// Other limits come into force for what is to come.
    pub(crate) fn set_limits(&self, limits: AccountLimits) {
        *self.limits.write() = limits;
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

    /// Whether a message published to `subject` would reach anybody.
    pub(crate) fn has_interest(&self, subject: &[u8]) -> bool {
        self.hears(subject)
            || !self.responses.includes(subject)
                && self.some_importer(subject, |importer, local| {
                    importer.sublist.read().has_interest(local)
                })
    }

    /// The same without the accounts that import this one's streams, to which responses do not go.
    fn hears(&self, subject: &[u8]) -> bool {
        if self.responses.includes(subject) {
            let way = self.responses.way(subject);
            return way.is_some_and(|way| way.requestor.hears(&way.reply));
        }
        self.sublist.read().has_interest(subject)
    }

    /// Whether anybody subscribed to exactly `subject`, or to what it is called in an account that imports it: as a member of
    /// the queue group, or outside of any.
    pub(crate) fn has_subscriber(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        self.sublist.read().has_exact(subject, queue)
            || self.some_importer(subject, |importer, local| {
                importer.sublist.read().has_exact(local, queue)
            })
    }

    /// Whether `holds` for an account that imports this one's streams, and what it calls `subject`.
    fn some_importer(&self, subject: &[u8], holds: impl Fn(&Self, &[u8]) -> bool) -> bool {
        if !self.exports_streams() {
            return false;
        }
        let mut local = Vec::new();
        self.wiring().importers.iter().any(|link| {
            if !subject::matches(subject, &link.import.from) {
                return false;
            }
            local.clear();
            link.import.localize(subject, &mut local);
            link.other
                .upgrade()
                .is_some_and(|importer| holds(&importer, &local))
        })
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
        drop(sublist);
        self.invalidate_exporters(subject);
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
        if removed.is_some() {
            self.invalidate_exporters(subject);
        }
        removed.is_some()
    }

    /// Adds a receiver of the server itself to the sublist, to which consumers may deliver as to a client's subscription.
    /// Must not be called with a shard's lock held.
    pub(crate) fn add_receiver(&self, subject: &[u8], target: Target) {
        self.insert_target(subject, b"", target);
        self.tell(subject);
    }

    /// Undoes [`add_receiver`](Account::add_receiver), under the same condition.
    pub(crate) fn remove_receiver(&self, subject: &[u8], target: &Target) {
        if self.remove_target(subject, b"", target) {
            self.tell(subject);
        }
    }

    /// Adds a client's subscription.
    pub(crate) fn add_subscription(
        &self,
        subscription: &Arc<Subscription>,
        _admitted: AdmittedSubscription,
    ) {
        let target = Target::Client(Arc::clone(subscription));
        self.insert_target(subscription.subject(), subscription.queue(), target);
        self.tell(subscription.subject());
    }

    /// Removes a client's subscription.
    pub(crate) fn remove_subscription(&self, subscription: &Arc<Subscription>) {
        let target = Target::Client(Arc::clone(subscription));
        if self.remove_target(subscription.subject(), subscription.queue(), &target) {
            self.tell(subscription.subject());
            self.forget_requests(subscription.subject());
        }
    }

    /// Makes cached match results worthless: something about a subscription to `subject` has changed.
    pub(crate) fn invalidate_routes(&self, subject: &[u8]) {
        self.generation.fetch_add(1, AcqRel);
        self.invalidate_exporters(subject);
    }

    /// What it shares with other accounts.
    pub(crate) fn wiring(&self) -> Arc<Wiring> {
        Arc::clone(&self.wiring.read())
    }

    /// Where message traces go that a distributed trace asks for.
    pub(crate) fn trace_destination(&self) -> Option<Arc<TraceOptions>> {
        self.trace_destination.read().clone()
    }

    /// Changes where such traces go.
    pub(crate) fn set_trace_destination(&self, destination: Option<TraceOptions>) {
        *self.trace_destination.write() = destination.map(Arc::new);
        self.generation.fetch_add(1, AcqRel);
    }

    /// Whether others import its streams.
    pub(crate) fn exports_streams(&self) -> bool {
        self.exports_streams.load(Acquire)
    }

    /// Changes what it shares. Use [`wire`](crate::wiring::wire), which does so on both sides.
    ///
    /// One step for whoever resolves a subject: a service that stays imported is there throughout. True if other accounts import its
    /// streams than before: see [`tell_importers_changed`](Account::tell_importers_changed).
    pub(crate) fn set_wiring(&self, wiring: Wiring) -> bool {
        let wiring = Arc::new(wiring);
        let mut sublist = self.sublist.write();
        // With the lock held, so that whoever subscribes later sees them.
        self.exports_streams
            .store(!wiring.importers.is_empty(), Release);
        self.imports_streams
            .store(!wiring.streams.is_empty(), Release);
        self.imports_services
            .store(!wiring.services.is_empty(), Release);
        let before = std::mem::replace(&mut *self.wiring.write(), Arc::clone(&wiring));
        for link in &before.services {
            let target = Target::Service(Arc::clone(link));
            sublist.remove(&link.import.from, None, |entry| *entry == target);
        }
        for link in &wiring.services {
            let target = Target::Service(Arc::clone(link));
            sublist.insert(&link.import.from, None, target);
            self.inserts.fetch_add(1, Relaxed);
        }
        self.settle_api_in(&mut sublist);
        self.generation.fetch_add(1, Release);
        drop(sublist);
        // Who has subscribed before was not known to import from them: their routes may be without it.
        for link in &wiring.streams {
            if let Some(exporter) = link.other.upgrade() {
                exporter.generation.fetch_add(1, AcqRel);
            }
        }
        wiring.importers != before.importers
    }

    /// Tells listeners that other accounts import its streams than before, once these are wired, too.
    pub(crate) fn tell_importers_changed(&self) {
        self.tell_listeners(|listener| listener.importers_changed());
    }

    /// Lets the account listen to the JetStream API on these subjects, always the same ones, whenever the API is its own to answer.
    pub(crate) fn listen_to_api(&self, subjects: impl FnOnce() -> Vec<String>) {
        self.api_subjects.get_or_init(subjects);
        self.settle_api();
    }

    /// Decides anew whether it listens to the JetStream API, after its JetStream was switched on or off.
    pub(crate) fn settle_api(&self) {
        let mut sublist = self.sublist.write();
        if self.settle_api_in(&mut sublist) {
            self.generation.fetch_add(1, Release);
        }
    }

    /// Without JetStream of its own, it says so unless it imports another account's; with both, both answer (observed nats-server 2.15.1).
    /// Tells whether the sublist has changed.
    fn settle_api_in(&self, sublist: &mut Sublist<Target>) -> bool {
        let Some(subjects) = self.api_subjects.get() else {
            return false;
        };
        let listens =
            self.jetstream().is_some() || !self.wiring.read().imports_service(b"$JS.API.>");
        if self.listens_to_api.swap(listens, Relaxed) == listens {
            return false;
        }
        let api = Target::JetStream(jetstream::Target::Api);
        for subject in subjects {
            if listens {
                sublist.insert(subject.as_bytes(), None, api.clone());
                self.inserts.fetch_add(1, Relaxed);
            } else {
                sublist.remove(subject.as_bytes(), None, |entry| *entry == api);
            }
        }
        true
    }

    /// Routes of accounts whose streams are imported under `subject` show this account's subscriptions, too.
    fn invalidate_exporters(&self, subject: &[u8]) {
        self.for_each_exporter(subject, |exporter, _| {
            exporter.generation.fetch_add(1, AcqRel);
        });
    }

    fn for_each_exporter(&self, local: &[u8], each: impl Fn(&Account, &[u8])) {
        if !self.imports_streams.load(Acquire) {
            return;
        }
        for link in &self.wiring().streams {
            if subject::collides(local, &link.import.to)
                && let Some(exporter) = link.other.upgrade()
            {
                each(&exporter, &link.import.exported(local));
            }
        }
    }

    /// Closes the ways back to replies that nobody waits for any more.
    pub(crate) fn forget_requests(&self, unsubscribed: &[u8]) {
        if !self.imports_services.load(Acquire) {
            return;
        }
        for link in &self.wiring().services {
            if let Some(exporter) = link.exporter.upgrade() {
                let is_wanted = |reply: &[u8]| self.hears(reply);
                exporter
                    .responses
                    .interest_lost(&exporter, self, unsubscribed, is_wanted);
            }
        }
    }

    /// How many entries the sublist has.
    pub(crate) fn target_count(&self) -> usize {
        self.sublist.read().len()
    }

    /// Calls `each` with subject, queue and target of every entry of the sublist.
    pub(crate) fn for_each_target(&self, each: impl FnMut(&[u8], Option<&[u8]>, &Target)) {
        self.sublist.read().for_each(each);
    }

    /// Calls `each` with every subscription of a client.
    pub(crate) fn for_each_client_subscription(&self, mut each: impl FnMut(&Subscription)) {
        self.for_each_target(|_, _, target| {
            if let Target::Client(subscription) = target {
                each(subscription);
            }
        });
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

    fn tell(&self, subject: &[u8]) {
        let tell = |account: &Self, subject: &[u8]| {
            account.tell_listeners(|listener| listener.interest_changed(subject));
        };
        tell(self, subject);
        self.for_each_exporter(subject, tell);
    }

    fn tell_listeners(&self, tell: impl Fn(&dyn InterestListener)) {
        if !self.has_listeners.load(Acquire) {
            return;
        }
        let listeners = self.listeners.read().clone();
        for listener in listeners {
            tell(&*listener);
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
