//! The rules of mirrors and sources, as far as they need no look at the origin.

use jetsled_protocol::{GoQuoted, SubjectTransform, subject};

use super::validation::invalid;
use crate::stream::{ExternalStream, StreamConfig, StreamSource};
use crate::{ApiError, is_valid_name};

pub(super) fn check(config: &StreamConfig) -> Result<(), ApiError> {
    if let Some(mirror) = &config.mirror {
        check_mirror(config, mirror)?;
    }
    if !config.sources.is_empty() {
        check_sources(config)?;
    }
    let origins = config.mirror.iter().chain(&config.sources);
    origins
        .filter_map(|origin| origin.external.as_ref())
        .try_for_each(check_external)
}

fn check_mirror(config: &StreamConfig, mirror: &StreamSource) -> Result<(), ApiError> {
    if config.first_seq.get() > 0 {
        return Err(ApiError::MIRROR_WITH_FIRST_SEQ);
    }
    if !config.subjects.is_empty() {
        return Err(ApiError::MIRROR_WITH_SUBJECTS);
    }
    if !config.sources.is_empty() {
        return Err(ApiError::MIRROR_WITH_SOURCES);
    }
    if config.allow_msg_counter {
        return Err(ApiError::MIRROR_WITH_COUNTERS);
    }
    if config.allow_atomic {
        return Err(ApiError::MIRROR_WITH_ATOMIC_PUBLISH);
    }
    if config.allow_batched {
        return Err(ApiError::MIRROR_WITH_BATCH_PUBLISH);
    }
    if config.allow_msg_schedules {
        return Err(ApiError::MIRROR_WITH_MSG_SCHEDULES);
    }
    if !mirror.filter_subject.is_empty() && !mirror.subject_transforms.is_empty() {
        return Err(ApiError::MIRROR_MULTIPLE_FILTERS_NOT_ALLOWED);
    }
    if !config.subject_delete_marker_ttl.is_zero() {
        return Err(invalid("subject delete markers forbidden on mirrors"));
    }
    check_transforms(
        mirror,
        ApiError::mirror_invalid_subject_filter,
        ApiError::mirror_invalid_transform_destination,
        ApiError::MIRROR_OVERLAPPING_SUBJECT_FILTERS,
    )?;
    if let Some(consumer) = &mirror.consumer {
        let misused = !mirror.opt_start_seq.is_zero()
            || mirror.opt_start_time.is_some()
            || !mirror.filter_subject.is_empty();
        if misused || !is_valid_name(&consumer.name) {
            return Err(ApiError::MIRROR_DURABLE_CONSUMER_CFG_INVALID);
        }
    }
    if mirror.external.is_none() && !is_valid_name(&mirror.name) {
        return Err(ApiError::MIRROR_INVALID_STREAM_NAME);
    }
    Ok(())
}

fn check_sources(config: &StreamConfig) -> Result<(), ApiError> {
    if config.allow_msg_schedules {
        return Err(ApiError::SOURCE_WITH_MSG_SCHEDULES);
    }
    for (index, source) in config.sources.iter().enumerate() {
        if source.external.is_none() && !is_valid_name(&source.name) {
            return Err(ApiError::SOURCE_INVALID_STREAM_NAME);
        }
        let earlier = config.sources.iter().take(index);
        if earlier.clone().any(|other| same_origin(source, other)) {
            return Err(ApiError::SOURCE_DUPLICATE_DETECTED);
        }
        if !source.filter_subject.is_empty() && !source.subject_transforms.is_empty() {
            return Err(ApiError::SOURCE_MULTIPLE_FILTERS_NOT_ALLOWED);
        }
        check_transforms(
            source,
            ApiError::source_invalid_subject_filter,
            ApiError::source_invalid_transform_destination,
            ApiError::SOURCE_OVERLAPPING_SUBJECT_FILTERS,
        )?;
        if let Some(consumer) = &source.consumer {
            let misused = !source.opt_start_seq.is_zero()
                || source.opt_start_time.is_some()
                || !source.filter_subject.is_empty();
            if misused || !is_valid_name(&consumer.name) {
                return Err(ApiError::SOURCE_DURABLE_CONSUMER_CFG_INVALID);
            }
            if earlier
                .clone()
                .any(|other| other.consumer.as_ref() == Some(consumer))
            {
                return Err(ApiError::SOURCE_DURABLE_CONSUMER_DUPLICATE_DETECTED);
            }
        }
    }
    for source in &config.sources {
        if source.external.is_none() && source.name == config.name {
            return Err(invalid("detected cycle"));
        }
    }
    Ok(())
}

/// Whether two sources copy the same from the same stream.
fn same_origin(one: &StreamSource, other: &StreamSource) -> bool {
    one.name == other.name
        && one.filter_subject == other.filter_subject
        && one.subject_transforms == other.subject_transforms
        && one.external == other.external
        && one.consumer == other.consumer
}

fn check_transforms(
    source: &StreamSource,
    bad_source: impl Fn(String) -> ApiError,
    bad_destination: impl Fn(String) -> ApiError,
    overlap: ApiError,
) -> Result<(), ApiError> {
    for (index, transform) in source.subject_transforms.iter().enumerate() {
        let filter = transform.src.as_bytes();
        if !filter.is_empty() && !subject::is_valid(filter) {
            return Err(bad_source(format!("invalid subject {}", transform.src)));
        }
        if !transform.dest.is_empty()
            && let Err(error) = SubjectTransform::new(filter, transform.dest.as_bytes())
        {
            return Err(bad_destination(error.to_string()));
        }
        let earlier = source.subject_transforms.iter().take(index);
        for other in earlier {
            if subject::collides(filter, other.src.as_bytes()) {
                return Err(overlap);
            }
        }
    }
    Ok(())
}

fn check_external(external: &ExternalStream) -> Result<(), ApiError> {
    let ExternalStream { api, deliver } = external;
    if !deliver.is_empty() && !subject::is_valid_literal(deliver.as_bytes()) {
        return Err(ApiError::stream_invalid_external_delivery_subj(deliver));
    }
    if !subject::is_valid_literal(api.as_bytes()) {
        let api = GoQuoted(api.as_bytes());
        return Err(invalid(format_args!(
            "stream external api prefix {api} must be a valid subject without wildcards"
        )));
    }
    if subject::collides(api.as_bytes(), API_PREFIX.as_bytes()) {
        return Err(ApiError::stream_external_api_overlap(api, API_PREFIX));
    }
    Ok(())
}

const API_PREFIX: &str = "$JS.API";
