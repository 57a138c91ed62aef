//! `STREAM.UPDATE.<stream>`

use jetsled_jetstream_api::advisory::Action;
use jetsled_jetstream_api::request::StreamConfigRequest;
use jetsled_jetstream_api::response::StreamUpdate;
use jetsled_jetstream_api::{ApiError, StreamConfig};

use super::call::{Call, Done, Outcome};
use super::stream_create::{announce, check_account, check_name};
use super::stream_info;
use crate::jetstream::access::StreamAccess;

/// Replaces a stream's configuration.
pub(super) fn update(call: &mut Call<'_>, stream: &str) -> Outcome<StreamUpdate> {
    let request = StreamConfigRequest::decode(call.payload, call.strictness())?;
    let StreamConfigRequest {
        config, pedantic, ..
    } = call.accept(request);
    let jetstream = call.jetstream;
    // By itself first: nobody is told that a stream is missing who could not have changed it.
    let limits = jetstream.server_limits();
    let alone = config.clone();
    let alone = alone.validated_among(limits, pedantic, &|_| None)?;
    jetstream.check_stream_bytes(&alone)?;
    check_name(&config, stream)?;
    jetstream
        .with_stream(stream, call.flush, |access, _| {
            check_consumers(access, &config)
        })
        .ok_or(ApiError::STREAM_NOT_FOUND)??;
    let decide = |old: &StreamConfig| {
        let lookup = |name: &str| jetstream.stream_config(name);
        let config = old.updated_among(config.clone(), limits, pedantic, &lookup)?;
        check_account(jetstream, &config)?;
        Ok(config)
    };
    let (_, durable) = jetstream.update_stream(stream, decide, call.flush)?;
    announce(call, stream, Action::Modify);
    let mut info = stream_info::of(call, stream)?;
    info.cluster = None;
    Ok(Done::after(StreamUpdate { info: Some(info) }, durable))
}

/// Lowered consumer limits must not be below what consumers have.
fn check_consumers(access: &StreamAccess<'_>, config: &StreamConfig) -> Result<(), ApiError> {
    let limits = config.consumer_limits;
    if limits == access.config().consumer_limits {
        return Ok(());
    }
    let over = access.consumer_configs().filter(|(_, consumer)| {
        let threshold = limits.inactive_threshold;
        (limits.max_ack_pending > 0 && consumer.max_ack_pending > limits.max_ack_pending)
            || (!threshold.is_zero() && consumer.inactive_threshold > threshold)
    });
    let mut names: Vec<&str> = over.map(|(name, _)| name).collect();
    if names.is_empty() {
        return Ok(());
    }
    names.sort_unstable();
    let names = names.join(", ");
    Err(ApiError::stream_update(format_args!(
        "change to limits violates consumers: {names}"
    )))
}
