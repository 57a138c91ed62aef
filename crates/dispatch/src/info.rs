//! A consumer's state as the API reports it.

use jetsled_jetstream_api::{
    ConsumerConfig, ConsumerInfo, Nanos, PriorityGroupState, SequenceInfo, Timestamp,
};

use crate::consumer::{Consumer, Mode};
use crate::delivery::AtEnd;
use crate::event::Context;
use crate::state::Position;

impl Consumer {
    /// The state as the API reports it, with the configuration that the consumer was given last (`cluster` not included). Drops requests that expired or lost their interest.
    pub fn info(&mut self, config: ConsumerConfig, ctx: &mut Context<'_>) -> ConsumerInfo {
        self.num_pending
            .refresh(ctx.view, &self.rules.filter, self.next);
        self.review_requests(AtEnd::No, ctx);
        self.refresh_interest(ctx);
        let paused_until = self.paused_until.filter(|until| *until > ctx.now);
        let num_redelivered = if self.rules.max_deliver == 1 {
            0
        } else {
            self.state.num_redelivered()
        };
        let (num_waiting, push_bound) = match &self.mode {
            Mode::Pull(pull) => (pull.queue.len() as u64, false),
            Mode::Push(push) => (0, push.active),
        };
        ConsumerInfo {
            stream: self.identity.stream.name.clone(),
            name: self.identity.name().to_owned(),
            created: self.identity.created,
            delivered: sequence_info(self.state.delivered, self.state.last_delivered),
            ack_floor: sequence_info(self.state.ack_floor, self.state.last_acked),
            num_ack_pending: self.state.pending.len() as u64,
            num_redelivered: num_redelivered as u64,
            num_waiting,
            num_pending: self.num_pending.get(),
            cluster: None,
            push_bound,
            paused: paused_until.is_some(),
            pause_remaining: paused_until.map_or(Nanos::ZERO, |until| until.since(ctx.now)),
            timestamp: ctx.now,
            priority_groups: self.priority_groups(&config),
            config,
        }
    }

    /// Only the first group is tracked.
    fn priority_groups(&self, config: &ConsumerConfig) -> Vec<PriorityGroupState> {
        let pinned = self.pull().and_then(|pull| pull.pin.current());
        config
            .priority_groups
            .iter()
            .take(1)
            .map(|group| PriorityGroupState {
                group: group.clone(),
                pinned_client_id: pinned.map(|pinned| pinned.id.clone()).unwrap_or_default(),
                pinned_since: pinned.map_or(Timestamp::UNSET, |pinned| pinned.since),
            })
            .collect()
    }
}

fn sequence_info(position: Position, last_active: Option<Timestamp>) -> SequenceInfo {
    SequenceInfo {
        consumer_seq: position.consumer,
        stream_seq: position.stream,
        last_active,
    }
}
