//! A consumer's delivery on its way to a client.

use jetsled_dispatch::{Delivery, Outbox, Target as To};
use jetsled_jetstream_api::Timestamp;
use jetsled_protocol::headers;
use jetsled_store::Shard;

use super::consumer::RunningConsumer;
use super::latency::Histogram;
use super::stream::RunningStream;
use crate::routing::{Destination, FlushSet, OutboundMessage, Payload};

/// What the deliveries of one outbox share.
pub(super) struct Delivering<'a> {
    pub(super) store: &'a mut Shard,
    pub(super) stream: &'a RunningStream,
    pub(super) consumer: &'a RunningConsumer,
    pub(super) outbox: &'a Outbox,
    pub(super) ack_subject: &'a mut Vec<u8>,
    pub(super) headers: &'a mut Vec<u8>,
    pub(super) destinations: &'a mut Vec<(To, Destination)>,
    /// How long first deliveries have taken.
    pub(super) latency: &'a mut Histogram,
    /// The time at which the shard was locked.
    pub(super) now: Timestamp,
}

/// Where a delivery ended.
pub(super) enum Delivered {
    /// With a client, or where its message is gone.
    Somewhere,
    /// Nowhere.
    Nobody,
}

impl Delivering<'_> {
    /// Reads the message and stages it for its destination.
    ///
    /// A message that is gone or unreadable counts as delivered: its removal is reported to the consumer on its own.
    pub(super) fn deliver(&mut self, delivery: &Delivery, flush: &mut FlushSet) -> Delivered {
        let Self {
            store,
            stream,
            consumer,
            outbox,
            ack_subject,
            headers,
            destinations,
            latency,
            now,
        } = self;
        let message = match store.load(stream.id, delivery.numbers.stream_seq) {
            Ok(Some(message)) => message,
            Ok(None) => return Delivered::Somewhere,
            Err(error) => {
                tracing::error!(
                    "JetStream stream '{} > {}' can not read message {}: {error}",
                    stream.account.name(),
                    stream.config.name,
                    delivery.numbers.stream_seq,
                );
                return Delivered::Somewhere;
            }
        };
        ack_subject.clear();
        consumer.ack_prefix().write(&delivery.numbers, ack_subject);

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
            reply: ack_subject,
            headers: block,
            payload: Payload::Borrowed(if headers_only { b"" } else { message.payload }),
        };
        let known = destinations
            .iter()
            .rposition(|(to, destination)| *to == delivery.to && destination.is_current());
        let at = known.unwrap_or_else(|| {
            destinations.push((delivery.to, stream.account.resolve(subject)));
            destinations.len() - 1
        });
        let destination = &mut destinations[at].1;
        if destination.deliver(&outbound, flush) == 0 {
            return Delivered::Nobody;
        }
        if delivery.numbers.delivered == 1 {
            latency.observe_between(message.timestamp, *now, 1);
        }
        Delivered::Somewhere
    }
}
