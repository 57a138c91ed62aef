//! What the API says in an account that does not have JetStream.

use std::sync::Arc;

use jetsled_jetstream_api::ApiError;
use jetsled_jetstream_api::response::{
    AccountInfoReply, ConsumerCreate, ConsumerDelete, ConsumerEvacuatePeer, ConsumerInfoReply,
    ConsumerLeaderStepdown, ConsumerList, ConsumerNames, ConsumerPause, ConsumerRemovePeer,
    ConsumerUnpin, MsgDelete, MsgGet, Response, ResponseBody, StreamCancelMove, StreamCreate,
    StreamDelete, StreamEvacuatePeer, StreamInfoReply, StreamLeaderStepdown, StreamList,
    StreamNames, StreamPurge, StreamRemovePeer, StreamRestore, StreamSnapshot, StreamUpdate,
};

use super::endpoint::{Clustering, Endpoint};
use crate::account::Account;
use crate::jetstream::reply::send;
use crate::routing::FlushSet;

/// Answers every endpoint with 10039.
pub(in crate::jetstream) fn not_enabled(
    account: &Arc<Account>,
    subject: &[u8],
    reply: &[u8],
    flush: &mut FlushSet,
) {
    let endpoint = std::str::from_utf8(subject).ok().and_then(Endpoint::parse);
    if let Some(endpoint) = endpoint
        && !reply.is_empty()
        && let Some(refusal) = refusal(endpoint)
    {
        send(account, reply, &refusal, flush);
    }
}

/// The reply; consumers that reset are none of the API's endpoints (observed nats-server 2.15.1).
fn refusal(endpoint: Endpoint<'_>) -> Option<Vec<u8>> {
    Some(match endpoint {
        Endpoint::AccountInfo => refuse::<AccountInfoReply>(),
        Endpoint::StreamCreate { .. } => refuse::<StreamCreate>(),
        Endpoint::StreamUpdate { .. } => refuse::<StreamUpdate>(),
        Endpoint::StreamNames => refuse::<StreamNames>(),
        Endpoint::StreamList => refuse::<StreamList>(),
        Endpoint::StreamInfo { .. } => refuse::<StreamInfoReply>(),
        Endpoint::StreamDelete { .. } => refuse::<StreamDelete>(),
        Endpoint::StreamPurge { .. } => refuse::<StreamPurge>(),
        Endpoint::StreamSnapshot { .. } => refuse::<StreamSnapshot>(),
        Endpoint::StreamRestore { .. } => refuse::<StreamRestore>(),
        Endpoint::MsgGet { .. } => refuse::<MsgGet>(),
        Endpoint::MsgDelete { .. } => refuse::<MsgDelete>(),
        Endpoint::ConsumerCreate { .. } => refuse::<ConsumerCreate>(),
        Endpoint::ConsumerNames { .. } => refuse::<ConsumerNames>(),
        Endpoint::ConsumerList { .. } => refuse::<ConsumerList>(),
        Endpoint::ConsumerInfo { .. } => refuse::<ConsumerInfoReply>(),
        Endpoint::ConsumerDelete { .. } => refuse::<ConsumerDelete>(),
        Endpoint::ConsumerPause { .. } => refuse::<ConsumerPause>(),
        Endpoint::ConsumerUnpin { .. } => refuse::<ConsumerUnpin>(),
        Endpoint::ConsumerReset { .. } => return None,
        Endpoint::Clustering(Clustering::StreamLeaderStepdown) => refuse::<StreamLeaderStepdown>(),
        Endpoint::Clustering(Clustering::StreamPeerRemove) => refuse::<StreamRemovePeer>(),
        Endpoint::Clustering(Clustering::StreamPeerEvacuate) => refuse::<StreamEvacuatePeer>(),
        Endpoint::Clustering(Clustering::StreamCancelMove) => refuse::<StreamCancelMove>(),
        Endpoint::Clustering(Clustering::ConsumerLeaderStepdown) => {
            refuse::<ConsumerLeaderStepdown>()
        }
        Endpoint::Clustering(Clustering::ConsumerPeerRemove) => refuse::<ConsumerRemovePeer>(),
        Endpoint::Clustering(Clustering::ConsumerPeerEvacuate) => refuse::<ConsumerEvacuatePeer>(),
    })
}

fn refuse<T: ResponseBody>() -> Vec<u8> {
    Response::<T>::error(ApiError::NOT_ENABLED_FOR_ACCOUNT).to_json()
}
