//! `o.dat`: what a consumer has delivered and what was acked.

use jetsled_jetstream_api::{
    ConsumerSeq, ConsumerState, PendingAck, SequencePair, StreamSeq, Timestamp,
};

use crate::entry::{unzigzag, uvarint};

const MAGIC: u8 = 22;
const NANOS_A_SECOND: i64 = 1_000_000_000;

/// Reads a state, of the old or the new version; `None` if it makes no sense. Nothing at all is a consumer that has delivered nothing.
#[must_use]
pub fn decode_consumer_state(bytes: &[u8]) -> Option<ConsumerState> {
    if bytes.is_empty() {
        return Some(ConsumerState::default());
    }
    let (front, mut rest) = bytes.split_first_chunk()?;
    let [MAGIC, version @ 1..=2] = *front else {
        return None;
    };
    let from = &mut rest;
    let mut number = || uvarint(from).ok();
    let (floor_consumer, floor_stream) = (number()?, number()?);
    let (mut consumer, mut stream) = (number()?, number()?);
    if version == 1 {
        if floor_consumer > 1 {
            consumer = consumer.checked_add(floor_consumer - 1)?;
        }
        if floor_stream > 1 {
            stream = stream.checked_add(floor_stream - 1)?;
        }
    }
    let mut state = ConsumerState {
        delivered: pair(consumer, stream),
        ack_floor: pair(floor_consumer, floor_stream),
        ..ConsumerState::default()
    };
    let pending = number()?;
    let base = if pending > 0 { unzigzag(number()?) } else { 0 };
    for _ in 0..pending {
        let seq = floor_stream.wrapping_add(number()?);
        let sequence = match version {
            1 => 0,
            _ => floor_consumer.wrapping_add(number()?),
        };
        let since = unzigzag(number()?);
        let seconds = match version {
            1 => base.checked_add(since)?,
            _ => base.checked_sub(since)?,
        };
        let pending = PendingAck {
            sequence: ConsumerSeq(sequence),
            timestamp: Timestamp(seconds.checked_mul(NANOS_A_SECOND)?),
        };
        // What was acked since is not above the floor.
        if seq > floor_stream {
            state.pending.insert(StreamSeq(seq), pending);
        }
    }
    for _ in 0..number()? {
        let seq = floor_stream.wrapping_add(number()?);
        let count = number()?;
        if seq > floor_stream && count > 0 {
            state.redelivered.insert(StreamSeq(seq), count);
        }
    }
    Some(state)
}

fn pair(consumer: u64, stream: u64) -> SequencePair {
    SequencePair {
        consumer: ConsumerSeq(consumer),
        stream: StreamSeq(stream),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_state_of_each_version_is_read() {
        // Floor 4/13, delivered 13/21, base 100 s; 14 and 18 pending, 18 delivered twice.
        let bytes = [22, 2, 4, 13, 13, 21, 2, 200, 1, 1, 1, 10, 5, 6, 0, 1, 5, 1];
        let state = decode_consumer_state(&bytes).expect("a state");
        assert_eq!(
            (state.delivered, state.ack_floor),
            (pair(13, 21), pair(4, 13))
        );
        let pending: Vec<_> = state
            .pending
            .iter()
            .map(|(seq, p)| (seq.get(), p.sequence.get(), p.timestamp.0 / NANOS_A_SECOND))
            .collect();
        assert_eq!(pending, [(14, 5, 95), (18, 10, 100)]);
        assert_eq!(state.redelivered[&StreamSeq(18)], 1);
        let bytes = [22, 1, 4, 13, 10, 9, 1, 200, 1, 1, 10, 0];
        let state = decode_consumer_state(&bytes).expect("a state");
        assert_eq!(state.delivered, pair(13, 21));
        assert_eq!(
            state.pending[&StreamSeq(14)].timestamp.0 / NANOS_A_SECOND,
            105
        );
        assert_eq!(decode_consumer_state(b""), Some(ConsumerState::default()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), version in 0_u8..4) {
            let _ = decode_consumer_state(&[&[MAGIC, version][..], &bytes].concat());
        }
    }
}
