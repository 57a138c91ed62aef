//! Output gathered per connection, and its flush.

use std::sync::Arc;

use hashbrown::HashMap;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::chance;
use crate::client::{Client, Counted, Output, Sent, Subscription};
use crate::jetstream::{
    ConsumerTarget, DiskBacklog, IngestBatch, InlineCommit, OriginFollower, UnfinishedTurn,
};

/// Touched connections up to which a slot is found by looking at all of them.
const SCAN_SLOTS: usize = 8;

/// Short turns that the one who flushes lets consumers take, the first one not counted.
const TURNS: u8 = 4;

/// Room for so many touched connections is kept from one connection's use to the next one's.
const KEPT_SLOTS: usize = 1024;

/// From so much on a write costs what its bytes cost.
const FULL_WRITE_BYTES: usize = 48 * 1024;

/// Who gets more is busy with it before it answers. Waiting for that awake made pulls of 500 slower.
const SHORT_BYTES: usize = 16 * 1024;

/// For more connections than these nothing is held back: it would be too much, and too late.
const MAX_THIN_SLOTS: usize = 64;

/// What a batch of deliveries has for each touched connection and for JetStream.
///
/// Fill it by delivering, then call [`flush`](FlushSet::flush) once. Reuse it: its buffers are
/// recycled. Dropping it unflushed loses what was staged.
#[derive(Debug)]
pub(crate) struct FlushSet {
    /// Messages for JetStream targets.
    pub(crate) ingest: IngestBatch,
    /// Followers that have got something.
    followers: Vec<Arc<OriginFollower>>,
    slots: Vec<Slot>,
    /// Slots by connection, kept once there are many.
    index: HashMap<u64, usize>,
    /// Subscriptions that reached their maximum.
    exhausted: Vec<Arc<Subscription>>,
    stalled: Option<Arc<Client>>,
    behind: Option<Arc<Client>>,
    /// Whether the one who flushes may wait for the disk itself.
    pub(crate) commits_inline: bool,
    /// The commit that it has to run then.
    pub(crate) inline_commit: Option<InlineCommit>,
    /// The disk that does not keep up with what was published. A producer should pause.
    pub(crate) disk_backlog: Option<DiskBacklog>,
    /// Turns that consumers may still take before somebody else delivers the rest.
    turns_left: u8,
    short_turns: bool,
    /// Who has more to deliver, while its shard is locked.
    going_on: Option<ConsumerTarget>,
    /// The same, for after the flush.
    unfinished: Option<UnfinishedTurn>,
    /// The producing connection: its own full queue does not stall it.
    producer: Option<Arc<Client>>,
    /// Drop what a long queue would get, instead of pausing the producer (`no_fast_producer_stall`).
    drop_instead_of_stall: bool,
    /// Picks members of queue groups.
    pub(super) random: SmallRng,
}

/// One touched connection.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) client: Arc<Client>,
    pub(crate) output: Output,
    pub(crate) counted: Counted,
    /// Bytes that [`FlushSet::enqueue`] has put into the connection's queue.
    enqueued: usize,
}

impl Default for FlushSet {
    fn default() -> Self {
        Self {
            ingest: IngestBatch::default(),
            followers: Vec::new(),
            slots: Vec::new(),
            index: HashMap::new(),
            exhausted: Vec::new(),
            stalled: None,
            behind: None,
            commits_inline: false,
            inline_commit: None,
            disk_backlog: None,
            turns_left: 0,
            short_turns: false,
            going_on: None,
            unfinished: None,
            producer: None,
            drop_instead_of_stall: false,
            random: SmallRng::seed_from_u64(chance::number()),
        }
    }
}

impl FlushSet {
    /// An empty set.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// From now on it is for what `producer` publishes.
    pub(super) fn lend_to(&mut self, producer: &Arc<Client>, drop_instead_of_stall: bool) {
        self.producer = Some(Arc::clone(producer));
        self.drop_instead_of_stall = drop_instead_of_stall;
    }

    /// Undoes [`lend_to`](FlushSet::lend_to); whether the set is worth keeping.
    pub(super) fn end_loan(&mut self) -> bool {
        self.producer = None;
        self.drop_instead_of_stall = false;
        self.slots.capacity() <= KEPT_SLOTS
    }

