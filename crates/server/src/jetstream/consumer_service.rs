//! Consumers taken into service and out of it.

use std::sync::Arc;

use jetsled_dispatch::{Command, Consumer, ConsumerIdentity, Context};
use jetsled_jetstream_api::advisory::Action;
use jetsled_jetstream_api::{AckSubjectPrefix, Timestamp};
use jetsled_store::{ChangeError, ConsumerKey, Selection, StreamId};

use super::account::AccountJetStream;
use super::advisory;
use super::consumer::{self, RunningConsumer};
use super::consumer_record::ConsumerRecord;
use super::reply::send_message;
use super::runtime::Runtime;
use super::shard::ShardState;
use super::stream::RunningStream;
use super::target::ConsumerTarget;
use super::view::{AccountInterest, DurableView};
use crate::chance;
use crate::routing::FlushSet;

/// A consumer's identity in the dispatcher.
pub(super) fn identity(
    stream: &mut RunningStream,
    name: &str,
    created: Timestamp,
    runtime: &Runtime,
) -> ConsumerIdentity {
    let (domain, account) = (stream.domain.as_deref(), stream.account.name());
    let stream_name = &stream.config.name;
    let ack_prefix = if runtime.second_form {
        AckSubjectPrefix::with_origin(domain, account, stream_name, name)
    } else {
        AckSubjectPrefix::new(stream_name, name)
    };
    ConsumerIdentity {
        stream: stream.identity(runtime.max_payload),
        created,
        ack_prefix,
    }
}

/// Lets a consumer be heard and found.
pub(super) fn in_service(
    jetstream: &AccountJetStream,
    stream: &mut RunningStream,
    running: RunningConsumer,
) {
    consumer::listen(stream, &running);
    let deliver_subject = running.deliver_subject();
    if !deliver_subject.is_empty() {
        jetstream.push_interest.add(deliver_subject, running.target);
    }
    stream.consumers.insert(running);
}

impl ShardState {
    /// What the store keeps of a consumer's making. `None` if its creation was just lost with a failed commit.
    pub(super) fn record_of(&self, consumer: &RunningConsumer) -> Option<ConsumerRecord> {
        let bytes = self.store.consumer_config(consumer.key())?;
        ConsumerRecord::decode(consumer.name(), bytes).ok()
    }

