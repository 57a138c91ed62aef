//! The rules of the subjects that a stream captures, renames and publishes again.

use jetsled_protocol::{GoQuoted, SubjectTransform, TransformError, subject};

use super::validation::invalid;
use crate::ApiError;
use crate::stream::StreamConfig;

pub(super) fn check(config: &mut StreamConfig, pedantic: bool) -> Result<(), ApiError> {
    if config.subjects.is_empty() && config.mirror.is_none() && config.sources.is_empty() {
        config.subjects.push(config.name.clone());
    }
    for (index, subject) in config.subjects.iter().enumerate() {
        check_captured(config, subject)?;
        for other in config.subjects.iter().take(index) {
            if subject::collides(subject.as_bytes(), other.as_bytes()) {
                let (subject, other) = (GoQuoted(subject.as_bytes()), GoQuoted(other.as_bytes()));
                return Err(invalid(format_args!(
                    "subject {other} overlaps with {subject}"
                )));
            }
        }
    }
    check_transform(config)?;
    check_republish(config, pedantic)
}

/// The server's own subjects need `no_ack`, because the stream's ack would be captured and acknowledged in turn.
fn check_captured(config: &StreamConfig, subject: &str) -> Result<(), ApiError> {
    let bytes = subject.as_bytes();
    if !subject::is_valid(bytes) {
        return Err(invalid("invalid subject"));
    }
    if subject == ">" {
        if !config.no_ack {
            return Err(invalid("capturing all subjects requires no-ack to be true"));
        }
        if config.num_replicas != 1 {
            return Err(invalid("capturing all subjects requires replicas of 1"));
        }
    }
    if config.no_ack {
        return Ok(());
    }
    let api = [&b"$JS.>"[..], b"$JSC.>", b"$NRG.>"];
    if api.iter().any(|space| subject::collides(bytes, space))
        && !subject::is_subset(bytes, b"$JS.EVENT.>")
    {
        return Err(invalid(
            "subjects that overlap with jetstream api require no-ack to be true",
        ));
    }
    if subject::collides(bytes, b"$SYS.>") && !subject::is_subset(bytes, b"$SYS.ACCOUNT.>") {
        return Err(invalid(
            "subjects that overlap with system api require no-ack to be true",
        ));
    }
    Ok(())
}

fn check_transform(config: &StreamConfig) -> Result<(), ApiError> {
    let Some(transform) = &config.subject_transform else {
        return Ok(());
    };
    let source = transform.src.as_bytes();
    if !source.is_empty() && !subject::is_valid(source) {
        let text = format!("invalid subject {}", transform.src);
        return Err(ApiError::stream_transform_invalid_source(text));
    }
    if transform.dest.is_empty() {
        return Ok(());
    }
    if transform.dest.split('.').any(str::is_empty) {
        let token = String::new();
        let error = TransformError::InvalidTransform { token };
        return Err(ApiError::stream_transform_invalid_destination(error));
    }
    SubjectTransform::new(source, transform.dest.as_bytes())
        .map(drop)
        .map_err(ApiError::stream_transform_invalid_destination)
}

fn check_republish(config: &mut StreamConfig, pedantic: bool) -> Result<(), ApiError> {
    let Some(republish) = &mut config.republish else {
        return Ok(());
    };
    if republish.src.is_empty() {
        if pedantic {
            return Err(ApiError::pedantic("republish source can not be empty"));
        }
        ">".clone_into(&mut republish.src);
    }
    // From `>` to `>` would be a cycle, but not if a transform renames all that the stream captures.
    if let (Some(transform), [subject]) = (&config.subject_transform, config.subjects.as_slice())
        && republish.src == ">"
        && republish.dest == ">"
        && transform.src == *subject
    {
        if pedantic {
            return Err(ApiError::pedantic(
                "implicit republish based on subject transform",
            ));
        }
        republish.src.clone_from(&transform.dest);
        republish.dest.clone_from(&transform.dest);
    }
    let destination = republish.dest.as_bytes();
    if config
        .subjects
        .iter()
        .any(|subject| subject::collides(destination, subject.as_bytes()))
    {
        return Err(invalid(
            "stream configuration for republish destination forms a cycle",
        ));
    }
    // Without a destination nothing is published again.
    if !destination.is_empty()
        && SubjectTransform::new(republish.src.as_bytes(), destination).is_err()
    {
        let (from, to) = (&republish.src, &republish.dest);
        let text = format!(
            "stream configuration for republish with transform from '{from}' to '{to}' not valid"
        );
        return Err(invalid(text));
    }
    Ok(())
}
