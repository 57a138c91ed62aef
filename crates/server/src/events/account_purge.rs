//! `$JS.API.ACCOUNT.PURGE.<account>`: all streams of an account go.

use jetsled_jetstream_api::ApiError;
use jetsled_jetstream_api::response::{AccountPurge, Response};
use jetsled_protocol::subject;

use crate::server::ServerState;

/// Deletes the streams and answers when that is durable; nothing where JetStream is off. An account that is not known has none
/// (observed nats-server 2.15.1).
pub(super) fn purge(server: &ServerState, subject: &[u8]) -> Option<Vec<u8>> {
    server.jetstream()?;
    let name = subject::tokens(subject).last().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    let purged = delete_streams(server, &name).map(|()| AccountPurge { initiated: true });
    Some(Response::from(purged).to_json())
}

fn delete_streams(server: &ServerState, name: &str) -> Result<(), ApiError> {
    if name.contains(['/', '\\']) {
        let reason = "account name can not contain path separators";
        return Err(ApiError::stream_general(reason));
    }
    let account = server.account(name);
    let jetstream = account.as_ref().and_then(|account| account.jetstream());
    tracing::info!(
        "Purge request for account {name} (streams: {}, hasAccount: {})",
        jetstream.map_or(0, |jetstream| jetstream.stream_count()),
        account.is_some(),
    );
    match jetstream {
        Some(jetstream) => jetstream.delete_streams(),
        None => Ok(()),
    }
}
