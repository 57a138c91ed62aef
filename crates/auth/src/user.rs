use std::{fmt, str::FromStr, sync::Arc};

use crate::{Permissions, Secret};

/// A user as configured, globally (account `$G`) or inside an account.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// How the user proves who it is.
    pub credential: UserCredential,
    /// The account that the user belongs to.
    pub account: Arc<str>,
    /// The user's own permissions; `None` takes the account's or the server's defaults.
    pub permissions: Option<Permissions>,
    /// Kinds of connection that the user may use.
    pub connection_types: ConnectionTypes,
    /// The user must come through a trusted proxy.
    pub proxy_required: bool,
}

impl User {
    /// The configured name, or the public key of an nkey user.
    pub fn name(&self) -> &str {
        match &self.credential {
            UserCredential::Password { user, .. } => user,
            UserCredential::Nkey(key) => key,
        }
    }
}

/// What a configured user is recognised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserCredential {
    /// A name with a password, plain or bcrypt. An empty password admits a client that gives none.
    Password {
        /// The user's name.
        user: String,
        /// The password or its bcrypt hash.
        password: Secret,
    },
    /// A public user nkey (`U...`); the client signs the server's nonce.
    Nkey(String),
}

/// How a client reaches the server, as `allowed_connection_types` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ConnectionType {
    /// `STANDARD`: the client protocol over TCP or TLS.
    Standard,
    /// `WEBSOCKET`
    Websocket,
    /// `LEAFNODE`
    Leafnode,
    /// `LEAFNODE_WS`
    LeafnodeWebsocket,
    /// `MQTT`
    Mqtt,
    /// `MQTT_WS`
    MqttWebsocket,
    /// `IN_PROCESS`
    InProcess,
}

impl ConnectionType {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Standard, "STANDARD"),
        (Self::Websocket, "WEBSOCKET"),
        (Self::Leafnode, "LEAFNODE"),
        (Self::LeafnodeWebsocket, "LEAFNODE_WS"),
        (Self::Mqtt, "MQTT"),
        (Self::MqttWebsocket, "MQTT_WS"),
        (Self::InProcess, "IN_PROCESS"),
    ];
}

impl FromStr for ConnectionType {
    type Err = UnknownConnectionType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map(|(kind, _)| *kind)
            .ok_or_else(|| UnknownConnectionType(name.to_owned()))
    }
}

/// A connection type that nats-server does not know either.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown connection type {0:?}")]
pub struct UnknownConnectionType(String);

/// A set of [`ConnectionType`]s. Empty means that every type is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionTypes(u8);

impl ConnectionTypes {
    /// Adds a type to the set.
    pub fn insert(&mut self, kind: ConnectionType) {
        self.0 |= 1 << kind as u8;
    }

    /// Whether a connection of this type may log in.
    pub fn allow(self, kind: ConnectionType) -> bool {
        self.0 == 0 || self.0 & (1 << kind as u8) != 0
    }
}

impl fmt::Debug for ConnectionTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = ConnectionType::ALL
            .iter()
            .filter(|(kind, _)| self.0 & (1 << *kind as u8) != 0);
        f.debug_set()
            .entries(members.map(|(_, name)| name))
            .finish()
    }
}
