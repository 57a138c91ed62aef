/// Why an export or import is refused. `Display` is nats-server's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum SharingError {
    #[error("{account:?} account not defined for {what}")]
    UnknownAccount { account: String, what: &'static str },
    #[error("Error adding {what} {subject:?}: {reason}")]
    Refused {
        what: &'static str,
        subject: String,
        reason: String,
    },
    #[error(
        "Error adding service latency sampling for {service:?} on subject {subject:?}: {reason}"
    )]
    Latency {
        service: String,
        subject: String,
        reason: &'static str,
    },
}
