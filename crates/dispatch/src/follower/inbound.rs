//! What comes on the deliver subject.

use jetsled_jetstream_api::{AckSubject, ConsumerSeq, StreamSeq, Timestamp};
use jetsled_protocol::headers;

use super::{FollowKind, Follower, FollowerCommand, Phase};

/// A message on the deliver subject.
#[derive(Clone, Copy, Debug)]
pub struct Inbound<'a> {
    /// Its reply subject: the ack subject of a delivery.
    pub reply: &'a [u8],
    /// Its header block, empty without headers.
    pub headers: &'a [u8],
    /// What follows the headers.
    pub payload: &'a [u8],
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was for the follower itself, or is of no use.
    Done,
    /// It is early: hand it in again after the next [`Follower::on_answer`].
    Early,
    /// It is the next one: store it, and tell [`Follower::on_refused`] if that is not possible.
    Store {
        /// Its sequence in the origin.
        seq: StreamSeq,
        /// When the origin stored it.
        timestamp: Timestamp,
        /// The origin's consumer has about this many more.
        pending: u64,
    },
}

impl Follower {
    /// Something came on the deliver subject.
    pub fn on_message(
        &mut self,
        message: &Inbound<'_>,
        now: Timestamp,
        out: &mut Vec<FollowerCommand>,
    ) -> Verdict {
        let consumer = match &mut self.phase {
            Phase::Following { consumer } => consumer,
            Phase::Waiting { probing: true, .. } => {
                // The durable consumer lives: no need to be patient any more.
                self.failures = 0;
                self.start_over(now, out);
                return Verdict::Done;
            }
            Phase::Waiting { .. } => return Verdict::Done,
            Phase::Asked { .. } => return Verdict::Early,
        };
        self.heard_at = Some(now);
        if message.payload.is_empty() && message.headers.starts_with(CONTROL) {
            self.on_control(message, now, out);
            return Verdict::Done;
        }
        let Some(ack) = AckSubject::parse(message.reply) else {
            return Verdict::Done;
        };
        if *ack.consumer != **consumer || ack.numbers.delivered > 1 {
            return Verdict::Done;
        }
        let numbers = ack.numbers;
        let in_order = numbers.consumer_seq == self.delivered.next();
        if numbers.stream_seq <= self.position {
            // Stored before: only the count goes on.
            if in_order {
                self.delivered = numbers.consumer_seq;
            }
            return Verdict::Done;
        }
        let follows =
            self.plan.kind == FollowKind::Mirror && numbers.stream_seq == self.position.next();
        if !in_order && !follows {
            if self.plan.kind == FollowKind::Mirror || numbers.consumer_seq > self.delivered {
                self.start_over(now, out);
            }
            return Verdict::Done;
        }
        self.delivered = numbers.consumer_seq;
        self.position = numbers.stream_seq;
        self.lag = numbers.pending.saturating_sub(1);
        Verdict::Store {
            seq: numbers.stream_seq,
            timestamp: numbers.timestamp,
            pending: numbers.pending,
        }
    }

    /// A heartbeat, which tells whether something is missing, or a flow control request.
    fn on_control(
        &mut self,
        message: &Inbound<'_>,
        now: Timestamp,
        out: &mut Vec<FollowerCommand>,
    ) {
        if !message.reply.is_empty() {
            out.push(FollowerCommand::Confirm {
                reply: message.reply.into(),
                consumer_seq: self.delivered,
                stream_seq: self.position,
            });
            return;
        }
        let last = headers::get(message.headers, b"Nats-Last-Consumer").and_then(number);
        if last.is_some_and(|last| last > 0 && ConsumerSeq(last) != self.delivered) {
            self.start_over(now, out);
        } else if let Some(reply) = headers::get(message.headers, b"Nats-Consumer-Stalled")
            && !reply.is_empty()
        {
            out.push(FollowerCommand::Unstall(reply.into()));
        }
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

const CONTROL: &[u8] = b"NATS/1.0 100 ";
