//! `CONSUMER.PAUSE.<stream>.<consumer>`

use jetsled_jetstream_api::request::ConsumerPauseRequest;
use jetsled_jetstream_api::response::ConsumerPause;
use jetsled_jetstream_api::{ApiError, Nanos};

use super::call::{Call, Done, Outcome};

/// Stops deliveries until a time; resumes them without one or with a past one.
pub(super) fn pause(call: &mut Call<'_>, stream: &str, consumer: &str) -> Outcome<ConsumerPause> {
    let ConsumerPauseRequest { pause_until } = call.decode_optional()?;
    let until = Some(pause_until).filter(|until| !until.is_unset());
    let jetstream = call.jetstream;
    let durable = jetstream
        .with_stream(stream, call.flush, |access, flush| {
            access.pause_consumer(consumer, until, flush)
        })
        .ok_or(ApiError::STREAM_NOT_FOUND)??;
    let paused = pause_until > call.now;
    let pause_remaining = if paused {
        pause_until.since(call.now)
    } else {
        Nanos::ZERO
    };
    Ok(Done::after(
        ConsumerPause {
            paused,
            pause_until,
            pause_remaining,
        },
        durable,
    ))
}
