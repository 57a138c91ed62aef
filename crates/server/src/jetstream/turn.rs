//! A consumer's turn: events, dispatch, and the commands that follow.

use std::cmp::Reverse;
use std::sync::Arc;

use bytes::Bytes;
use jetsled_dispatch::{Command, Consumer, Context, Dispatched, Outbox, RemovedBy, Target as To};
use jetsled_jetstream_api::{AckSubjectWriter, Nanos, StreamSeq, Timestamp};
use jetsled_store::{LogPosition, Removed, Selection, Shard, StreamId};
use smallvec::SmallVec;

use super::advisory;
use super::consumer::RunningConsumer;
use super::deliver::Delivering;
use super::parked::ReplyKind;
use super::reply::{ReplyRoutes, send};
use super::retention::Released;
use super::shard::{ShardHandle, ShardState};
use super::stream::RunningStream;
use super::target::ConsumerTarget;
use super::view::{AccountInterest, Ahead, DurableView};
use crate::routing::{Destination, FlushSet, OutboundMessage, Payload};

/// How often a dispatch may find that a delivery reached nobody before the consumer has to wait for its next event.
const MAX_ROUNDS: usize = 16;

/// Deliveries of a turn behind which their connection's task flushes them: clients are busy with these while the next ones are read.
const SHORT_TURN: u32 = 256;

/// How long a consumer waits before it tries again a destination that has no room.
const RETRY_FULL: Nanos = Nanos(2_000_000);

/// How long what the log has refused waits until it is tried again.
pub(super) const RETRY_REFUSED: Nanos = Nanos::from_secs(1);

/// Buffers of a turn, reused.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) outbox: Outbox,
    pub(super) ahead: Ahead,
    pub(super) reply: Vec<u8>,
    pub(super) replies: ReplyRoutes,
    ack_subject: AckSubjectWriter,
    headers: Vec<u8>,
    /// Where the outbox's deliveries go.
    destinations: Vec<(To, Destination)>,
    undelivered: Vec<(StreamSeq, Option<Bytes>)>,
}

/// A purge by the API, and the subject it was for.
#[derive(Clone, Copy)]
struct Purged<'a> {
    filter: Option<&'a [u8]>,
}

/// What running an outbox's commands left to do.
#[derive(Default)]
struct Outcome {
    /// The consumer was inactive for too long.
    delete: bool,
    /// A destination has no room for more.
    full: bool,
}

/// A consumer that has more to deliver when what it has delivered has been flushed.
pub(crate) struct UnfinishedTurn {
    shard: Arc<ShardHandle>,
    target: ConsumerTarget,
}

impl UnfinishedTurn {
    /// Ends the time in which turns are short, and notes in `flush` who has more to deliver. With the shard locked.
    pub(super) fn keep(shard: &Arc<ShardHandle>, flush: &mut FlushSet) {
        if let Some(target) = flush.end_turns() {
            let shard = Arc::clone(shard);
            flush.finish_later(Self { shard, target });
        }
    }

    /// Delivers more. What is left then is in `flush` again, or waits for the worker.
    pub(crate) fn go_on(self, flush: &mut FlushSet) {
        let Self { shard, target } = self;
        let mut state = shard.lock();
        flush.begin_turns();
        state.dispatch(target, flush);
        state.end_of_batch(flush);
        Self::keep(&shard, flush);
    }
}

