//! A consumer's state as archives of streams keep it: nats-server's terms for what a checkpoint holds.

use jetsled_jetstream_api::{AckPolicy, ConsumerState, PendingAck, SequencePair, StreamSeq};

use crate::checkpoint;
use crate::consumer::Consumer;
use crate::state::{Position, State};

/// An archived state that no consumer can have had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArchivedStateError {
    /// More was acked than delivered.
    #[error("ack floor is beyond what was delivered")]
    FloorBeyondDelivered,
    /// A message waits for its ack that was never delivered, or was acked.
    #[error("pending message {0} is not between ack floor and last delivery")]
    PendingOutside(u64),
}

impl Consumer {
    /// The state for an archive that ends with the stream's sequence `last`. The list with which `last_per_subject` starts is not part
    /// of it.
    #[must_use]
    pub fn archived_state(&self, last: StreamSeq) -> ConsumerState {
        let bounded = |position: Position| SequencePair {
            consumer: position.consumer,
            stream: position.stream.min(last),
        };
        let state = &self.state;
        let pending = || state.pending.iter().filter(|m| m.stream_seq <= last);
        let again = pending()
            .filter(|message| message.deliveries > 1)
            .map(|message| (message.stream_seq, message.deliveries - 1));
        let exhausted = state
            .exhausted
            .iter()
            .filter(|(seq, _)| **seq <= last)
            .map(|(seq, deliveries)| (*seq, deliveries.saturating_sub(1).max(1)));
        ConsumerState {
            delivered: bounded(state.delivered),
            ack_floor: bounded(state.ack_floor),
            pending: pending()
                .map(|message| {
                    let pending = PendingAck {
                        sequence: message.consumer_seq,
                        timestamp: message.since,
                    };
                    (message.stream_seq, pending)
                })
                .collect(),
            redelivered: again
                .chain(exhausted)
                .map(|(seq, count)| (seq, u64::from(count)))
                .collect(),
        }
    }

    /// An archived state as a checkpoint for [`Consumer::recover`].
    ///
    /// # Errors
    /// When no consumer can have had it.
    pub fn checkpoint_of(
        archived: &ConsumerState,
        ack_policy: AckPolicy,
    ) -> Result<Vec<u8>, ArchivedStateError> {
        let position = |pair: SequencePair| Position {
            consumer: pair.consumer,
            stream: pair.stream,
        };
        let mut state = State::new(ack_policy);
        state.delivered = position(archived.delivered);
        state.ack_floor = position(archived.ack_floor);
        // If it lies beyond the stream's end at all, it was told to.
        state.is_ahead = state.delivered.consumer.is_zero();
        if state.ack_floor.stream > state.delivered.stream
            || state.ack_floor.consumer > state.delivered.consumer
        {
            return Err(ArchivedStateError::FloorBeyondDelivered);
        }
        if ack_policy != AckPolicy::None {
            restore_pending(archived, &mut state)?;
        }
        for (seq, count) in &archived.redelivered {
            if !state.pending.contains(*seq) && *seq <= state.delivered.stream {
                state.exhausted.insert(*seq, deliveries(*count));
            }
        }
        let mut bytes = Vec::new();
        checkpoint::encode(&state, &mut bytes);
        Ok(bytes)
    }
}

fn restore_pending(archived: &ConsumerState, state: &mut State) -> Result<(), ArchivedStateError> {
    let mut above = state.ack_floor.consumer;
    for (seq, pending) in &archived.pending {
        let outside = ArchivedStateError::PendingOutside(seq.get());
        if *seq <= state.ack_floor.stream || *seq > state.delivered.stream {
            return Err(outside);
        }
        // In ours both sequences rise together; where a server has renumbered redeliveries, the order of the stream counts.
        let consumer = pending.sequence.max(above.next());
        if consumer > state.delivered.consumer {
            return Err(outside);
        }
        above = consumer;
        let deliveries = archived.redelivered.get(seq).map_or(1, |n| deliveries(*n));
        let at = Position {
            consumer,
            stream: *seq,
        };
        state.restore_pending(at, pending.timestamp, deliveries);
    }
    Ok(())
}

/// Deliveries by the count of those after the first.
fn deliveries(redelivered: u64) -> u32 {
    u32::try_from(redelivered)
        .unwrap_or(u32::MAX)
        .saturating_add(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jetsled_jetstream_api::{ConsumerSeq, Timestamp};

    use super::*;

    fn pair(consumer: u64, stream: u64) -> SequencePair {
        SequencePair {
            consumer: ConsumerSeq(consumer),
            stream: StreamSeq(stream),
        }
    }

    fn archived(pending: &[(u64, u64)], redelivered: &[(u64, u64)]) -> ConsumerState {
        let pending = pending.iter().map(|(stream, consumer)| {
            let pending = PendingAck {
                sequence: ConsumerSeq(*consumer),
                timestamp: Timestamp(1_700_000_000_000_000_000),
            };
            (StreamSeq(*stream), pending)
        });
        ConsumerState {
            delivered: pair(9, 12),
            ack_floor: pair(2, 3),
            pending: pending.collect(),
            redelivered: redelivered
                .iter()
                .map(|(seq, count)| (StreamSeq(*seq), *count))
                .collect::<BTreeMap<_, _>>(),
        }
    }

    fn restored(state: &ConsumerState) -> Result<State, ArchivedStateError> {
        let bytes = Consumer::checkpoint_of(state, AckPolicy::Explicit)?;
        let state = checkpoint::decode(&bytes, AckPolicy::Explicit).unwrap();
        state.validate();
        Ok(state)
    }

    #[test]
    fn what_waits_and_what_is_used_up_comes_back() {
        let state = restored(&archived(&[(5, 4), (12, 9)], &[(5, 2), (7, 3)])).unwrap();
        let pending: Vec<_> = state.pending.iter().collect();
        let numbers: Vec<_> = pending
            .iter()
            .map(|m| (m.stream_seq.get(), m.consumer_seq.get(), m.deliveries))
            .collect();
        assert_eq!(numbers, [(5, 4, 3), (12, 9, 1)]);
        assert_eq!(state.exhausted, BTreeMap::from([(StreamSeq(7), 4)]));
        assert_eq!(state.ack_floor.stream, StreamSeq(3));
    }

    #[test]
    fn renumbered_redeliveries_keep_the_order_of_the_stream() {
        let state = restored(&archived(&[(5, 8), (6, 4)], &[])).unwrap();
        let numbers: Vec<_> = state.pending.iter().map(|m| m.consumer_seq.get()).collect();
        assert_eq!(numbers, [8, 9]);
    }

    #[test]
    fn impossible_states_are_refused() {
        use ArchivedStateError::{FloorBeyondDelivered, PendingOutside};
        let refused = |state: &ConsumerState| restored(state).unwrap_err();
        assert_eq!(refused(&archived(&[(3, 4)], &[])), PendingOutside(3));
        assert_eq!(refused(&archived(&[(13, 4)], &[])), PendingOutside(13));
        assert_eq!(refused(&archived(&[(5, 10)], &[])), PendingOutside(5));
        let mut state = archived(&[], &[]);
        state.ack_floor = pair(10, 3);
        assert_eq!(refused(&state), FloorBeyondDelivered);
    }
}
