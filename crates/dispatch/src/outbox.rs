//! What a consumer wants done: the commands of one or more events, and the progress to log with them.

use bytes::Bytes;
use jetsled_jetstream_api::{AckNumbers, ConsumerSeq, StreamSeq, Timestamp};

use crate::delivery::{MAX_DELIVERED_BYTES, MAX_DELIVERIES};
use crate::progress::ProgressWriter;
use crate::status::Status;

/// Where a delivery goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The deliver subject of a push consumer.
    DeliverSubject,
    /// The reply subject of a pull request, see [`Outbox::subject`].
    Request(SubjectIndex),
}

/// Names a subject kept in the [`Outbox`] that also holds the command: a batch of 500 deliveries shares one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubjectIndex(pub(crate) u32);

/// One message to deliver. The runtime reads it from the stream, writes the stored subject and the ack
/// subject, and drops the body when the configuration says headers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Message, delivery, counts and stored time: also what the ack subject carries.
    pub numbers: AckNumbers,
    /// Where it goes.
    pub to: Target,
    /// The value of `Nats-Pin-Id` for members of a pinned group, see [`Outbox::subject`].
    pub pin_id: Option<SubjectIndex>,
}

/// An event for the operators, see the advisory table of the JetStream API.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the advisories' JSON")]
pub enum Advisory {
    MaxDeliveries {
        stream_seq: StreamSeq,
        deliveries: u64,
    },
    Nak {
        consumer_seq: ConsumerSeq,
        stream_seq: StreamSeq,
        deliveries: u64,
    },
    Terminated {
        consumer_seq: ConsumerSeq,
        stream_seq: StreamSeq,
        deliveries: u64,
        reason: String,
    },
    /// `sample_freq` chose this ack.
    Acked {
        consumer_seq: ConsumerSeq,
        stream_seq: StreamSeq,
        deliveries: u64,
        /// Time between the delivery and the ack.
        delay_nanos: i64,
    },
    Paused {
        until: Timestamp,
    },
    Resumed {
        until: Timestamp,
    },
    Pinned {
        group: String,
        pinned_id: String,
    },
    Unpinned {
        group: String,
        reason: UnpinReason,
    },
}

/// Why a group lost its pinned client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnpinReason {
    /// The UNPIN API.
    Admin,
    /// No pull request of the pinned client within `priority_timeout`.
    Timeout,
}

/// What the runtime is asked to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Deliver a message.
    Deliver(Delivery),
    /// Send a message without a body to `to`.
    Status {
        /// The request's reply subject, or the deliver subject.
        to: Bytes,
        /// Code, text and headers.
        status: Box<Status>,
    },
    /// Confirm an ack with an empty message, once the progress of this outbox is durable.
    AckReply {
        /// The ack's reply subject.
        to: Bytes,
    },
    /// Publish an advisory.
    Advisory(Box<Advisory>),
    /// This consumer no longer needs the messages `first..=last`, all of them delivered to it or skipped. Only on
    /// streams with interest or workqueue retention; to be applied after the progress of this outbox was logged, in the same log,
    /// so that none is gone whose ack is not known.
    Release {
        /// The lowest sequence.
        first: StreamSeq,
        /// The highest sequence.
        last: StreamSeq,
    },
    /// The consumer was inactive for longer than `inactive_threshold`: delete it.
    DeleteInactive,
}

// Most commands are deliveries, thousands at a time: what is rare and large lives elsewhere.
const _: () = assert!(size_of::<Command>() <= 64);

