//! `STREAM.MSG.DELETE.<stream>`

use jetsled_jetstream_api::request::MsgDeleteRequest;
use jetsled_jetstream_api::response::MsgDelete;
use jetsled_jetstream_api::{ApiError, json};
use jetsled_store::{ChangeError, Erase};

use super::call::{Call, Done, Outcome};

/// Deletes one message.
pub(super) fn delete(call: &mut Call<'_>, stream: &str) -> Outcome<MsgDelete> {
    let request: MsgDeleteRequest = call.decode()?;
    if json::is_empty_request(call.payload) {
        return Err(ApiError::BAD_REQUEST);
    }
    let erase = if request.no_erase {
        Erase::No
    } else {
        Erase::Yes
    };
    let jetstream = call.jetstream;
    let outcome = jetstream
        .with_stream(stream, call.flush, |access, flush| {
            let config = access.config();
            let permitted = !config.sealed && !config.deny_delete;
            let id = access.id();
            let deleted = access.store().delete_message(id, request.seq, erase);
            let deleted = deleted.map(|()| access.changed(flush));
            (permitted, deleted)
        })
        .ok_or(ApiError::STREAM_NOT_FOUND)?;
    let (permitted, deleted) = outcome;
    call.count_errors = !permitted;
    let change = deleted.map_err(delete_failed)?;
    Ok(Done::after(MsgDelete { success: true }, change))
}

fn delete_failed(error: ChangeError) -> ApiError {
    match error {
        ChangeError::Rejected(error) => error,
        error => ApiError::stream_msg_delete_failed(error),
    }
}
