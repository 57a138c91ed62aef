//! `$JS.API`: requests and replies.
//!
//! One file an endpoint. An endpoint reads the request, checks it, asks the account's JetStream, and says what the
//! reply is and which log position it waits for; sending is left to [`call`].

mod account_info;
mod call;
mod clustering;
mod consumer_create;
mod consumer_delete;
mod consumer_info;
mod consumer_list;
mod consumer_pause;
mod consumer_reset;
mod consumer_unpin;
mod direct_get;
mod endpoint;
mod level;
mod msg_delete;
mod msg_get;
mod not_enabled;
mod stream_create;
mod stream_delete;
mod stream_info;
mod stream_list;
mod stream_purge;
mod stream_restore;
mod stream_snapshot;
mod stream_update;

use jetsled_jetstream_api::Timestamp;

use self::call::Call;
use self::endpoint::Endpoint;
use super::ingest::Request;
use crate::routing::FlushSet;

pub(super) use direct_get::direct_get;
pub(super) use level::level_too_high;
pub(super) use not_enabled::not_enabled;
pub(super) use stream_info::gather;

/// Answers a request below `$JS.API.`. What is no endpoint gets no reply (observed nats-server 2.15.1).
pub(super) fn handle(request: &Request<'_>, now: Timestamp, flush: &mut FlushSet) {
    let Ok(subject) = std::str::from_utf8(request.subject) else {
        return;
    };
    let Some(endpoint) = Endpoint::parse(subject) else {
        return;
    };
    let mut call = Call::new(request, now, flush);
    match endpoint {
        Endpoint::AccountInfo => call.answer(account_info::account_info),
        Endpoint::StreamCreate { stream } => call.answer(|c| stream_create::create(c, stream)),
        Endpoint::StreamUpdate { stream } => call.answer(|c| stream_update::update(c, stream)),
        Endpoint::StreamNames => call.answer(stream_list::names),
        Endpoint::StreamList => call.answer(stream_list::list),
        Endpoint::StreamInfo { stream } => call.answer(|c| stream_info::info(c, stream)),
        Endpoint::StreamDelete { stream } => call.answer(|c| stream_delete::delete(c, stream)),
        Endpoint::StreamPurge { stream } => call.answer(|c| stream_purge::purge(c, stream)),
        Endpoint::StreamSnapshot { stream } => stream_snapshot::snapshot(&mut call, stream),
        Endpoint::StreamRestore { stream } => call.answer(|c| stream_restore::restore(c, stream)),
        Endpoint::MsgGet { stream } => call.answer_uncounted(|c| msg_get::get(c, stream)),
        Endpoint::MsgDelete { stream } => call.answer(|c| msg_delete::delete(c, stream)),
        Endpoint::ConsumerCreate { stream, form } => {
            call.answer(|c| consumer_create::create(c, stream, form));
        }
        Endpoint::ConsumerNames { stream } => call.answer(|c| consumer_list::names(c, stream)),
        Endpoint::ConsumerList { stream } => call.answer(|c| consumer_list::list(c, stream)),
        Endpoint::ConsumerInfo { stream, consumer } => {
            call.answer(|c| consumer_info::info(c, stream, consumer));
        }
        Endpoint::ConsumerDelete { stream, consumer } => {
            call.answer(|c| consumer_delete::delete(c, stream, consumer));
        }
        Endpoint::ConsumerPause { stream, consumer } => {
            call.answer(|c| consumer_pause::pause(c, stream, consumer));
        }
        Endpoint::ConsumerUnpin { stream, consumer } => {
            call.answer(|c| consumer_unpin::unpin(c, stream, consumer));
        }
        Endpoint::ConsumerReset { stream, consumer } => {
            consumer_reset::reset(&mut call, stream, consumer);
        }
        Endpoint::Clustering(endpoint) => {
            call.refuse_at_any_level(&clustering::refusal(endpoint));
        }
    }
}
