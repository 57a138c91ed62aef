//! Endpoints that need more than one server.

use jetsled_jetstream_api::ApiError;
use jetsled_jetstream_api::response::{
    ConsumerEvacuatePeer, ConsumerLeaderStepdown, ConsumerRemovePeer, Response, ResponseBody,
    StreamCancelMove, StreamEvacuatePeer, StreamLeaderStepdown, StreamRemovePeer,
};

use super::endpoint::Clustering;

/// Says that this server is alone, in an account without JetStream too (observed nats-server 2.15.1).
pub(super) fn refusal(endpoint: Clustering) -> Vec<u8> {
    match endpoint {
        Clustering::StreamLeaderStepdown => alone::<StreamLeaderStepdown>(),
        Clustering::StreamPeerRemove => alone::<StreamRemovePeer>(),
        Clustering::StreamPeerEvacuate => alone::<StreamEvacuatePeer>(),
        Clustering::StreamCancelMove => alone::<StreamCancelMove>(),
        Clustering::ConsumerLeaderStepdown => alone::<ConsumerLeaderStepdown>(),
        Clustering::ConsumerPeerRemove => alone::<ConsumerRemovePeer>(),
        Clustering::ConsumerPeerEvacuate => alone::<ConsumerEvacuatePeer>(),
    }
}

fn alone<T: ResponseBody>() -> Vec<u8> {
    Response::<T>::error(ApiError::CLUSTER_REQUIRED).to_json()
}
