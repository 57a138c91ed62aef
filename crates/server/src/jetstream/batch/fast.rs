//! Fast-ingest batches of a stream: messages that are stored as they come, acknowledged now and then (ADR-50).

use std::sync::Arc;

use hashbrown::HashMap;
use jetsled_jetstream_api::fast_reply::{FastOperation, FastReply};
use jetsled_jetstream_api::{ApiError, BatchFlow, StreamSeq, Timestamp};
use smallvec::SmallVec;

use super::limits::{BatchKind, BatchLimits, InFlight};

/// The batches in flight, by their ids.
#[derive(Debug, Default)]
pub(super) struct FastBatches {
    batches: HashMap<Box<[u8]>, FastBatch>,
}

#[derive(Debug)]
struct FastBatch {
    /// The sequence in the batch that came last.
    last: u64,
    /// The last one that was dealt with.
    settled: u64,
    /// The last one that was acknowledged.
    acked: u64,
    /// Under which the last message was stored; 0 without one.
    stream_seq: StreamSeq,
    /// Messages between two acks.
    ack_every: u16,
    /// The publisher wants no more than these.
    max_ack_every: u16,
    gap_ok: bool,
    deadline: Timestamp,
    _in_flight: InFlight,
}

/// What the publisher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Flow(BatchFlow),
    /// The batch has ended with so many messages.
    Ended {
        seq: StreamSeq,
        count: u64,
    },
    /// The only message of the batch was stored before.
    Duplicate {
        seq: StreamSeq,
        count: u64,
    },
    /// As a single message would be refused.
    Refused(ApiError),
}

pub(super) type Answers = SmallVec<[Answer; 2]>;

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Store it, and tell [`FastBatches::settle`] what came of it.
    Store,
    Nothing,
}

/// What came of a message that was to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Stored(StreamSeq),
    Duplicate(StreamSeq),
    Refused(ApiError),
}

/// The longest id.
const MAX_ID: usize = 64;
/// Messages between two acks that all publishers of a stream share.
const SHARED_FLOW: u16 = 500;

impl FastBatches {
    /// Takes a message; `level_too_high`: it asks for a higher API level; `wants_start`: its publisher is to hear of the flow
    /// at the start.
    pub(super) fn receive(
        &mut self,
        message: &FastReply<'_>,
        (level_too_high, wants_start): (bool, bool),
        limits: &Arc<BatchLimits>,
        now: Timestamp,
        answers: &mut Answers,
    ) -> Next {
        if let Err(error) = self.admit(message, limits) {
            answers.push(Answer::Refused(error));
            return Next::Nothing;
        }
        if level_too_high {
            self.batches.remove(message.id);
            answers.push(Answer::Refused(ApiError::REQUIRED_API_LEVEL));
            return Next::Nothing;
        }
        let publishers = self.batches.len();
        let Some(batch) = self.batches.get_mut(message.id) else {
            return Next::Nothing;
        };
        batch.deadline = now.saturating_add(limits.timeout);
        if message.operation == FastOperation::Ping {
            let ended = batch.ping(message.seq, publishers, answers);
            self.remove_if(ended, message.id);
            return Next::Nothing;
        }
        let next = batch.last + 1;
        if message.seq != next {
            answers.push(Answer::Flow(BatchFlow::Gap {
                expected: next,
                seq: message.seq,
            }));
        }
        if message.seq < next || (message.seq > next && !batch.gap_ok) {
            answers.push(batch.end());
            self.batches.remove(message.id);
            return Next::Nothing;
        }
        batch.last = message.seq;
        if message.operation == FastOperation::EndOfBatch {
            batch.last -= 1;
            answers.push(batch.end());
            self.batches.remove(message.id);
            return Next::Nothing;
        }
        if message.seq == 1 && wants_start && message.operation == FastOperation::Append {
            answers.push(Answer::Flow(BatchFlow::Ack {
                seq: 0,
                msgs: batch.ack_every,
            }));
        }
        Next::Store
    }

    /// Notes what came of the message that [`FastBatches::receive`] wanted to be stored.
    pub(super) fn settle(
        &mut self,
        message: &FastReply<'_>,
        outcome: Outcome,
        answers: &mut Answers,
    ) {
        let publishers = self.batches.len();
        let Some(batch) = self.batches.get_mut(message.id) else {
            return;
        };
        let commits = message.operation == FastOperation::Commit;
        let alone = !batch.gap_ok && batch.last == 1;
        let ended = match outcome {
            Outcome::Stored(seq) => {
                batch.stream_seq = seq;
                batch.settled = batch.last;
                if commits {
                    answers.push(batch.end());
                } else {
                    batch.flow(publishers, answers);
                }
                commits
            }
            Outcome::Duplicate(seq) => {
                batch.settled = message.seq;
                batch.flow(publishers, answers);
                if commits {
                    let count = message.seq;
                    answers.push(if alone {
                        Answer::Duplicate { seq, count }
                    } else {
                        batch.end()
                    });
                }
                commits
            }
            Outcome::Refused(error) if alone => {
                answers.push(Answer::Refused(error));
                true
            }
            Outcome::Refused(error) => {
                let seq = message.seq;
                answers.push(Answer::Flow(BatchFlow::Error { seq, error }));
                let ends = commits || !batch.gap_ok;
                if ends {
                    batch.last -= 1;
                    answers.push(batch.end());
                }
                ends
            }
        };
        self.remove_if(ended, message.id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// When the first of them times out.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.batches.values().map(|batch| batch.deadline).min()
    }

    /// Drops those that have timed out.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.batches.retain(|_, batch| batch.deadline > now);
    }

