//! The WebSocket listener's part of what a running server shares.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jetsled_auth::Authenticator;
use jetsled_config::{Options, WebsocketOptions};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tokio_rustls::TlsAcceptor;

use super::tls_state::TlsState;
use super::{ServerState, StartError};
use crate::client::Transport;
use crate::server::reload::ReloadFailed;

/// What the listener and its connections need, beside the options.
#[derive(Debug)]
pub(crate) struct WebsocketState {
    address: OnceLock<SocketAddr>,
    tls: Mutex<Option<TlsState>>,
    /// Decides logins as the `websocket` block has it.
    authenticator: RwLock<Arc<Authenticator>>,
}

impl WebsocketState {
    /// `None` if there is no such listener.
    pub(super) fn of(options: &Options) -> Result<Option<Self>, StartError> {
        let Some(websocket) = &options.websocket else {
            return Ok(None);
        };
        let authenticator = Authenticator::new(options.websocket_auth_config(websocket))?;
        Ok(Some(Self {
            address: OnceLock::new(),
            tls: Mutex::new(TlsState::of(websocket.tls.as_ref())?),
            authenticator: RwLock::new(Arc::new(authenticator)),
        }))
    }

    /// Other options, ready to come into force.
    pub(super) fn prepare(options: &Options) -> Result<Option<Prepared>, ReloadFailed> {
        let Some(websocket) = &options.websocket else {
            return Ok(None);
        };
        Ok(Some(Prepared {
            authenticator: Authenticator::new(options.websocket_auth_config(websocket))?,
            tls: TlsState::of(websocket.tls.as_ref())?,
        }))
    }

    pub(super) fn replace(&self, prepared: Prepared) {
        *self.authenticator.write() = Arc::new(prepared.authenticator);
        *self.tls.lock() = prepared.tls;
    }

    pub(super) fn authenticator(&self) -> Arc<Authenticator> {
        Arc::clone(&self.authenticator.read())
    }

    /// What to accept the next connection with; `None` without TLS.
    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.tls.lock().as_mut().map(TlsState::acceptor)
    }

    /// When its certificate ends.
    pub(crate) fn certificate_end(&self) -> Option<Timestamp> {
        self.tls.lock().as_ref()?.certificate_end()
    }

    /// Where it listens, once it does.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address.get().copied()
    }

    pub(super) fn set_address(&self, address: SocketAddr) {
        // Called once.
        self.address.set(address).ok();
    }
}

/// What a reload has made of the options.
pub(super) struct Prepared {
    authenticator: Authenticator,
    tls: Option<TlsState>,
}

impl ServerState {
    /// Host as configured and real port of the WebSocket listener.
    pub(crate) fn websocket_listens_on(&self) -> Option<(String, u16)> {
        let options = self.options();
        let host = options.websocket.as_ref()?.host.clone();
        Some((host, self.websocket()?.address()?.port()))
    }

    pub(crate) fn websocket_has_tls(&self) -> bool {
        let options = self.options();
        let websocket = options.websocket.as_ref();
        websocket.is_some_and(|websocket| websocket.tls.is_some())
    }

    /// Time in which a client must have authenticated.
    pub(crate) fn auth_timeout_of(&self, transport: Transport) -> Duration {
        let options = self.options();
        websocket_options(&options, transport)
            .and_then(|websocket| websocket.auth_timeout)
            .unwrap_or_else(|| options.auth_timeout())
    }

    /// Time between PINGs to an idle client.
    pub(crate) fn ping_interval_of(&self, transport: Transport) -> Duration {
        let options = self.options();
        websocket_options(&options, transport)
            .and_then(|websocket| websocket.ping_interval)
            .unwrap_or(options.ping_interval)
    }

    /// Whether a client may do without CONNECT although others must log in.
    pub(crate) fn has_no_auth_user(&self, transport: Transport) -> bool {
        self.authenticator(transport).has_no_auth_user()
    }
}

fn websocket_options(options: &Options, transport: Transport) -> Option<&WebsocketOptions> {
    match transport {
        Transport::Tcp => None,
        Transport::Websocket => options.websocket.as_ref(),
    }
}
