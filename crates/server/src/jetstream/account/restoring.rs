//! Streams that are being restored: name, subjects and space are theirs, but nobody is served yet.

use std::sync::Arc;

use jetsled_jetstream_api::advisory::Action;
use jetsled_jetstream_api::{ApiError, StorageType, StreamConfig, StreamInfo};
use jetsled_store::{DeletedDetails, RecoveredConsumer, StreamId};

use super::{AccountJetStream, DurableAt, StreamHandle, written};
use crate::info::VERSION;
use crate::jetstream::access::StreamAccess;
use crate::jetstream::advisory;
use crate::jetstream::api::gather;
use crate::jetstream::shard::{ShardHandle, Wait};
use crate::jetstream::target::StreamTarget;
use crate::routing::FlushSet;

/// A stream's name, subjects and space, until this is dropped.
pub(in crate::jetstream) struct Reservation {
    jetstream: Arc<AccountJetStream>,
    config: Arc<StreamConfig>,
}

/// A stream as its restore's answer shows it.
pub(in crate::jetstream) struct RestoredStream {
    pub(in crate::jetstream) info: StreamInfo,
    /// What the answer waits for.
    pub(in crate::jetstream) durable: DurableAt,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.jetstream
            .restoring
            .lock()
            .remove(self.config.name.as_str());
    }
}

impl AccountJetStream {
    /// Takes name, subjects and space for a stream of `bytes`. `config` must be validated.
    pub(in crate::jetstream) fn reserve(
        self: &Arc<Self>,
        config: &StreamConfig,
        bytes: u64,
    ) -> Result<Reservation, ApiError> {
        let _administration = self.administration.lock();
        let name = config.name.as_str();
        if self.stream(name).is_some() || self.restoring.lock().contains_key(name) {
            return Err(ApiError::STREAM_NAME_EXIST_RESTORE_FAILED);
        }
        let mut config = config.clone();
        let max_bytes = config.max_bytes;
        config.max_bytes = max_bytes.max(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.check_limits(None, &config)?;
        self.check_used(&config, bytes)?;
        config.max_bytes = max_bytes;
        self.check_subjects(&config).map_err(|error| {
            ApiError::stream_restore(format_args!(
                "error adding stream: {} ({})",
                error.description, error.err_code
            ))
        })?;
        let config = Arc::new(config);
        self.restoring
            .lock()
            .insert(name.into(), Arc::clone(&config));
        Ok(Reservation {
            jetstream: Arc::clone(self),
            config,
        })
    }

    /// Whether there is room for so many more bytes beside what is used.
    fn check_used(&self, config: &StreamConfig, bytes: u64) -> Result<(), ApiError> {
        let usage = self.usage();
        let (used, most, exceeded) = match config.storage {
            StorageType::Memory => (
                usage.memory,
                self.account_limits().max_memory,
                ApiError::MEMORY_RESOURCES_EXCEEDED,
            ),
            StorageType::File => (
                usage.file,
                self.account_limits().max_storage,
                ApiError::STORAGE_RESOURCES_EXCEEDED,
            ),
        };
        let wanted = used.bytes.saturating_add(bytes);
        if u64::try_from(most).is_ok_and(|most| wanted > most) {
            return Err(exceeded);
        }
        Ok(())
    }

    /// Puts a filled stream and its consumers into service, unless a commit since `wait` has failed.
    pub(in crate::jetstream) fn finish_restore(
        &self,
        reservation: &Reservation,
        shard: &ShardHandle,
        stream: StreamId,
        wait: &Wait,
        consumers: &[RecoveredConsumer],
        flush: &mut FlushSet,
    ) -> Result<RestoredStream, ApiError> {
        let _administration = self.administration.lock();
        let account = self.served_account()?;
        let mut state = shard.lock();
        state.check_kept(wait).map_err(ApiError::stream_restore)?;
        state
            .store
            .finish_restore(stream)
            .map_err(ApiError::stream_restore)?;
        let target = StreamTarget {
            shard: shard.index,
            stream,
        };
        let created = state.store.stream(stream).map(|stream| stream.created());
        let handle = StreamHandle {
            target,
            config: Arc::clone(&reservation.config),
            created: created.unwrap_or(state.now),
        };
        self.insert(&account, &mut state, &handle);
        let name = handle.config.name.as_str();
        advisory::stream_action(&account, name, Action::Create, flush);
        for consumer in consumers {
            state.restore_consumer(self, consumer, flush);
            advisory::consumer_action(&account, name, &consumer.name, Action::Create, flush);
        }
        let mut access =
            StreamAccess::new(&mut state, target, self).ok_or(ApiError::STREAM_NOT_FOUND)?;
        let mut info =
            gather(&mut access, DeletedDetails::Count).map_err(ApiError::stream_restore)?;
        info.config.set_reply_metadata(VERSION);
        // What has expired meanwhile goes now.
        state.store_wake = Some(state.now);
        state.end_of_batch(flush);
        Ok(RestoredStream {
            info,
            durable: written(&mut state, handle.config.storage),
        })
    }
}
