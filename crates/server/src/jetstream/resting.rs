//! What is stored of accounts that have no JetStream: it is kept, and nobody is served.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use hashbrown::HashMap;
use jetsled_dispatch::Consumer;
use jetsled_jetstream_api::StorageType;
use jetsled_store::{ChangeError, ConsumerKey, RecoveredConsumer, StreamId};

use super::JetStream;
use super::account::{AccountJetStream, StreamHandle};
use super::consumer::{self, Serves};
use super::consumer_record::ConsumerRecord;
use super::follower::Leave;
use super::shard::ShardState;
use super::target::ConsumerTarget;
use crate::account::Account;
use crate::routing::FlushSet;

/// Stored consumers that do not run, by their streams.
#[derive(Default)]
pub(super) struct Resting(HashMap<StreamId, BTreeMap<ConsumerKey, RecoveredConsumer>>);

impl Resting {
    /// Takes in a consumer, in the place of what is known of it.
    pub(super) fn insert(&mut self, consumer: RecoveredConsumer) {
        let of_stream = self.0.entry(consumer.stream).or_default();
        of_stream.insert(consumer.key, consumer);
    }

    /// Gives away the consumers of a stream.
    pub(super) fn take(
        &mut self,
        stream: StreamId,
    ) -> impl Iterator<Item = RecoveredConsumer> + use<> {
        self.0.remove(&stream).unwrap_or_default().into_values()
    }

    /// The state of each consumer, for a checkpoint to keep.
    pub(super) fn states(&self) -> impl Iterator<Item = (ConsumerKey, Vec<u8>)> {
        let all = self.0.values().flat_map(BTreeMap::values);
        all.filter_map(|consumer| Some((consumer.key, state(consumer)?)))
    }
}

/// Of a consumer that can not be read the state at the last checkpoint stays.
fn state(recovered: &RecoveredConsumer) -> Option<Vec<u8>> {
    let last = || recovered.checkpoint.clone();
    if recovered.deltas.is_empty() {
        return last();
    }
    let Ok(record) = ConsumerRecord::decode(&recovered.name, &recovered.config) else {
        return last();
    };
    let merged = Consumer::merge_checkpoint(
        &recovered.name,
        record.config.ack_policy,
        recovered.checkpoint.as_deref(),
        recovered.deltas.iter().map(Vec::as_slice),
    );
    merged.unwrap_or_else(|error| {
        tracing::error!(
            "JetStream consumer '{}' keeps the state of the last checkpoint: {error}",
            recovered.name
        );
        last()
    })
}

impl JetStream {
    /// Takes an account's streams out of service until it has JetStream again. They are kept, memory streams apart (observed nats-server 2.15.1);
    /// clients that wait for messages are told to ask again.
    pub(crate) fn disable(&self, account: &Account) {
        let Some(jetstream) = account.jetstream() else {
            return;
        };
        let administration = jetstream.administer();
        if !jetstream.switch(false) {
            return;
        }
        tracing::info!("JetStream is off for account '{}'", account.name());
        let mut flush = FlushSet::new();
        for handle in jetstream.streams() {
            if let Some(shard) = jetstream.shard(handle.target.shard) {
                let mut state = shard.lock();
                // A commit that failed meanwhile may have changed it back, or taken it.
                let Some(handle) = jetstream.stream(&handle.config.name) else {
                    continue;
                };
                if let Err(error) = state.rest(jetstream, &handle, &mut flush) {
                    let name = &handle.config.name;
                    tracing::warn!("JetStream stream '{name}' not deleted from memory: {error}");
                }
                state.end_of_batch(&mut flush);
            }
        }
        drop(administration);
        account.settle_api();
        flush.flush();
    }
}

impl ShardState {
    /// Takes a stream and its consumers out of service; deletes what is in memory only.
    fn rest(
        &mut self,
        jetstream: &AccountJetStream,
        handle: &StreamHandle,
        flush: &mut FlushSet,
    ) -> Result<(), ChangeError> {
        let stream = handle.target.stream;
        self.end_turn(flush);
        if handle.config.storage == StorageType::Memory {
            jetstream.take_out(handle, Leave::Delete, self, flush);
            return self.store.delete_stream(stream).map(|_| ());
        }
        self.report_removed(stream, flush);
        let consumers = self.consumers_of(stream);
        // While all of them are there, since they decide which messages leave.
        for target in &consumers {
            let serves = self.consumer(*target).map(|consumer| consumer.serves);
            if serves == Some(Serves::Follower) {
                self.delete_consumer(*target, jetstream, flush)?;
            }
        }
        self.carry_out_releases(flush);
        for target in consumers {
            self.rest_consumer(target, jetstream, flush);
        }
        self.store.watch_removed(stream, false);
        jetstream.take_out(handle, Leave::Keep, self, flush);
        self.commit_soon();
        Ok(())
    }

    fn rest_consumer(
        &mut self,
        target: ConsumerTarget,
        jetstream: &AccountJetStream,
        flush: &mut FlushSet,
    ) {
        self.with_consumer(target, Consumer::on_shutdown);
        self.run_last_commands(target, flush);
        let Some(stream) = self.streams.get_mut(&target.stream.stream) else {
            return;
        };
        let Some(gone) = stream.consumers.remove(target.consumer) else {
            return;
        };
        consumer::stop_listening(stream, &gone);
        let deliver_subject = gone.deliver_subject();
        jetstream.push_interest.remove(deliver_subject, target);
        let Some(config) = self.store.consumer_config(gone.key()) else {
            return;
        };
        let mut state = Vec::new();
        gone.state.encode_checkpoint(&mut state);
        self.resting.insert(RecoveredConsumer {
            stream: target.stream.stream,
            key: gone.key(),
            name: gone.name().into(),
            config: config.to_vec(),
            checkpoint: Some(state),
            deltas: Vec::new(),
        });
    }
}
