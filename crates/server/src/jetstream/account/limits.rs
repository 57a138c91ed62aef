//! What an account may take, and what it does.

use std::sync::Arc;

use jetsled_jetstream_api::{AccountLimits, ApiError, Nanos, StorageType, StreamConfig};
use jetsled_protocol::subject;
use jetsled_store::{StorageMeter, StorageMeters};

use super::registry::reservation;
use super::{AccountJetStream, StreamHandle};
use crate::jetstream::clock;
use crate::jetstream::stream::RunningStream;

/// What the streams of one kind of storage take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::jetstream) struct StorageUse {
    pub(in crate::jetstream) bytes: u64,
    /// The sum of `max_bytes`.
    pub(in crate::jetstream) reserved: u64,
}

/// What an account's JetStream takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::jetstream) struct Usage {
    pub(in crate::jetstream) memory: StorageUse,
    pub(in crate::jetstream) file: StorageUse,
    pub(in crate::jetstream) streams: usize,
    /// Those of mirrors and sources too (observed nats-server 2.15.1).
    pub(in crate::jetstream) consumers: usize,
}

/// A full account is said to be full once in this time (observed nats-server 2.15.1).
const FULL_PAUSE: Nanos = Nanos::from_secs(1);

/// A full server says so once in this time (observed nats-server 2.15.1).
const SERVER_FULL_PAUSE: Nanos = Nanos::from_secs(10);

/// Lets the meters refuse by these limits.
pub(super) fn set_meters(meters: &StorageMeters, limits: &AccountLimits) {
    meters
        .memory
        .set_limit(u64::try_from(limits.max_memory).ok());
    meters
        .file
        .set_limit(u64::try_from(limits.max_storage).ok());
}

impl AccountJetStream {
    /// Other limits come into force for what is to come.
    pub(in crate::jetstream) fn set_account_limits(&self, limits: AccountLimits) {
        let _administration = self.administration.lock();
        set_meters(&self.meters, &limits);
        *self.limits.write() = limits;
        for handle in self.streams() {
            if let Some(shard) = self.shard(handle.target.shard) {
                let meter = self.stream_meter(handle.config.storage);
                let store = &mut shard.lock().store;
                store.set_account_meter(handle.target.stream, meter);
            }
        }
    }

    /// What counts the bytes of a stream; nothing without a limit, so that it costs nothing.
    pub(in crate::jetstream) fn stream_meter(
        &self,
        storage: StorageType,
    ) -> Option<Arc<StorageMeter>> {
        let meter = self.meters.of(storage);
        meter.limit().map(|_| Arc::clone(meter))
    }

    /// Tells the operator why a message was refused, if it was for want of room.
    pub(in crate::jetstream) fn tell_full(&self, error: &ApiError, storage: StorageType) {
        let [memory_alarm, file_alarm] = &self.full_alarms;
        let (kind, alarm) = match storage {
            StorageType::Memory => ("memory", memory_alarm),
            StorageType::File => ("file", file_alarm),
        };
        if *error == ApiError::ACCOUNT_RESOURCES_EXCEEDED {
            if alarm.passes(clock::now(), FULL_PAUSE)
                && let Some(account) = self.account()
            {
                let name = account.name();
                tracing::warn!("JetStream {kind} resource limits exceeded for account: {name:?}");
            }
        } else if *error == ApiError::INSUFFICIENT_RESOURCES {
            let alarm = &self.runtime.full_alarm;
            if alarm.passes(clock::now(), SERVER_FULL_PAUSE) {
                tracing::error!("JetStream {kind} resource limits exceeded for server");
            }
        }
    }

