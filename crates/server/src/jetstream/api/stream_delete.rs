//! `STREAM.DELETE.<stream>`

use jetsled_jetstream_api::advisory::Action;
use jetsled_jetstream_api::response::StreamDelete;

use super::call::{Call, Done, Outcome};
use super::stream_create::announce;

/// Deletes a stream with its messages and consumers.
pub(super) fn delete(call: &mut Call<'_>, stream: &str) -> Outcome<StreamDelete> {
    call.expect_empty()?;
    let durable = call.jetstream.delete_stream(stream, call.flush)?;
    announce(call, stream, Action::Delete);
    Ok(Done::after(StreamDelete { success: true }, durable))
}