impl std::fmt::Debug for UnfinishedTurn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnfinishedTurn")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl ShardState {
    /// Raises an event on a consumer. Its dispatch follows when another consumer's event or the end of the batch comes.
    pub(super) fn raise(
        &mut self,
        target: ConsumerTarget,
        flush: &mut FlushSet,
        event: impl FnOnce(&mut Consumer, &mut Context<'_>),
    ) {
        if self.open_turn != Some(target) {
            self.end_turn(flush);
            self.report_removed(target.stream.stream, flush);
            self.open_turn = Some(target);
        }
        self.with_consumer(target, event);
    }

    /// Dispatches the consumer whose events were raised last.
    pub(super) fn end_turn(&mut self, flush: &mut FlushSet) {
        if let Some(target) = self.open_turn.take() {
            self.dispatch(target, flush);
        }
    }

    /// Calls `f` with the consumer and its context, whose outbox a dispatch must clear before another consumer's turn.
    pub(super) fn with_consumer<R>(
        &mut self,
        target: ConsumerTarget,
        f: impl FnOnce(&mut Consumer, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let stream = self.streams.get_mut(&target.stream.stream)?;
        let consumer = stream.consumers.get_mut(target.consumer)?;
        let mut everything = Selection::everything();
        let selection = consumer.selection.as_deref_mut();
        let selection = selection.unwrap_or(&mut everything);
        let scratch = &mut self.scratch;
        let mut view = DurableView::new(&mut self.store, stream.id, selection, &mut scratch.ahead);
        let mut context = Context {
            view: &mut view,
            interest: &AccountInterest(&stream.account),
            now: self.now,
            out: &mut scratch.outbox,
        };
        Some(f(&mut consumer.state, &mut context))
    }

    /// Lets a consumer deliver one turn's worth and runs its commands. What it has beyond that waits in the ready queue.
    pub(super) fn dispatch(&mut self, target: ConsumerTarget, flush: &mut FlushSet) {
        let Some(started) = self.consumer(target).map(|consumer| consumer.started) else {
            self.scratch.outbox.clear();
            return;
        };
        let mut more = false;
        let mut outcome = Outcome::default();
        for _ in 0..MAX_ROUNDS {
            if flush.has_short_turns() {
                self.scratch.outbox.limit_deliveries(SHORT_TURN);
            }
            if started {
                let dispatched = self.with_consumer(target, Consumer::dispatch);
                more = dispatched == Some(Dispatched::More);
            }
            outcome = self.run_commands(target, flush);
            self.scratch.outbox.clear();
            if self.scratch.undelivered.is_empty() {
                break;
            }
            let mut undelivered = std::mem::take(&mut self.scratch.undelivered);
            for (seq, reply) in undelivered.drain(..) {
                self.with_consumer(target, |consumer, ctx| {
                    consumer.on_not_delivered(seq, reply.as_ref(), ctx);
                });
            }
            self.scratch.undelivered = undelivered;
        }
        if outcome.delete && self.delete_inactive(target, flush) {
            return;
        }
        if more && !outcome.full && flush.goes_on_with(target) {
            more = false;
        }
        self.schedule(target, more, outcome.full);
    }

    /// Queues a consumer for what it has left to do, and for when it wants to be woken.
    fn schedule(&mut self, target: ConsumerTarget, more: bool, full: bool) {
        let retry = self.now.saturating_add(RETRY_FULL);
        let Self {
            store,
            streams,
            ready,
            wakes,
            ..
        } = self;
        let Some(stream) = streams.get_mut(&target.stream.stream) else {
            return;
        };
        stream.consumers.note_waiting(target.consumer);
        let Some(consumer) = stream.consumers.get_mut(target.consumer) else {
            return;
        };
        let mut wake = consumer.state.next_wake();
        if let Some(retry) = consumer.unlogged
            && !store.is_fenced()
        {
            wake = Some(wake.map_or(retry, |wake| wake.min(retry)));
        }
        if more && full {
            wake = Some(wake.map_or(retry, |wake| wake.min(retry)));
        } else if more && !consumer.queued {
            consumer.queued = true;
            ready.push_back(target);
        }
        if let Some(wake) = wake
            && consumer.wake.is_none_or(|queued| wake < queued)
        {
            consumer.wake = Some(wake);
            wakes.push(Reverse((wake, target.stream.stream, target.consumer)));
        }
    }

    pub(super) fn consumer(&self, target: ConsumerTarget) -> Option<&RunningConsumer> {
        self.streams
            .get(&target.stream.stream)?
            .consumers
            .get(target.consumer)
    }

    pub(super) fn consumer_mut(&mut self, target: ConsumerTarget) -> Option<&mut RunningConsumer> {
        self.streams
            .get_mut(&target.stream.stream)?
            .consumers
            .get_mut(target.consumer)
    }

    /// Logs the outbox's progress and runs its commands.
    fn run_commands(&mut self, target: ConsumerTarget, flush: &mut FlushSet) -> Outcome {
        let mut outcome = Outcome::default();
        let Self {
            store,
            streams,
            scratch,
            parked,
            releases,
            latencies,
            now,
            ..
        } = self;
        let Scratch {
            outbox,
            ack_subject,
            headers,
            destinations,
            undelivered,
            ..
        } = scratch;
        let Some(stream) = streams.get(&target.stream.stream) else {
            return outcome;
        };
        let Some(consumer) = stream.consumers.get(target.consumer) else {
            return outcome;
        };
        let was_unlogged = consumer.unlogged;
        if outbox.is_empty() && was_unlogged.is_none() {
            return outcome;
        }
        let logged = log_progress(store, stream, consumer, outbox, *now);
        let durable_later = matches!(logged, Ok(Some(_)));
        // An ack that changes nothing repeats one whose record may still be on its way to the disk.
        let confirmed_later =
            durable_later || !stream.in_memory() && store.durable() < store.position();
        let mut someone_waits = false;
        destinations.clear();
        ack_subject.begin(consumer.ack_prefix());
        let mut delivering = Delivering {
            stream,
            consumer,
            outbox,
            ack_subject,
            headers,
            destinations,
            undelivered,
            latency: &mut latencies.delivery,
            now: *now,
        };
        let mut commands = outbox.commands();
        while let [command, behind @ ..] = commands {
            let mut rest = behind;
            match command {
                Command::Deliver(_) => {
                    let delivered = delivering.deliver(store, commands, flush);
                    rest = &commands[delivered..];
                }
                Command::Status { to, status } => {
                    let block = status.header_block();
                    let message = OutboundMessage {
                        subject: to,
                        deliver_as: to,
                        reply: status.reply().map_or(&b""[..], |reply| reply),
                        headers: &block,
                        payload: Payload::Borrowed(b""),
                    };
                    stream.account.deliver(&message, flush);
                }
                Command::AckReply { to } if logged.is_ok() && confirmed_later => {
                    someone_waits = true;
                    parked.reply(&stream.account, to, ReplyKind::Ack, |_| {});
                }
                Command::AckReply { to } if logged.is_ok() => {
                    send(&stream.account, to, b"", flush);
                }
                // An ack that could not be logged is not confirmed, nor one that changes nothing while the log is behind: the client asks
                // again or gets the message again.
                Command::AckReply { .. } => {}
                Command::Advisory(event) => {
                    advisory::consumer_event(event, stream, consumer, flush)
                }
                Command::Release { first, last } => releases.push(Released {
                    stream: stream.id,
                    first: *first,
                    last: *last,
                }),
                Command::DeleteInactive => outcome.delete = true,
            }
            commands = rest;
        }
        for (_, destination) in &mut scratch.destinations {
            destination.count_deliveries();
        }
        outcome.full = match scratch.destinations.as_slice() {
            [(_, only)] => !only.keeps_up(flush),
            several => several.iter().any(|(_, to)| !to.has_room(flush)),
        };
        let unlogged = logged.err();
        if unlogged != was_unlogged
            && let Some(consumer) = self.consumer_mut(target)
        {
            consumer.unlogged = unlogged;
        }
        if someone_waits {
            self.commit_now();
        } else if durable_later {
            self.commit_soon();
        }
        outcome
    }

    /// Logs and runs what is in the outbox without a dispatch: the consumer is about to go.
    pub(super) fn run_last_commands(&mut self, target: ConsumerTarget, flush: &mut FlushSet) {
        self.run_commands(target, flush);
        self.scratch.outbox.clear();
        self.scratch.undelivered.clear();
    }

    /// Tells the stream's consumers what left the stream. Comes before any other event on them.
    pub(super) fn report_removed(&mut self, stream: StreamId, flush: &mut FlushSet) {
        self.tell_removed(stream, None, flush);
    }

    /// Tells the stream's consumers of a purge that has just been done, of all subjects or of those that match `filter`.
    pub(super) fn report_purged(
        &mut self,
        stream: StreamId,
        filter: Option<&[u8]>,
        flush: &mut FlushSet,
    ) {
        self.tell_removed(stream, Some(Purged { filter }), flush);
    }

    fn tell_removed(&mut self, stream: StreamId, purge: Option<Purged<'_>>, flush: &mut FlushSet) {
        let mut removed = std::mem::take(&mut self.removed);
        self.store.take_removed(stream, &mut removed);
        if !removed.is_empty() {
            let below = removed.iter().any(|r| matches!(r, Removed::Below(_)));
            let by = if purge.is_some() {
                RemovedBy::Purge
            } else {
                RemovedBy::Limit
            };
            for target in self.consumers_of(stream) {
                self.with_consumer(target, |consumer, ctx| {
                    consumer.on_removed(removed.iter().filter_map(single), by, ctx);
                    if below {
                        consumer.on_purged(None, ctx);
                    } else if let Some(purge) = purge {
                        consumer.on_purged(purge.filter, ctx);
                    }
                });
                self.dispatch(target, flush);
            }
        }
        removed.clear();
        self.removed = removed;
    }

    /// Shows a stream's new messages to its consumers.
    pub(super) fn show_new_messages(&mut self, stream: StreamId, flush: &mut FlushSet) {
        self.report_removed(stream, flush);
        // The one whose events were raised last is dispatched after them.
        let open = self
            .open_turn
            .filter(|open| open.stream.stream == stream)
            .map(|open| open.consumer);
        let Some(stream) = self.streams.get_mut(&stream) else {
            return;
        };
        if cfg!(debug_assertions) {
            stream.consumers.validate_waiting(open);
        }
        let concerned: SmallVec<[ConsumerTarget; 8]> = stream
            .consumers
            .take_concerned()
            .map(|consumer| consumer.target)
            .collect();
        for target in concerned {
            self.dispatch(target, flush);
        }
    }

    /// The server stops: tells all who wait for messages.
    pub(super) fn end_pull_requests(&mut self, flush: &mut FlushSet) {
        self.end_turn(flush);
        let streams: Vec<StreamId> = self.streams.keys().copied().collect();
        for stream in streams {
            for target in self.consumers_of(stream) {
                self.with_consumer(target, Consumer::on_shutdown);
                self.run_last_commands(target, flush);
            }
        }
        flush.enqueue();
    }

    pub(super) fn consumers_of(&self, stream: StreamId) -> SmallVec<[ConsumerTarget; 8]> {
        let streams = self.streams.get(&stream).into_iter();
        let consumers = streams.flat_map(|stream| stream.consumers.iter());
        consumers.map(|consumer| consumer.target).collect()
    }
}

fn single(removed: &Removed) -> Option<jetsled_dispatch::Removed<'_>> {
    match removed {
        Removed::Message { seq, subject, .. } => {
            Some(jetsled_dispatch::Removed { seq: *seq, subject })
        }
        Removed::Below(_) => None,
    }
}

