//! One stream under its shard's lock: what the API reads and changes.

use std::sync::Arc;

use jetsled_dispatch::{Command, Consumer, ConsumerIdentity, Context, Outbox};
use jetsled_jetstream_api::advisory::Action;
use jetsled_jetstream_api::{
    AckSubjectPrefix, ApiError, ConsumerConfig, ConsumerInfo, ConsumerState, SourceInfo,
    StreamConfig, StreamSeq, Timestamp,
};
use jetsled_protocol::SubjectFilter;
use jetsled_store::{ChangeError, ConsumerKey, Purge, Selection, Shard, Stream, StreamId};

use super::account::{AccountJetStream, DurableAt, written};
use super::advisory;
use super::consumer::{self, RunningConsumer};
use super::consumer_record::ConsumerRecord;
use super::reply::send_message;
use super::runtime::Runtime;
use super::shard::{ShardState, Wait};
use super::stream::RunningStream;
use super::target::{ConsumerTarget, StreamTarget};
use super::view::{AccountInterest, DurableView};
use crate::chance;
use crate::routing::FlushSet;

/// A stream of an account, with its shard locked.
pub(super) struct StreamAccess<'a> {
    state: &'a mut ShardState,
    target: StreamTarget,
    jetstream: &'a AccountJetStream,
}

impl<'a> StreamAccess<'a> {
    /// `None` if the stream has just been deleted.
    pub(super) fn new(
        state: &'a mut ShardState,
        target: StreamTarget,
        jetstream: &'a AccountJetStream,
    ) -> Option<Self> {
        state.streams.contains_key(&target.stream).then_some(Self {
            state,
            target,
            jetstream,
        })
    }

    /// The time at which the shard was locked.
    pub(super) fn now(&self) -> Timestamp {
        self.state.now
    }

    /// The stream's number in [`StreamAccess::store`].
    pub(super) fn id(&self) -> StreamId {
        self.target.stream
    }

    /// The shard's store. After a change call [`StreamAccess::changed`].
    pub(super) fn store(&mut self) -> &mut Shard {
        &mut self.state.store
    }

    /// The stored stream.
    pub(super) fn stream(&self) -> &Stream {
        self.state
            .store
            .stream(self.target.stream)
            .expect("a running stream is in its store")
    }

    /// How its mirror and its sources keep up.
    pub(super) fn origins(&self) -> (Option<SourceInfo>, Vec<SourceInfo>) {
        let running = self.running();
        let now = self.state.now;
        let mut infos = running.followers.iter().map(|follower| follower.info(now));
        if running.config.mirror.is_some() {
            (infos.next(), Vec::new())
        } else {
            (None, infos.collect())
        }
    }

    pub(super) fn config(&self) -> &StreamConfig {
        &self.running().config
    }

    /// Tells consumers of what a change removed. A reply about the change waits for what is returned.
    pub(super) fn changed(&mut self, flush: &mut FlushSet) -> DurableAt {
        self.state.report_removed(self.target.stream, flush);
        written(self.state)
    }

    /// Purges the stream and tells its consumers. A reply about it waits for what is returned.
    pub(super) fn purge(
        &mut self,
        purge: &Purge<'_>,
        flush: &mut FlushSet,
    ) -> Result<(u64, DurableAt), ChangeError> {
        let stream = self.target.stream;
        self.state.end_turn(flush);
        self.state.report_removed(stream, flush);
        let purged = self.state.store.purge(stream, purge)?;
        self.state.report_purged(stream, purge.filter, flush);
        Ok((purged.messages, written(self.state)))
    }

    /// Everything written so far, as what a reply has to wait for.
    pub(super) fn written(&mut self) -> DurableAt {
        written(self.state)
    }

    /// Removes messages that no consumer needs any more.
    pub(super) fn release_unneeded(&mut self, flush: &mut FlushSet) {
        self.state.release_unneeded(self.target.stream, flush);
    }

    // --- consumers

