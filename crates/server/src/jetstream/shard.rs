//! A shard at run time: the store's shard, the consumers of its streams, and what waits for the next commit.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use jetsled_jetstream_api::{Nanos, StorageType, Timestamp};
use jetsled_store::{ConsumerKey, LogPosition, Removed, Shard, StreamId};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::account::{ApiReply, TakenOut};
use super::clock;
use super::commit::{Commits, Committer};
use super::follower::FollowerQueue;
use super::id_map::IdMap;
use super::latency::Latencies;
use super::parked::{Parked, ReplyKind, Then};
use super::reply::{send, send_message};
use super::resting::Resting;
use super::retention::Releases;
use super::stream::RunningStream;
use super::target::{ConsumerTarget, StreamTarget};
use super::turn::Scratch;
use crate::account::Account;
use crate::routing::FlushSet;

/// Progress that nobody waits for is committed after this time at the latest.
const LAZY_COMMIT: Nanos = Nanos(100_000_000);

/// Times that a thread which has given up the lock for one who commits lets others run before it wants it back.
const GIVE_WAY: usize = 64;

/// Who waits for a commit looks for the end of the server this often.
const COMMIT_CHECK: Duration = Duration::from_millis(500);

/// A shard and the worker that commits for it.
///
/// Lock order: a shard's lock comes before an account's sublist and a connection's output queue, and after
/// [`AccountJetStream`](super::AccountJetStream)'s administration lock. No other shard is locked meanwhile.
pub(super) struct ShardHandle {
    pub(super) index: u16,
    state: Mutex<ShardState>,
    /// One who commits waits for the lock.
    is_awaited: AtomicBool,
    /// Wakes the worker.
    pub(super) work: Condvar,
    /// Tells threads that may wait of a commit's end.
    pub(super) committed: Condvar,
    /// Tells the worker that no checkpoint is being written any more.
    pub(super) checkpointed: Condvar,
    /// What a connection that commits needs, for the next one. Its lock is taken with the shard's held, or alone.
    pub(super) spare_committer: Mutex<Option<Box<Committer>>>,
}

/// What the shard's lock guards.
pub(super) struct ShardState {
    pub(super) index: u16,
    pub(super) store: Shard,
    pub(super) streams: IdMap<StreamId, RunningStream>,
    /// The time at which the lock was taken.
    pub(super) now: Timestamp,
    pub(super) parked: Parked,
    /// Streams with messages that their consumers have not seen.
    pub(super) unseen: Vec<StreamId>,
    /// Consumers that have more to deliver than one turn may.
    pub(super) ready: VecDeque<ConsumerTarget>,
    /// When consumers want to be woken; entries that are no longer their consumer's earliest are stale.
    pub(super) wakes: BinaryHeap<Reverse<(Timestamp, StreamId, ConsumerKey)>>,
    /// When the store wants its tick.
    pub(super) store_wake: Option<Timestamp>,
    /// When a batch may time out.
    pub(super) batch_wake: Option<Timestamp>,
    /// Commit no later than this.
    pub(super) commit_by: Option<Timestamp>,
    pub(super) commits: Commits,
    /// What consumers no longer need.
    pub(super) releases: Releases,
    /// Consumers that do not run, since their account has no JetStream.
    pub(super) resting: Resting,
    /// Streams whose deletion is not durable.
    pub(super) taken_out: Vec<TakenOut>,
    /// The consumer whose events of this batch have not been followed by a dispatch.
    pub(super) open_turn: Option<ConsumerTarget>,
    pub(super) scratch: Scratch,
    pub(super) removed: Vec<Removed>,
    pub(super) following: FollowerQueue,
    /// Whether the worker sleeps, and until when.
    pub(super) sleeping_until: Option<Timestamp>,
    pub(super) stopping: bool,
    /// Commits after which everything not durable was gone.
    pub(super) failed_commits: u64,
    pub(super) latencies: Latencies,
}

impl ShardHandle {
    pub(super) fn new(index: u16, store: Shard) -> Self {
        Self {
            index,
            state: Mutex::new(ShardState {
                index,
                store,
                streams: IdMap::default(),
                now: clock::now(),
                parked: Parked::default(),
                unseen: Vec::new(),
                ready: VecDeque::new(),
                wakes: BinaryHeap::new(),
                store_wake: Some(Timestamp::EPOCH),
                batch_wake: None,
                commit_by: None,
                commits: Commits::default(),
                releases: Releases::default(),
                resting: Resting::default(),
                taken_out: Vec::new(),
                open_turn: None,
                scratch: Scratch::default(),
                removed: Vec::new(),
                following: FollowerQueue::default(),
                sleeping_until: None,
                stopping: false,
                failed_commits: 0,
                latencies: Latencies::default(),
            }),
            is_awaited: AtomicBool::new(false),
            work: Condvar::new(),
            committed: Condvar::new(),
            checkpointed: Condvar::new(),
            spare_committer: Mutex::new(None),
        }
    }

