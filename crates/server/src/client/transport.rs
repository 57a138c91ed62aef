//! How a client reaches the server.

use jetsled_auth::ConnectionType;

/// The transports of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// TCP, plain or with TLS.
    Tcp,
    /// WebSocket, plain or with TLS.
    Websocket,
}

impl Transport {
    /// What users may be allowed or denied.
    pub(crate) fn connection_type(self) -> ConnectionType {
        match self {
            Self::Tcp => ConnectionType::Standard,
            Self::Websocket => ConnectionType::Websocket,
        }
    }

    /// The type of client that monitoring, events and services show.
    pub(crate) fn client_type(self) -> &'static str {
        match self {
            Self::Tcp => "nats",
            Self::Websocket => "websocket",
        }
    }

    /// How log lines call the connection's number.
    pub(super) fn id_name(self) -> &'static str {
        match self {
            Self::Tcp => "cid",
            Self::Websocket => "wid",
        }
    }
}
