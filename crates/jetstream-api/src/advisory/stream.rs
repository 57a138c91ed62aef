use serde::Serialize;
use serde_json::value::RawValue;

use crate::advisory::{Action, AdvisoryBody, advisories};

/// A stream was created, updated or deleted.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StreamActionAdvisory<'a> {
    /// The stream.
    pub stream: &'a str,
    /// What happened.
    pub action: Action,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
}

impl AdvisoryBody for StreamActionAdvisory<'_> {
    const TYPE: &'static str = "io.nats.jetstream.advisory.v1.stream_action";

    fn subject(&self) -> String {
        let word = match self.action {
            Action::Create => "CREATED",
            Action::Modify => "UPDATED",
            Action::Delete => "DELETED",
        };
        format!("$JS.EVENT.ADVISORY.STREAM.{word}.{}", self.stream)
    }
}

/// An atomic batch ended without its commit.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StreamBatchAbandoned<'a> {
    /// The stream's account, for the system account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<&'a str>,
    /// The stream.
    pub stream: &'a str,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
    /// The batch's id.
    pub batch: &'a str,
    /// Why.
    pub reason: BatchAbandonReason,
}

/// Why an atomic batch was abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchAbandonReason {
    /// Nothing came for too long.
    Timeout,
    /// It has too many messages.
    Large,
    /// A message is missing.
    Incomplete,
    /// It asks for a higher API level.
    Unsupported,
}

/// A request was answered.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ApiAudit<'a> {
    /// The server's name.
    pub server: &'a str,
    /// Who asked: nats-server's client info.
    pub client: &'a RawValue,
    /// The subject of the request.
    pub subject: &'a str,
    /// Its payload.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub request: &'a str,
    /// The payload of the reply.
    pub response: &'a str,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
}

/// Requests were dropped because too many waited.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ApiLimitReached<'a> {
    /// The server's name.
    pub server: &'a str,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
    /// How many.
    pub dropped: u64,
}

advisories! {
    StreamBatchAbandoned = "advisory.v1.stream_batch_abandoned" at "ADVISORY.STREAM.BATCH_ABANDONED".stream;
    ApiAudit = "advisory.v1.api_audit" at "ADVISORY.API";
    ApiLimitReached = "advisory.v1.api_limit_reached" at "ADVISORY.API.LIMIT_REACHED";
}
