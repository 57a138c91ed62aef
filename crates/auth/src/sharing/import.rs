use std::sync::Arc;

/// A subject of another account.
#[derive(Debug, Clone, PartialEq)]
pub enum Import {
    /// Its messages come here.
    Stream(StreamImport),
    /// Requests made here go there.
    Service(ServiceImport),
}

/// An import of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamImport {
    /// The exporting account.
    pub account: Arc<str>,
    /// The subject there.
    pub subject: String,
    /// The subject here.
    pub local: LocalSubject,
    /// Message traces go on in this account.
    pub allow_trace: bool,
    /// An activation token for it was checked (operator mode).
    pub is_activated: bool,
}

/// Under which subject the messages of a stream import arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalSubject {
    /// The same.
    Same,
    /// The same behind these tokens.
    Prefix(String),
    /// This one; its wildcards are the exported subject's, in their order or as `$1`, `$2`.
    To(String),
}

/// An import of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceImport {
    /// The exporting account.
    pub account: Arc<str>,
    /// The subject there.
    pub subject: String,
    /// The subject here, usually the same. Its wildcards are the exported subject's, which may name them as `$1`, `$2`.
    pub to: String,
    /// The service is told who asks.
    pub share: bool,
    /// An activation token for it was checked (operator mode).
    pub is_activated: bool,
}
