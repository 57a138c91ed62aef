//! The requests of the endpoints below `$JS.API.`, by endpoint family.

mod consumer;
mod msg_get;
mod stream;

pub use consumer::{
    ConsumerAction, ConsumerPauseRequest, ConsumerResetRequest, ConsumerUnpinRequest,
    CreateConsumerRequest, CreateForm,
};
pub use msg_get::{MsgGetConflict, MsgGetRequest};
pub use stream::{
    MsgDeleteRequest, PagedRequest, StreamConfigRequest, StreamInfoRequest, StreamPurgeRequest,
    StreamRestoreRequest, StreamSnapshotRequest, StreamsRequest,
};
