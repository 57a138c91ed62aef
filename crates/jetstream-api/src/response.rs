//! The replies of the endpoints below `$JS.API.`: an envelope with a `type`, an `error` if any, and a body.

mod account;
mod consumer;
mod paging;
mod stream;

use serde::Serialize;

use crate::{ApiError, json};

pub use account::{AccountInfo, AccountInfoReply, AccountPurge, AccountUsage, ApiStats, System};
pub use consumer::{
    ConsumerCreate, ConsumerDelete, ConsumerEvacuatePeer, ConsumerInfoReply,
    ConsumerLeaderStepdown, ConsumerList, ConsumerNames, ConsumerPause, ConsumerRemovePeer,
    ConsumerReset, ConsumerUnpin,
};
pub use paging::{LIST_LIMIT, NAMES_LIMIT, Page, SUBJECTS_LIMIT};
pub use stream::{
    MsgDelete, MsgGet, StoredMessage, StreamCancelMove, StreamCreate, StreamDelete,
    StreamEvacuatePeer, StreamInfoReply, StreamLeaderStepdown, StreamList, StreamNames,
    StreamPurge, StreamRemovePeer, StreamRestore, StreamSnapshot, StreamUpdate,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConsumerInfo, StreamInfo};

    fn check<T: ResponseBody>(result: Result<T, ApiError>, want: &str) {
        let json = String::from_utf8(Response::from(result).to_json()).unwrap();
        let want = format!(r#"{{"type":"io.nats.jetstream.api.v1.{want}"#);
        assert_eq!(json, want);
    }

    const ERROR: &str = r#""error":{"code":404,"err_code":10059,"description":"stream not found"}"#;

    fn check_error<T: ResponseBody>(suffix: &str, rest: &str) {
        check::<T>(
            Err(ApiError::STREAM_NOT_FOUND),
            &format!("{suffix}\",{ERROR}{rest}}}"),
        );
    }

    /// As shown by nats-server 2.15.1.
    #[test]
    fn errors_carry_the_members_that_are_never_left_out() {
        check_error::<StreamCreate>("stream_create_response", "");
        check_error::<StreamInfoReply>(
            "stream_info_response",
            r#","total":0,"offset":0,"limit":0"#,
        );
        let names = r#","total":0,"offset":0,"limit":0,"streams":null"#;
        check_error::<StreamNames>("stream_names_response", names);
        let list = r#","total":0,"offset":0,"limit":0,"streams":[]"#;
        check_error::<StreamList>("stream_list_response", list);
        let consumers = r#","total":0,"offset":0,"limit":0,"consumers":[]"#;
        check_error::<ConsumerNames>("consumer_names_response", consumers);
        check_error::<ConsumerList>("consumer_list_response", consumers);
        check_error::<StreamPurge>("stream_purge_response", r#","purged":0"#);
        check_error::<StreamDelete>("stream_delete_response", "");
        check_error::<MsgGet>("stream_msg_get_response", "");
        let pause = r#","paused":false,"pause_until":"0001-01-01T00:00:00Z""#;
        check_error::<ConsumerPause>("consumer_pause_response", pause);
        check_error::<ConsumerReset>("consumer_reset_response", r#","reset_seq":0"#);
        check_error::<ConsumerUnpin>("consumer_unpin_response", "");
    }

    #[test]
    fn bodies_follow_the_type() {
        check(
            Ok(StreamDelete { success: true }),
            r#"stream_delete_response","success":true}"#,
        );
        check(Ok(ConsumerUnpin {}), r#"consumer_unpin_response"}"#);
        let page = Page {
            total: 3,
            offset: 1,
            limit: 1024,
        };
        check(
            Ok(StreamNames {
                page,
                streams: vec!["a".to_owned(), "b<".to_owned()],
            }),
            r#"stream_names_response","total":3,"offset":1,"limit":1024,"streams":["a","b\u003c"]}"#,
        );
        let message = StoredMessage {
            subject: "s.>".to_owned(),
            seq: crate::StreamSeq(4),
            payload: b"hello".to_vec(),
            time: crate::Timestamp(5),
            ..StoredMessage::default()
        };
        check(
            Ok(MsgGet {
                message: Some(message),
            }),
            r#"stream_msg_get_response","message":{"subject":"s.\u003e","seq":4,"data":"aGVsbG8=","time":"1970-01-01T00:00:00.000000005Z"}}"#,
        );
        let info = AccountInfoReply {
            info: Some(AccountInfo::default()),
        };
        check(
            Ok(info),
            r#"account_info_response","memory":0,"storage":0,"reserved_memory":0,"reserved_storage":0,"streams":0,"consumers":0,"limits":{"max_memory":-1,"max_storage":-1,"max_streams":-1,"max_consumers":-1,"max_ack_pending":-1,"memory_max_stream_bytes":-1,"storage_max_stream_bytes":-1,"max_bytes_required":false},"api":{"level":0,"total":0,"errors":0}}"#,
        );
    }

    #[test]
    fn infos_lie_flat_in_the_reply() {
        let create = StreamCreate {
            info: Some(StreamInfo::default()),
            did_create: true,
        };
        let json = String::from_utf8(Response::ok(create).to_json()).unwrap();
        assert!(json.starts_with(
            r#"{"type":"io.nats.jetstream.api.v1.stream_create_response","config":{"name":"""#
        ));
        assert!(
            json.ends_with(r#""ts":"0001-01-01T00:00:00Z","did_create":true}"#),
            "{json}"
        );
        let info = ConsumerInfoReply {
            info: Some(ConsumerInfo::default()),
        };
        let json = String::from_utf8(Response::ok(info).to_json()).unwrap();
        assert!(
            json.contains(r#"_response","stream_name":"","name":"","created":"#),
            "{json}"
        );
    }

    #[test]
    fn pages_are_cut_within_the_result() {
        for (offset, want) in [(-1, vec![1, 2]), (0, vec![1, 2]), (2, vec![3]), (9, vec![])] {
            let (page, items) = Page::cut(vec![1, 2, 3], offset, 2);
            assert_eq!(
                (page.total, page.limit, items),
                (3, 2, want),
                "offset {offset}"
            );
        }
    }
}
