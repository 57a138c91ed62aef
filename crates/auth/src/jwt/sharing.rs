use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// What is shared between accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransferType {
    /// Messages.
    Stream,
    /// Requests and their responses.
    Service,
}

/// How a service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ResponseType {
    /// Once.
    #[default]
    Singleton,
    /// Any number of times.
    Stream,
    /// In parts, ended by an empty one.
    Chunked,
}

/// An offer to other accounts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Export {
    /// For people.
    #[serde(default)]
    pub name: String,
    /// What is offered.
    #[serde(default)]
    pub subject: String,
    /// How.
    pub r#type: TransferType,
    /// Importers need an activation token.
    #[serde(default)]
    pub token_req: bool,
    /// Activation tokens issued at or before a time do not count, by importer or `*`.
    #[serde(default)]
    pub revocations: HashMap<String, i64>,
    /// How the service answers.
    #[serde(default, deserialize_with = "response_type")]
    pub response_type: ResponseType,
    /// Nanoseconds in which it must have; 0 is the default.
    #[serde(default)]
    pub response_threshold: i64,
    /// How its latency is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_latency: Option<ServiceLatency>,
    /// The token of the subject that holds the importing account's key; 0 is none.
    #[serde(default)]
    pub account_token_position: u32,
    /// For people.
    #[serde(default)]
    pub advertise: bool,
    /// Traces may go on into this account.
    #[serde(default)]
    pub allow_trace: bool,
}

fn response_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ResponseType, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" | "Singleton" => Ok(ResponseType::Singleton),
        "Stream" => Ok(ResponseType::Stream),
        "Chunked" => Ok(ResponseType::Chunked),
        other => Err(D::Error::custom(format!(
            "invalid response type for service: {other:?}"
        ))),
    }
}

/// Measuring a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLatency {
    /// How many requests.
    pub sampling: Sampling,
    /// Where the results go.
    pub results: String,
}

/// Which part of the requests is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Those whose headers ask for it.
    Headers,
    /// 1 to 100.
    Percent(u8),
}

impl<'de> Deserialize<'de> for Sampling {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Percent(u8),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Percent(0) => Ok(Self::Headers),
            Either::Percent(percent) => Ok(Self::Percent(percent)),
            Either::Text(text) if text.eq_ignore_ascii_case("headers") => Ok(Self::Headers),
            Either::Text(text) => Err(D::Error::custom(format!("unknown sampling {text:?}"))),
        }
    }
}

impl Serialize for Sampling {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Headers => serializer.serialize_str("headers"),
            Self::Percent(percent) => serializer.serialize_u8(*percent),
        }
    }
}

/// A use of another account's offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Import {
    /// For people.
    #[serde(default)]
    pub name: String,
    /// What the other account calls it.
    #[serde(default)]
    pub subject: String,
    /// The other account's public key.
    #[serde(default)]
    pub account: String,
    /// An activation token, or the URL of one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// Older form of [`Import::local_subject`]: the local subject of a service, a prefix of a stream.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// What it is called here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub local_subject: String,
    /// How.
    pub r#type: TransferType,
    /// The service may know who asks.
    #[serde(default)]
    pub share: bool,
    /// Traces may come in from the other account.
    #[serde(default)]
    pub allow_trace: bool,
}