    /// Makes sure that there is a batch for the message.
    fn admit(
        &mut self,
        message: &FastReply<'_>,
        limits: &Arc<BatchLimits>,
    ) -> Result<(), ApiError> {
        if message.id.len() > MAX_ID {
            return Err(ApiError::BATCH_PUBLISH_INVALID_BATCH_ID);
        }
        if self.batches.contains_key(message.id) {
            return Ok(());
        }
        if message.seq != 1 || message.operation == FastOperation::Ping {
            return Err(ApiError::BATCH_PUBLISH_UNKNOWN_BATCH_ID);
        }
        let in_flight = limits
            .admit(BatchKind::Fast, self.batches.len())
            .ok_or(ApiError::BATCH_PUBLISH_TOO_MANY_INFLIGHT)?;
        // The first publisher gets what it wants, others begin slowly.
        let ack_every = if self.batches.is_empty() {
            message.flow.min(SHARED_FLOW)
        } else {
            1
        };
        let batch = FastBatch {
            last: 0,
            settled: 0,
            acked: 0,
            stream_seq: StreamSeq(0),
            ack_every,
            max_ack_every: message.flow,
            gap_ok: message.gap_ok,
            deadline: Timestamp::EPOCH,
            _in_flight: in_flight,
        };
        self.batches.insert(message.id.into(), batch);
        Ok(())
    }

    fn remove_if(&mut self, ended: bool, id: &[u8]) {
        if ended {
            self.batches.remove(id);
        }
    }
}

impl FastBatch {
    /// Answers a ping behind message `seq`; whether it ends the batch.
    fn ping(&mut self, seq: u64, publishers: usize, answers: &mut Answers) -> bool {
        if seq > self.last {
            answers.push(Answer::Flow(BatchFlow::Gap {
                expected: self.last + 1,
                seq: seq + 1,
            }));
            if !self.gap_ok {
                answers.push(self.end());
                return true;
            }
            self.last = seq;
            self.settled = seq;
            if self.flow(publishers, answers) {
                return false;
            }
        }
        answers.push(self.ack());
        false
    }

    /// Acknowledges what was settled if it is time, and adapts the pace; whether it did.
    fn flow(&mut self, publishers: usize, answers: &mut Answers) -> bool {
        let every = u64::from(self.ack_every);
        let due = (self.settled.saturating_sub(self.acked)) / every;
        if due == 0 {
            return false;
        }
        self.acked += due * every;
        let share = SHARED_FLOW / u16::try_from(publishers.max(1)).unwrap_or(u16::MAX);
        let wanted = share.max(1).min(self.max_ack_every);
        if self.ack_every < wanted {
            self.ack_every = self.ack_every.saturating_mul(2).min(wanted);
        } else if self.ack_every > wanted {
            self.ack_every = (self.ack_every / 2).max(wanted);
        }
        answers.push(self.ack());
        true
    }

    fn ack(&self) -> Answer {
        Answer::Flow(BatchFlow::Ack {
            seq: self.acked,
            msgs: self.ack_every,
        })
    }

    fn end(&self) -> Answer {
        Answer::Ended {
            seq: self.stream_seq,
            count: self.last,
        }
    }
}

#[cfg(test)]
mod tests {
    use jetsled_config::JetStreamLimits;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    struct Play {
        batches: FastBatches,
        limits: Arc<BatchLimits>,
        stream_seq: u64,
        wants_start: bool,
    }

    impl Play {
        fn new() -> Self {
            Self {
                batches: FastBatches::default(),
                limits: Arc::new(BatchLimits::new(&JetStreamLimits {
                    max_batch_inflight_per_stream: Some(3),
                    ..JetStreamLimits::default()
                })),
                stream_seq: 0,
                wants_start: true,
            }
        }

        /// Sends `<id>.<flow>.<gap>.<seq>.<op>` with what storing it gives, and says what is answered.
        fn send(&mut self, marks: &str, outcome: &str) -> String {
            let reply = format!("p.{marks}.$FI");
            let message = FastReply::parse(reply.as_bytes()).expect("a reply of the pattern");
            let mut answers = Answers::new();
            let limits = Arc::clone(&self.limits);
            let flags = (outcome == "level", self.wants_start);
            if self
                .batches
                .receive(&message, flags, &limits, NOW, &mut answers)
                == Next::Store
            {
                let outcome = match outcome {
                    "duplicate" => Outcome::Duplicate(StreamSeq(77)),
                    "refused" => Outcome::Refused(ApiError::STREAM_NOT_MATCH),
                    _ => {
                        self.stream_seq += 1;
                        Outcome::Stored(StreamSeq(self.stream_seq))
                    }
                };
                self.batches.settle(&message, outcome, &mut answers);
            }
            let texts: Vec<String> = answers.iter().map(text).collect();
            texts.join(" | ")
        }
    }

