//! `$JS.API`: requests and replies.

use jetsled_jetstream_api::Timestamp;
use jetsled_store::StreamId;

use super::ingest::Request;
use super::shard::ShardState;
use crate::routing::FlushSet;

/// Answers a request below `$JS.API.`.
pub(super) fn handle(_request: &Request<'_>, _now: Timestamp, _flush: &mut FlushSet) {}

/// Answers a direct get.
pub(super) fn direct_get(
    _state: &mut ShardState,
    _stream: StreamId,
    _request: &Request<'_>,
    _flush: &mut FlushSet,
) {
}

/// Whether `Nats-Required-Api-Level` asks for more than this server has.
pub(super) fn level_too_high(_headers: &[u8]) -> bool {
    false
}
