//! `STREAM.MSG.GET.<stream>`

use jetsled_jetstream_api::request::MsgGetRequest;
use jetsled_jetstream_api::response::{MsgGet, StoredMessage};
use jetsled_jetstream_api::{ApiError, StreamSeq};
use jetsled_protocol::SubjectFilter;
use jetsled_store::ReadError;

use super::call::{Call, Done, Outcome};
use super::stream_info::unreadable;
use crate::jetstream::access::StreamAccess;

/// One message, by sequence, by subject, or by time.
pub(super) fn get(call: &mut Call<'_>, stream: &str) -> Outcome<MsgGet> {
    let request: MsgGetRequest = call.decode()?;
    request.check_msg_get().map_err(|_| ApiError::BAD_REQUEST)?;
    let jetstream = call.jetstream;
    jetstream
        .with_stream(stream, call.flush, |access, _| {
            let message = find(access, &request).map_err(unreadable)?;
            let message = message.ok_or(ApiError::NO_MESSAGE_FOUND)?;
            // What is not durable yet may be lost: the reply waits.
            let is_durable = message.seq <= access.stream().visible_last_seq();
            let after = (!is_durable).then(|| access.written());
            Ok(Done {
                body: MsgGet {
                    message: Some(message),
                },
                after,
            })
        })
        .ok_or(ApiError::STREAM_NOT_FOUND)?
}

fn find(
    access: &mut StreamAccess<'_>,
    request: &MsgGetRequest,
) -> Result<Option<StoredMessage>, ReadError> {
    let id = access.id();
    let store = access.store();
    let from = match request.start_time {
        Some(time) => store.seq_for_time(id, time)?,
        None => request.seq.max(StreamSeq::FIRST),
    };
    let message = if !request.last_for.is_empty() {
        store.load_last(id, &SubjectFilter::new([&request.last_for]))?
    } else if !request.next_for.is_empty() {
        store.load_next(id, from, &SubjectFilter::new([&request.next_for]))?
    } else if request.start_time.is_some() {
        store.load_next(id, from, &SubjectFilter::new([b">"]))?
    } else {
        store.load(id, request.seq)?
    };
    Ok(message.map(|message| StoredMessage {
        subject: String::from_utf8_lossy(message.subject).into_owned(),
        seq: message.seq,
        headers: if request.no_headers {
            Vec::new()
        } else {
            message.headers.to_vec()
        },
        payload: message.payload.to_vec(),
        time: message.timestamp,
    }))
}