    /// Whether somebody has the lock.
    pub(super) fn is_locked(&self) -> bool {
        self.state.is_locked()
    }

    /// Takes the lock and reads the clock. Dropping the guard wakes the worker if there is work for it.
    pub(super) fn lock(&self) -> ShardGuard<'_> {
        self.watch(self.lock_as_worker())
    }

    /// Forgets everything that holds an account or a connection, which hold this.
    pub(super) fn let_go(&self) {
        let mut state = self.lock();
        state.streams.clear();
        state.taken_out.clear();
        state.parked = Parked::default();
        state.scratch = Scratch::default();
        state.following = FollowerQueue::default();
        *self.spare_committer.lock() = None;
    }

    /// From here on the worker is woken when the guard is dropped and there is work for it.
    pub(super) fn watch<'a>(&'a self, state: MutexGuard<'a, ShardState>) -> ShardGuard<'a> {
        ShardGuard {
            state,
            work: &self.work,
            watch: PanicWatch::begin(),
        }
    }

    /// Fences the shard if this thread panics until what is returned is dropped. The thread must not have the lock by then.
    pub(super) fn fence_on_panic(&self) -> FenceOnPanic<'_> {
        FenceOnPanic {
            shard: self,
            watch: PanicWatch::begin(),
        }
    }

    /// Blocks until what was written is durable; a commit must have been asked for. Not for connections' tasks.
    pub(super) fn wait_durable(&self, wait: Wait) -> Result<(), CommitLost> {
        let mut state = self.state.lock();
        while !state.is_durable(&wait)? {
            if state.stopping {
                return Err(CommitLost);
            }
            self.committed.wait_for(&mut state, COMMIT_CHECK);
        }
        Ok(())
    }

    /// The lock without waking the worker afterwards.
    pub(super) fn lock_as_worker(&self) -> MutexGuard<'_, ShardState> {
        let mut state = self.state.lock();
        state.now = clock::now();
        state
    }

    /// The lock for one who commits, the worker as a rule. Many may wait for what it does next, so whoever has the lock for long lets it go
    /// first: see [`ShardHandle::is_awaited`].
    pub(super) fn lock_to_commit(&self) -> MutexGuard<'_, ShardState> {
        let mut state = self.state.try_lock().unwrap_or_else(|| {
            self.is_awaited.store(true, Relaxed);
            let state = self.state.lock();
            self.is_awaited.store(false, Relaxed);
            state
        });
        state.now = clock::now();
        state
    }

    /// Whether one who commits waits for the lock. Cheap enough to be asked for each message.
    #[inline]
    pub(super) fn is_awaited(&self) -> bool {
        self.is_awaited.load(Relaxed)
    }

    /// Lets one who commits have the lock, which is free.
    pub(super) fn give_way(&self) {
        for _ in 0..GIVE_WAY {
            if !self.is_awaited() {
                break;
            }
            std::thread::yield_now();
        }
    }
}

/// What was written up to some moment, for [`ShardHandle::wait_durable`] and [`ShardState::reply_after`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    /// Of memory streams nothing is written.
    Nothing,
    Commit {
        position: LogPosition,
        failed_commits: u64,
    },
}

impl Wait {
    /// Takes in what was written since.
    pub(super) fn until_written(&mut self, state: &ShardState) {
        if let Self::Commit { position, .. } = self {
            *position = state.store.position();
        }
    }
}

/// A commit failed: what was written is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the change could not be written to disk")]
pub(super) struct CommitLost;

/// Tells a panic in its time from one that was there before and drops what its thread has.
struct PanicWatch {
    unwinding: bool,
}

impl PanicWatch {
    fn begin() -> Self {
        Self {
            unwinding: std::thread::panicking(),
        }
    }

    fn has_panicked(&self) -> bool {
        !self.unwinding && std::thread::panicking()
    }
}

/// The shard's state, locked.
pub(super) struct ShardGuard<'a> {
    state: MutexGuard<'a, ShardState>,
    work: &'a Condvar,
    watch: PanicWatch,
}

