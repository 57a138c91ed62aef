//! The rules of mirrors and sources, and of what they copy from where.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use jetsled_protocol::{GoQuoted, SubjectTransform, subject};

use super::validation::invalid;
use crate::stream::{StreamConfig, StreamConsumerSource, StreamSource};
use crate::{ApiError, is_valid_name};

/// Looks up the configuration of a stream of the same account.
pub type StreamLookup<'a> = &'a dyn Fn(&str) -> Option<Arc<StreamConfig>>;

/// Checks the origins of a stream. A mirror takes over whether its origin allows direct gets, if it can be seen.
pub(super) fn check(
    config: &mut StreamConfig,
    pedantic: bool,
    streams: StreamLookup<'_>,
) -> Result<(), ApiError> {
    let mut prefixes = Prefixes::default();
    if let Some(mirror) = config.mirror.clone() {
        check_mirror(config, &mirror)?;
        prefixes.note(&mirror, streams);
        if mirror.external.is_none()
            && let Some(origin) = streams(&mirror.name)
        {
            if is_smaller(config, &origin) {
                return Err(ApiError::MIRROR_MAX_MESSAGE_SIZE_TOO_BIG);
            }
            if pedantic && config.mirror_direct != origin.allow_direct {
                let text = "origin stream has direct get set, mirror has it disabled";
                return Err(ApiError::pedantic(text));
            }
            config.mirror_direct = origin.allow_direct;
        }
    }
    if !config.sources.is_empty() && config.allow_msg_schedules {
        return Err(ApiError::SOURCE_WITH_MSG_SCHEDULES);
    }
    for (index, source) in config.sources.iter().enumerate() {
        let earlier = config.sources.get(..index).unwrap_or_default();
        check_source(source, earlier)?;
        prefixes.note(source, streams);
        if source.external.is_none()
            && streams(&source.name).is_some_and(|origin| is_smaller(config, &origin))
        {
            return Err(ApiError::SOURCE_MAX_MESSAGE_SIZE_TOO_BIG);
        }
    }
    prefixes.check()?;
    check_cycles(config, streams)
}

fn check_mirror(config: &StreamConfig, mirror: &StreamSource) -> Result<(), ApiError> {
    let excluded = [
        (config.first_seq.get() > 0, ApiError::MIRROR_WITH_FIRST_SEQ),
        (!config.subjects.is_empty(), ApiError::MIRROR_WITH_SUBJECTS),
        (!config.sources.is_empty(), ApiError::MIRROR_WITH_SOURCES),
        (config.allow_msg_counter, ApiError::MIRROR_WITH_COUNTERS),
        (config.allow_atomic, ApiError::MIRROR_WITH_ATOMIC_PUBLISH),
        (config.allow_batched, ApiError::MIRROR_WITH_BATCH_PUBLISH),
        (
            config.allow_msg_schedules,
            ApiError::MIRROR_WITH_MSG_SCHEDULES,
        ),
    ];
    if let Some((_, error)) = excluded.into_iter().find(|(asked_for, _)| *asked_for) {
        return Err(error);
    }
    if let Some(consumer) = &mirror.consumer
        && !is_usable(mirror, consumer)
    {
        return Err(ApiError::MIRROR_DURABLE_CONSUMER_CFG_INVALID);
    }
    if !mirror.filter_subject.is_empty() && !mirror.subject_transforms.is_empty() {
        return Err(ApiError::MIRROR_MULTIPLE_FILTERS_NOT_ALLOWED);
    }
    if config.subject_delete_marker_ttl.get() > 0 {
        // Markers would take sequences that the origin gives to other messages.
        return Err(invalid("subject delete markers forbidden on mirrors"));
    }
    for (index, transform) in mirror.subject_transforms.iter().enumerate() {
        check_filter(&transform.src).map_err(ApiError::mirror_invalid_subject_filter)?;
        check_destination(&transform.src, &transform.dest)
            .map_err(ApiError::mirror_invalid_transform_destination)?;
        let mut others = mirror.subject_transforms.iter().enumerate();
        if others.any(|(other, theirs)| {
            other != index && subject::collides(transform.src.as_bytes(), theirs.src.as_bytes())
        }) {
            return Err(ApiError::MIRROR_OVERLAPPING_SUBJECT_FILTERS);
        }
    }
    if mirror.external.is_none() && !is_valid_name(&mirror.name) {
        return Err(ApiError::MIRROR_INVALID_STREAM_NAME);
    }
    Ok(())
}