/// Logs what the outbox says must survive; all of the consumer's state once progress was refused, since what comes behind that tells nothing of it.
/// `Ok(None)`: nothing to wait for. An error is when to try again.
#[inline]
fn log_progress(
    store: &mut Shard,
    stream: &RunningStream,
    consumer: &RunningConsumer,
    outbox: &mut Outbox,
    now: Timestamp,
) -> Result<Option<LogPosition>, Timestamp> {
    if let Some(retry) = consumer.unlogged {
        return log_state(store, consumer, retry, now);
    }
    let progress = outbox.progress();
    if progress.is_empty() {
        return Ok(None);
    }
    store
        .log_progress(consumer.key(), progress)
        .map_err(|error| {
            tracing::error!(
                "JetStream consumer '{} > {} > {}' can not log its progress: {error}",
                stream.account.name(),
                stream.config.name,
                consumer.name(),
            );
            now.saturating_add(RETRY_REFUSED)
        })
}

#[cold]
fn log_state(
    store: &mut Shard,
    consumer: &RunningConsumer,
    retry: Timestamp,
    now: Timestamp,
) -> Result<Option<LogPosition>, Timestamp> {
    if now < retry || store.is_fenced() {
        return Err(retry);
    }
    let mut state = Vec::new();
    consumer.state.encode_checkpoint(&mut state);
    // Why it is refused was said the first time.
    store
        .log_consumer_state(consumer.key(), &state)
        .map_err(|_| now.saturating_add(RETRY_REFUSED))
}
