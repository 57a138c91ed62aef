//! `STREAM.INFO.<stream>`

use std::collections::BTreeMap;

use jetsled_jetstream_api::request::StreamInfoRequest;
use jetsled_jetstream_api::response::{Page, SUBJECTS_LIMIT, StreamInfoReply};
use jetsled_jetstream_api::{ApiError, ClusterInfo, StorageType, StreamInfo, StreamSeq};
use jetsled_protocol::SubjectFilter;
use jetsled_store::{DeletedDetails, ReadError};

use super::call::{Call, Done, Outcome};
use crate::info::VERSION;
use crate::jetstream::access::StreamAccess;

/// A stream's configuration and state, with its subjects and deleted sequences if asked for.
pub(super) fn info(call: &mut Call<'_>, stream: &str) -> Outcome<StreamInfoReply> {
    let request: StreamInfoRequest = call.decode_optional()?;
    let deleted = if request.deleted_details {
        DeletedDetails::List
    } else {
        DeletedDetails::Count
    };
    let read = |access: &mut StreamAccess<'_>| {
        let mut info = gather(access, deleted)?;
        // Asked for gaps, nats-server finds the one message from 0 to 0 of an unused file to be missing.
        if request.deleted_details
            && info.config.storage == StorageType::File
            && info.state.first_seq.is_zero()
        {
            info.state.num_deleted = 1;
            info.state.deleted = vec![StreamSeq(0)];
        }
        let page = if request.subjects_filter.is_empty() {
            Page::default()
        } else {
            list_subjects(access, &request, &mut info)
        };
        Ok((info, page))
    };
    let jetstream = call.jetstream;
    let (mut info, page) = jetstream
        .with_stream(stream, call.flush, |access, _| read(access))
        .ok_or(ApiError::STREAM_NOT_FOUND)?
        .map_err(unreadable)?;
    complete(call, &mut info);
    Ok(Done::now(StreamInfoReply {
        page,
        info: Some(info),
    }))
}

/// A stream as replies show it.
pub(super) fn of(call: &mut Call<'_>, stream: &str) -> Result<StreamInfo, ApiError> {
    let jetstream = call.jetstream;
    let mut info = jetstream
        .with_stream(stream, call.flush, |access, _| {
            gather(access, DeletedDetails::Count)
        })
        .ok_or(ApiError::STREAM_NOT_FOUND)?
        .map_err(unreadable)?;
    complete(call, &mut info);
    Ok(info)
}

/// What the stream itself knows.
pub(in crate::jetstream) fn gather(
    access: &mut StreamAccess<'_>,
    deleted: DeletedDetails,
) -> Result<StreamInfo, ReadError> {
    let id = access.id();
    let mut state = access.store().state(id, deleted)?;
    state.consumer_count = access.consumer_count() as u64;
    let (mirror, sources) = access.origins();
    Ok(StreamInfo {
        config: access.config().clone(),
        created: access.stream().created(),
        state,
        mirror,
        sources,
        timestamp: access.now(),
        ..StreamInfo::default()
    })
}

/// A record of the stream could not be read.
pub(super) fn unreadable(error: ReadError) -> ApiError {
    tracing::error!("JetStream API could not read a stream: {error}");
    ApiError::stream_general(error)
}

/// Adds what the server knows.
fn complete(call: &Call<'_>, info: &mut StreamInfo) {
    let runtime = call.jetstream.runtime();
    info.config.set_reply_metadata(VERSION);
    info.domain = runtime.domain.clone().unwrap_or_default();
    info.cluster = Some(ClusterInfo {
        name: runtime.cluster_name.clone(),
        leader: runtime.server_name.clone(),
        ..ClusterInfo::default()
    });
}

/// Adds the requested page of subjects; nothing at all if no subject matches.
fn list_subjects(
    access: &mut StreamAccess<'_>,
    request: &StreamInfoRequest,
    info: &mut StreamInfo,
) -> Page {
    let filter = SubjectFilter::new([&request.subjects_filter]);
    let id = access.id();
    let mut subjects = BTreeMap::new();
    access.store().subjects(id, &filter, &mut |subject, count| {
        subjects.insert(String::from_utf8_lossy(subject).into_owned(), count);
    });
    if subjects.is_empty() {
        return Page::default();
    }
    let (mut page, subjects) = Page::cut(
        subjects.into_iter().collect(),
        request.offset,
        SUBJECTS_LIMIT,
    );
    info.state.subjects = subjects.into_iter().collect();
    // Unlike lists, an offset beyond the end is told as it was asked for.
    page.offset = usize::try_from(request.offset.max(0)).unwrap_or(usize::MAX);
    page
}
