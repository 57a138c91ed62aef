//! `CONSUMER.RESET.<stream>.<consumer>`

use jetsled_dispatch::ResetError;
use jetsled_jetstream_api::request::ConsumerResetRequest;
use jetsled_jetstream_api::response::ConsumerReset;
use jetsled_jetstream_api::{ApiError, json, stream_identity};

use super::call::{Call, Done, Outcome};
use super::consumer_create::STREAM_IDENTITY;
use crate::info::VERSION;

/// Starts a consumer anew, after its ack floor or at a sequence. Always lenient. Only a consumer that exists answers, and
/// only with a reply subject; no request is counted or told (observed nats-server 2.15.1).
pub(super) fn reset(call: &mut Call<'_>, stream: &str, consumer: &str) {
    let jetstream = call.jetstream;
    let exists = jetstream.with_stream(stream, call.flush, |access, _| {
        access.has_consumer(consumer)
    });
    if exists == Some(true) && call.wants_reply() {
        call.answer_in_silence(|call| restart(call, stream, consumer));
    }
}

fn restart(call: &mut Call<'_>, stream: &str, consumer: &str) -> Outcome<ConsumerReset> {
    let request = if call.payload.is_empty() {
        ConsumerResetRequest::default()
    } else {
        json::decode_one(call.payload)?
    };
    let jetstream = call.jetstream;
    let (mut info, reset_seq, identity, durable) = jetstream
        .with_stream(stream, call.flush, |access, flush| {
            let config = access
                .consumer_config(consumer)
                .ok_or(ApiError::CONSUMER_NOT_FOUND)?;
            let identity = stream_identity(access.stream().created());
            // The reply tells of the start, before anything is delivered again.
            let (outcome, durable) =
                access.change_consumer(consumer, flush, |state, context| {
                    let next = state.reset(request.seq, context)?;
                    Ok::<_, ResetError>((state.info(config, context), next))
                })?;
            let (info, next) = outcome.map_err(ApiError::consumer_invalid_reset)?;
            access.release_unneeded(flush);
            Ok((info, next, identity, durable))
        })
        .ok_or(ApiError::STREAM_NOT_FOUND)??;
    if call.header(STREAM_IDENTITY).is_some() {
        call.set_reply_header(STREAM_IDENTITY, &identity);
    }
    info.config.set_reply_metadata(VERSION);
    Ok(Done::after(
        ConsumerReset {
            info: Some(info),
            reset_seq,
        },
        durable,
    ))
}