    fn text(answer: &Answer) -> String {
        match answer {
            Answer::Flow(BatchFlow::Ack { seq, msgs }) => format!("ack {seq} {msgs}"),
            Answer::Flow(BatchFlow::Gap { expected, seq }) => format!("gap {expected} {seq}"),
            Answer::Flow(BatchFlow::Error { seq, error }) => {
                format!("err {seq} {}", error.err_code)
            }
            Answer::Ended { seq, count } => format!("end {seq} {count}"),
            Answer::Duplicate { seq, count } => format!("duplicate {seq} {count}"),
            Answer::Refused(error) => error.err_code.to_string(),
        }
    }

    /// Plays messages `<marks> <what storing gives>: <answers>`.
    fn check(history: &[&str]) {
        let mut play = Play::new();
        for (at, line) in history.iter().enumerate() {
            let (sent, want) = line.split_once(": ").expect("a message and its answers");
            let (marks, outcome) = sent.split_once(' ').unwrap_or((sent, ""));
            let got = play.send(marks, outcome);
            assert_eq!(got, want.trim(), "line {at}: {line}");
        }
    }

    #[test]
    fn a_batch_is_acknowledged_at_its_pace_and_at_its_end() {
        check(&[
            "a.2.fail.1.0: ack 0 2",
            "a.2.fail.2.1: ack 2 2",
            "a.2.fail.3.1:  ",
            "a.2.fail.4.2: end 4 4",
            "a.2.fail.1.0: ack 0 2",
            "a.2.fail.2.3: end 5 1",
            "a.2.fail.1.2: end 6 1",
            "a.2.fail.2.1: 10208",
        ]);
    }

    #[test]
    fn a_second_publisher_begins_slowly_and_the_first_slows_down() {
        check(&[
            "a.400.ok.1.0: ack 0 400",
            "b.3.ok.1.0: ack 0 1 | ack 1 2",
            "b.3.ok.2.1:  ",
            "b.3.ok.3.1: ack 3 3",
            "b.3.ok.6.1: gap 4 6 | ack 6 3",
            "a.400.ok.400.1: gap 2 400 | ack 400 250",
        ]);
    }

    #[test]
    fn a_gap_ends_a_batch_that_does_not_allow_it() {
        check(&[
            "a.10.fail.1.0: ack 0 10",
            "a.10.fail.3.1: gap 2 3 | end 1 1",
            "a.10.fail.1.0: ack 0 10",
            "a.10.fail.1.4: ack 0 10",
            "a.10.fail.2.4: gap 2 3 | end 2 1",
            "a.10.ok.1.0: ack 0 10",
            "a.10.ok.12.4: gap 2 13 | ack 10 10",
            "a.10.ok.5.1: gap 13 5 | end 3 12",
            "a.10.fail.1.4: 10208",
        ]);
    }

    #[test]
    fn refused_messages_end_a_batch_or_are_passed_over() {
        check(&[
            "a.10.fail.1.0 refused: ack 0 10 | 10060",
            "a.10.fail.1.0: ack 0 10",
            "a.10.fail.2.1 refused: err 2 10060 | end 1 1",
            "a.10.ok.1.0 refused: ack 0 10 | err 1 10060",
            "a.10.ok.2.1:  ",
            "a.10.ok.3.2 refused: err 3 10060 | end 2 2",
            "a.10.ok.1.2 refused: err 1 10060 | end 0 0",
            "a.10.fail.1.0 level: 10185",
        ]);
    }

    #[test]
    fn duplicates_are_passed_over_in_silence() {
        check(&[
            "a.2.fail.1.0 duplicate: ack 0 2",
            "a.2.fail.2.1 duplicate: ack 2 2",
            "a.2.fail.3.1:  ",
            "a.2.fail.4.2 duplicate: ack 4 2 | end 1 4",
            "a.2.fail.1.2 duplicate: duplicate 77 1",
            "a.2.ok.1.2 duplicate: end 0 1",
        ]);
    }

    #[test]
    fn batches_are_bounded_and_time_out() {
        let mut play = Play::new();
        for id in ["a", "b", "c"] {
            play.send(&format!("{id}.5.ok.1.0"), "");
        }
        assert_eq!(play.send("d.5.ok.1.0", ""), "10211");
        let long = "i".repeat(65);
        assert_eq!(play.send(&format!("{long}.5.ok.1.0"), ""), "10207");
        let deadline = play.batches.next_deadline().expect("three batches");
        assert_eq!(deadline, NOW.saturating_add(play.limits.timeout));
        play.batches.expire(Timestamp(deadline.0 - 1));
        assert_eq!(play.send("c.5.ok.2.3", ""), "end 3 1");
        play.batches.expire(deadline);
        assert!(play.batches.is_empty());
        play.wants_start = false;
        assert_eq!(play.send("d.5.ok.1.0", ""), "");
    }
}
