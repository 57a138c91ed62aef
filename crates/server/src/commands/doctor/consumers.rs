//! Why a consumer does not advance.

use jetsled_jetstream_api::{AckPolicy, ConsumerInfo, PriorityPolicy};
use jetsled_protocol::subject;

use super::Finding;
use super::answers::StreamDetail;

pub(super) fn examine(stream: &StreamDetail, consumer: &ConsumerInfo, findings: &mut Vec<Finding>) {
    let about = format!("consumer {} > {}", stream.name, consumer.name);
    let config = &consumer.config;
    let waiting = consumer.num_pending;
    let mut problem = |text: String| findings.push(Finding::problem(&about, text));
    if consumer.paused {
        problem(format!(
            "paused for {} more; {waiting} messages wait (nats consumer resume)",
            seconds(consumer.pause_remaining.0)
        ));
        return;
    }
    let foreign: Vec<_> = filters(consumer)
        .filter(|filter| is_foreign(stream, filter))
        .collect();
    if !foreign.is_empty() {
        problem(format!(
            "no subject of the stream matches its filter {}",
            foreign.join(", ")
        ));
    }
    let limit = config.max_ack_pending;
    let is_at_limit = limit > 0 && consumer.num_ack_pending >= limit.unsigned_abs();
    if is_at_limit && config.ack_policy != AckPolicy::None {
        problem(format!(
            "{} messages are delivered and not acknowledged, as many as max_ack_pending allows: nothing is delivered before one is \
             acknowledged or its ack_wait of {} is over; {waiting} wait",
            consumer.num_ack_pending,
            seconds(config.ack_wait.0)
        ));
    } else if waiting > 0 && config.deliver_subject.is_empty() && consumer.num_waiting == 0 {
        problem(format!(
            "{waiting} messages wait, and no client asks for any (pull)"
        ));
    } else if waiting > 0 && !config.deliver_subject.is_empty() && !consumer.push_bound {
        problem(format!(
            "{waiting} messages wait, and nobody subscribes to {} (push)",
            config.deliver_subject
        ));
    }
    if consumer.num_waiting > 0 && config.priority_policy == PriorityPolicy::PinnedClient {
        let unpinned = consumer.priority_groups.iter();
        for group in unpinned.filter(|group| group.pinned_client_id.is_empty()) {
            problem(format!("no client is pinned in group {}", group.group));
        }
    }
    if consumer.num_redelivered > 0 {
        let text = match config.max_deliver {
            limit if limit > 0 => format!("given up after {limit} times"),
            _ => "delivered again without a limit; max_deliver sets one".to_owned(),
        };
        findings.push(Finding::note(
            &about,
            format!(
                "{} of its unacknowledged messages were delivered more than once, and are {text}",
                consumer.num_redelivered
            ),
        ));
    }
}

fn filters(consumer: &ConsumerInfo) -> impl Iterator<Item = &str> {
    let one = Some(consumer.config.filter_subject.as_str()).filter(|filter| !filter.is_empty());
    let many = consumer.config.filter_subjects.iter().map(String::as_str);
    one.into_iter().chain(many)
}

/// Whether a filter can match nothing that the stream listens to. What mirrors and sources bring, and what a transform makes, is not known.
fn is_foreign(stream: &StreamDetail, filter: &str) -> bool {
    let config = &stream.config;
    if config.mirror.is_some() || !config.sources.is_empty() || config.subject_transform.is_some() {
        return false;
    }
    let mut subjects = config.subjects.iter();
    !subjects.any(|subject| subject::collides(subject.as_bytes(), filter.as_bytes()))
}

fn seconds(nanos: i64) -> String {
    format!("{} s", nanos as f64 / 1e9)
}
