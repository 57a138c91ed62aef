//! A consumer's delivery on its way to a client.

use bytes::Bytes;
use jetsled_dispatch::{Command, Delivery, Outbox, Target as To};
use jetsled_jetstream_api::{AckSubjectWriter, StreamSeq, Timestamp};
use jetsled_protocol::headers;
use jetsled_store::{Shard, StoredMessage};

use super::consumer::RunningConsumer;
use super::latency::Histogram;
use super::stream::RunningStream;
use crate::routing::{Destination, FlushSet, OutboundMessage, Payload};

/// What the deliveries of one outbox share.
pub(super) struct Delivering<'a> {
    pub(super) stream: &'a RunningStream,
    pub(super) consumer: &'a RunningConsumer,
    pub(super) outbox: &'a Outbox,
    /// Begun for the consumer.
    pub(super) ack_subject: &'a mut AckSubjectWriter,
    pub(super) headers: &'a mut Vec<u8>,
    pub(super) destinations: &'a mut Vec<(To, Destination)>,
    /// Messages that reached nobody, with the reply subjects of their requests.
    pub(super) undelivered: &'a mut Vec<(StreamSeq, Option<Bytes>)>,
    /// How long first deliveries have taken.
    pub(super) latency: &'a mut Histogram,
    /// The time at which the shard was locked.
    pub(super) now: Timestamp,
}

impl Delivering<'_> {
    /// Reads the messages of the deliveries at the front of `commands` and stages them for their destinations. Answers how many that
    /// were: those whose messages come one right behind the other.
    ///
    /// A message that is gone or unreadable counts as delivered: its removal is reported to the consumer on its own.
    pub(super) fn deliver(
        &mut self,
        store: &mut Shard,
        commands: &[Command],
        flush: &mut FlushSet,
    ) -> usize {
        let mut deliveries = commands.iter().map_while(|command| match command {
            Command::Deliver(delivery) => Some(delivery),
            _ => None,
        });
        let Some(first) = deliveries.next() else {
            return 0;
        };
        let seq = first.numbers.stream_seq;
        match store.load(self.stream.id, seq) {
            Ok(Some(message)) => self.stage(first, &message, flush),
            Ok(None) => {}
            Err(error) => tracing::error!(
                "JetStream stream '{} > {}' can not read message {seq}: {error}",
                self.stream.account.name(),
                self.stream.config.name,
            ),
        }
        let behind = (seq.get() + 1..).zip(deliveries.clone());
        let behind = behind.take_while(|(seq, next)| next.numbers.stream_seq.get() == *seq);
        let seqs = seq.get() + 1..=seq.get() + behind.count() as u64;
        let loaded = store.load_on(self.stream.id, seqs, |message| {
            if let Some(delivery) = deliveries.next() {
                self.stage(delivery, message, flush);
            }
        });
        1 + loaded as usize
    }

    fn stage(&mut self, delivery: &Delivery, message: &StoredMessage<'_>, flush: &mut FlushSet) {
        let Self {
            stream,
            consumer,
            outbox,
            ack_subject,
            headers,
            destinations,
            undelivered,
            latency,
            now,
        } = self;
        let headers_only = consumer.state.is_headers_only();
        let mut block = message.headers;
        if headers_only || delivery.pin_id.is_some() {
            headers.clear();
            headers.extend_from_slice(block);
            if headers_only {
                let mut size = itoa::Buffer::new();
                let size = size.format(message.payload.len());
                headers::append(headers, b"Nats-Msg-Size", size.as_bytes());
            }
            if let Some(pin) = delivery.pin_id {
                headers::append(headers, b"Nats-Pin-Id", outbox.subject(pin));
            }
            block = headers;
        }
        let subject: &[u8] = match delivery.to {
            To::Request(index) => outbox.subject(index),
            To::DeliverSubject => consumer.deliver_subject(),
        };
        let outbound = OutboundMessage {
            subject,
            deliver_as: message.subject,
            reply: ack_subject.subject(&delivery.numbers),
            headers: block,
            payload: Payload::Borrowed(if headers_only { b"" } else { message.payload }),
        };
        let known = destinations
            .iter()
            .rposition(|(to, destination)| *to == delivery.to && destination.is_current());
        let at = known.unwrap_or_else(|| {
            let resolved = Destination::resolve_for_stream(&stream.account, subject);
            destinations.push((delivery.to, resolved));
            destinations.len() - 1
        });
        let destination = &mut destinations[at].1;
        if destination.deliver_one(&outbound, flush) == 0 {
            let reply = match delivery.to {
                To::Request(index) => Some(outbox.subject(index).clone()),
                To::DeliverSubject => None,
            };
            undelivered.push((delivery.numbers.stream_seq, reply));
            return;
        }
        if delivery.numbers.delivered == 1 {
            latency.observe_between(message.timestamp, *now, 1);
        }
    }
}