    /// What the account's streams and consumers take now.
    pub(in crate::jetstream) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for handle in self.streams() {
            let Some(shard) = self.shard(handle.target.shard) else {
                continue;
            };
            let state = shard.lock();
            let Some(stream) = state.store.stream(handle.target.stream) else {
                continue;
            };
            let storage = match handle.config.storage {
                StorageType::Memory => &mut usage.memory,
                StorageType::File => &mut usage.file,
            };
            storage.bytes += stream.bytes();
            storage.reserved += u64::try_from(handle.config.max_bytes).unwrap_or(0);
            usage.streams += 1;
            usage.consumers += state
                .streams
                .get(&handle.target.stream)
                .map_or(0, RunningStream::all_consumers);
        }
        usage
    }

    /// Checks what the account says about every single stream.
    pub(in crate::jetstream) fn check_stream_bytes(
        &self,
        config: &StreamConfig,
    ) -> Result<(), ApiError> {
        let limits = self.limits.read();
        let most = match config.storage {
            StorageType::Memory => limits.memory_max_stream_bytes,
            StorageType::File => limits.storage_max_stream_bytes,
        };
        if limits.max_bytes_required && config.max_bytes <= 0 {
            return Err(ApiError::STREAM_MAX_BYTES_REQUIRED);
        }
        if most > 0 && config.max_bytes > most {
            return Err(ApiError::STREAM_MAX_STREAM_BYTES_EXCEEDED);
        }
        Ok(())
    }

    /// Checks that a stream that has `count` consumers may have one more: the smallest positive limit of the stream, the account and,
    /// if the stream has none, the server.
    pub(in crate::jetstream) fn check_consumer_count(
        &self,
        config: &StreamConfig,
        count: usize,
    ) -> Result<(), ApiError> {
        let of_stream = match config.max_consumers {
            limit if limit > 0 => limit,
            _ => self.server_limits().default_max_consumers,
        };
        let limits = [of_stream, self.limits.read().max_consumers];
        let limit = limits.into_iter().filter(|limit| *limit > 0).min();
        if limit.is_some_and(|limit| count as u64 >= limit.unsigned_abs()) {
            return Err(ApiError::MAXIMUM_CONSUMERS_LIMIT);
        }
        Ok(())
    }

    /// Checks what the account says of a stream that is to be created before its configuration is validated. Bytes count here as often
    /// as there are to be replicas, and only if the request names the storage (observed nats-server 2.15.1).
    pub(in crate::jetstream) fn check_new_stream(
        &self,
        config: &StreamConfig,
        names_storage: bool,
    ) -> Result<(), ApiError> {
        if self.stream(&config.name).is_none() {
            self.check_stream_count(&config.name)?;
        }
        self.check_max_consumers(config)?;
        if names_storage {
            let bytes = u128::try_from(config.max_bytes).unwrap_or(1);
            let replicas = u128::try_from(config.num_replicas).unwrap_or(0).max(1);
            self.check_reserved(config, bytes * replicas)?;
        }
        Ok(())
    }

    /// Checks that a stream may have as many consumers as it says.
    pub(in crate::jetstream) fn check_max_consumers(
        &self,
        config: &StreamConfig,
    ) -> Result<(), ApiError> {
        let account = self.limits.read().max_consumers;
        if account > 0 && config.max_consumers > account {
            return Err(ApiError::MAXIMUM_CONSUMERS_LIMIT);
        }
        Ok(())
    }

    /// Checks the account's and the server's limits for a stream that is made or changed.
    pub(in crate::jetstream) fn check_limits(
        &self,
        old: Option<&StreamHandle>,
        config: &StreamConfig,
    ) -> Result<(), ApiError> {
        if old.is_none() {
            self.check_stream_count(&config.name)?;
        }
        self.check_reserved(config, reservation(config).max(1))
    }

    /// Checks that the account may have a stream of this name beside its others.
    fn check_stream_count(&self, name: &str) -> Result<(), ApiError> {
        let streams = self.streams.read();
        let others = streams.len() - usize::from(streams.get(name).is_some());
        let count = others + self.restoring.lock().len();
        let max_streams = usize::try_from(self.limits.read().max_streams).ok();
        if max_streams.is_some_and(|max| count >= max) {
            return Err(ApiError::MAXIMUM_STREAMS_LIMIT);
        }
        Ok(())
    }

    /// Checks that account and server have as many bytes for a stream beside what others reserve.
    fn check_reserved(&self, config: &StreamConfig, bytes: u128) -> Result<(), ApiError> {
        let streams = self.streams.read();
        let restoring = self.restoring.lock();
        let limits = self.limits.read();
        let (account_max, exceeded) = match config.storage {
            StorageType::Memory => (limits.max_memory, ApiError::MEMORY_RESOURCES_EXCEEDED),
            StorageType::File => (limits.max_storage, ApiError::STORAGE_RESOURCES_EXCEEDED),
        };
        let restored = restoring.values();
        let restored = restored.filter(|other| other.storage == config.storage);
        let reserved = streams.reserved_beside(config)
            + restored.map(|other| reservation(other)).sum::<u128>()
            + bytes;
        if u128::try_from(account_max).is_ok_and(|max| reserved > max) {
            return Err(exceeded);
        }
        let server = self.runtime.meters.of(config.storage).limit();
        if server.is_some_and(|max| reserved > max.into()) {
            return Err(exceeded);
        }
        Ok(())
    }

    /// Checks that no other stream listens where this one is to.
    pub(super) fn check_subjects(&self, config: &StreamConfig) -> Result<(), ApiError> {
        let collides = |other: &StreamConfig| {
            other.subjects.iter().any(|theirs| {
                config
                    .subjects
                    .iter()
                    .any(|ours| subject::collides(ours.as_bytes(), theirs.as_bytes()))
            })
        };
        if self.streams.read().has_other_on_subjects_of(config)
            || self.restoring.lock().values().any(|other| collides(other))
        {
            Err(ApiError::STREAM_SUBJECT_OVERLAP)
        } else {
            Ok(())
        }
    }
}
