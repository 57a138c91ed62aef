use serde::Deserialize;

use crate::name::has_path_separator;
use crate::wire_enum::wire_enum;
use crate::{ApiError, ConsumerConfig, StreamSeq, Timestamp};

/// All forms of `CONSUMER.CREATE`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CreateConsumerRequest {
    /// The stream, which must be the one of the subject.
    #[serde(rename = "stream_name")]
    pub stream: String,
    /// The configuration, not validated yet.
    pub config: ConsumerConfig,
    /// Whether the consumer may or must exist.
    pub action: ConsumerAction,
    /// Refuse instead of adjusting silently.
    pub pedantic: bool,
}

impl CreateConsumerRequest {
    /// Applies the rules of the subject that the request came on: the stream and the names must agree.
    ///
    /// Afterwards `config.name` is set unless the server has to make up a name.
    ///
    /// # Errors
    ///
    /// 10056, 10016 to 10018, 10020, 10127, 10131, 10132 or 10137.
    pub fn agree_with(&mut self, stream: &str, form: CreateForm<'_>) -> Result<(), ApiError> {
        if self.stream != stream {
            return Err(ApiError::STREAM_MISMATCH);
        }
        let config = &mut self.config;
        match form {
            CreateForm::Ephemeral => {
                if config.is_durable() {
                    return Err(ApiError::CONSUMER_EPHEMERAL_WITH_DURABLE_NAME);
                }
            }
            CreateForm::Durable { name } => {
                if !config.is_durable() {
                    return Err(ApiError::CONSUMER_DURABLE_NAME_NOT_SET);
                }
                if config.durable != name {
                    return Err(ApiError::CONSUMER_DURABLE_NAME_NOT_MATCH_SUBJECT);
                }
                name.clone_into(&mut config.name);
            }
            CreateForm::Named { name, filter } => {
                if config.is_durable() && config.durable != name {
                    return Err(ApiError::CONSUMER_DURABLE_NAME_NOT_MATCH_SUBJECT);
                }
                name.clone_into(&mut config.name);
                if let Some(filter) = filter {
                    if !config.filter_subjects.is_empty() {
                        return Err(ApiError::CONSUMER_MULTIPLE_FILTERS_NOT_ALLOWED);
                    }
                    if config.filter_subject != filter {
                        return Err(ApiError::CONSUMER_CREATE_FILTER_SUBJECT_MISMATCH);
                    }
                }
            }
        }
        if config.is_durable() && !config.name.is_empty() && config.name != config.durable {
            return Err(ApiError::CONSUMER_CREATE_DURABLE_AND_NAME_MISMATCH);
        }
        if has_path_separator(&config.name) {
            return Err(ApiError::CONSUMER_NAME_CONTAINS_PATH_SEPARATORS);
        }
        Ok(())
    }
}

/// The form of the subject of a create request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateForm<'a> {
    /// `CONSUMER.CREATE.<stream>`
    Ephemeral,
    /// `CONSUMER.CREATE.<stream>.<consumer>[.<filter>]`
    Named {
        /// The consumer.
        name: &'a str,
        /// Its only filter.
        filter: Option<&'a str>,
    },
    /// `CONSUMER.DURABLE.CREATE.<stream>.<consumer>`
    Durable {
        /// The consumer.
        name: &'a str,
    },
}

wire_enum! {
    /// Whether a consumer may or must exist when it is created.
    ConsumerAction else "unknown consumer action: " {
        /// Either is fine.
        #[default]
        CreateOrUpdate = "",
        /// It must be new, or the same.
        Create = "create",
        /// It must exist.
        Update = "update",
    }
}

/// `CONSUMER.PAUSE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ConsumerPauseRequest {
    /// Until when; unset or past is to resume.
    pub pause_until: Timestamp,
}

/// `CONSUMER.UNPIN`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ConsumerUnpinRequest {
    /// The priority group.
    pub group: String,
}

/// `CONSUMER.RESET`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ConsumerResetRequest {
    /// The next stream sequence to deliver; zero is the one after the ack floor.
    pub seq: StreamSeq,
}
