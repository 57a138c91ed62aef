//! Why a client connection ended.

use jetsled_protocol::websocket::CloseStatus;

/// The reasons that monitoring and disconnect events show (observed nats-server 2.15.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum CloseReason {
    ClientClosed = 1,
    AuthenticationTimeout,
    AuthenticationFailure,
    TlsHandshakeError,
    SlowConsumerPendingBytes,
    SlowConsumerWriteDeadline,
    WriteError,
    ReadError,
    ParseError,
    StaleConnection,
    ProtocolViolation,
    BadClientProtocolVersion,
    MaxConnectionsExceeded,
    MaxAccountConnectionsExceeded,
    MaxPayloadExceeded,
    MaxControlLineExceeded,
    ServerShutdown,
    NoRespondersRequiresHeaders,
    FailedAccountRegistration,
    Kicked,
    AuthenticationExpired,
    CredentialsRevoked,
    MaxSubscriptionsExceeded,
    ProxyNotTrusted,
    ProxyRequired,
}

impl CloseReason {
    /// The text shown.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::ClientClosed => "Client Closed",
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::AuthenticationFailure => "Authentication Failure",
            Self::TlsHandshakeError => "TLS Handshake Failure",
            Self::SlowConsumerPendingBytes => "Slow Consumer (Pending Bytes)",
            Self::SlowConsumerWriteDeadline => "Slow Consumer (Write Deadline)",
            Self::WriteError => "Write Error",
            Self::ReadError => "Read Error",
            Self::ParseError => "Parse Error",
            Self::StaleConnection => "Stale Connection",
            Self::ProtocolViolation => "Protocol Violation",
            Self::BadClientProtocolVersion => "Bad Client Protocol Version",
            Self::MaxConnectionsExceeded => "Maximum Connections Exceeded",
            Self::MaxAccountConnectionsExceeded => "Maximum Account Connections Exceeded",
            Self::MaxPayloadExceeded => "Maximum Message Payload Exceeded",
            Self::MaxControlLineExceeded => "Maximum Control Line Exceeded",
            Self::ServerShutdown => "Server Shutdown",
            Self::NoRespondersRequiresHeaders => "No Responders Requires Headers",
            Self::FailedAccountRegistration => "Missing Account",
            Self::Kicked => "Kicked",
            Self::AuthenticationExpired => "Authentication Expired",
            Self::CredentialsRevoked => "Credentials Revoked",
            Self::MaxSubscriptionsExceeded => "Maximum Subscriptions Exceeded",
            Self::ProxyNotTrusted => "Proxy Not Trusted",
            Self::ProxyRequired => "Proxy Required",
        }
    }

    /// Whether the peer was told why and should have a moment to read it.
    pub(crate) fn lingers(self) -> bool {
        self.flushes() && !matches!(self, Self::ClientClosed | Self::ServerShutdown)
    }

    /// What a WebSocket's close frame says (observed nats-server 2.15.1).
    pub(crate) fn websocket_status(self) -> CloseStatus {
        match self {
            Self::ClientClosed => CloseStatus::NORMAL,
            Self::AuthenticationTimeout
            | Self::AuthenticationFailure
            | Self::SlowConsumerPendingBytes
            | Self::SlowConsumerWriteDeadline
            | Self::MaxAccountConnectionsExceeded
            | Self::MaxConnectionsExceeded
            | Self::MaxControlLineExceeded
            | Self::MaxSubscriptionsExceeded
            | Self::FailedAccountRegistration
            | Self::AuthenticationExpired
            | Self::CredentialsRevoked => CloseStatus::POLICY_VIOLATION,
            Self::ParseError | Self::ProtocolViolation | Self::BadClientProtocolVersion => {
                CloseStatus::PROTOCOL_ERROR
            }
            Self::MaxPayloadExceeded => CloseStatus::TOO_BIG,
            Self::WriteError | Self::ReadError | Self::StaleConnection | Self::ServerShutdown => {
                CloseStatus::GOING_AWAY
            }
            Self::TlsHandshakeError
            | Self::NoRespondersRequiresHeaders
            | Self::Kicked
            | Self::ProxyNotTrusted
            | Self::ProxyRequired => CloseStatus::INTERNAL_ERROR,
        }
    }

    /// The reason stored as `code`.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == code)
    }

    const ALL: [Self; 25] = [
        Self::ClientClosed,
        Self::AuthenticationTimeout,
        Self::AuthenticationFailure,
        Self::TlsHandshakeError,
        Self::SlowConsumerPendingBytes,
        Self::SlowConsumerWriteDeadline,
        Self::WriteError,
        Self::ReadError,
        Self::ParseError,
        Self::StaleConnection,
        Self::ProtocolViolation,
        Self::BadClientProtocolVersion,
        Self::MaxConnectionsExceeded,
        Self::MaxAccountConnectionsExceeded,
        Self::MaxPayloadExceeded,
        Self::MaxControlLineExceeded,
        Self::ServerShutdown,
        Self::NoRespondersRequiresHeaders,
        Self::FailedAccountRegistration,
        Self::Kicked,
        Self::AuthenticationExpired,
        Self::CredentialsRevoked,
        Self::MaxSubscriptionsExceeded,
        Self::ProxyNotTrusted,
        Self::ProxyRequired,
    ];

    /// Whether what is still queued is written before the socket closes.
    pub(crate) fn flushes(self) -> bool {
        !matches!(
            self,
            Self::ReadError
                | Self::WriteError
                | Self::SlowConsumerPendingBytes
                | Self::SlowConsumerWriteDeadline
                | Self::TlsHandshakeError
        )
    }
}