fn check_source(source: &StreamSource, earlier: &[StreamSource]) -> Result<(), ApiError> {
    if !is_valid_name(&source.name) {
        return Err(ApiError::SOURCE_INVALID_STREAM_NAME);
    }
    let index = source.index();
    if earlier.iter().any(|other| other.index() == index) {
        return Err(ApiError::SOURCE_DUPLICATE_DETECTED);
    }
    if !source.filter_subject.is_empty() && !source.subject_transforms.is_empty() {
        return Err(ApiError::SOURCE_MULTIPLE_FILTERS_NOT_ALLOWED);
    }
    for transform in &source.subject_transforms {
        check_filter(&transform.src).map_err(ApiError::source_invalid_subject_filter)?;
        check_destination(&transform.src, &transform.dest)
            .map_err(ApiError::source_invalid_transform_destination)?;
    }
    let filters = || source.subject_transforms.iter().enumerate();
    for (one, transform) in filters() {
        if filters().any(|(other, theirs)| {
            other != one && subject::is_subset(transform.src.as_bytes(), theirs.src.as_bytes())
        }) {
            return Err(ApiError::SOURCE_OVERLAPPING_SUBJECT_FILTERS);
        }
    }
    if let Some(consumer) = &source.consumer {
        if !is_usable(source, consumer) {
            return Err(ApiError::SOURCE_DURABLE_CONSUMER_CFG_INVALID);
        }
        let is_taken = earlier.iter().any(|other| {
            let theirs = other.consumer.as_ref().map(|consumer| &consumer.name);
            theirs == Some(&consumer.name) && other.qualified_name() == source.qualified_name()
        });
        if is_taken {
            return Err(ApiError::SOURCE_DURABLE_CONSUMER_DUPLICATE_DETECTED);
        }
    }
    Ok(())
}

impl StreamConfig {
    /// Checks the filters of the stream's origins, which nats-server does when it makes the stream.
    ///
    /// # Errors
    ///
    /// 10049.
    pub fn check_origin_filters(&self) -> Result<(), ApiError> {
        let is_bad = |origin: &&StreamSource| {
            let filter = origin.filter_subject.as_bytes();
            !filter.is_empty() && !subject::is_valid(filter)
        };
        if let Some(mirror) = self.mirror.as_ref().filter(is_bad) {
            let filter = &mirror.filter_subject;
            return Err(ApiError::stream_create(format_args!(
                "subject filter '{filter}' for the mirror invalid subject"
            )));
        }
        if let Some(source) = self.sources.iter().find(is_bad) {
            let filter = &source.filter_subject;
            return Err(ApiError::stream_create(format_args!(
                "subject filter '{filter}' for the source: invalid subject"
            )));
        }
        Ok(())
    }
}

/// Whether a durable consumer can be used for an origin: it has its own start and filters.
fn is_usable(origin: &StreamSource, consumer: &StreamConsumerSource) -> bool {
    is_valid_name(&consumer.name)
        && subject::is_valid_literal(consumer.deliver_subject.as_bytes())
        && origin.opt_start_seq.is_zero()
        && origin.opt_start_time.is_none()
        && origin.filter_subject.is_empty()
}

fn check_filter(filter: &str) -> Result<(), String> {
    if filter.is_empty() || subject::is_valid(filter.as_bytes()) {
        Ok(())
    } else {
        Err(format!("invalid subject {filter}"))
    }
}