/// Collects the commands of events on **one** consumer until the runtime has run and logged them.
///
/// The runtime (1) appends [`Outbox::progress`] to the stream's log when it is not empty, (2) runs the commands, those
/// that wait for durability with the log position of that record, and (3) calls [`Outbox::clear`]. Deliveries need not
/// wait: a crash before they are durable redelivers, it never skips.
#[derive(Debug, Default)]
pub struct Outbox {
    pub(crate) commands: Vec<Command>,
    pub(crate) subjects: Vec<Bytes>,
    pub(crate) progress: ProgressWriter,
    pub(crate) epoch: u64,
    pub(crate) delivered_bytes: u64,
    pub(crate) deliveries: u32,
    /// How many deliveries a dispatch may add to, if fewer than usual.
    limit: Option<u32>,
    pin_id: Option<SubjectIndex>,
    /// Where in `commands` the last release is.
    release: Option<usize>,
    /// A list for whoever needs one for a moment.
    pub(crate) scratch: Vec<StreamSeq>,
}

impl Outbox {
    /// An empty outbox; reuse it, its buffers are kept.
    pub fn new() -> Self {
        Self {
            epoch: 1,
            ..Self::default()
        }
    }

    /// The commands so far.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// A subject (or pin id) that a command of this outbox names.
    ///
    /// # Panics
    /// When `index` comes from another outbox or from before [`Outbox::clear`].
    pub fn subject(&self, index: SubjectIndex) -> &Bytes {
        &self.subjects[index.0 as usize]
    }

    /// Closes and returns the progress record: what [`crate::Consumer::recover`] needs to get here. Empty if nothing
    /// changed that must survive.
    pub fn progress(&mut self) -> &[u8] {
        self.progress.finish()
    }

    /// Whether there is nothing to run and nothing to log.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.progress.is_empty()
    }

    /// Lets a dispatch end after so many deliveries, if there are more, until [`Outbox::clear`]; never beyond the usual limit.
    pub fn limit_deliveries(&mut self, limit: u32) {
        self.limit = Some(limit);
    }

    pub(crate) fn is_full(&self) -> bool {
        let limit = self
            .limit
            .map_or(MAX_DELIVERIES, |limit| limit.min(MAX_DELIVERIES));
        self.deliveries >= limit || self.delivered_bytes >= MAX_DELIVERED_BYTES
    }

    /// Forgets everything, keeps the buffers.
    pub fn clear(&mut self) {
        self.commands.clear();
        self.subjects.clear();
        self.progress.clear();
        self.epoch += 1;
        self.delivered_bytes = 0;
        self.deliveries = 0;
        self.limit = None;
        self.pin_id = None;
        self.release = None;
    }

    pub(crate) fn push(&mut self, command: Command) {
        self.commands.push(command);
    }

    pub(crate) fn tell(&mut self, to: Bytes, status: Status) {
        let status = Box::new(status);
        self.push(Command::Status { to, status });
    }

    pub(crate) fn advise(&mut self, advisory: Advisory) {
        self.push(Command::Advisory(Box::new(advisory)));
    }

    #[inline]
    pub(crate) fn deliver(&mut self, delivery: Delivery, bytes: u64) {
        self.commands.push(Command::Deliver(delivery));
        self.deliveries += 1;
        self.delivered_bytes += bytes;
    }

    /// Adds to the last release where it can.
    pub(crate) fn release(&mut self, seq: StreamSeq) {
        if let Some(Command::Release { last, .. }) =
            self.release.and_then(|at| self.commands.get_mut(at))
            && last.next() == seq
        {
            *last = seq;
            return;
        }
        self.release = Some(self.commands.len());
        self.commands.push(Command::Release {
            first: seq,
            last: seq,
        });
    }

    pub(crate) fn intern_pin_id(&mut self, pin_id: &str) -> SubjectIndex {
        match self.pin_id {
            Some(index) if self.subject(index) == pin_id => index,
            _ => {
                let index = self.intern(&Bytes::copy_from_slice(pin_id.as_bytes()));
                self.pin_id = Some(index);
                index
            }
        }
    }

    pub(crate) fn intern(&mut self, subject: &Bytes) -> SubjectIndex {
        let index = u32::try_from(self.subjects.len()).unwrap_or(u32::MAX);
        self.subjects.push(subject.clone());
        SubjectIndex(index)
    }
}
