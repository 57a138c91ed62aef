//! `CONSUMER.DELETE.<stream>.<consumer>`

use jetsled_jetstream_api::ApiError;
use jetsled_jetstream_api::response::ConsumerDelete;

use super::call::{Call, Done, Outcome};

/// Deletes a consumer.
pub(super) fn delete(call: &mut Call<'_>, stream: &str, consumer: &str) -> Outcome<ConsumerDelete> {
    call.expect_empty()?;
    let jetstream = call.jetstream;
    let durable = jetstream
        .with_stream(stream, call.flush, |access, flush| {
            access.delete_consumer(consumer, flush)
        })
        .ok_or(ApiError::STREAM_NOT_FOUND)??;
    Ok(Done::after(ConsumerDelete { success: true }, durable))
}
