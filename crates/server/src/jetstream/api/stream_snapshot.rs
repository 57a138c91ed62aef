//! `STREAM.SNAPSHOT.<stream>`

use std::sync::Arc;

use jetsled_jetstream_api::request::StreamSnapshotRequest;
use jetsled_jetstream_api::response::StreamSnapshot;
use jetsled_jetstream_api::{ApiError, json};

use super::call::Call;
use crate::jetstream::transfer::{Snapshot, is_deliver_subject};

/// Sends a stream as an archive. The answer comes from the thread that does it.
pub(super) fn snapshot(call: &mut Call<'_>, stream: &str) {
    call.answer_later::<StreamSnapshot>(|call| start(call, stream));
}

fn start(call: &mut Call<'_>, stream: &str) -> Result<(), ApiError> {
    if json::is_empty_request(call.payload) {
        return Err(ApiError::BAD_REQUEST);
    }
    let handle = call
        .jetstream
        .stream(stream)
        .ok_or(ApiError::STREAM_NOT_FOUND)?;
    let request: StreamSnapshotRequest = call.decode()?;
    if !is_deliver_subject(&request.deliver_subject) {
        return Err(ApiError::SNAPSHOT_DELIVER_SUBJECT_INVALID);
    }
    let account = call
        .jetstream
        .account()
        .ok_or(ApiError::NOT_ENABLED_FOR_ACCOUNT)?;
    Snapshot {
        jetstream: Arc::clone(call.jetstream),
        account,
        stream: handle,
        request,
        reply: call.reply().to_vec(),
        client: call.client(),
    }
    .start()
}
