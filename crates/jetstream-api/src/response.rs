//! The replies of the endpoints below `$JS.API.`: an envelope with a `type`, an `error` if any, and a body.

mod account;
mod consumer;
mod paging;
mod stream;

use serde::Serialize;

use crate::{ApiError, json};

pub use account::{AccountInfo, AccountInfoReply, AccountUsage, ApiStats};
pub use consumer::{
    ConsumerCreate, ConsumerDelete, ConsumerInfoReply, ConsumerLeaderStepdown, ConsumerList,
    ConsumerNames, ConsumerPause, ConsumerReset, ConsumerUnpin,
};
pub use paging::{LIST_LIMIT, NAMES_LIMIT, Page, SUBJECTS_LIMIT};
pub use stream::{
    MsgDelete, MsgGet, StoredMessage, StreamCreate, StreamDelete, StreamInfoReply,
    StreamLeaderStepdown, StreamList, StreamNames, StreamPurge, StreamRemovePeer, StreamRestore,
    StreamSnapshot, StreamUpdate,
};

/// The body of a reply. Its default is what an error reply carries beside the error.
pub trait ResponseBody: Serialize + Default {
    /// The reply's `type`.
    const TYPE: &'static str;
}

/// A reply: `type`, `error` if there is one, then the members of the body.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Response<T> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ApiError>,
    #[serde(flatten)]
    body: T,
}

impl<T: ResponseBody> Response<T> {
    /// A reply to a request that was done.
    pub fn ok(body: T) -> Self {
        Self {
            kind: T::TYPE,
            error: None,
            body,
        }
    }

    /// A reply to a request that was refused.
    #[must_use]
    pub fn error(error: ApiError) -> Self {
        Self {
            kind: T::TYPE,
            error: Some(error),
            body: T::default(),
        }
    }

    /// Whether the request was refused.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.error.is_some()
    }

    /// The reply as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        json::to_vec(self)
    }
}

impl<T: ResponseBody> From<Result<T, ApiError>> for Response<T> {
    fn from(result: Result<T, ApiError>) -> Self {
        result.map_or_else(Self::error, Self::ok)
    }
}

/// Names the `type` of reply bodies.
macro_rules! response_types {
    ($($body:ident = $suffix:literal),+ $(,)?) => {
        $(impl $crate::response::ResponseBody for $body {
            const TYPE: &'static str = concat!("io.nats.jetstream.api.v1.", $suffix);
        })+
    };
}
pub(crate) use response_types;
