//! `CONSUMER.CREATE.<stream>[.<consumer>[.<filter>]]` and `CONSUMER.DURABLE.CREATE.<stream>.<consumer>`

use jetsled_jetstream_api::request::{ConsumerAction, CreateConsumerRequest, CreateForm};
use jetsled_jetstream_api::response::ConsumerCreate;
use jetsled_jetstream_api::{
    ApiError, ConsumerConfig, ConsumerInfo, ConsumerRules, RetentionPolicy, short_hash,
};

use super::call::{Call, Done, Outcome};
use super::unsupported;
use crate::info::VERSION;
use crate::jetstream::access::StreamAccess;
use crate::jetstream::account::{AccountJetStream, DurableAt};
use crate::routing::FlushSet;

/// Creates a consumer or updates it.
pub(super) fn create(
    call: &mut Call<'_>,
    stream: &str,
    form: CreateForm<'_>,
) -> Outcome<ConsumerCreate> {
    let mut request: CreateConsumerRequest = call.decode()?;
    request.agree_with(stream, form)?;
    if request.config.num_replicas > 1 && !call.jetstream.server_limits().clustered {
        return Err(ApiError::STREAM_REPLICAS_NOT_SUPPORTED);
    }
    let jetstream = call.jetstream;
    let (mut info, durable) = jetstream
        .with_stream(stream, call.flush, |access, flush| {
            put(access, jetstream, request, flush)
        })
        .ok_or(ApiError::STREAM_NOT_FOUND)??;
    info.config.set_reply_metadata(VERSION);
    Ok(Done::after(ConsumerCreate { info: Some(info) }, durable))
}

fn put(
    access: &mut StreamAccess<'_>,
    jetstream: &AccountJetStream,
    request: CreateConsumerRequest,
    flush: &mut FlushSet,
) -> Result<(ConsumerInfo, DurableAt), ApiError> {
    let CreateConsumerRequest {
        mut config,
        action,
        pedantic,
        ..
    } = request;
    let name = if config.name.is_empty() {
        fresh_name(access)
    } else {
        config.name.clone()
    };
    let existing = access.consumer_config(&name).cloned();
    if let Some(existing) = &existing {
        config.pause_until = existing.pause_until;
    }
    let rules = ConsumerRules {
        stream: access.config(),
        server: jetstream.server_limits(),
        account_max_ack_pending: jetstream.account_limits().max_ack_pending,
        pedantic,
    };
    let config = config.validated(&rules)?;
    unsupported::check_consumer(&config)?;
    let Some(existing) = existing else {
        if action == ConsumerAction::Update {
            return Err(ApiError::CONSUMER_DOES_NOT_EXIST);
        }
        check_count(access, jetstream)?;
        config.check_work_queue_stream(access.config())?;
        check_work_queue(access, &name, &config)?;
        return access.create_consumer(&name, config, flush);
    };
    if existing.is_same(&config) {
        let info = access
            .consumer_info(&name, flush)
            .ok_or(ApiError::CONSUMER_NOT_FOUND)?;
        return Ok((info, access.written()));
    }
    if action == ConsumerAction::Create {
        return Err(ApiError::CONSUMER_ALREADY_EXISTS);
    }
    check_work_queue(access, &name, &config)?;
    existing.check_update(&config)?;
    let moves = existing.deliver_subject != config.deliver_subject;
    if moves && access.has_interest(&existing.deliver_subject) {
        return Err(ApiError::CONSUMER_NAME_EXIST);
    }
    access.update_consumer(&name, config, flush)
}

/// The smallest positive limit of the stream, the account and, if the stream has none, the server.
fn check_count(access: &StreamAccess<'_>, jetstream: &AccountJetStream) -> Result<(), ApiError> {
    let of_stream = match access.config().max_consumers {
        limit if limit > 0 => limit,
        _ => jetstream.server_limits().default_max_consumers,
    };
    let limits = [of_stream, jetstream.account_limits().max_consumers];
    let limit = limits.into_iter().filter(|limit| *limit > 0).min();
    if limit.is_some_and(|limit| access.consumer_count() as u64 >= limit.unsigned_abs()) {
        return Err(ApiError::MAXIMUM_CONSUMERS_LIMIT);
    }
    Ok(())
}

fn check_work_queue(
    access: &StreamAccess<'_>,
    name: &str,
    config: &ConsumerConfig,
) -> Result<(), ApiError> {
    if access.config().retention != RetentionPolicy::WorkQueue {
        return Ok(());
    }
    config.check_work_queue(access.other_consumers(name).map(|(_, config)| config))
}

/// A name for a consumer that came without one.
fn fresh_name(access: &StreamAccess<'_>) -> String {
    loop {
        let name = short_hash(crate::nuid::next().as_bytes());
        if access.consumer_config(&name).is_none() {
            return name;
        }
    }
}
