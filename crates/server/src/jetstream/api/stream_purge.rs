//! `STREAM.PURGE.<stream>`

use jetsled_jetstream_api::ApiError;
use jetsled_jetstream_api::request::StreamPurgeRequest;
use jetsled_jetstream_api::response::StreamPurge;
use jetsled_store::{ChangeError, Purge};

use super::call::{Call, Done, Outcome};

/// Removes a stream's messages: all, those below a sequence, or all but the newest; of all subjects or of some.
pub(super) fn purge(call: &mut Call<'_>, stream: &str) -> Outcome<StreamPurge> {
    let request: StreamPurgeRequest = call.decode_optional()?;
    if !request.sequence.is_zero() && request.keep > 0 {
        return Err(ApiError::BAD_REQUEST);
    }
    let purge = Purge {
        filter: Some(request.subject.as_bytes()).filter(|filter| !filter.is_empty()),
        below: request.sequence,
        keep: request.keep,
    };
    let jetstream = call.jetstream;
    jetstream
        .with_stream(stream, call.flush, |access, flush| {
            let (purged, durable) = access.purge(&purge, flush).map_err(purge_failed)?;
            let body = StreamPurge {
                success: true,
                purged,
            };
            Ok(Done::after(body, durable))
        })
        .ok_or(ApiError::STREAM_NOT_FOUND)?
}

fn purge_failed(error: ChangeError) -> ApiError {
    match error {
        ChangeError::Rejected(error) => error,
        error => ApiError::stream_purge_failed(error),
    }
}
