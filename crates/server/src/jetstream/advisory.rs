//! Advisories and metrics of streams and consumers.

use std::sync::Arc;

use jetsled_dispatch::{Advisory, UnpinReason};
use jetsled_jetstream_api::advisory::{
    Action, AdvisoryBody, BatchAbandonReason, ConsumerAck, ConsumerActionAdvisory,
    ConsumerPauseAdvisory, GroupPinned, GroupUnpinned, MaxDeliver, MsgNaked, MsgTerminated,
    StreamActionAdvisory, StreamBatchAbandoned, to_json,
};
use jetsled_jetstream_api::{Nanos, Timestamp};

use super::clock;
use super::consumer::RunningConsumer;
use super::reply::send;
use super::stream::RunningStream;
use crate::account::Account;
use crate::routing::FlushSet;

/// Publishes what a consumer's state machine reports.
pub(super) fn consumer_event(
    event: &Advisory,
    running: &RunningStream,
    consumer: &RunningConsumer,
    flush: &mut FlushSet,
) {
    let account = &running.account;
    let stream = running.config.name.as_str();
    let consumer = consumer.name();
    let domain = domain(account);
    match event {
        Advisory::MaxDeliveries {
            stream_seq,
            deliveries,
        } => {
            let (stream_seq, deliveries) = (*stream_seq, *deliveries);
            let body = MaxDeliver {
                stream,
                consumer,
                stream_seq,
                deliveries,
                domain,
            };
            publish(account, &body, flush);
        }
        Advisory::Nak {
            consumer_seq,
            stream_seq,
            deliveries,
        } => {
            let (consumer_seq, stream_seq, deliveries) = (*consumer_seq, *stream_seq, *deliveries);
            let body = MsgNaked {
                stream,
                consumer,
                consumer_seq,
                stream_seq,
                deliveries,
                domain,
            };
            publish(account, &body, flush);
        }
        Advisory::Terminated {
            consumer_seq,
            stream_seq,
            deliveries,
            reason,
        } => {
            let body = MsgTerminated {
                stream,
                consumer,
                consumer_seq: *consumer_seq,
                stream_seq: *stream_seq,
                deliveries: *deliveries,
                reason,
                domain,
            };
            publish(account, &body, flush);
        }
        Advisory::Acked {
            consumer_seq,
            stream_seq,
            deliveries,
            delay_nanos,
        } => {
            let body = ConsumerAck {
                stream,
                consumer,
                consumer_seq: *consumer_seq,
                stream_seq: *stream_seq,
                ack_time: Nanos(*delay_nanos),
                deliveries: *deliveries,
                domain,
            };
            publish(account, &body, flush);
        }
        Advisory::Paused { until } | Advisory::Resumed { until } => {
            let paused = matches!(event, Advisory::Paused { .. });
            consumer_pause(account, stream, consumer, (paused, *until), flush);
        }
        Advisory::Pinned { group, pinned_id } => {
            let body = GroupPinned {
                account: account.name(),
                stream,
                consumer,
                domain,
                group,
                pinned_id,
            };
            publish(account, &body, flush);
        }
        Advisory::Unpinned { group, reason } => {
            let reason = match reason {
                UnpinReason::Admin => "admin",
                UnpinReason::Timeout => "timeout",
            };
            let body = GroupUnpinned {
                account: account.name(),
                stream,
                consumer,
                domain,
                group,
                reason,
            };
            publish(account, &body, flush);
        }
    }
}

/// A stream was created, updated or deleted.
pub(super) fn stream_action(
    account: &Arc<Account>,
    stream: &str,
    action: Action,
    flush: &mut FlushSet,
) {
    publish(
        account,
        &StreamActionAdvisory {
            stream,
            action,
            domain: domain(account),
        },
        flush,
    );
}

/// An atomic batch was dropped; the system account is told as well.
pub(super) fn batch_abandoned(
    running: &RunningStream,
    id: &[u8],
    reason: BatchAbandonReason,
    flush: &mut FlushSet,
) {
    let account = &running.account;
    let batch = String::from_utf8_lossy(id);
    let mut body = StreamBatchAbandoned {
        account: None,
        stream: &running.config.name,
        domain: domain(account),
        batch: &batch,
        reason,
    };
    publish(account, &body, flush);
    let jetstream = account.jetstream();
    if let Some(system) = jetstream.and_then(|jetstream| jetstream.runtime().system.as_ref()) {
        body.account = Some(account.name());
        publish(system, &body, flush);
    }
}

/// A consumer was created or deleted.
pub(super) fn consumer_action(
    account: &Arc<Account>,
    stream: &str,
    consumer: &str,
    action: Action,
    flush: &mut FlushSet,
) {
    publish(
        account,
        &ConsumerActionAdvisory {
            stream,
            consumer,
            action,
            domain: domain(account),
        },
        flush,
    );
}

/// A consumer was paused or resumed: whether it is paused, and until when.
pub(super) fn consumer_pause(
    account: &Arc<Account>,
    stream: &str,
    consumer: &str,
    (paused, pause_until): (bool, Timestamp),
    flush: &mut FlushSet,
) {
    publish(
        account,
        &ConsumerPauseAdvisory {
            stream,
            consumer,
            paused,
            pause_until,
            domain: domain(account),
        },
        flush,
    );
}

/// Publishes an advisory at once. Not with a shard locked.
pub(super) fn publish_now<T: AdvisoryBody>(account: &Arc<Account>, body: &T) {
    let mut flush = FlushSet::new();
    publish(account, body, &mut flush);
    flush.flush();
}

/// The JetStream domain, if there is one.
fn domain(account: &Account) -> Option<&str> {
    account.jetstream()?.runtime().domain.as_deref()
}

/// Builds and sends an advisory if anybody listens.
fn publish<T: AdvisoryBody>(account: &Arc<Account>, body: &T, flush: &mut FlushSet) {
    let subject = body.subject();
    if account.has_interest(subject.as_bytes()) {
        let now: Timestamp = clock::now();
        send(
            account,
            subject.as_bytes(),
            &to_json(&crate::nuid::next(), now, body),
            flush,
        );
    }
}
