use std::{sync::Arc, time::Duration};

/// A subject that other accounts may import.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    /// With wildcards.
    pub subject: String,
    /// Messages that leave, or requests that come.
    pub kind: ExportKind,
    /// Who may import it.
    pub audience: Audience,
}

/// What is exported.
#[derive(Debug, Clone, PartialEq)]
pub enum ExportKind {
    /// Messages published in the exporting account.
    Stream,
    /// Requests that the exporting account answers.
    Service(ServiceExport),
}

/// Who may import an export. With none of the three, everybody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audience {
    /// These accounts.
    pub accounts: Vec<Arc<str>>,
    /// Imports whose token at this place, counted from 1, is the importing account's name. 0: not used.
    pub account_token_position: usize,
    /// Imports with an activation token of the exporting account (operator mode).
    pub token_required: bool,
}

/// How a service answers.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceExport {
    /// When the way back to the requestor closes.
    pub response_type: ResponseType,
    /// After how long without a response it closes in any case.
    pub response_threshold: Duration,
    /// Where latencies are published.
    pub latency: Option<LatencyTracking>,
    /// Message traces go on in the exporting account.
    pub allow_trace: bool,
}

impl Default for ServiceExport {
    fn default() -> Self {
        Self {
            response_type: ResponseType::Singleton,
            response_threshold: Duration::from_secs(120),
            latency: None,
            allow_trace: false,
        }
    }
}

/// How many responses a request may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResponseType {
    /// One.
    #[default]
    Singleton,
    /// Any number, until none came for the response threshold.
    Stream,
    /// As many as come until an empty one.
    Chunked,
}

impl ResponseType {
    /// Its name in monitoring and claims.
    pub fn name(self) -> &'static str {
        match self {
            Self::Singleton => "Singleton",
            Self::Stream => "Streamed",
            Self::Chunked => "Chunked",
        }
    }
}

/// Measuring of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatencyTracking {
    /// The subject in the exporting account that gets the measurements.
    pub subject: String,
    /// Which requests are measured.
    pub sampling: LatencySampling,
}

/// Which requests are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatencySampling {
    /// So many of a hundred, 1 to 100, and those whose headers ask for it.
    Percent(u8),
    /// Those whose headers ask for it.
    Headers,
}
