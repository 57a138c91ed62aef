//! The whole durable state in one value.
//!
//! A version byte, then varints: delivered and ack floor (consumer and stream sequence each), the times of the last delivery
//! and ack (0, or 1 and signed milliseconds), the pending messages (count; for each the steps of both sequences to the
//! entry before, signed milliseconds to the entry before, deliveries), the exhausted ones (count; step, deliveries), and the
//! skip list (0, or 1, where to resume, and the sequences; 2 is none, of a consumer that was told to start beyond the stream's end).

use jetsled_jetstream_api::{AckPolicy, ConsumerSeq, StreamSeq, Timestamp};

use crate::progress::{from_millis, millis, put_ascending, read_ascending};
use crate::state::{Position, SkipList, State};
use crate::varint::{Damaged, Reader, put, put_signed};

/// Why a checkpoint cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Damaged(Damaged),
    Version(u8),
}

impl From<Damaged> for Unreadable {
    fn from(damaged: Damaged) -> Self {
        Self::Damaged(damaged)
    }
}

/// The format that [`encode`] writes and [`decode`] knows.
pub(crate) const VERSION: u8 = 1;

/// What stands before a skip list, or in its place.
const NO_LIST: u64 = 0;
const LIST: u64 = 1;
const AHEAD: u64 = 2;

pub(crate) fn encode(state: &State, to: &mut Vec<u8>) {
    to.push(VERSION);
    for position in [state.delivered, state.ack_floor] {
        put(to, position.consumer.get());
        put(to, position.stream.get());
    }
    for time in [state.last_delivered, state.last_acked] {
        put(to, u64::from(time.is_some()));
        if let Some(time) = time {
            put_signed(to, millis(time));
        }
    }
    put(to, state.pending.len() as u64);
    let mut before = (state.ack_floor, 0_i64);
    for message in state.pending.iter() {
        let (position, time) = before;
        let since = millis(message.since);
        put(to, message.stream_seq.get() - position.stream.get());
        put(to, message.consumer_seq.get() - position.consumer.get());
        put_signed(to, since.wrapping_sub(time));
        put(to, u64::from(message.deliveries));
        let position = Position {
            consumer: message.consumer_seq,
            stream: message.stream_seq,
        };
        before = (position, since);
    }
    put(to, state.exhausted.len() as u64);
    let mut before = 0;
    for (seq, deliveries) in &state.exhausted {
        put(to, seq.get() - before);
        put(to, u64::from(*deliveries));
        before = seq.get();
    }
    match &state.skip_list {
        None => put(to, if state.is_ahead { AHEAD } else { NO_LIST }),
        Some(list) => {
            put(to, LIST);
            put(to, list.resume.get());
            put_ascending(to, list.seqs.iter());
        }
    }
}

/// Entry point for the fuzz target; no part of the interface.
#[doc(hidden)]
pub fn decode_checkpoint(bytes: &[u8]) {
    for ack_policy in [AckPolicy::None, AckPolicy::All, AckPolicy::Explicit] {
        if let Ok(state) = decode(bytes, ack_policy) {
            let mut encoded = Vec::new();
            encode(&state, &mut encoded);
            assert!(decode(&encoded, ack_policy).is_ok());
        }
    }
}

pub(crate) fn decode(bytes: &[u8], ack_policy: AckPolicy) -> Result<State, Unreadable> {
    let mut reader = Reader::new(bytes);
    let version = reader.byte()?;
    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    let reader = &mut reader;
    let mut state = State::new(ack_policy);
    state.delivered = read_position(reader)?;
    state.ack_floor = read_position(reader)?;
    state.last_delivered = read_time(reader)?;
    state.last_acked = read_time(reader)?;
    read_pending(reader, &mut state)?;
    read_exhausted(reader, &mut state)?;
    let damaged = reader.damaged();
    match reader.number()? {
        NO_LIST => {}
        LIST => {
            let resume = StreamSeq(reader.number()?);
            let seqs = read_ascending(reader)?;
            if seqs
                .first()
                .is_none_or(|first| *first <= state.delivered.stream)
            {
                return Err(damaged.into());
            }
            let seqs = seqs.into();
            state.skip_list = Some(Box::new(SkipList { resume, seqs }));
        }
        AHEAD => state.is_ahead = true,
        _ => return Err(damaged.into()),
    }
    let floor_fits = state.ack_floor.stream <= state.delivered.stream
        && state.ack_floor.consumer <= state.delivered.consumer;
    if !floor_fits || !reader.is_empty() {
        return Err(reader.damaged().into());
    }
    Ok(state)
}

fn read_position(reader: &mut Reader<'_>) -> Result<Position, Damaged> {
    let damaged = reader.damaged();
    let position = Position {
        consumer: ConsumerSeq(reader.number()?),
        stream: StreamSeq(reader.number()?),
    };
    if position.consumer.get() == u64::MAX || position.stream.get() == u64::MAX {
        return Err(damaged);
    }
    Ok(position)
}

fn read_time(reader: &mut Reader<'_>) -> Result<Option<Timestamp>, Damaged> {
    if reader.number()? == 0 {
        Ok(None)
    } else {
        Ok(Some(from_millis(reader.signed()?)))
    }
}

fn read_pending(reader: &mut Reader<'_>, state: &mut State) -> Result<(), Damaged> {
    let count = reader.number()?;
    let mut at = state.ack_floor;
    let mut since = 0_i64;
    for _ in 0..count {
        let damaged = reader.damaged();
        at.stream = StreamSeq(step(reader, at.stream.get())?);
        at.consumer = ConsumerSeq(step(reader, at.consumer.get())?);
        since = since.wrapping_add(reader.signed()?);
        let deliveries = u32::try_from(reader.number()?).map_err(|_| damaged)?;
        let was_delivered =
            at.stream <= state.delivered.stream && at.consumer <= state.delivered.consumer;
        if !was_delivered || state.ack_policy == AckPolicy::None {
            return Err(damaged);
        }
        state.restore_pending(at, from_millis(since), deliveries);
    }
    Ok(())
}

fn read_exhausted(reader: &mut Reader<'_>, state: &mut State) -> Result<(), Damaged> {
    let count = reader.number()?;
    let mut seq = 0;
    for _ in 0..count {
        let damaged = reader.damaged();
        seq = step(reader, seq)?;
        let deliveries = u32::try_from(reader.number()?).map_err(|_| damaged)?;
        if state.pending.contains(StreamSeq(seq)) {
            return Err(damaged);
        }
        state.exhausted.insert(StreamSeq(seq), deliveries);
    }
    Ok(())
}

/// Reads the distance to the next higher number.
fn step(reader: &mut Reader<'_>, from: u64) -> Result<u64, Damaged> {
    let damaged = reader.damaged();
    let step = reader.number()?;
    from.checked_add(step).filter(|_| step > 0).ok_or(damaged)
}
