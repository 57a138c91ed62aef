use std::sync::Arc;

use jiff::Timestamp;

use crate::{GLOBAL_ACCOUNT, PermissionSet};

/// The outcome of a login.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The name by which monitoring and `USER.INFO` show the user: its name or public nkey; `None` where no
    /// authentication is required or the server has one token for all.
    pub user: Option<Arc<str>>,
    /// The account that the connection is bound to.
    pub account: Arc<str>,
    /// `None` is unrestricted.
    pub permissions: Option<Arc<PermissionSet>>,
    /// The user's own limits.
    pub limits: UserLimits,
    /// When the login ends: at the end of the user's claims, or of the time of day that they allow.
    pub expires: Option<Timestamp>,
    /// What the user's claims say of it; `None` for configured users.
    pub claims: Option<Arc<ClaimedUser>>,
    /// The public nkey of the proxy that it came through.
    pub proxy: Option<Arc<str>>,
}

/// A user that has proved itself by claims.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClaimedUser {
    /// The user's public key.
    pub key: String,
    /// The name in the claims.
    pub name: String,
    /// Their tags.
    pub tags: Vec<String>,
    /// The public key that has signed them.
    pub issuer: String,
    /// When, in Unix seconds.
    pub issued_at: i64,
    /// Whether the key's scope decides what the user may do.
    pub is_scoped: bool,
    /// Whether whoever has the token can log in with it.
    pub is_bearer: bool,
}

/// A user's limits; the smallest of these, the account's and the server's holds. `None` is no limit of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserLimits {
    /// Subscriptions at once.
    pub max_subscriptions: Option<usize>,
    /// Bytes of headers and payload in one message.
    pub max_payload: Option<usize>,
}

impl Identity {
    /// Anybody in `$G`.
    pub fn unrestricted() -> Self {
        Self {
            user: None,
            account: GLOBAL_ACCOUNT.into(),
            permissions: None,
            limits: UserLimits::default(),
            expires: None,
            claims: None,
            proxy: None,
        }
    }
}
