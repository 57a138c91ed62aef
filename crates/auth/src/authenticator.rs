use std::{collections::HashMap, fmt, net::IpAddr, sync::Arc};

use crate::{
    ConnectionType, GLOBAL_ACCOUNT, PermissionError, PermissionSet, Permissions, Secret, User,
    UserCredential, nkey,
};

/// What `CONNECT` presented. `Debug` shows names, never secrets.
#[derive(Clone, Copy, Default)]
pub struct ConnectCredentials<'a> {
    /// `user`
    pub user: Option<&'a str>,
    /// `pass`
    pub password: Option<&'a str>,
    /// `auth_token`
    pub token: Option<&'a str>,
    /// `nkey`: a public key
    pub nkey: Option<&'a str>,
    /// `sig`: base64 of the nonce's signature
    pub signature: Option<&'a str>,
    /// `jwt`
    pub jwt: Option<&'a str>,
}

impl fmt::Debug for ConnectCredentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectCredentials")
            .field("user", &self.user)
            .field("nkey", &self.nkey)
            .finish_non_exhaustive()
    }
}

impl ConnectCredentials<'_> {
    fn are_absent(&self) -> bool {
        [
            self.user,
            self.password,
            self.token,
            self.nkey,
            self.signature,
            self.jwt,
        ]
        .iter()
        .all(|field| field.is_none_or(str::is_empty))
    }
}

/// What the server knows of the connection itself, whatever the client says.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionFacts {
    /// The transport it came over.
    pub kind: ConnectionType,
    /// The peer's address; `None` for connections inside the process.
    pub remote: Option<IpAddr>,
    /// Whether TLS is on and the peer's certificate was verified.
    pub verified_certificate: bool,
}

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
}

/// A user's limits; the smallest of these, the account's and the server's holds. `None` is no limit of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserLimits {
    /// Subscriptions at once.
    pub max_subscriptions: Option<usize>,
    /// Bytes of headers and payload in one message.
    pub max_payload: Option<usize>,
}

/// The credential that all clients share (`authorization { user, pass }` or `{ token }`).
#[derive(Debug, Clone, PartialEq)]
pub enum SingleCredential {
    /// One name and password.
    User {
        /// The name.
        user: String,
        /// The password or its bcrypt hash.
        password: Secret,
    },
    /// One token or its bcrypt hash.
    Token(Secret),
}

/// Everything that decides a login.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AuthConfig {
    /// Users of all accounts.
    pub users: Vec<User>,
    /// The one credential of a server without users.
    pub single: Option<SingleCredential>,
    /// The user that connections without credentials become.
    pub no_auth_user: Option<String>,
    /// Permissions of users of `$G`, and of the single credential, that have none of their own.
    pub default_permissions: Option<Permissions>,
    /// Default permissions of users inside the named account.
    pub account_default_permissions: HashMap<Arc<str>, Permissions>,
}

/// Decides logins. Build a new one for a changed configuration.
#[derive(Debug)]
pub struct Authenticator {
    users: HashMap<String, KnownUser>,
    nkeys: HashMap<String, KnownUser>,
    single: Option<SingleCredential>,
    no_auth_user: Option<String>,
    default_permissions: Option<Arc<PermissionSet>>,
}

#[derive(Debug)]
struct KnownUser {
    user: User,
    name: Arc<str>,
    permissions: Option<Arc<PermissionSet>>,
}

impl Authenticator {
    /// Checks the configuration and compiles all permissions.
    ///
    /// # Errors
    /// Duplicate users, a public key that is none, permissions that do not compile, a `no_auth_user` that does not exist.
    pub fn new(config: AuthConfig) -> Result<Self, AuthConfigError> {
        todo!("{config:?}")
    }

    /// Whether a connection must present something (`auth_required` in INFO). Where not, everyone is bound to `$G`
    /// and credentials are ignored.
    pub fn is_required(&self) -> bool {
        self.single.is_some() || !self.users.is_empty() || !self.nkeys.is_empty()
    }

    /// Whether INFO must carry a nonce to sign.
    pub fn needs_nonce(&self) -> bool {
        !self.nkeys.is_empty()
    }

    /// Whether [`Authenticator::authenticate`] would compute a bcrypt hash (tens of milliseconds of CPU) for these
    /// credentials, so that an async caller moves the call to a blocking thread.
    pub fn is_slow_for(&self, presented: &ConnectCredentials<'_>) -> bool {
        todo!("{presented:?}")
    }

    /// Decides a login. `nonce` is the text sent in INFO.
    ///
    /// # Errors
    /// Any refusal; the client sees `Authorization Violation` for each of them, the log the reason.
    pub fn authenticate(
        &self,
        presented: &ConnectCredentials<'_>,
        nonce: &[u8],
        connection: &ConnectionFacts,
    ) -> Result<Identity, AuthError> {
        todo!("{presented:?} {nonce:?} {connection:?} {}", GLOBAL_ACCOUNT)
    }
}

/// Why a login was refused. Holds names, never secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No usable credentials, and none may be missing.
    #[error("authentication error")]
    NoCredentials,
    /// The name is not known or the password is wrong.
    #[error("authentication error - User {0:?}")]
    User(String),
    /// The key is not known or the signature is wrong.
    #[error("authentication error - Nkey {0:?}")]
    Nkey(String),
    /// The user may not use this kind of connection.
    #[error("authentication error - User {0:?}: connection type not allowed")]
    ConnectionType(String),
}

/// A configuration of users that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthConfigError {
    /// One name twice, in whichever accounts.
    #[error("Duplicate user {0:?} detected")]
    DuplicateUser(String),
    /// One key twice, in whichever accounts.
    #[error("Duplicate nkey {0:?} detected")]
    DuplicateNkey(String),
    /// Not a public user key.
    #[error("Not a valid public nkey for a user")]
    InvalidNkey,
    /// `no_auth_user` without users.
    #[error("no_auth_user: {0:?} present, but users/nkeys are not defined")]
    NoAuthUserWithoutUsers(String),
    /// `no_auth_user` names nobody.
    #[error(
        "no_auth_user: {0:?} not present as user or nkey in authorization block or account configuration"
    )]
    UnknownNoAuthUser(String),
    /// A permission that does not compile.
    #[error("invalid permissions for user {user:?}: {source}")]
    Permissions {
        /// The user's name or public key.
        user: String,
        /// What is wrong.
        source: PermissionError,
    },
    /// Default permissions that do not compile.
    #[error("invalid default permissions: {0}")]
    DefaultPermissions(PermissionError),
}
