//! A stream's consumers: what the API reads of them and does to them.

use jetsled_dispatch::{Consumer, Context, Outbox};
use jetsled_jetstream_api::advisory::Action;
use jetsled_jetstream_api::{
    ApiError, ConsumerConfig, ConsumerInfo, ConsumerState, StreamSeq, Timestamp,
};
use jetsled_protocol::SubjectFilter;
use jetsled_store::{ChangeError, Selection};

use super::StreamAccess;
use crate::chance;
use crate::jetstream::account::DurableAt;
use crate::jetstream::advisory;
use crate::jetstream::consumer::RunningConsumer;
use crate::jetstream::consumer_record::ConsumerRecord;
use crate::jetstream::consumer_service::{identity, in_service};
use crate::jetstream::shard::{CommitLost, ShardState};
use crate::jetstream::target::ConsumerTarget;
use crate::jetstream::view::{AccountInterest, DurableView};
use crate::routing::FlushSet;

impl StreamAccess<'_> {
    /// Names of the consumers that clients may see, sorted.
    pub(in crate::jetstream) fn consumer_names(&self) -> Vec<String> {
        let consumers = self.running().consumers.iter();
        let visible = consumers.filter(|consumer| consumer.serves.is_public());
        let mut names: Vec<String> = visible.map(|c| c.name().to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// How many consumers clients may see.
    pub(in crate::jetstream) fn consumer_count(&self) -> usize {
        self.running().public_consumers()
    }

    /// How many consumers count for limits: not those that serve mirrors and sources.
    pub(in crate::jetstream) fn limited_consumers(&self) -> usize {
        self.running().consumers.limited()
    }

    pub(in crate::jetstream) fn has_consumer(&self, name: &str) -> bool {
        self.running().consumer_named(name).is_some()
    }

    /// A consumer's configuration.
    pub(in crate::jetstream) fn consumer_config(&self, name: &str) -> Option<ConsumerConfig> {
        let consumer = self.running().consumer_named(name)?;
        Some(self.state.record_of(consumer)?.config)
    }

    /// All consumers, in no order.
    pub(in crate::jetstream) fn consumers(&self) -> impl Iterator<Item = &RunningConsumer> {
        self.running().consumers.iter().map(|consumer| &**consumer)
    }

    /// The configurations of all consumers by name, in no order. Reads each one: not for what happens often.
    pub(in crate::jetstream) fn consumer_configs(
        &self,
    ) -> impl Iterator<Item = (&str, ConsumerConfig)> {
        self.consumers().filter_map(|consumer| {
            let record = self.state.record_of(consumer)?;
            Some((consumer.name(), record.config))
        })
    }

    /// Name, configuration and state of the consumers that clients may see, for an archive that ends with the sequence `last`.
    pub(in crate::jetstream) fn archived_consumers(
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

    /// The consumer's state.
    pub(in crate::jetstream) fn consumer_info(
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
    pub(in crate::jetstream) fn create_consumer(
        &mut self,
        name: &str,
        config: ConsumerConfig,
        flush: &mut FlushSet,
    ) -> Result<(ConsumerInfo, DurableAt), ApiError> {
        let stream_id = self.target.stream;
        self.state.end_turn(flush);
        self.state.report_removed(stream_id, flush);
        let now = self.state.now;
        let record = ConsumerRecord::encode(now, name, &config);
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
        let key = if config.direct {
            // Its follower asks for another one after a restart.
            store.put_transient_consumer(stream_id, name, &record)
        } else {
            store.put_consumer(stream_id, name, &record, outbox.progress())
        };
        let key = key.map_err(consumer_failed)?;
        store.watch_removed(stream_id, true);
        let target = ConsumerTarget {
            stream: self.target,
            consumer: key,
        };
        let running = RunningConsumer::new(target, state, &config);
        in_service(self.jetstream, stream, running);
        self.state.start_when_durable(stream_id, key);
        self.act(name, Action::Create, flush);
        Ok((info, self.written()))
    }

    /// Replaces a consumer's configuration by a validated update of it.
    pub(in crate::jetstream) fn update_consumer(
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
        Ok((info, self.written()))
    }

    /// Deletes a consumer.
    pub(in crate::jetstream) fn delete_consumer(
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
        Ok(self.written())
    }

    /// Calls `f` with the consumer (unpin, reset) and dispatches it. A reply waits for what is returned. If the log refuses the change, it is in
    /// force all the same, and told as an error: nobody may rely on it.
    pub(in crate::jetstream) fn change_consumer<R>(
        &mut self,
        name: &str,
        flush: &mut FlushSet,
        f: impl FnOnce(&mut Consumer, &mut Context<'_>) -> R,
    ) -> Result<(R, DurableAt), ApiError> {
        let target = self
            .consumer_target(name)
            .ok_or(ApiError::CONSUMER_NOT_FOUND)?;
        let result = self
            .turn_of(target, flush, f)
            .ok_or(ApiError::CONSUMER_NOT_FOUND)?;
        let consumer = self.state.consumer(target);
        if consumer.is_some_and(|consumer| consumer.unlogged.is_some()) {
            return Err(ApiError::consumer_create(CommitLost));
        }
        Ok((result, self.written()))
    }

    fn turn_of<R>(
        &mut self,
        target: ConsumerTarget,
        flush: &mut FlushSet,
        f: impl FnOnce(&mut Consumer, &mut Context<'_>) -> R,
    ) -> Option<R> {
        self.state.end_turn(flush);
        self.state.report_removed(self.target.stream, flush);
        let result = self.state.with_consumer(target, f)?;
        self.state.dispatch(target, flush);
        Some(result)
    }

    /// No deliveries before `until`; `None` or a past time resumes. A reply waits for what is returned.
    pub(in crate::jetstream) fn pause_consumer(
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
            self.turn_of(target, flush, |consumer, ctx| consumer.pause(until, ctx));
        }
        Ok(self.written())
    }

    /// Says that a consumer is paused, if it is.
    pub(in crate::jetstream) fn tell_paused(&self, info: &ConsumerInfo, flush: &mut FlushSet) {
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
}

fn consumer_failed(error: ChangeError) -> ApiError {
    match error {
        ChangeError::Rejected(error) => error,
        error => ApiError::consumer_create(error),
    }
}
