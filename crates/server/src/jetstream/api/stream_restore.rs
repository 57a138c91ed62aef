//! `STREAM.RESTORE.<stream>`

use std::sync::Arc;

use jetsled_jetstream_api::request::StreamRestoreRequest;
use jetsled_jetstream_api::response::StreamRestore;
use jetsled_jetstream_api::{ApiError, json};

use super::call::{Call, Done, Outcome};
use super::stream_create::{check_account, check_name};
use crate::jetstream::transfer::Restore;

/// Says where to send the archive that a stream is made of. What has become of it is the answer to the last chunk.
pub(super) fn restore(call: &mut Call<'_>, stream: &str) -> Outcome<StreamRestore> {
    if json::is_empty_request(call.payload) {
        return Err(ApiError::BAD_REQUEST);
    }
    let StreamRestoreRequest { mut config, .. } = call.decode()?;
    if config.name.is_empty() {
        stream.clone_into(&mut config.name);
    }
    check_name(&config, stream)?;
    let jetstream = call.jetstream;
    let lookup = |name: &str| jetstream.stream_config(name);
    let limits = jetstream.server_limits();
    let config = config.validated_among(limits, false, &lookup)?;
    config.check_replicas(limits)?;
    check_account(call.jetstream, &config)?;
    call.jetstream.check_limits(None, &config)?;
    if call.jetstream.stream(stream).is_some() {
        return Err(ApiError::STREAM_NAME_EXIST_RESTORE_FAILED);
    }
    let account = call
        .jetstream
        .account()
        .ok_or(ApiError::NOT_ENABLED_FOR_ACCOUNT)?;
    let restore = Restore {
        jetstream: Arc::clone(call.jetstream),
        account,
        config,
        client: call.client(),
    };
    Ok(Done::now(StreamRestore {
        deliver_subject: restore.start()?,
    }))
}