    /// Whether nothing is staged, and nobody was told to pause.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.slots.is_empty()
            && self.ingest.is_empty()
            && self.followers.is_empty()
            && self.exhausted.is_empty()
            && self.stalled.is_none()
            && self.behind.is_none()
            && self.inline_commit.is_none()
            && self.disk_backlog.is_none()
            && self.going_on.is_none()
            && self.unfinished.is_none()
    }

    /// The connection whose messages these are answers to, if it is one's.
    pub(crate) fn producer(&self) -> Option<&Client> {
        self.producer.as_deref()
    }

    /// Submits the ingest batch, then appends to each touched connection's outbound queue under one
    /// lock each and writes to its socket without blocking; what the socket does not take is left to
    /// the connection's own task.
    ///
    /// Call it without holding a shard's lock: submitting may take one.
    pub(crate) fn flush(&mut self) {
        loop {
            self.send_staged();
            let Some(turn) = self.unfinished.take() else {
                return;
            };
            turn.go_on(self);
        }
    }

    fn send_staged(&mut self) {
        // What JetStream answers may be stored by another stream.
        while !self.ingest.is_empty() {
            let mut ingest = std::mem::take(&mut self.ingest);
            ingest.submit(self);
            if self.ingest.is_empty() {
                self.ingest = ingest;
            }
        }
        for follower in self.followers.drain(..) {
            follower.wake();
        }
        // Before the last message leaves: its receiver may subscribe anew at once.
        for subscription in self.exhausted.drain(..) {
            subscription.client.unsubscribe(&subscription);
        }
        let is_only = self.slots.len() == 1;
        for mut slot in self.slots.drain(..) {
            let is_own = self
                .producer
                .as_ref()
                .is_some_and(|own| Arc::ptr_eq(own, &slot.client));
            if self.drop_instead_of_stall && !is_own && slot.client.outbound.is_long() {
                continue;
            }
            let is_short = slot.enqueued + slot.output.len() < SHORT_BYTES;
            let sent = slot.client.outbound.send(&mut slot.output, slot.counted);
            if !is_own && self.producer.is_some() {
                match sent {
                    Sent::Stalled => self.stalled = Some(Arc::clone(&slot.client)),
                    Sent::Behind if is_only => self.behind = Some(Arc::clone(&slot.client)),
                    _ => {}
                }
            }
            if is_only && is_short && self.producer.is_some() && sent == Sent::Done {
                slot.client.expects_answer(is_own);
            }
            slot.client.after_send(sent);
        }
        self.index.clear();
    }

    /// From here on, with a shard locked, consumers' turns are short and one may be gone on with, if turns are left.
    /// [`end_turns`](FlushSet::end_turns) must follow under the same lock.
    pub(crate) fn begin_turns(&mut self) {
        self.short_turns = self.turns_left > 0 && self.unfinished.is_none();
    }

    /// Whether consumers' turns are to be short: the one who flushes comes back for the rest.
    pub(crate) fn has_short_turns(&self) -> bool {
        self.short_turns
    }

    /// Whether the one who flushes lets this consumer deliver more after the next flush. Nobody else needs to.
    pub(crate) fn goes_on_with(&mut self, consumer: ConsumerTarget) -> bool {
        let takes = self.short_turns && self.going_on.is_none();
        if takes {
            self.turns_left -= 1;
            self.going_on = Some(consumer);
        }
        takes
    }

    /// The consumer to go on with by [`finish_later`](FlushSet::finish_later).
    pub(crate) fn end_turns(&mut self) -> Option<ConsumerTarget> {
        self.short_turns = false;
        self.going_on.take()
    }

    /// What is to be done after the next flush.
    pub(crate) fn finish_later(&mut self, turn: UnfinishedTurn) {
        self.unfinished = Some(turn);
    }

    /// Fixes the place of everything staged so far in its connections' queues, without a system call. Call it before letting
    /// go of a lock that decides the order of deliveries; [`flush`](FlushSet::flush) must follow.
    pub(crate) fn enqueue(&mut self) {
        for slot in &mut self.slots {
            let counted = std::mem::take(&mut slot.counted);
            slot.enqueued += slot.output.len();
            slot.client.outbound.queue(&mut slot.output, counted);
        }
    }

    /// As [`flush`](FlushSet::flush) for a set in which `own` is staged too: it goes out last, so that a peer that sees
    /// its PONG knows that what it published before has left.
    ///
    /// If the only message was for JetStream and nobody else is about to write, this waits for the disk and answers.
    pub(crate) fn flush_last(&mut self, own: &Arc<Client>) {
        if let Some(at) = self
            .slots
            .iter()
            .position(|slot| Arc::ptr_eq(&slot.client, own))
        {
            let last = self.slots.len() - 1;
            self.slots.swap(at, last);
            self.index.clear();
            if last >= SCAN_SLOTS {
                self.index.extend(
                    self.slots
                        .iter()
                        .enumerate()
                        .map(|(at, slot)| (slot.client.cid(), at)),
                );
            }
        }
        self.commits_inline = true;
        self.turns_left = TURNS;
        self.flush();
        self.turns_left = 0;
        self.commits_inline = false;
        if let Some(commit) = self.inline_commit.take() {
            commit.run();
            own.expects_answer(true);
        }
    }

    /// The connection whose queue was found too long at the last flush, if any. A producer should pause.
    pub(crate) fn take_stalled(&mut self) -> Option<Arc<Client>> {
        self.stalled.take()
    }

    /// The connection that did not keep up at the last flush, if it was the only one to get anything: pausing for it
    /// harms nobody else, and keeps its queue short.
    pub(crate) fn take_behind(&mut self) -> Option<Arc<Client>> {
        self.behind.take()
    }

    /// Whether a flush now would be many small writes: somewhat more is worth waiting for that is at hand already.
    pub(crate) fn is_thin(&self) -> bool {
        let is_core_only = self.ingest.is_empty() && self.followers.is_empty();
        is_core_only && self.slots.len() <= MAX_THIN_SLOTS && {
            let staged: usize = self.slots.iter().map(|slot| slot.output.len()).sum();
            staged < self.slots.len() * FULL_WRITE_BYTES
        }
    }

    /// A random number.
    pub(crate) fn random(&mut self) -> u64 {
        rand::RngExt::random(&mut self.random)
    }

    /// Bytes staged for a connection.
    pub(crate) fn staged(&self, client: &Arc<Client>) -> usize {
        self.find(client)
            .and_then(|at| self.slots.get(at))
            .map_or(0, |slot| slot.output.len())
    }

    /// Lets a follower take a turn after the next flush.
    pub(super) fn wake_later(&mut self, follower: &Arc<OriginFollower>) {
        self.followers.push(Arc::clone(follower));
    }

    /// Lets the subscription end at the next flush.
    pub(super) fn exhaust(&mut self, subscription: &Arc<Subscription>) {
        self.exhausted.push(Arc::clone(subscription));
    }

    /// The slot of a connection. `hint` remembers where it was found the last time.
    #[inline]
    pub(crate) fn slot(&mut self, client: &Arc<Client>, hint: &mut usize) -> &mut Slot {
        let found = self
            .slots
            .get(*hint)
            .is_some_and(|slot| Arc::ptr_eq(&slot.client, client));
        if !found {
            *hint = self.find(client).unwrap_or_else(|| self.open(client));
        }
        // `find` and `open` answer positions of existing slots.
        #[expect(clippy::indexing_slicing, reason = "the position was just found")]
        &mut self.slots[*hint]
    }

    fn find(&self, client: &Arc<Client>) -> Option<usize> {
        if self.slots.len() > SCAN_SLOTS {
            return self.index.get(&client.cid()).copied();
        }
        self.slots
            .iter()
            .position(|slot| Arc::ptr_eq(&slot.client, client))
    }

    fn open(&mut self, client: &Arc<Client>) -> usize {
        let at = self.slots.len();
        self.slots.push(Slot {
            client: Arc::clone(client),
            output: Output::default(),
            counted: Counted::default(),
            enqueued: 0,
        });
        if at == SCAN_SLOTS {
            let all = self.slots.iter().enumerate();
            self.index
                .extend(all.map(|(at, slot)| (slot.client.cid(), at)));
        } else if at > SCAN_SLOTS {
            self.index.insert(client.cid(), at);
        }
        at
    }
}
