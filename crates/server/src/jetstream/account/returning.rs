//! Streams after a failed commit: what the log has is served again, what it has not is not.

use std::sync::Arc;

use jetsled_store::LogPosition;

use super::{AccountJetStream, StreamHandle};
use crate::account::Account;
use crate::jetstream::follower::Leave;
use crate::jetstream::shard::ShardState;
use crate::jetstream::target::StreamTarget;
use crate::routing::FlushSet;

/// A stream that was taken out of service, for as long as its deletion is not durable.
pub(in crate::jetstream) struct TakenOut {
    account: Arc<Account>,
    handle: StreamHandle,
    /// The end of the log that tells of it.
    until: LogPosition,
}

impl ShardState {
    pub(super) fn note_taken_out(&mut self, account: Arc<Account>, handle: StreamHandle) {
        let until = self.store.position();
        self.taken_out.push(TakenOut {
            account,
            handle,
            until,
        });
    }

    /// Forgets streams whose deletion is durable.
    pub(in crate::jetstream) fn forget_taken_out(&mut self) {
        let durable = self.store.durable();
        self.taken_out.retain(|stream| stream.until > durable);
    }
}

impl AccountJetStream {
    /// A commit failed, and the store is what the log says: streams that were not written go, streams that were deleted come back, and those that
    /// were changed are what they were.
    pub(in crate::jetstream) fn return_to_log(state: &mut ShardState, flush: &mut FlushSet) {
        Self::take_out_lost(state, flush);
        for mut stream in std::mem::take(&mut state.taken_out) {
            let stored = state.store.stream(stream.handle.target.stream);
            let (Some(stored), Some(jetstream)) = (stored, stream.account.jetstream()) else {
                continue;
            };
            stream.handle.config = Arc::new(stored.config().clone());
            jetstream.insert(&stream.account, state, &stream.handle);
        }
        let changed: Vec<_> = state
            .streams
            .values()
            .filter_map(|running| {
                let stored = state.store.stream(running.id)?;
                let account = Arc::clone(&running.account);
                (*running.config != *stored.config()).then(|| {
                    (
                        account,
                        Arc::clone(&running.config),
                        stored.config().clone(),
                        stored.created(),
                        running.id,
                    )
                })
            })
            .collect();
        for (account, void, config, created, stream) in changed {
            let Some(jetstream) = account.kept_jetstream() else {
                continue;
            };
            let target = StreamTarget {
                shard: state.index,
                stream,
            };
            let handle = |config| StreamHandle {
                target,
                config,
                created,
            };
            let (void, handle) = (handle(void), handle(Arc::new(config)));
            if let Some(running) = state.streams.get_mut(&stream) {
                let max_payload = jetstream.runtime.max_payload;
                running.reconfigure(Arc::clone(&handle.config), max_payload);
            }
            if let Some(shard) = jetstream.shard(state.index) {
                state.set_followers(stream, shard);
            }
            jetstream.change_listeners(&account, &void, &handle);
            jetstream.streams.write().insert(handle);
        }
        state.return_consumers_to_log(flush);
    }

    /// Takes streams and consumers out of service whose creation was never written.
    fn take_out_lost(state: &mut ShardState, flush: &mut FlushSet) {
        let ShardState { store, streams, .. } = &*state;
        let lost: Vec<_> = streams
            .values()
            .filter(|stream| store.stream(stream.id).is_none())
            .map(|stream| {
                (
                    Arc::clone(&stream.account),
                    Arc::clone(&stream.config),
                    stream.id,
                )
            })
            .collect();
        for (account, config, stream) in lost {
            let Some(jetstream) = account.kept_jetstream() else {
                continue;
            };
            let target = StreamTarget {
                shard: state.index,
                stream,
            };
            let handle = StreamHandle {
                target,
                config,
                created: state.now,
            };
            jetstream.take_out(&handle, Leave::Delete, state, flush);
        }
        state.take_out_lost_consumers(flush);
    }
}
