//! `CONSUMER.NAMES.<stream>` and `CONSUMER.LIST.<stream>`

use jetsled_jetstream_api::ApiError;
use jetsled_jetstream_api::request::PagedRequest;
use jetsled_jetstream_api::response::{ConsumerList, ConsumerNames, LIST_LIMIT, NAMES_LIMIT, Page};

use super::call::{Call, Done, Outcome};

/// The names of a stream's consumers, sorted.
pub(super) fn names(call: &mut Call<'_>, stream: &str) -> Outcome<ConsumerNames> {
    let request: PagedRequest = call.decode_optional()?;
    let jetstream = call.jetstream;
    let names = jetstream
        .with_stream(stream, call.flush, |access, _| access.consumer_names())
        .ok_or(ApiError::STREAM_NOT_FOUND)?;
    let (page, consumers) = Page::cut(names, request.offset, NAMES_LIMIT);
    Ok(Done::now(ConsumerNames { page, consumers }))
}

/// A stream's consumers with their state, sorted by name.
pub(super) fn list(call: &mut Call<'_>, stream: &str) -> Outcome<ConsumerList> {
    let request: PagedRequest = call.decode_optional()?;
    let jetstream = call.jetstream;
    let (page, consumers) = jetstream
        .with_stream(stream, call.flush, |access, flush| {
            let (page, names) = Page::cut(access.consumer_names(), request.offset, LIST_LIMIT);
            let infos = names
                .iter()
                .filter_map(|name| access.consumer_info(name, flush));
            (page, infos.collect())
        })
        .ok_or(ApiError::STREAM_NOT_FOUND)?;
    Ok(Done::now(ConsumerList {
        page,
        consumers,
        ..ConsumerList::default()
    }))
}
