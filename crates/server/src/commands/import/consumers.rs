//! The consumers of a stream.

use jetsled_dispatch::Consumer;
use jetsled_import::{SourceConsumer, SourceStream};
use jetsled_jetstream_api::{ConsumerRules, ServerLimits, StreamConfig};
use jetsled_store::StreamId;

use super::report::Carried;
use super::run::ImportError;
use super::target::Target;
use crate::jetstream::ConsumerRecord;

/// A consumer as the store keeps it.
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) record: Vec<u8>,
    pub(super) state: Vec<u8>,
}

/// Carries the consumers of a stream over.
pub(super) fn carry(
    stream: &SourceStream,
    config: &StreamConfig,
    id: StreamId,
    target: &mut Target<'_>,
    carried: &mut Carried,
) -> Result<(), ImportError> {
    for (name, kept) in all(stream, config)? {
        match kept {
            Ok(kept) => {
                target.consumer(id, &kept.name, &kept.record, kept.state)?;
                carried.consumers += 1;
            }
            Err(reason) => carried.lost_consumers.push((name, reason)),
        }
    }
    Ok(())
}

/// As [`carry`], without a target.
pub(super) fn check(
    stream: &SourceStream,
    config: &StreamConfig,
    carried: &mut Carried,
) -> Result<(), ImportError> {
    for (name, kept) in all(stream, config)? {
        match kept {
            Ok(_) => carried.consumers += 1,
            Err(reason) => carried.lost_consumers.push((name, reason)),
        }
    }
    Ok(())
}

/// A consumer's name, and what is kept of it, or why nothing is.
type NamedKept = (String, Result<Kept, String>);

/// All consumers of a stream.
pub(super) fn all(
    stream: &SourceStream,
    config: &StreamConfig,
) -> Result<Vec<NamedKept>, ImportError> {
    let read = stream.consumers()?.into_iter();
    let kept = read.map(|(name, consumer)| {
        let kept = consumer
            .map_err(|error| error.to_string())
            .and_then(|consumer| keep(consumer, stream, config));
        (name, kept)
    });
    Ok(kept.collect())
}

fn keep(
    consumer: SourceConsumer,
    stream: &SourceStream,
    stream_config: &StreamConfig,
) -> Result<Kept, String> {
    let SourceConsumer {
        name,
        created,
        mut config,
        mut state,
    } = consumer;
    config.name.clone_from(&name);
    config.num_replicas = config.num_replicas.min(1);
    let rules = ConsumerRules {
        stream: stream_config,
        server: &ServerLimits::default(),
        account_max_ack_pending: 0,
        pedantic: false,
    };
    let mut config = config
        .validated(&rules)
        .map_err(|error| format!("its configuration is not accepted: {}", error.description))?;
    if !config.is_durable() {
        config.set_default_threshold();
    }
    // After a loss at the stream's end it starts again there, as nats-server does.
    let last = stream.end().last_seq;
    state.delivered.stream = state.delivered.stream.min(last);
    state.ack_floor.stream = state.ack_floor.stream.min(last);
    state.pending.retain(|seq, _| *seq <= last);
    let state = Consumer::checkpoint_of(&state, config.ack_policy)
        .map_err(|error| format!("its state is not accepted: {error}"))?;
    Ok(Kept {
        record: ConsumerRecord::encode(created, &name, &config),
        name,
        state,
    })
}
