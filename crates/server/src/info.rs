//! The INFO line.

use std::net::IpAddr;

use jetsled_config::Options;
use serde::Serialize;

use crate::client::{Login, Transport};
use crate::server::ServerState;

/// The JetStream API level of nats-server 2.15.
pub(crate) const API_LEVEL: u32 = 5;

/// The nats-server version whose behaviour this server has; clients gate features on it.
pub const VERSION: &str = "2.15.1";

/// To whom INFO is sent.
#[derive(Clone, Copy)]
pub(crate) struct InfoFor<'a> {
    pub(crate) cid: u64,
    pub(crate) remote: IpAddr,
    pub(crate) transport: Transport,
    /// It opens the connection.
    pub(crate) is_first: bool,
    /// Only in the first INFO.
    pub(crate) nonce: Option<&'a str>,
    /// Only in the INFO that follows the first PONG.
    pub(crate) login: Option<&'a Login>,
    /// It is asked to leave, whatever the server does.
    pub(crate) must_leave: bool,
}

/// INFO's JSON, keys in nats-server's order.
#[derive(Serialize)]
struct Info<'a> {
    server_id: &'a str,
    server_name: &'a str,
    version: &'static str,
    proto: u32,
    go: &'static str,
    host: &'a str,
    port: u16,
    headers: bool,
    #[serde(skip_serializing_if = "is_false")]
    auth_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_verify: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_available: bool,
    max_payload: usize,
    #[serde(skip_serializing_if = "is_false")]
    jetstream: bool,
    client_id: u64,
    client_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    ldm: bool,
    #[serde(skip_serializing_if = "is_false")]
    connect_info: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_account: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    acc_is_sys: bool,
    api_lvl: u32,
    xkey: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

impl ServerState {
    /// INFO's JSON for one connection.
    pub(crate) fn info(&self, info_for: &InfoFor<'_>) -> Vec<u8> {
        let options = self.options();
        let place = match info_for.transport {
            Transport::Tcp => self.tcp_place(&options, info_for.is_first),
            Transport::Websocket => self.websocket_place(info_for.is_first),
        };
        let info = Info {
            server_id: self.id(),
            server_name: self.name(),
            version: VERSION,
            proto: 1,
            go: concat!("rust, jetsled ", env!("CARGO_PKG_VERSION")),
            host: &place.host,
            port: place.port,
            headers: !options.no_header_support,
            auth_required: place.auth_required,
            tls_required: place.tls_required,
            tls_verify: options.tls.as_ref().is_some_and(|tls| tls.verify),
            tls_available: place.tls_available,
            max_payload: info_for
                .login
                .map_or(options.max_payload, |login| login.max_payload),
            jetstream: options.jetstream.enabled,
            client_id: info_for.cid,
            client_ip: info_for.remote.to_string(),
            nonce: info_for.nonce,
            cluster: options.cluster_name.as_deref(),
            domain: options.jetstream.domain.as_deref(),
            ldm: self.is_lame_duck() || info_for.must_leave,
            connect_info: info_for.login.is_some(),
            remote_account: info_for.login.map(|login| login.account.name()),
            acc_is_sys: info_for
                .login
                .is_some_and(|login| self.is_system(&login.account)),
            api_lvl: API_LEVEL,
            xkey: self.curve_key().public_key(),
        };
        serde_json::to_vec(&info).unwrap_or_default()
    }

    /// That there is a `no_auth_user` counts in the first INFO only (observed nats-server 2.15.1).
    fn tcp_place(&self, options: &Options, is_first: bool) -> Place {
        let (host, port) = self.advertised();
        let has_tls = options.tls.is_some();
        Place {
            host,
            port,
            auth_required: self.requires_login(Transport::Tcp)
                && !(is_first && options.no_auth_user.is_some()),
            tls_required: has_tls && !options.allow_non_tls,
            tls_available: has_tls && options.allow_non_tls,
        }
    }

    /// What the block says of logins counts in the first INFO only, and `no_auth_user` not at all (observed nats-server
    /// 2.15.1).
    fn websocket_place(&self, is_first: bool) -> Place {
        let (host, port) = self.websocket_listens_on().unwrap_or_default();
        let has_tls = self.websocket_has_tls();
        let whose = if is_first {
            Transport::Websocket
        } else {
            Transport::Tcp
        };
        Place {
            host,
            port,
            auth_required: self.requires_login(whose),
            tls_required: has_tls,
            tls_available: has_tls,
        }
    }
}

/// The listener that a connection came to, as INFO shows it.
struct Place {
    host: String,
    port: u16,
    auth_required: bool,
    tls_required: bool,
    tls_available: bool,
}