    /// Names of the consumers that clients may see, sorted.
    pub(super) fn consumer_names(&self) -> Vec<String> {
        let consumers = self.running().consumers.iter();
        let visible = consumers.filter(|consumer| consumer.serves.is_public());
        let mut names: Vec<String> = visible.map(|c| c.name().to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// How many consumers clients may see.
    pub(super) fn consumer_count(&self) -> usize {
        self.running().public_consumers()
    }

    /// How many consumers count for limits: not those that serve mirrors and sources.
    pub(super) fn limited_consumers(&self) -> usize {
        self.running().consumers.limited()
    }

    /// Whether anybody would get what is published to `subject`.
    pub(super) fn has_interest(&self, subject: &str) -> bool {
        self.running().account.has_interest(subject.as_bytes())
    }

    pub(super) fn has_consumer(&self, name: &str) -> bool {
        self.running().consumer_named(name).is_some()
    }

    /// A consumer's configuration.
    pub(super) fn consumer_config(&self, name: &str) -> Option<ConsumerConfig> {
        let consumer = self.running().consumer_named(name)?;
        Some(self.state.record_of(consumer)?.config)
    }

    /// All consumers, in no order.
    pub(super) fn consumers(&self) -> impl Iterator<Item = &RunningConsumer> {
        self.running().consumers.iter().map(|consumer| &**consumer)
    }

    /// The configurations of all consumers by name, in no order. Reads each one: not for what happens often.
    pub(super) fn consumer_configs(&self) -> impl Iterator<Item = (&str, ConsumerConfig)> {
        self.consumers().filter_map(|consumer| {
            let record = self.state.record_of(consumer)?;
            Some((consumer.name(), record.config))
        })
    }

    /// Name, configuration and state of the consumers that clients may see, for an archive that ends with the sequence `last`.
    pub(super) fn archived_consumers(
        &self,
        last: StreamSeq,
    ) -> Vec<(String, ConsumerConfig, ConsumerState)> {
        let consumers = self.consumers();
        let mut archived: Vec<_> = consumers
            .filter(|consumer| consumer.serves.is_public())
            .filter_map(|consumer| {
                let config = self.state.record_of(consumer)?.config;
                let name = consumer.name().to_owned();
                Some((name, config, consumer.state.archived_state(last)))
            })
            .collect();
        archived.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
        archived
    }

    /// What to wait for until everything written so far is durable.
    pub(super) fn wait(&mut self) -> Wait {
        self.state.commit_now();
        self.state.wait()
    }

    /// The consumer's state.
    pub(super) fn consumer_info(
        &mut self,
        name: &str,
        flush: &mut FlushSet,
    ) -> Option<ConsumerInfo> {
        let target = self.consumer_target(name)?;
        self.state.end_turn(flush);
        self.state.report_removed(self.target.stream, flush);
        let config = self.consumer_config(name)?;
        let info = self
            .state
            .with_consumer(target, |consumer, ctx| consumer.info(config, ctx));
        self.state.dispatch(target, flush);
        info
    }

    /// Creates a consumer of a validated configuration; `name` is not in use.
    pub(super) fn create_consumer(
        &mut self,
        name: &str,
        config: ConsumerConfig,
        flush: &mut FlushSet,
    ) -> Result<(ConsumerInfo, DurableAt), ApiError> {
        let stream_id = self.target.stream;
        self.state.end_turn(flush);
        self.state.report_removed(stream_id, flush);
        let now = self.state.now;
        let store = &mut self.state.store;
        let record = ConsumerRecord::encode(now, name, &config);
        let key = if config.direct {
            // Its follower asks for another one after a restart.
            store.put_transient_consumer(stream_id, name, &record)
        } else {
            store.put_consumer(stream_id, name, &record)
        };
        let key = key.map_err(consumer_failed)?;
        self.state.store.watch_removed(stream_id, true);
        let target = ConsumerTarget {
            stream: self.target,
            consumer: key,
        };

        let mut outbox = Outbox::new();
        let mut selection = Selection::of(&SubjectFilter::new(config.filters()));
        let ShardState {
            store,
            streams,
            scratch,
            ..
        } = &mut *self.state;
        let Some(stream) = streams.get_mut(&stream_id) else {
            return Err(ApiError::STREAM_NOT_FOUND);
        };
        let identity = identity(stream, name, now, self.jetstream.runtime());
        let mut view = DurableView::new(store, stream_id, &mut selection, &mut scratch.ahead);
        let mut context = Context {
            view: &mut view,
            interest: &AccountInterest(&stream.account),
            now,
            out: &mut outbox,
        };
        let mut state = Consumer::new(identity, chance::number(), &config, &mut context);
        let info = state.info(config.clone(), &mut context);
        let progress = outbox.progress();
        if !progress.is_empty() {
            store.log_progress(key, progress).map_err(consumer_failed)?;
        }
        let running = RunningConsumer::new(target, state, &config);
        in_service(self.jetstream, stream, running);
        self.state.start_when_durable(stream_id, key);
        self.act(name, Action::Create, flush);
        Ok((info, written(self.state)))
    }

    /// Replaces a consumer's configuration by a validated update of it.
    pub(super) fn update_consumer(
        &mut self,
        name: &str,
        config: ConsumerConfig,
        flush: &mut FlushSet,
    ) -> Result<(ConsumerInfo, DurableAt), ApiError> {
        let target = self
            .consumer_target(name)
            .ok_or(ApiError::CONSUMER_NOT_FOUND)?;
        self.persist_config(target, &config)?;
        let changed_subject = {
            let consumer = self
                .state
                .consumer(target)
                .ok_or(ApiError::CONSUMER_NOT_FOUND)?;
            let old = consumer.deliver_subject();
            (*old != *config.deliver_subject.as_bytes()).then(|| Box::<[u8]>::from(old))
        };
        if let Some(old) = changed_subject {
            self.jetstream.push_interest.remove(&old, target);
            self.jetstream
                .push_interest
                .add(config.deliver_subject.as_bytes(), target);
        }
        self.state.end_turn(flush);
        self.state.report_removed(self.target.stream, flush);
        let restarts = config.sourcing;
        if let Some(stream) = self.state.streams.get_mut(&target.stream.stream) {
            stream.consumers.remove_filter(target.consumer);
        }
        // The reply tells of the consumer before anything is delivered under the new configuration.
        let info = self.state.with_consumer(target, |consumer, ctx| {
            consumer.update(&config, ctx);
            if restarts {
                // The follower counts deliveries from one again, and is told where that begins. The ack floor is always a place to go on from.
                let _at_floor = consumer.reset(StreamSeq(0), ctx);
            }
            consumer.info(config, ctx)
        });
        if let Some(stream) = self.state.streams.get_mut(&target.stream.stream) {
            stream.consumers.add_filter(target.consumer);
        }
        self.state.dispatch(target, flush);
        self.state.release_unneeded(self.target.stream, flush);
        let info = info.ok_or(ApiError::CONSUMER_NOT_FOUND)?;
        Ok((info, written(self.state)))
    }

    /// Deletes a consumer.
    pub(super) fn delete_consumer(
        &mut self,
        name: &str,
        flush: &mut FlushSet,
    ) -> Result<DurableAt, ApiError> {
        let target = self
            .consumer_target(name)
            .ok_or(ApiError::CONSUMER_NOT_FOUND)?;
        self.state
            .delete_consumer(target, self.jetstream, flush)
            .map_err(consumer_failed)?;
        Ok(written(self.state))
    }

    /// Calls `f` with the consumer (unpin, reset) and dispatches it. A reply waits for what is returned.
    pub(super) fn change_consumer<R>(
        &mut self,
        name: &str,
        flush: &mut FlushSet,
        f: impl FnOnce(&mut Consumer, &mut Context<'_>) -> R,
    ) -> Result<(R, DurableAt), ApiError> {
        let target = self
            .consumer_target(name)
            .ok_or(ApiError::CONSUMER_NOT_FOUND)?;
        self.state.end_turn(flush);
        self.state.report_removed(self.target.stream, flush);
        let result = self
            .state
            .with_consumer(target, f)
            .ok_or(ApiError::CONSUMER_NOT_FOUND)?;
        self.state.dispatch(target, flush);
        Ok((result, written(self.state)))
    }

    /// No deliveries before `until`; `None` or a past time resumes. A reply waits for what is returned.
    pub(super) fn pause_consumer(
        &mut self,
        name: &str,
        until: Option<Timestamp>,
        flush: &mut FlushSet,
    ) -> Result<DurableAt, ApiError> {
        let (Some(target), Some(mut config)) =
            (self.consumer_target(name), self.consumer_config(name))
        else {
            return Err(ApiError::CONSUMER_NOT_FOUND);
        };
        if config.pause_until != until {
            config.pause_until = until;
            // A pause needs API level 1, which the metadata says.
            config.set_stored_metadata();
            self.persist_config(target, &config)?;
            self.change_consumer(name, flush, |consumer, ctx| consumer.pause(until, ctx))?;
        }
        Ok(written(self.state))
    }

    /// Says that a consumer is paused, if it is.
    pub(super) fn tell_paused(&self, info: &ConsumerInfo, flush: &mut FlushSet) {
        if let Some(until) = info.config.pause_until.filter(|_| info.paused) {
            let stream = self.running();
            let name = &stream.config.name;
            advisory::consumer_pause(&stream.account, name, &info.name, (true, until), flush);
        }
    }

    fn persist_config(
        &mut self,
        target: ConsumerTarget,
        config: &ConsumerConfig,
    ) -> Result<(), ApiError> {
        let consumer = self
            .state
            .consumer(target)
            .ok_or(ApiError::CONSUMER_NOT_FOUND)?;
        let created = consumer.state.identity().created;
        let record = ConsumerRecord::encode(created, consumer.name(), config);
        self.state
            .store
            .update_consumer(target.consumer, &record)
            .map_err(consumer_failed)
    }

    fn act(&self, consumer: &str, action: Action, flush: &mut FlushSet) {
        let stream = self.running();
        advisory::consumer_action(
            &stream.account,
            &stream.config.name,
            consumer,
            action,
            flush,
        );
    }

    fn consumer_target(&self, name: &str) -> Option<ConsumerTarget> {
        Some(self.running().consumer_named(name)?.target)
    }

    fn running(&self) -> &RunningStream {
        &self.state.streams[&self.target.stream]
    }
}

/// The state of a stored consumer whose account has no JetStream, for checkpoints to keep. `None` if there is none that can be
/// read.
pub(super) fn resting_state(recovered: &jetsled_store::RecoveredConsumer) -> Option<Vec<u8>> {
    let record = ConsumerRecord::decode(&recovered.name, &recovered.config).ok()?;
    let merged = Consumer::merge_checkpoint(
        &recovered.name,
        record.config.ack_policy,
        recovered.checkpoint.as_deref(),
        recovered.deltas.iter().map(Vec::as_slice),
    );
    merged.unwrap_or_else(|error| {
        tracing::error!(
            "JetStream consumer '{}' not restored: {error}",
            recovered.name
        );
        None
    })
}

/// A consumer's identity in the dispatcher.
fn identity(
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
fn in_service(jetstream: &AccountJetStream, stream: &mut RunningStream, running: RunningConsumer) {
    consumer::listen(stream, &running);
    let deliver_subject = running.deliver_subject();
    if !deliver_subject.is_empty() {
        jetstream.push_interest.add(deliver_subject, running.target);
    }
    stream.consumers.insert(running);
}

fn consumer_failed(error: ChangeError) -> ApiError {
    match error {
        ChangeError::Rejected(error) => error,
        error => ApiError::consumer_create(error),
    }
}

impl ShardState {
    /// What the store keeps of a consumer's making. `None` if its creation was just lost with a failed commit.
    fn record_of(&self, consumer: &RunningConsumer) -> Option<ConsumerRecord> {
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
                return;
            }
        };
        resting.retain(|(key, _)| *key != recovered.key);
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
                continue;
            };
            for command in out.commands() {
                if let Command::Status { to, status } = command {
                    send_message(&stream.account, to, &status.header_block(), b"", flush);
                }
            }
            // What else it had to say, and its progress, is of what never was.
            out.clear();
            let Some(jetstream) = stream.account.jetstream.get().cloned() else {
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

    /// Takes a consumer out of service and deletes it.
    pub(super) fn delete_consumer(
        &mut self,
        target: ConsumerTarget,
        jetstream: &AccountJetStream,
        flush: &mut FlushSet,
    ) -> Result<(), ChangeError> {
        self.end_turn(flush);
        self.stop_consumer(target, jetstream, flush);
        self.store.delete_consumer(target.consumer)?;
        self.release_unneeded(target.stream.stream, flush);
        Ok(())
    }

    /// A consumer was inactive for longer than its threshold.
    pub(super) fn delete_inactive(&mut self, target: ConsumerTarget, flush: &mut FlushSet) {
        let Some(stream) = self.streams.get(&target.stream.stream) else {
            return;
        };
        let Some(jetstream) = stream.account.jetstream.get().cloned() else {
            return;
        };
        if let Err(error) = self.delete_consumer(target, &jetstream, flush) {
            tracing::warn!("JetStream inactive consumer not deleted: {error}");
        }
        self.commit_soon();
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
            if let Some(jetstream) = account.jetstream.get() {
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
