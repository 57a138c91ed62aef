//! `STREAM.CREATE.<stream>`

use jetsled_jetstream_api::advisory::Action;
use jetsled_jetstream_api::request::StreamConfigRequest;
use jetsled_jetstream_api::response::StreamCreate;
use jetsled_jetstream_api::{ApiError, StreamConfig};

use super::call::{Call, Done, Outcome};
use super::stream_info;
use crate::jetstream::account::AccountJetStream;
use crate::jetstream::advisory;

/// Creates a stream; one with the same configuration may be there already.
pub(super) fn create(call: &mut Call<'_>, stream: &str) -> Outcome<StreamCreate> {
    let request = StreamConfigRequest::decode(call.payload, call.strictness())?;
    let StreamConfigRequest {
        config,
        pedantic,
        names_storage,
    } = call.accept(request);
    check_name(&config, stream)?;
    config.check_create()?;
    let jetstream = call.jetstream;
    jetstream.check_new_stream(&config, names_storage)?;
    let lookup = |name: &str| jetstream.stream_config(name);
    let limits = jetstream.server_limits();
    let config = config.validated_among(limits, pedantic, &lookup)?;
    jetstream.check_stream_bytes(&config)?;
    config.check_replicas(limits)?;
    let is_new = call.jetstream.stream(stream).is_none();
    let (_, durable) = call.jetstream.create_stream(config)?;
    if is_new {
        announce(call, stream, Action::Create);
    }
    let mut info = stream_info::of(call, stream)?;
    info.domain.clear();
    info.cluster = None;
    Ok(Done::after(
        StreamCreate {
            info: Some(info),
            did_create: true,
        },
        durable,
    ))
}

/// The name in the subject must be the configuration's.
pub(super) fn check_name(config: &StreamConfig, stream: &str) -> Result<(), ApiError> {
    if config.name != stream {
        Err(ApiError::STREAM_MISMATCH)
    } else if stream.contains(['\\', '/']) {
        Err(ApiError::STREAM_NAME_CONTAINS_PATH_SEPARATORS)
    } else {
        Ok(())
    }
}

/// A stream may not promise more than its account has.
pub(super) fn check_account(
    jetstream: &AccountJetStream,
    config: &StreamConfig,
) -> Result<(), ApiError> {
    jetstream.check_max_consumers(config)?;
    jetstream.check_stream_bytes(config)
}

/// Publishes the advisory of a change.
pub(super) fn announce(call: &mut Call<'_>, stream: &str, action: Action) {
    if let Some(account) = call.jetstream.account() {
        advisory::stream_action(&account, stream, action, call.flush);
    }
}
