//! Settings of nats-server that this server does not have yet. They are refused, never ignored.

use jetsled_jetstream_api::{ApiError, ConsumerConfig, StreamConfig};

/// Refuses a stream that asks for what there is not.
pub(super) fn check_stream(config: &StreamConfig) -> Result<(), ApiError> {
    refuse(&[
        (config.mirror.is_some(), "mirror"),
        (!config.sources.is_empty(), "sources"),
    ])
}

/// Refuses a consumer that asks for what there is not.
pub(super) fn check_consumer(config: &ConsumerConfig) -> Result<(), ApiError> {
    refuse(&[(config.direct, "direct"), (config.sourcing, "sourcing")])
}

fn refuse(settings: &[(bool, &str)]) -> Result<(), ApiError> {
    match settings.iter().find(|(asked_for, _)| *asked_for) {
        Some((_, setting)) => Err(ApiError::stream_invalid_config(format_args!(
            "{setting} is not supported by this server yet"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_setting() {
        let config = ConsumerConfig {
            direct: true,
            ..ConsumerConfig::default()
        };
        let error = check_consumer(&config).expect_err("direct consumers are not there yet");
        assert_eq!(error.err_code, 10052);
        assert_eq!(
            error.description,
            "direct is not supported by this server yet"
        );
        assert_eq!(check_stream(&StreamConfig::default()), Ok(()));
    }
}
