//! One stream under its shard's lock: what the API reads and changes.

mod consumers;

use jetsled_jetstream_api::{SourceInfo, StreamConfig, Timestamp};
use jetsled_store::{ChangeError, Purge, Shard, Stream, StreamId};

use super::account::{AccountJetStream, DurableAt, written};
use super::shard::{ShardState, Wait};
use super::stream::RunningStream;
use super::target::StreamTarget;
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
        self.written()
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
        Ok((purged.messages, self.written()))
    }

    /// What was written so far, as what a reply has to wait for.
    pub(super) fn written(&mut self) -> DurableAt {
        let storage = self.config().storage;
        written(self.state, storage)
    }

    /// Removes messages that no consumer needs any more.
    pub(super) fn release_unneeded(&mut self, flush: &mut FlushSet) {
        self.state.release_unneeded(self.target.stream, flush);
    }

    /// Whether anybody would get what is published to `subject`.
    pub(super) fn has_interest(&self, subject: &str) -> bool {
        self.running().account.has_interest(subject.as_bytes())
    }

    /// What to wait for until everything written so far is durable.
    pub(super) fn wait(&mut self) -> Wait {
        self.state.commit_now();
        self.state.wait(self.config().storage)
    }

    fn running(&self) -> &RunningStream {
        &self.state.streams[&self.target.stream]
    }
}
