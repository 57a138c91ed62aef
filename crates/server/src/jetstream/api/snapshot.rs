//! `STREAM.SNAPSHOT` and `STREAM.RESTORE`: not there yet, and said so.

use jetsled_jetstream_api::ApiError;
use jetsled_jetstream_api::response::{StreamRestore, StreamSnapshot};

use super::call::{Call, Outcome};

pub(super) fn snapshot(_call: &mut Call<'_>) -> Outcome<StreamSnapshot> {
    Err(ApiError::stream_snapshot(UNSUPPORTED))
}

pub(super) fn restore(_call: &mut Call<'_>) -> Outcome<StreamRestore> {
    Err(ApiError::stream_restore(UNSUPPORTED))
}

const UNSUPPORTED: &str = "not supported by this server yet";
