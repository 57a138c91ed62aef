//! JetStream of one account: its streams by name, and their administration.

mod limits;
mod registry;
mod restoring;
mod returning;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use jetsled_jetstream_api::advisory::Action;
use jetsled_jetstream_api::{
    AccountLimits, ApiError, ServerLimits, StorageType, StreamConfig, Timestamp,
};
use jetsled_store::{ChangeError, StorageMeters};
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::access::StreamAccess;
use super::advisory;
use super::follower::Leave;
use super::listener::listeners;
use super::push_interest::PushInterest;
use super::runtime::Runtime;
use super::shard::{ShardHandle, ShardState, Wait};
use super::stream::RunningStream;
use super::target::StreamTarget;
use super::throttle::Throttle;
use crate::account::Account;
use crate::routing::FlushSet;

use registry::Registry;
pub(super) use restoring::{Reservation, RestoredStream};
pub(super) use returning::TakenOut;

/// What JetStream keeps for one account; hangs on [`Account::jetstream`].
pub(crate) struct AccountJetStream {
    account: Weak<Account>,
    runtime: Arc<Runtime>,
    is_on: AtomicBool,
    limits: RwLock<AccountLimits>,
    /// What its streams take, counted while there is a limit.
    meters: StorageMeters,
    /// When it was last said that a limit is reached: of memory, of files.
    full_alarms: [Throttle; 2],
    /// Held by whoever creates, changes or deletes a stream. Comes before every shard's lock.
    administration: Mutex<()>,
    /// A leaf lock: nothing else is locked while it is held.
    streams: RwLock<Registry>,
    /// Streams that are being restored. A leaf lock.
    restoring: Mutex<BTreeMap<Arc<str>, Arc<StreamConfig>>>,
    pub(super) push_interest: PushInterest,
    pub(super) api_total: AtomicU64,
    pub(super) api_errors: AtomicU64,
}

/// A stream's place and configuration, as of when it was asked for.
#[derive(Clone)]
pub(super) struct StreamHandle {
    pub(super) target: StreamTarget,
    pub(super) config: Arc<StreamConfig>,
    pub(super) created: Timestamp,
}

/// A reply to an API request.
#[derive(Clone, Copy)]
pub(super) struct ApiReply<'a> {
    pub(super) subject: &'a [u8],
    /// Empty without headers.
    pub(super) headers: &'a [u8],
    pub(super) body: &'a [u8],
}

/// When a change is durable.
#[derive(Clone, Copy)]
pub(super) struct DurableAt {
    shard: u16,
    wait: Wait,
}

impl AccountJetStream {
    /// Switched off.
    pub(super) fn new(account: &Arc<Account>, runtime: Arc<Runtime>) -> Self {
        Self {
            account: Arc::downgrade(account),
            runtime,
            is_on: AtomicBool::new(false),
            limits: RwLock::default(),
            meters: StorageMeters::default(),
            full_alarms: Default::default(),
            administration: Mutex::new(()),
            streams: RwLock::default(),
            restoring: Mutex::default(),
            push_interest: PushInterest::default(),
            api_total: AtomicU64::new(0),
            api_errors: AtomicU64::new(0),
        }
    }

    /// Whether the account has JetStream.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// Switches it on or off; whether that changed anything. With [`AccountJetStream::administer`]'s guard held, until its streams are in service,
    /// or out of it.
    pub(super) fn switch(&self, on: bool) -> bool {
        self.is_on.swap(on, Ordering::AcqRel) != on
    }

    pub(super) fn shard(&self, index: u16) -> Option<&Arc<ShardHandle>> {
        self.runtime.shards.get(usize::from(index))
    }

    pub(super) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The account's limits in force.
    pub(super) fn account_limits(&self) -> AccountLimits {
        self.limits.read().clone()
    }

    pub(super) fn server_limits(&self) -> &ServerLimits {
        &self.runtime.limits
    }

    /// The account, which lives as long as the server.
    pub(super) fn account(&self) -> Option<Arc<Account>> {
        self.account.upgrade()
    }

    /// The account, while it has JetStream. With [`AccountJetStream::administer`]'s guard held it keeps it.
    fn served_account(&self) -> Result<Arc<Account>, ApiError> {
        let account = self.account().filter(|_| self.is_on());
        account.ok_or(ApiError::NOT_ENABLED_FOR_ACCOUNT)
    }

