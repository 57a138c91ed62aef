//! Endpoints that need more than one server.

use jetsled_jetstream_api::ApiError;
use jetsled_jetstream_api::response::{
    ConsumerEvacuatePeer, ConsumerLeaderStepdown, ConsumerRemovePeer, ResponseBody,
    StreamCancelMove, StreamEvacuatePeer, StreamLeaderStepdown, StreamRemovePeer,
};

use super::call::Call;
use super::endpoint::Clustering;

/// Answers that this server is alone.
pub(super) fn refuse(call: &mut Call<'_>, endpoint: Clustering) {
    match endpoint {
        Clustering::StreamLeaderStepdown => alone::<StreamLeaderStepdown>(call),
        Clustering::StreamPeerRemove => alone::<StreamRemovePeer>(call),
        Clustering::StreamPeerEvacuate => alone::<StreamEvacuatePeer>(call),
        Clustering::StreamCancelMove => alone::<StreamCancelMove>(call),
        Clustering::ConsumerLeaderStepdown => alone::<ConsumerLeaderStepdown>(call),
        Clustering::ConsumerPeerRemove => alone::<ConsumerRemovePeer>(call),
        Clustering::ConsumerPeerEvacuate => alone::<ConsumerEvacuatePeer>(call),
    }
}

fn alone<T: ResponseBody>(call: &mut Call<'_>) {
    call.answer_at_any_level::<T>(ApiError::CLUSTER_REQUIRED);
}
