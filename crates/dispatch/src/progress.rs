//! Progress records: the changes of a consumer's state that go to the log, a few bytes for a run of messages.
//!
//! A record is a sequence of operations, each a tag byte and varints. Stream sequences are differences to the last one that
//! the record named (from 0), times are milliseconds since the epoch that hold for what follows. Records start from nothing, so
//! each can be read alone; their order matters and each counts once.

use jetsled_jetstream_api::{ConsumerSeq, StreamSeq, Timestamp};

use crate::varint::{self, Damaged, Reader};

/// One change of the durable state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// The consumer starts (or restarts) with this stream sequence as its next, beyond the stream's end if it was told so.
    Start { next: StreamSeq, is_ahead: bool },
    /// `last_per_subject` first delivers these, then what comes after `resume`. Follows `Start`.
    SkipList {
        resume: StreamSeq,
        seqs: Vec<StreamSeq>,
    },
    /// First deliveries of consecutive messages.
    Delivered {
        first: StreamSeq,
        count: u64,
        at: Timestamp,
    },
    /// Another delivery.
    Redelivered { seq: StreamSeq, at: Timestamp },
    /// The last delivery reached nobody.
    NotDelivered { seq: StreamSeq },
    /// Consecutive messages were acked, each by itself.
    Acked {
        first: StreamSeq,
        count: u64,
        at: Timestamp,
    },
    /// Everything up to this delivery was acked.
    AckedThrough {
        seq: StreamSeq,
        consumer_seq: ConsumerSeq,
        at: Timestamp,
    },
    /// No more deliveries: `max_deliver`.
    Exhausted { seq: StreamSeq },
    /// The ack timer started anew (in progress, delayed nak).
    Since { seq: StreamSeq, since: Timestamp },
    /// The stream starts at `first` now.
    Purged { first: StreamSeq },
    /// Nothing up to this was left to deliver.
    Passed { seq: StreamSeq },
    /// The stream ends at `last`, before what this consumer has seen.
    Clamped { last: StreamSeq },
}

const START: u8 = 1;
const SKIP_LIST: u8 = 2;
const TIME: u8 = 3;
const DELIVERED: u8 = 4;
const REDELIVERED: u8 = 5;
const NOT_DELIVERED: u8 = 6;
const ACKED: u8 = 7;
const ACKED_THROUGH: u8 = 8;
const EXHAUSTED: u8 = 9;
const SINCE: u8 = 10;
const PURGED: u8 = 11;
const CLAMPED: u8 = 12;
const PASSED: u8 = 13;
const START_AHEAD: u8 = 14;

/// The longest run in one operation, so that damage cannot ask for much work.
const MAX_RUN: u64 = 1 << 20;

/// Builds one record.
#[derive(Debug, Default)]
pub(crate) struct ProgressWriter {
    bytes: Vec<u8>,
    run: Option<Run>,
    last_seq: u64,
    now: Option<Timestamp>,
    written_millis: Option<i64>,
}

/// Consecutive messages of which the same is said.
#[derive(Debug, Clone, Copy)]
struct Run {
    tag: u8,
    first: u64,
    count: u64,
}

impl ProgressWriter {
    pub(crate) fn start(&mut self, next: StreamSeq, is_ahead: bool) {
        self.close_run();
        self.bytes.push(if is_ahead { START_AHEAD } else { START });
        varint::put(&mut self.bytes, next.get());
    }

    pub(crate) fn skip_list<'s>(
        &mut self,
        resume: StreamSeq,
        seqs: impl ExactSizeIterator<Item = &'s StreamSeq>,
    ) {
        self.close_run();
        self.bytes.push(SKIP_LIST);
        varint::put(&mut self.bytes, resume.get());
        put_ascending(&mut self.bytes, seqs);
    }

    #[inline]
    pub(crate) fn delivered(&mut self, seq: StreamSeq, now: Timestamp) {
        self.time(now);
        self.extend_run(DELIVERED, seq.get());
    }

    #[inline]
    pub(crate) fn acked(&mut self, seq: StreamSeq, now: Timestamp) {
        self.time(now);
        self.extend_run(ACKED, seq.get());
    }

    pub(crate) fn redelivered(&mut self, seq: StreamSeq, now: Timestamp) {
        self.time(now);
        self.single(REDELIVERED, seq);
    }

    pub(crate) fn not_delivered(&mut self, seq: StreamSeq) {
        self.single(NOT_DELIVERED, seq);
    }

    pub(crate) fn acked_through(
        &mut self,
        seq: StreamSeq,
        consumer_seq: ConsumerSeq,
        now: Timestamp,
    ) {
        self.time(now);
        self.single(ACKED_THROUGH, seq);
        varint::put(&mut self.bytes, consumer_seq.get());
    }

    pub(crate) fn exhausted(&mut self, seq: StreamSeq) {
        self.single(EXHAUSTED, seq);
    }

    pub(crate) fn since(&mut self, seq: StreamSeq, since: Timestamp) {
        self.single(SINCE, seq);
        varint::put_signed(&mut self.bytes, millis(since));
    }

    pub(crate) fn purged(&mut self, first: StreamSeq) {
        self.single(PURGED, first);
    }

    pub(crate) fn passed(&mut self, seq: StreamSeq) {
        self.single(PASSED, seq);
    }

    pub(crate) fn clamped(&mut self, last: StreamSeq) {
        self.single(CLAMPED, last);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.run.is_none()
    }

    /// The record; more may follow in it.
    pub(crate) fn finish(&mut self) -> &[u8] {
        self.close_run();
        &self.bytes
    }

    pub(crate) fn clear(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        *self = Self {
            bytes,
            ..Self::default()
        };
    }

    #[inline]
    fn time(&mut self, now: Timestamp) {
        if self.now != Some(now) {
            self.set_time(now);
        }
    }

    fn set_time(&mut self, now: Timestamp) {
        self.now = Some(now);
        let millis = millis(now);
        if self.written_millis != Some(millis) {
            self.close_run();
            self.written_millis = Some(millis);
            self.bytes.push(TIME);
            varint::put_signed(&mut self.bytes, millis);
        }
    }

    #[inline]
    fn extend_run(&mut self, tag: u8, seq: u64) {
        if let Some(run) = &mut self.run
            && run.tag == tag
            && run.first + run.count == seq
            && run.count < MAX_RUN
        {
            run.count += 1;
            return;
        }
        self.close_run();
        self.run = Some(Run {
            tag,
            first: seq,
            count: 1,
        });
    }

    fn close_run(&mut self) {
        if let Some(run) = self.run.take() {
            self.bytes.push(run.tag);
            self.seq(run.first);
            varint::put(&mut self.bytes, run.count);
            self.last_seq = run.first.wrapping_add(run.count);
        }
    }

    fn single(&mut self, tag: u8, seq: StreamSeq) {
        self.close_run();
        self.bytes.push(tag);
        self.seq(seq.get());
    }

    fn seq(&mut self, seq: u64) {
        varint::put_signed(&mut self.bytes, seq.wrapping_sub(self.last_seq) as i64);
        self.last_seq = seq;
    }
}

