//! `/dashboard/stream`: one stream with its consumers.

use jetsled_jetstream_api::{ConsumerInfo, SourceInfo, StreamConfig, StreamState};
use serde::Serialize;

use crate::monitor::query::Query;
use crate::server::ServerState;

/// Consumers that are shown with their stream.
const MAX_CONSUMERS: usize = 1000;

#[derive(Debug, Serialize)]
pub(super) struct Stream {
    config: StreamConfig,
    state: StreamState,
    consumers: Vec<ConsumerInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror: Option<SourceInfo>,
    sources: Vec<SourceInfo>,
}

/// `None` if there is no such stream.
pub(super) fn stream(server: &ServerState, query: &Query) -> Option<Stream> {
    let account = server.account(query.text("account"))?;
    let jetstream = account.jetstream()?;
    let observed = jetstream.observe_one(query.text("stream"), MAX_CONSUMERS)?;
    Some(Stream {
        config: (*observed.config).clone(),
        state: observed.state,
        consumers: observed.consumers,
        mirror: observed.mirror,
        sources: observed.sources,
    })
}