    // --- streams

    /// Lets nobody else create, change or delete a stream.
    pub(super) fn administer(&self) -> MutexGuard<'_, ()> {
        self.administration.lock()
    }

    /// The stream of this name.
    pub(super) fn stream(&self, name: &str) -> Option<StreamHandle> {
        self.streams.read().get(name).cloned()
    }

    /// The name of a stream.
    pub(crate) fn stream_name(&self, target: StreamTarget) -> Option<Arc<str>> {
        let streams = self.streams.read();
        let found = streams.iter().find(|handle| handle.target == target);
        found.map(|handle| handle.config.name.as_str().into())
    }

    /// The configuration of the stream of this name.
    pub(super) fn stream_config(&self, name: &str) -> Option<Arc<StreamConfig>> {
        Some(Arc::clone(&self.streams.read().get(name)?.config))
    }

    /// Whether a stream is what it was. With its shard locked it stays so; before that a commit that fails can bring back what it was earlier.
    fn is_current(&self, handle: &StreamHandle) -> bool {
        let now = self.stream(&handle.config.name);
        now.is_some_and(|now| {
            now.target == handle.target && Arc::ptr_eq(&now.config, &handle.config)
        })
    }

    /// All streams, by name.
    pub(super) fn streams(&self) -> Vec<StreamHandle> {
        self.streams.read().iter().cloned().collect()
    }

    /// Calls `f` with the stream under its shard's lock; `None` if there is no such stream.
    pub(super) fn with_stream<R>(
        &self,
        name: &str,
        flush: &mut FlushSet,
        f: impl FnOnce(&mut StreamAccess<'_>, &mut FlushSet) -> R,
    ) -> Option<R> {
        self.with_stream_at(&self.stream(name)?, flush, f)
    }

    /// As [`AccountJetStream::with_stream`], for a stream that was found before; `None` if it has been deleted.
    pub(super) fn with_stream_at<R>(
        &self,
        handle: &StreamHandle,
        flush: &mut FlushSet,
        f: impl FnOnce(&mut StreamAccess<'_>, &mut FlushSet) -> R,
    ) -> Option<R> {
        let mut state = self.shard(handle.target.shard)?.lock();
        let result =
            StreamAccess::new(&mut state, handle.target, self).map(|mut a| f(&mut a, flush));
        state.end_of_batch(flush);
        result
    }

    /// Creates a stream of a validated configuration. One of the same name and configuration is a success, too.
    pub(super) fn create_stream(
        &self,
        config: StreamConfig,
    ) -> Result<(StreamHandle, DurableAt), ApiError> {
        let _administration = self.administration.lock();
        if let Some(existing) = self.stream(&config.name) {
            if !existing.config.is_same(&config) {
                return Err(ApiError::STREAM_NAME_EXIST);
            }
            let mut state = self.lock_shard(existing.target)?;
            let durable = written(&mut state, existing.config.storage);
            drop(state);
            return Ok((existing, durable));
        }
        if self.restoring.lock().contains_key(config.name.as_str()) {
            return Err(ApiError::STREAM_NAME_EXIST);
        }
        self.check_limits(None, &config)?;
        config.check_origin_filters()?;
        self.check_subjects(&config)?;
        let account = self.served_account()?;
        let shard = self.runtime.emptiest_shard(account.name(), &config.name);
        let mut state = shard.lock();
        let now = state.now;
        let id = state
            .store
            .create_stream(account.name(), config.clone(), now)
            .map_err(create_failed)?;
        let handle = StreamHandle {
            target: StreamTarget {
                shard: shard.index,
                stream: id,
            },
            config: Arc::new(config),
            created: now,
        };
        self.insert(&account, &mut state, &handle);
        let durable = written(&mut state, handle.config.storage);
        Ok((handle, durable))
    }

    /// Puts a stream that the store has into service.
    pub(super) fn insert(
        &self,
        account: &Arc<Account>,
        state: &mut ShardState,
        handle: &StreamHandle,
    ) {
        let StreamHandle {
            target,
            config,
            created: _,
        } = handle;
        state.streams.insert(
            target.stream,
            RunningStream::new(
                target.stream,
                Arc::clone(account),
                Arc::clone(config),
                self.runtime.domain.as_deref(),
            ),
        );
        self.streams.write().insert(handle.clone());
        let meter = self.stream_meter(config.storage);
        state.store.set_account_meter(target.stream, meter);
        for listener in listeners(config, *target, self.runtime.domain.as_deref()) {
            listener.join(account);
        }
        if let Some(shard) = self.runtime.shards.get(usize::from(target.shard)) {
            state.set_followers(target.stream, shard);
        }
    }

    /// Replaces a stream's configuration by the update that `decide` makes of the present one.
    pub(super) fn update_stream(
        &self,
        name: &str,
        decide: impl Fn(&StreamConfig) -> Result<StreamConfig, ApiError>,
        flush: &mut FlushSet,
    ) -> Result<(StreamHandle, DurableAt), ApiError> {
        let _administration = self.administration.lock();
        let (old, config, mut state) = loop {
            let old = self.stream(name).ok_or(ApiError::STREAM_NOT_FOUND)?;
            let config = decide(&old.config)?;
            self.check_limits(Some(&old), &config)?;
            self.check_subjects(&config)?;
            let state = self.lock_shard(old.target)?;
            if self.is_current(&old) {
                break (old, config, state);
            }
        };
        let account = self.served_account()?;
        let handle = StreamHandle {
            config: Arc::new(config),
            target: old.target,
            created: old.created,
        };
        let now = state.now;
        state
            .store
            .update_stream(old.target.stream, (*handle.config).clone(), now)
            .map_err(update_failed)?;
        if let Some(stream) = state.streams.get_mut(&old.target.stream) {
            if old.config.mirror_direct && !handle.config.mirror_direct {
                stream.leave_direct(old.target);
            }
            stream.reconfigure(Arc::clone(&handle.config), self.runtime.max_payload);
        }
        if let Some(shard) = self.runtime.shards.get(usize::from(old.target.shard)) {
            state.set_followers(old.target.stream, shard);
        }
        self.change_listeners(&account, &old, &handle);
        self.streams.write().insert(handle.clone());
        state.report_removed(old.target.stream, flush);
        state.release_unneeded(old.target.stream, flush);
        state.end_of_batch(flush);
        let durable = written(&mut state, handle.config.storage);
        Ok((handle, durable))
    }

    /// Listens where the new configuration says, and no longer where only the old one did.
    fn change_listeners(&self, account: &Arc<Account>, old: &StreamHandle, new: &StreamHandle) {
        let domain = self.runtime.domain.as_deref();
        let before = listeners(&old.config, old.target, domain);
        let after = listeners(&new.config, new.target, domain);
        for listener in after.iter().filter(|listener| !before.contains(listener)) {
            listener.join(account);
        }
        for listener in before.iter().filter(|listener| !after.contains(listener)) {
            listener.leave(account);
        }
    }

    /// Deletes a stream with its consumers and messages.
    pub(super) fn delete_stream(
        &self,
        name: &str,
        flush: &mut FlushSet,
    ) -> Result<DurableAt, ApiError> {
        let _administration = self.administration.lock();
        let (handle, mut state) = loop {
            let handle = self.stream(name).ok_or(ApiError::STREAM_NOT_FOUND)?;
            let state = self.lock_shard(handle.target)?;
            if self.is_current(&handle) {
                break (handle, state);
            }
        };
        let storage = handle.config.storage;
        state.end_turn(flush);
        // It stays in service if the log refuses that.
        state
            .store
            .delete_stream(handle.target.stream)
            .map_err(delete_failed)?;
        self.take_out(&handle, Leave::Delete, &mut state, flush);
        if let Some(account) = self.account() {
            state.note_taken_out(account, handle);
        }
        Ok(written(&mut state, storage))
    }

    /// How many streams there are.
    pub(crate) fn stream_count(&self) -> usize {
        self.streams.read().len()
    }

    /// Deletes all streams and waits until that is durable. Not for connections' tasks.
    pub(crate) fn delete_streams(&self) -> Result<(), ApiError> {
        let mut flush = FlushSet::new();
        let mut waits = BTreeMap::new();
        for handle in self.streams() {
            let name = &handle.config.name;
            let Some(shard) = self.shard(handle.target.shard) else {
                continue;
            };
            if handle.config.storage == StorageType::File {
                waits
                    .entry(shard.index)
                    .or_insert_with(|| shard.lock().wait(StorageType::File));
            }
            match self.delete_stream(name, &mut flush) {
                // Somebody else has deleted it.
                Err(error) if error == ApiError::STREAM_NOT_FOUND => continue,
                deleted => deleted?,
            };
            if let Some(account) = self.account() {
                advisory::stream_action(&account, name, Action::Delete, &mut flush);
            }
        }
        flush.flush();
        for (index, mut wait) in waits {
            let Some(shard) = self.shard(index) else {
                continue;
            };
            wait.until_written(&shard.lock());
            shard.wait_durable(wait).map_err(ApiError::stream_delete)?;
        }
        Ok(())
    }

    /// Takes a stream out of service; its data is left alone. `leave` says what becomes of the consumers that its origins have for it.
    pub(super) fn take_out(
        &self,
        handle: &StreamHandle,
        leave: Leave,
        state: &mut ShardState,
        flush: &mut FlushSet,
    ) {
        let Some(account) = self.account() else {
            return;
        };
        let domain = self.runtime.domain.as_deref();
        for listener in listeners(&handle.config, handle.target, domain) {
            listener.leave(&account);
        }
        if let Some(stream) = state.streams.get_mut(&handle.target.stream) {
            stream.leave_direct(handle.target);
        }
        state.dismiss_followers(handle.target.stream, leave);
        state.stop_consumers(handle.target.stream, self, flush);
        state.streams.remove(&handle.target.stream);
        self.streams.write().remove(&handle.config.name);
    }

    /// Streams with a subject that overlaps `pattern`, by name.
    pub(super) fn streams_on(&self, pattern: &[u8]) -> Vec<StreamHandle> {
        self.streams.read().on(pattern)
    }

    // --- replies

    /// Sends a reply once the change is durable; `failure` is sent in its place if it never is.
    pub(super) fn reply(
        &self,
        reply: &ApiReply<'_>,
        after: Option<DurableAt>,
        failure: impl FnOnce() -> Vec<u8>,
        flush: &mut FlushSet,
    ) {
        let Some(account) = self.account() else {
            return;
        };
        if reply.subject.is_empty() {
            return;
        }
        match after.and_then(|after| Some((after.wait, self.shard(after.shard)?))) {
            Some((wait, shard)) => {
                shard
                    .lock()
                    .reply_after(&wait, &account, reply, failure, flush);
            }
            None => {
                super::reply::send_message(
                    &account,
                    reply.subject,
                    reply.headers,
                    reply.body,
                    flush,
                );
            }
        }
    }

    fn lock_shard(&self, target: StreamTarget) -> Result<super::shard::ShardGuard<'_>, ApiError> {
        Ok(self
            .shard(target.shard)
            .ok_or(ApiError::STREAM_NOT_FOUND)?
            .lock())
    }

    /// Counts an API reply.
    pub(super) fn count_api(&self, error: bool) {
        self.api_total.fetch_add(1, Ordering::Relaxed);
        if error {
            self.api_errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl std::fmt::Debug for AccountJetStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountJetStream")
            .field("limits", &self.account_limits())
            .finish_non_exhaustive()
    }
}

/// What was written so far, as what a reply about a stream of this storage has to wait for.
pub(super) fn written(state: &mut ShardState, storage: StorageType) -> DurableAt {
    if storage == StorageType::File {
        state.commit_now();
    }
    DurableAt {
        shard: state.index,
        wait: state.wait(storage),
    }
}

fn create_failed(error: ChangeError) -> ApiError {
    match error {
        ChangeError::Rejected(error) => error,
        error => ApiError::stream_create(error),
    }
}

fn update_failed(error: ChangeError) -> ApiError {
    match error {
        ChangeError::Rejected(error) => error,
        error => ApiError::stream_update(error),
    }
}

fn delete_failed(error: ChangeError) -> ApiError {
    match error {
        ChangeError::Rejected(error) => error,
        error => ApiError::stream_delete(error),
    }
}
