//! `CONSUMER.UNPIN.<stream>.<consumer>`

use jetsled_jetstream_api::request::ConsumerUnpinRequest;
use jetsled_jetstream_api::response::ConsumerUnpin;
use jetsled_jetstream_api::{ApiError, check_group_name, json};

use super::call::{Call, Done, Outcome};

/// Takes the pin from the client that has it. Always lenient.
pub(super) fn unpin(call: &mut Call<'_>, stream: &str, consumer: &str) -> Outcome<ConsumerUnpin> {
    let request: ConsumerUnpinRequest = json::decode_one(call.payload)?;
    let group = request.group;
    if group.is_empty() {
        return Err(ApiError::invalid_json("consumer group not specified"));
    }
    check_group_name(&group)?;
    let jetstream = call.jetstream;
    jetstream
        .with_stream(stream, call.flush, |access, flush| {
            let config = access
                .consumer_config(consumer)
                .ok_or(ApiError::CONSUMER_NOT_FOUND)?;
            if !config.priority_groups.contains(&group) {
                return Err(ApiError::CONSUMER_INVALID_PRIORITY_GROUP);
            }
            let ((), durable) = access.change_consumer(consumer, flush, |state, context| {
                state.unpin(&group, context);
            })?;
            Ok(Done::after(ConsumerUnpin {}, durable))
        })
        .ok_or(ApiError::STREAM_NOT_FOUND)?
}
