//! `CONSUMER.INFO.<stream>.<consumer>`

use jetsled_jetstream_api::ApiError;
use jetsled_jetstream_api::response::ConsumerInfoReply;

use super::call::{Call, Done, Outcome};
use crate::info::VERSION;

/// A consumer's configuration and state.
pub(super) fn info(
    call: &mut Call<'_>,
    stream: &str,
    consumer: &str,
) -> Outcome<ConsumerInfoReply> {
    call.expect_empty()?;
    let jetstream = call.jetstream;
    let mut info = jetstream
        .with_stream(stream, call.flush, |access, flush| {
            access.consumer_info(consumer, flush)
        })
        .ok_or(ApiError::STREAM_NOT_FOUND)?
        .ok_or(ApiError::CONSUMER_NOT_FOUND)?;
    info.config.set_reply_metadata(VERSION);
    Ok(Done::now(ConsumerInfoReply { info: Some(info) }))
}