impl std::ops::Deref for ShardGuard<'_> {
    type Target = ShardState;

    fn deref(&self) -> &ShardState {
        &self.state
    }
}

impl std::ops::DerefMut for ShardGuard<'_> {
    fn deref_mut(&mut self) -> &mut ShardState {
        &mut self.state
    }
}

impl Drop for ShardGuard<'_> {
    fn drop(&mut self) {
        if self.watch.has_panicked() {
            self.state.fence_after_panic();
            self.work.notify_one();
            return;
        }
        if let Some(until) = self.state.sleeping_until
            && self.state.next_work().is_some_and(|due| due < until)
        {
            self.state.sleeping_until = None;
            self.work.notify_one();
        }
    }
}

/// See [`ShardHandle::fence_on_panic`].
pub(super) struct FenceOnPanic<'a> {
    shard: &'a ShardHandle,
    watch: PanicWatch,
}

impl Drop for FenceOnPanic<'_> {
    fn drop(&mut self) {
        if self.watch.has_panicked() {
            self.shard.state.lock().fence_after_panic();
            self.shard.work.notify_one();
            self.shard.committed.notify_all();
        }
    }
}

impl ShardState {
    /// Half of a change may be in memory: nothing that builds on it is written or confirmed any more, until a start has read the log.
    fn fence_after_panic(&mut self) {
        if !self.store.is_fenced() {
            tracing::error!(
                "JetStream shard {} takes no more writes until the next start: a thread panicked while it used it",
                self.index
            );
        }
        let reason = "a thread panicked while it used the shard";
        self.store.fence(std::io::Error::other(reason));
        self.commits.abandon();
        // Who waits is to be told.
        self.sleeping_until = None;
        self.commit_now();
    }

