//! `CONSUMER.CREATE.<stream>[.<consumer>[.<filter>]]` and `CONSUMER.DURABLE.CREATE.<stream>.<consumer>`

use jetsled_jetstream_api::request::{ConsumerAction, CreateConsumerRequest, CreateForm};
use jetsled_jetstream_api::response::ConsumerCreate;
use jetsled_jetstream_api::{
    AckPolicy, ApiError, ConsumerConfig, ConsumerInfo, ConsumerRules, Nanos, RetentionPolicy,
    short_hash, stream_identity,
};

use super::call::{Call, Done, Outcome};
use crate::info::VERSION;
use crate::jetstream::access::StreamAccess;
use crate::jetstream::account::{AccountJetStream, DurableAt};
use crate::routing::FlushSet;

/// The identity of a stream: of the one that the request is for, and of the one that answers.
pub(super) const STREAM_IDENTITY: &str = "Nats-Stream-Identity";

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
    let wanted_identity = call.header(STREAM_IDENTITY);
    let is_internal = request.config.is_internal();
    let (mut info, identity, durable) = jetstream
        .with_stream(stream, call.flush, |access, flush| {
            let identity = stream_identity(access.stream().created());
            if is_internal {
                name_for_origin(access.config().retention, &mut request.config);
                check_identity(wanted_identity, &identity)?;
            }
            let (info, durable) = put(access, jetstream, request, flush)?;
            // Also if nothing of it has changed (observed nats-server 2.15.1).
            access.tell_paused(&info, flush);
            Ok((info, identity, durable))
        })
        .ok_or(ApiError::STREAM_NOT_FOUND)??;
    if is_internal {
        call.set_reply_header(STREAM_IDENTITY, &identity);
    }
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
    let existing = access.consumer_config(&name);
    if let Some(existing) = &existing {
        config.pause_until = existing.pause_until;
        if config.sourcing && config.is_durable() {
            // It goes on where it was.
            config.deliver_policy = existing.deliver_policy;
            config.opt_start_seq = existing.opt_start_seq;
            config.opt_start_time = existing.opt_start_time;
        }
    }
    let rules = ConsumerRules {
        stream: access.config(),
        server: jetstream.server_limits(),
        account_max_ack_pending: jetstream.account_limits().max_ack_pending,
        pedantic,
    };
    let mut config = config.validated(&rules)?;
    let Some(existing) = existing else {
        if action == ConsumerAction::Update {
            return Err(ApiError::CONSUMER_DOES_NOT_EXIST);
        }
        if !config.is_internal() {
            jetstream.check_consumer_count(access.config(), access.limited_consumers())?;
        }
        config.check_work_queue_stream(access.config())?;
        check_work_queue(access, &name, &config)?;
        if !config.is_durable() {
            config.set_default_threshold();
        }
        return access.create_consumer(&name, config, flush);
    };
    if action == ConsumerAction::Create && !existing.is_same(&config) {
        return Err(ApiError::CONSUMER_ALREADY_EXISTS);
    }
    // One that was made durable and then named otherwise has none, and is not given one (observed nats-server 2.15.1).
    if !existing.is_durable() && config.inactive_threshold != existing.inactive_threshold {
        config.set_default_threshold();
    }
    // The level is that of what was asked for, also where nothing came of it.
    if existing.is_same(&config) && existing.metadata == config.metadata {
        let info = access
            .consumer_info(&name, flush)
            .ok_or(ApiError::CONSUMER_NOT_FOUND)?;
        return Ok((info, access.written()));
    }
    check_work_queue(access, &name, &config)?;
    existing.check_update(&config)?;
    let moves = existing.deliver_subject != config.deliver_subject;
    if moves && access.has_interest(&existing.deliver_subject) {
        return Err(ApiError::CONSUMER_NAME_EXIST);
    }
    access.update_consumer(&name, config, flush)
}

fn check_work_queue(
    access: &StreamAccess<'_>,
    name: &str,
    config: &ConsumerConfig,
) -> Result<(), ApiError> {
    if access.config().retention != RetentionPolicy::WorkQueue || config.is_internal() {
        return Ok(());
    }
    let others = access
        .consumers()
        .filter(|other| other.name() != name && other.serves.is_limited());
    config.check_work_queue(others.map(|other| other.state.filter()))
}

/// What a mirror or source asks for has a stable name. Where consumers decide how long messages stay it becomes a durable
/// consumer that acks what the follower has stored; else each is another one (observed nats-server 2.15.1).
fn name_for_origin(retention: RetentionPolicy, config: &mut ConsumerConfig) {
    if !config.direct || !config.sourcing || config.name.is_empty() {
        return;
    }
    if retention == RetentionPolicy::Limits {
        let unique = short_hash(crate::nuid::next().as_bytes());
        config.name = format!("{}-{unique}", config.name);
    } else {
        config.direct = false;
        config.durable.clone_from(&config.name);
        config.ack_policy = AckPolicy::FlowControl;
        config.ack_wait = Nanos::ZERO;
        config.max_deliver = 0;
        config.inactive_threshold = Nanos::ZERO;
    }
}

/// A follower that knows the stream expects it to be the same still.
fn check_identity(wanted: Option<&[u8]>, identity: &str) -> Result<(), ApiError> {
    match wanted {
        Some(wanted) if !wanted.is_empty() && wanted != identity.as_bytes() => {
            Err(ApiError::consumer_stream_identity_mismatch(identity))
        }
        _ => Ok(()),
    }
}

/// A name for a consumer that came without one.
fn fresh_name(access: &StreamAccess<'_>) -> String {
    loop {
        let name = short_hash(crate::nuid::next().as_bytes());
        if !access.has_consumer(&name) {
            return name;
        }
    }
}
