//! `STREAM.NAMES` and `STREAM.LIST`

use jetsled_jetstream_api::request::StreamsRequest;
use jetsled_jetstream_api::response::{LIST_LIMIT, NAMES_LIMIT, Page, StreamList, StreamNames};
use jetsled_store::DeletedDetails;

use super::call::{Call, Done, Outcome};
use super::stream_info;

/// The names of streams, sorted.
pub(super) fn names(call: &mut Call<'_>) -> Outcome<StreamNames> {
    let request: StreamsRequest = call.decode_optional_as("JSApiStreamNamesRequest")?;
    let (page, streams) = Page::cut(selected(call, &request), request.offset, NAMES_LIMIT);
    Ok(Done::now(StreamNames { page, streams }))
}

/// Streams with their state, sorted by name.
pub(super) fn list(call: &mut Call<'_>) -> Outcome<StreamList> {
    let request: StreamsRequest = call.decode_optional_as("JSApiStreamListRequest")?;
    let (page, names) = Page::cut(selected(call, &request), request.offset, LIST_LIMIT);
    let jetstream = call.jetstream;
    let mut streams = Vec::with_capacity(names.len());
    for name in names {
        let info = jetstream.with_stream(&name, call.flush, |access, _| {
            stream_info::gather(access, DeletedDetails::Count)
        });
        // A stream that has just been deleted is left out.
        if let Some(info) = info {
            let mut info = info.map_err(stream_info::unreadable)?;
            info.domain = jetstream.runtime().domain.clone().unwrap_or_default();
            streams.push(info);
        }
    }
    Ok(Done::now(StreamList {
        page,
        streams,
        ..StreamList::default()
    }))
}

/// The streams that a request asks for, by name.
fn selected(call: &Call<'_>, request: &StreamsRequest) -> Vec<String> {
    let streams = if request.subject.is_empty() {
        call.jetstream.streams()
    } else {
        call.jetstream.streams_on(request.subject.as_bytes())
    };
    streams
        .iter()
        .map(|stream| stream.config.name.clone())
        .collect()
}