    /// When the worker has something to do; a past time means now.
    pub(super) fn next_work(&self) -> Option<Timestamp> {
        let is_due = !self.ready.is_empty() || self.stopping || self.store.wants_maintenance();
        if is_due {
            return Some(Timestamp::EPOCH);
        }
        let wake = self.wakes.peek().map(|Reverse((at, ..))| *at);
        [
            self.commit_by,
            wake,
            self.store_wake,
            self.batch_wake,
            self.releases.next_due(),
            self.following.next_turn(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What was written so far, to wait for after a change to a stream of this storage.
    pub(super) fn wait(&self, storage: StorageType) -> Wait {
        match storage {
            StorageType::Memory => Wait::Nothing,
            StorageType::File => Wait::Commit {
                position: self.store.position(),
                failed_commits: self.failed_commits,
            },
        }
    }

    /// Whether what was written since `wait` was made is still there.
    pub(super) fn check_kept(&self, wait: &Wait) -> Result<(), CommitLost> {
        match *wait {
            Wait::Commit { failed_commits, .. } if failed_commits != self.failed_commits => {
                Err(CommitLost)
            }
            _ => Ok(()),
        }
    }

    /// Whether what was written up to `wait` is durable. An error says that it never will be.
    fn is_durable(&self, wait: &Wait) -> Result<bool, CommitLost> {
        self.check_kept(wait)?;
        match *wait {
            Wait::Commit { position, .. } if position > self.store.durable() => {
                // A commit that was on its way when the log was fenced may still succeed.
                if self.store.is_fenced() && !self.commits.is_under_way() {
                    return Err(CommitLost);
                }
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// Asks for a commit at once: somebody waits for it.
    pub(super) fn commit_now(&mut self) {
        self.commit_by = Some(Timestamp::EPOCH);
    }

    /// Whether somebody waits for a commit.
    pub(super) fn wants_commit_now(&self) -> bool {
        self.commit_by == Some(Timestamp::EPOCH)
    }

    /// Whether the worker has nothing to do, as far as it knows.
    pub(super) fn worker_sleeps(&self) -> bool {
        self.sleeping_until.is_some()
    }

    /// Asks for a commit soon: nobody waits, but it should not stay in memory for long.
    pub(super) fn commit_soon(&mut self) {
        let by = self.now.saturating_add(LAZY_COMMIT);
        self.commit_by = Some(self.commit_by.map_or(by, |already| already.min(by)));
    }

    /// Ends a batch of requests: the last consumer's turn, and memory streams' new messages.
    pub(super) fn end_of_batch(&mut self, flush: &mut FlushSet) {
        self.end_turn(flush);
        self.show_memory_messages(flush);
        self.carry_out_releases(flush);
        self.store.tell_server_meters();
        // Another thread may deliver for the same consumers as soon as the lock is free.
        flush.enqueue();
    }

    /// Messages of memory streams are visible now, those of the log after its commit.
    pub(super) fn show_memory_messages(&mut self, flush: &mut FlushSet) {
        let mut kept = 0;
        for at in 0..self.unseen.len() {
            let stream = self.unseen[at];
            match self.streams.get_mut(&stream) {
                Some(running) if running.in_memory() => {
                    running.take_unseen();
                    self.show_new_messages(stream, flush);
                }
                _ => {
                    self.unseen[kept] = stream;
                    kept += 1;
                }
            }
        }
        self.unseen.truncate(kept);
    }

    /// Sends a reply once what was written up to `wait` is durable, `failure` if it is lost already or with a commit to come.
    pub(super) fn reply_after(
        &mut self,
        wait: &Wait,
        account: &Arc<Account>,
        reply: &ApiReply<'_>,
        failure: impl FnOnce() -> Vec<u8>,
        flush: &mut FlushSet,
    ) {
        match self.is_durable(wait) {
            Ok(false) => {}
            Ok(true) => {
                return send_message(account, reply.subject, reply.headers, reply.body, flush);
            }
            // Between the change and its reply the lock was free.
            Err(CommitLost) => return send(account, reply.subject, &failure(), flush),
        }
        let kind = ReplyKind::Api {
            headers_len: u32::try_from(reply.headers.len()).unwrap_or(0),
            failure: failure().into_boxed_slice(),
        };
        self.parked.reply(account, reply.subject, kind, |out| {
            out.extend_from_slice(reply.headers);
            out.extend_from_slice(reply.body);
        });
        self.commit_now();
    }

    /// Lets a new consumer deliver once what was written so far is durable and answered.
    pub(super) fn start_when_durable(&mut self, stream: StreamId, consumer: ConsumerKey) {
        self.parked.then(Then::Start { stream, consumer });
        self.commit_now();
    }

    pub(super) fn stream_target(&self, stream: StreamId) -> StreamTarget {
        StreamTarget {
            shard: self.index,
            stream,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::jetstream::test_server::TestServer;

    const UNWRITTEN: &str = "log is fenced until the next start";

    /// Publishes before and after a panic of a thread that does this with the shard.
    fn panics(in_the_middle: impl FnOnce(&ShardHandle)) {
        let mut server = TestServer::start();
        let mut client = server.connect();
        client.publish(
            "$JS.API.STREAM.CREATE.S",
            r#"{"name":"S","subjects":["s"]}"#,
        );
        client.publish("s", "durable");
        server.commit();
        assert!(client.heard().contains(r#""seq":1}"#));
        // Two at a time, since a single one would be written at once.
        client.send("PUB s answer 1\r\na\r\nPUB s answer 1\r\nb\r\n");
        let shard = Arc::clone(&server.of_account().runtime().shards[0]);
        catch_unwind(AssertUnwindSafe(|| in_the_middle(&shard))).unwrap_err();
        server.commit();
        let heard = client.heard();
        assert_eq!(heard.matches(UNWRITTEN).count(), 2, "{heard}");
        client.publish("s", "later");
        server.commit();
        let heard = client.heard();
        assert!(heard.contains(UNWRITTEN), "{heard}");
        client.publish("$JS.API.STREAM.MSG.GET.S", r#"{"seq":1}"#);
        let heard = client.heard();
        assert!(heard.contains(r#""data":"ZHVyYWJsZQ==""#), "{heard}");
        assert!(server.jetstream.is_fenced());
    }

    #[test]
    fn a_panic_with_the_lock_ends_writing() {
        panics(|shard| {
            let _state = shard.lock();
            panic!("a bug");
        });
    }

    /// A connection that has a commit to run still runs it when it panics elsewhere, and ends alone.
    #[test]
    fn a_panic_without_the_lock_does_not() {
        let mut server = TestServer::start();
        let shard = Arc::clone(&server.of_account().runtime().shards[0]);
        struct RunsAtTheEnd(Arc<ShardHandle>);
        impl Drop for RunsAtTheEnd {
            fn drop(&mut self) {
                let _fenced = self.0.fence_on_panic();
                drop(self.0.lock());
            }
        }
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _commit = RunsAtTheEnd(shard);
            panic!("a bug");
        }));
        panicked.unwrap_err();
        server.commit();
        assert!(!server.jetstream.is_fenced());
    }

    #[test]
    fn a_panic_of_one_who_commits_ends_writing() {
        panics(|shard| {
            let _fenced = shard.fence_on_panic();
            let _state = shard.lock_to_commit();
            panic!("a bug");
        });
    }
}