fn check_destination(filter: &str, destination: &str) -> Result<(), String> {
    if destination.is_empty() {
        return Ok(());
    }
    if destination.split('.').any(str::is_empty) {
        return Err("invalid mapping destination: invalid transform".to_owned());
    }
    SubjectTransform::new(filter.as_bytes(), destination.as_bytes())
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Messages of the origin could be too large.
fn is_smaller(config: &StreamConfig, origin: &StreamConfig) -> bool {
    config.max_msg_size > 0 && origin.max_msg_size > 0 && config.max_msg_size < origin.max_msg_size
}

/// What must not come together: prefixes that lead to other accounts and domains, and subjects of origins here.
#[derive(Default)]
struct Prefixes {
    api: Vec<String>,
    deliver: Vec<String>,
    subjects: Vec<String>,
}

impl Prefixes {
    fn note(&mut self, origin: &StreamSource, streams: StreamLookup<'_>) {
        match &origin.external {
            None => {
                let local = streams(&origin.name);
                let subjects = local.iter().flat_map(|stream| &stream.subjects);
                self.subjects.extend(subjects.cloned());
            }
            Some(external) => {
                let given = |prefix: &String| (!prefix.is_empty()).then(|| prefix.clone());
                self.deliver.extend(given(&external.deliver));
                self.api.extend(given(&external.api));
            }
        }
    }

    fn check(&self) -> Result<(), ApiError> {
        for prefix in &self.deliver {
            if !subject::is_valid_literal(prefix.as_bytes()) {
                return Err(ApiError::stream_invalid_external_delivery_subj(prefix));
            }
            for captured in &self.subjects {
                let delivered = format!("{prefix}.{captured}");
                if subject::collides(captured.as_bytes(), delivered.as_bytes()) {
                    let error = ApiError::stream_external_del_prefix_overlaps(prefix, captured);
                    return Err(error);
                }
            }
        }
        for prefix in &self.api {
            if !subject::is_valid_literal(prefix.as_bytes()) {
                let prefix = GoQuoted(prefix.as_bytes());
                return Err(invalid(format_args!(
                    "stream external api prefix {prefix} must be a valid subject without wildcards"
                )));
            }
            if subject::collides(prefix.as_bytes(), API_PREFIX.as_bytes()) {
                return Err(ApiError::stream_external_api_overlap(prefix, API_PREFIX));
            }
        }
        Ok(())
    }
}

/// A stream must not come to copy what it has copied. Only streams of the same account are looked at.
fn check_cycles(config: &StreamConfig, streams: StreamLookup<'_>) -> Result<(), ApiError> {
    let mut visited = HashSet::new();
    let mut to_visit = VecDeque::from([Arc::new(config.clone())]);
    while let Some(stream) = to_visit.pop_front() {
        visited.insert(stream.name.clone());
        let closes_circle = |source: &StreamSource| {
            let filter = source.filter_subject.as_bytes();
            filter.is_empty()
                || stream
                    .subjects
                    .iter()
                    .any(|captured| subject::collides(captured.as_bytes(), filter))
        };
        let local = |origin: &&StreamSource| origin.external.is_none();
        for source in stream.sources.iter().filter(local) {
            if !visited.contains(&source.name) {
                to_visit.extend(streams(&source.name));
            } else if closes_circle(source) {
                return Err(invalid("detected cycle"));
            }
        }
        for mirror in stream.mirror.iter().filter(local) {
            if visited.contains(&mirror.name) {
                return Err(invalid("detected cycle"));
            }
            to_visit.extend(streams(&mirror.name));
        }
    }
    Ok(())
}

const API_PREFIX: &str = "$JS.API";

#[cfg(test)]
mod tests {
    use super::*;

    fn sourcing(name: &str, origins: &[(&str, &str)]) -> StreamConfig {
        let source = |(origin, filter): &(&str, &str)| StreamSource {
            name: (*origin).to_owned(),
            filter_subject: (*filter).to_owned(),
            ..StreamSource::default()
        };
        StreamConfig {
            name: name.to_owned(),
            subjects: vec![format!("{name}.>")],
            sources: origins.iter().map(source).collect(),
            ..StreamConfig::default()
        }
    }

    fn check(config: &StreamConfig, others: &[StreamConfig], is_circle: bool) {
        let lookup = |name: &str| {
            let found = others.iter().find(|other| other.name == name);
            found.map(|other| Arc::new(other.clone()))
        };
        let found = check_cycles(config, &lookup);
        assert_eq!(found.is_err(), is_circle, "{config:?}");
    }

    #[test]
    fn circles_are_found_however_long() {
        check(&sourcing("a", &[("a", "")]), &[], true);
        check(&sourcing("a", &[("b", "")]), &[], false);
        let chain = [sourcing("b", &[("c", "")]), sourcing("c", &[("a", "")])];
        check(&sourcing("a", &[("b", "")]), &chain, true);
        // What comes back is not what went out.
        let chain = [sourcing("b", &[("a", "other")])];
        check(&sourcing("a", &[("b", "")]), &chain, false);
        // Circles elsewhere end the search, too.
        let chain = [sourcing("b", &[("c", "")]), sourcing("c", &[("b", "x")])];
        check(&sourcing("a", &[("b", "")]), &chain, false);
        let mut mirror = sourcing("m", &[]);
        mirror.mirror = sourcing("", &[("a", "")]).sources.pop();
        check(&sourcing("a", &[("m", "")]), &[mirror], true);
    }
}
