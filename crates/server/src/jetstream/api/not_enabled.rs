//! What the API says in an account that does not have JetStream.

use std::sync::Arc;

use jetsled_jetstream_api::request::ConsumerUnpinRequest;
use jetsled_jetstream_api::response::{
    AccountInfoReply, ConsumerCreate, ConsumerDelete, ConsumerInfoReply, ConsumerList,
    ConsumerNames, ConsumerPause, ConsumerUnpin, MsgDelete, MsgGet, Response, ResponseBody,
    StreamCreate, StreamDelete, StreamInfoReply, StreamList, StreamNames, StreamPurge,
    StreamRestore, StreamSnapshot, StreamUpdate, System,
};
use jetsled_jetstream_api::{ApiError, json};

use super::clustering;
use super::endpoint::Endpoint;
use crate::account::Account;
use crate::jetstream::reply::send;
use crate::routing::FlushSet;

/// Endpoints that the system account's own services answer, or nobody (observed nats-server 2.15.1).
const OF_SERVICES: [&str; 3] = ["META.", "SERVER.", "ACCOUNT."];

/// Answers every endpoint with 10039, and in the system account whatever else is asked.
pub(in crate::jetstream) fn not_enabled(
    account: &Arc<Account>,
    subject: &[u8],
    reply: &[u8],
    payload: &[u8],
    flush: &mut FlushSet,
) {
    let Ok(subject) = std::str::from_utf8(subject) else {
        return;
    };
    if reply.is_empty() {
        return;
    }
    let endpoint = Endpoint::parse(subject);
    let refusal = if account.is_system() {
        system_refusal(subject, endpoint)
    } else {
        endpoint.and_then(|endpoint| refusal(endpoint, payload))
    };
    if let Some(refusal) = refusal {
        send(account, reply, &refusal, flush);
    }
}

fn system_refusal(subject: &str, endpoint: Option<Endpoint<'_>>) -> Option<Vec<u8>> {
    if let Some(Endpoint::AccountInfo) = endpoint {
        return Some(refuse::<AccountInfoReply>());
    }
    let call = subject.strip_prefix("$JS.API.")?;
    let is_elsewhere = OF_SERVICES.iter().any(|family| call.starts_with(family));
    (!is_elsewhere).then(refuse::<System>)
}

/// The reply; consumers that reset are none of the API's endpoints (observed nats-server 2.15.1).
fn refusal(endpoint: Endpoint<'_>, payload: &[u8]) -> Option<Vec<u8>> {
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
        Endpoint::ConsumerUnpin { .. } => match json::decode_one::<ConsumerUnpinRequest>(payload) {
            Ok(_) => refuse::<ConsumerUnpin>(),
            Err(error) => Response::<ConsumerUnpin>::error(error).to_json(),
        },
        Endpoint::ConsumerReset { .. } => return None,
        Endpoint::Clustering(endpoint) => clustering::refusal(endpoint),
    })
}

fn refuse<T: ResponseBody>() -> Vec<u8> {
    Response::<T>::error(ApiError::NOT_ENABLED_FOR_ACCOUNT).to_json()
}
