//! The WebSocket listener in `/varz`.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::omit::{is_false, is_zero};
use super::show;
use crate::server::ServerState;

/// In nats-server's order; empty without such a listener.
#[derive(Debug, Default, Serialize)]
pub(super) struct WebsocketVarz {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advertise: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_auth_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt_cookie: Option<String>,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    handshake_timeout: u64,
    /// Seconds.
    #[serde(serialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    auth_timeout: Option<f64>,
    #[serde(skip_serializing_if = "is_false")]
    no_tls: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_map: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tls_pinned_certs: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    same_origin: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_origins: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    compression: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert_not_after: Option<Timestamp>,
}

impl WebsocketVarz {
    pub(super) fn of(server: &ServerState) -> Option<Self> {
        let options = server.options();
        let websocket = options.websocket.as_ref()?;
        let (host, port) = server.websocket_listens_on()?;
        let tls = websocket.tls.as_ref();
        let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Some(Self {
            host: Some(host),
            port: Some(port),
            advertise: websocket.advertise.clone(),
            no_auth_user: websocket.no_auth_user.clone(),
            jwt_cookie: websocket.cookies.jwt.clone(),
            handshake_timeout: websocket.handshake_timeout.map_or(0, nanos),
            auth_timeout: websocket.auth_timeout.map(|time| time.as_secs_f64()),
            no_tls: websocket.no_tls,
            tls_map: tls.is_some_and(|tls| tls.verify_and_map),
            tls_pinned_certs: tls
                .map(|tls| tls.pinned_certs.iter().cloned().collect())
                .unwrap_or_default(),
            same_origin: websocket.same_origin,
            allowed_origins: websocket.allowed_origins.clone(),
            compression: websocket.compression,
            tls_cert_not_after: server.websocket()?.certificate_end(),
        })
    }
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn seconds<S: Serializer>(time: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    show::float(&time.unwrap_or_default(), serializer)
}