/// Reads a record and hands on each change.
pub(crate) fn read(bytes: &[u8], mut change: impl FnMut(Change)) -> Result<(), Damaged> {
    let mut reader = Reader::new(bytes);
    let mut last_seq = 0_u64;
    let mut at = Timestamp::EPOCH;
    while !reader.is_empty() {
        let damaged = reader.damaged();
        let tag = reader.byte()?;
        let mut seq = |reader: &mut Reader<'_>| {
            let damaged = reader.damaged();
            last_seq = last_seq.wrapping_add(reader.signed()? as u64);
            // No message has the last of all numbers: one more follows each.
            if last_seq == u64::MAX {
                return Err(damaged);
            }
            Ok(StreamSeq(last_seq))
        };
        match tag {
            START | START_AHEAD => change(Change::Start {
                next: StreamSeq(reader.number()?),
                is_ahead: tag == START_AHEAD,
            }),
            SKIP_LIST => change(Change::SkipList {
                resume: StreamSeq(reader.number()?),
                seqs: read_ascending(&mut reader)?,
            }),
            TIME => at = from_millis(reader.signed()?),
            DELIVERED | ACKED => {
                let first = seq(&mut reader)?;
                let count = reader.number()?;
                if count == 0 || count > MAX_RUN || first.get().checked_add(count).is_none() {
                    return Err(damaged);
                }
                last_seq = first.get() + count;
                change(if tag == DELIVERED {
                    Change::Delivered { first, count, at }
                } else {
                    Change::Acked { first, count, at }
                });
            }
            REDELIVERED => change(Change::Redelivered {
                seq: seq(&mut reader)?,
                at,
            }),
            NOT_DELIVERED => change(Change::NotDelivered {
                seq: seq(&mut reader)?,
            }),
            ACKED_THROUGH => change(Change::AckedThrough {
                seq: seq(&mut reader)?,
                consumer_seq: ConsumerSeq(reader.number()?),
                at,
            }),
            EXHAUSTED => change(Change::Exhausted {
                seq: seq(&mut reader)?,
            }),
            SINCE => change(Change::Since {
                seq: seq(&mut reader)?,
                since: from_millis(reader.signed()?),
            }),
            PURGED => change(Change::Purged {
                first: seq(&mut reader)?,
            }),
            PASSED => change(Change::Passed {
                seq: seq(&mut reader)?,
            }),
            CLAMPED => change(Change::Clamped {
                last: seq(&mut reader)?,
            }),
            _ => return Err(damaged),
        }
    }
    Ok(())
}

/// Appends a list of ascending sequences.
pub(crate) fn put_ascending<'s>(
    to: &mut Vec<u8>,
    seqs: impl ExactSizeIterator<Item = &'s StreamSeq>,
) {
    varint::put(to, seqs.len() as u64);
    let mut last = 0;
    for seq in seqs {
        varint::put(to, seq.get().wrapping_sub(last));
        last = seq.get();
    }
}

/// Reads what [`put_ascending`] wrote.
pub(crate) fn read_ascending(reader: &mut Reader<'_>) -> Result<Vec<StreamSeq>, Damaged> {
    let count = reader.number()?;
    let mut seqs = Vec::new();
    let mut last = 0_u64;
    for _ in 0..count {
        let damaged = reader.damaged();
        let step = reader.number()?;
        last = last.checked_add(step).filter(|_| step > 0).ok_or(damaged)?;
        seqs.push(StreamSeq(last));
    }
    Ok(seqs)
}

/// Milliseconds since the epoch: what state on disk needs of a time.
pub(crate) fn millis(time: Timestamp) -> i64 {
    time.as_nanos().div_euclid(NANOS_PER_MILLI)
}

/// The time of [`millis`].
pub(crate) fn from_millis(millis: i64) -> Timestamp {
    Timestamp(millis.saturating_mul(NANOS_PER_MILLI).max(i64::MIN + 1))
}

const NANOS_PER_MILLI: i64 = 1_000_000;
