//! Configurations against what nats-server 2.15.1 made of them.
//!
//! The files below `observed/` hold requests and their outcomes as recorded from a server with default limits: members
//! one by one, and pairs of members, which show the order of the checks.

use jetsled_jetstream_api::json::{self, Strictness};
use jetsled_jetstream_api::request::{CreateConsumerRequest, CreateForm, StreamConfigRequest};
use jetsled_jetstream_api::{ApiError, ConsumerConfig, ConsumerRules, ServerLimits, StreamConfig};

const VERSION: &str = "2.15.1";

/// Runs `outcome` on each line of a file and compares it with the line's last column.
fn check(file: &str, recorded: &str, outcome: impl Fn(&[&str]) -> Result<String, ApiError>) {
    let mut failures = Vec::new();
    for line in recorded.lines() {
        let (input, want) = line.rsplit_once('\t').expect("a line has an outcome");
        let columns: Vec<&str> = input.split('\t').collect();
        let got = outcome(&columns).unwrap_or_else(|error| text(&error));
        if got != want {
            failures.push(format!("{input}\n     got {got}\n    want {want}"));
        }
    }
    let shown: Vec<&String> = failures.iter().take(20).collect();
    assert!(
        failures.is_empty(),
        "{} lines of {file} differ, as {shown:#?}",
        failures.len()
    );
}

fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("the types of this crate are JSON")
}

fn stream_request(text: &str) -> Result<StreamConfigRequest, ApiError> {
    Ok(StreamConfigRequest::decode(text.as_bytes(), Strictness::Strict)?.value)
}

fn show_stream(mut config: StreamConfig) -> String {
    config.set_reply_metadata(VERSION);
    text(&config)
}

#[test]
fn streams_are_created_as_nats_server_does() {
    let limits = ServerLimits::default();
    check(
        "stream_create.tsv",
        include_str!("observed/stream_create.tsv"),
        |columns| {
            let request = stream_request(columns[0])?;
            request.config.check_create()?;
            Ok(show_stream(
                request.config.validated(&limits, request.pedantic)?,
            ))
        },
    );
}

#[test]
fn streams_are_updated_as_nats_server_does() {
    let limits = ServerLimits::default();
    check(
        "stream_update.tsv",
        include_str!("observed/stream_update.tsv"),
        |columns| {
            let mut old: StreamConfig = serde_json::from_str(columns[0]).unwrap();
            old.set_stored_metadata();
            let request = stream_request(columns[1])?;
            if request.config.name != old.name {
                return Err(ApiError::STREAM_MISMATCH);
            }
            Ok(show_stream(old.updated(
                request.config,
                &limits,
                request.pedantic,
            )?))
        },
    );
}

fn create_consumer(
    stream: &str,
    config: &str,
    pedantic: &str,
    existing: Option<&ConsumerConfig>,
) -> Result<ConsumerConfig, ApiError> {
    let limits = ServerLimits::default();
    let stream = StreamConfigRequest::decode(stream.as_bytes(), Strictness::Strict)?
        .value
        .config;
    let stream = stream.validated(&limits, false)?;
    let body = format!(r#"{{"stream_name":"{}","config":{config}}}"#, stream.name);
    let mut request =
        json::decode::<CreateConsumerRequest>(body.as_bytes(), Strictness::Strict)?.value;
    request.agree_with(
        &stream.name,
        CreateForm::Named {
            name: "c",
            filter: None,
        },
    )?;
    if let Some(existing) = existing {
        request.config.pause_until = existing.pause_until;
    }
    let mut config = request.config.validated(&ConsumerRules {
        stream: &stream,
        server: &limits,
        account_max_ack_pending: -1,
        pedantic: pedantic == "pedantic",
    })?;
    if existing.is_none() {
        config.check_work_queue_stream(&stream)?;
    }
    if !existing.unwrap_or(&config).is_durable() {
        config.set_default_threshold();
    }
    Ok(config)
}

fn show_consumer(mut config: ConsumerConfig) -> String {
    config.set_reply_metadata(VERSION);
    text(&config)
}

#[test]
fn consumers_are_created_as_nats_server_does() {
    check(
        "consumer_create.tsv",
        include_str!("observed/consumer_create.tsv"),
        |columns| create_consumer(columns[0], columns[2], columns[1], None).map(show_consumer),
    );
}

#[test]
fn consumers_are_updated_as_nats_server_does() {
    let stream = r#"{"name":"L","subjects":["L.>"]}"#;
    check(
        "consumer_update.tsv",
        include_str!("observed/consumer_update.tsv"),
        |columns| {
            let old = create_consumer(stream, columns[0], "", None)?;
            let new = create_consumer(stream, columns[2], columns[1], Some(&old))?;
            old.check_update(&new)?;
            Ok(show_consumer(new))
        },
    );
}