    /// Rebuilds a stored consumer. A record that makes no sense is left alone and reported.
    pub(super) fn restore_consumer(
        &mut self,
        jetstream: &AccountJetStream,
        recovered: &jetsled_store::RecoveredConsumer,
        flush: &mut FlushSet,
    ) {
        let stream_id = recovered.stream;
        let target = ConsumerTarget {
            stream: self.stream_target(stream_id),
            consumer: recovered.key,
        };
        let ShardState {
            store,
            streams,
            now,
            scratch,
            resting,
            ..
        } = self;
        let Some(stream) = streams.get_mut(&stream_id) else {
            return;
        };
        let record = match ConsumerRecord::decode(&recovered.name, &recovered.config) {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(
                    "JetStream consumer '{} > {} > {}' not restored, its configuration is unreadable: {error}",
                    stream.account.name(),
                    stream.config.name,
                    recovered.name,
                );
                resting.insert(recovered.clone());
                return;
            }
        };
        let name = &*recovered.name;
        let runtime = jetstream.runtime();
        let identity = identity(stream, name, record.created, runtime);
        let mut selection = Selection::new();
        let mut view = DurableView::new(store, stream_id, &mut selection, &mut scratch.ahead);
        let mut context = Context {
            view: &mut view,
            interest: &AccountInterest(&stream.account),
            now: *now,
            out: &mut scratch.outbox,
        };
        let restore = |checkpoint: Option<&[u8]>, deltas: &[Vec<u8>], context: &mut Context<'_>| {
            Consumer::recover(
                identity.clone(),
                chance::number(),
                &record.config,
                checkpoint,
                deltas.iter().map(Vec::as_slice),
                context,
            )
        };
        let state = restore(
            recovered.checkpoint.as_deref(),
            &recovered.deltas,
            &mut context,
        );
        let state = match state {
            Ok(state) => state,
            Err(error) => {
                tracing::error!(
                    "JetStream consumer '{} > {} > {name}' starts over, its state is unreadable: {error}",
                    stream.account.name(),
                    stream.config.name,
                );
                context.out.clear();
                match restore(None, &[], &mut context) {
                    Ok(state) => state,
                    Err(_) => return,
                }
            }
        };
        let mut running = RunningConsumer::new(target, state, &record.config);
        running.started = true;
        store.watch_removed(stream_id, true);
        in_service(jetstream, stream, running);
        self.dispatch(target, flush);
    }

    /// A commit failed: the consumers of file streams are what the log says, since what they have seen of late never was. Who waits for messages
    /// is told to ask again. Those whose deletion was not written come back.
    pub(super) fn return_consumers_to_log(&mut self, flush: &mut FlushSet) {
        for recovered in self.store.recovered_consumers() {
            let target = ConsumerTarget {
                stream: self.stream_target(recovered.stream),
                consumer: recovered.key,
            };
            self.with_consumer(target, Consumer::on_shutdown);
            let out = &mut self.scratch.outbox;
            let Some(stream) = self.streams.get_mut(&recovered.stream) else {
                out.clear();
                self.resting.insert(recovered);
                continue;
            };
            for command in out.commands() {
                if let Command::Status { to, status } = command {
                    send_message(&stream.account, to, &status.header_block(), b"", flush);
                }
            }
            // What else it had to say, and its progress, is of what never was.
            out.clear();
            let Some(jetstream) = stream.account.kept_jetstream().cloned() else {
                continue;
            };
            if let Some(void) = stream.consumers.remove(recovered.key) {
                consumer::stop_listening(stream, &void);
                jetstream
                    .push_interest
                    .remove(void.deliver_subject(), target);
            }
            self.restore_consumer(&jetstream, &recovered, flush);
        }
    }

    /// Deletes a consumer and takes it out of service: it stays if the log refuses that.
    pub(super) fn delete_consumer(
        &mut self,
        target: ConsumerTarget,
        jetstream: &AccountJetStream,
        flush: &mut FlushSet,
    ) -> Result<(), ChangeError> {
        self.end_turn(flush);
        self.store.delete_consumer(target.consumer)?;
        self.stop_consumer(target, jetstream, flush);
        self.release_unneeded(target.stream.stream, flush);
        Ok(())
    }

    /// A consumer was inactive for longer than its threshold. Answers whether it is gone; it is tried again after as long.
    pub(super) fn delete_inactive(&mut self, target: ConsumerTarget, flush: &mut FlushSet) -> bool {
        let Some(stream) = self.streams.get(&target.stream.stream) else {
            return true;
        };
        let Some(jetstream) = stream.account.kept_jetstream().cloned() else {
            return true;
        };
        if let Err(error) = self.delete_consumer(target, &jetstream, flush) {
            tracing::warn!("JetStream inactive consumer not deleted: {error}");
            return false;
        }
        self.commit_soon();
        true
    }

    /// Takes all consumers of a stream out of service.
    pub(super) fn stop_consumers(
        &mut self,
        stream: StreamId,
        jetstream: &AccountJetStream,
        flush: &mut FlushSet,
    ) {
        let keys: Vec<ConsumerKey> = self
            .streams
            .get(&stream)
            .map(|stream| stream.consumers.iter().map(|c| c.key()).collect())
            .unwrap_or_default();
        for consumer in keys {
            let target = ConsumerTarget {
                stream: self.stream_target(stream),
                consumer,
            };
            self.stop_consumer(target, jetstream, flush);
        }
    }

    /// Takes consumers out of service whose creation was never written.
    pub(super) fn take_out_lost_consumers(&mut self, flush: &mut FlushSet) {
        let Self { store, streams, .. } = &*self;
        let lost: Vec<_> = streams
            .values()
            .flat_map(|stream| stream.consumers.iter().map(move |c| (stream, c)))
            .filter(|(_, consumer)| !store.has_consumer(consumer.key()))
            .map(|(stream, consumer)| (Arc::clone(&stream.account), consumer.target))
            .collect();
        for (account, target) in lost {
            if let Some(jetstream) = account.kept_jetstream() {
                self.stop_consumer(target, jetstream, flush);
            }
        }
    }

    fn stop_consumer(
        &mut self,
        target: ConsumerTarget,
        jetstream: &AccountJetStream,
        flush: &mut FlushSet,
    ) {
        self.with_consumer(target, Consumer::on_delete);
        self.run_last_commands(target, flush);
        let Some(stream) = self.streams.get_mut(&target.stream.stream) else {
            return;
        };
        let Some(consumer) = stream.consumers.remove(target.consumer) else {
            return;
        };
        let (account, name) = (&stream.account, &stream.config.name);
        consumer::stop_listening(stream, &consumer);
        jetstream
            .push_interest
            .remove(consumer.deliver_subject(), target);
        advisory::consumer_action(account, name, consumer.name(), Action::Delete, flush);
        if stream.consumers.is_empty() {
            self.store.watch_removed(target.stream.stream, false);
        }
    }
}
