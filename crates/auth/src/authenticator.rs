use std::{collections::HashMap, fmt, net::IpAddr, sync::Arc};

use crate::{
    CertificateNames, ConnectionType, GLOBAL_ACCOUNT, Identity, PermissionError, PermissionSet,
    Permissions, Secret, User, UserCredential, nkey, redact::redacted,
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
    /// `proxy_sig`: base64 of the nonce's signature by a proxy in front of the server
    pub proxy_signature: Option<&'a str>,
}

impl fmt::Debug for ConnectCredentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectCredentials")
            .field("user", &self.user.map(redacted))
            .field("nkey", &self.nkey.map(redacted))
            .finish_non_exhaustive()
    }
}

impl ConnectCredentials<'_> {
    /// Whether there is no user, password or token: claims and a signature alone name nobody (observed nats-server 2.15.1).
    fn name_nobody(&self) -> bool {
        [self.user, self.password, self.token]
            .iter()
            .all(|field| field.is_none_or(str::is_empty))
    }
}

/// What the server knows of the connection itself, whatever the client says.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionFacts<'a> {
    /// The transport it came over.
    pub kind: ConnectionType,
    /// The peer's address; `None` for connections inside the process.
    pub remote: Option<IpAddr>,
    /// The names in the certificate that the peer presented in the TLS handshake, if it was verified.
    pub certificate: Option<&'a CertificateNames>,
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
    /// Connections without credentials are bound to `$G`, though there are users.
    pub admit_anonymous: bool,
    /// Users are recognised by their certificates (`verify_and_map`), not by name.
    pub map_certificates: bool,
    /// Public nkeys of proxies whose word on a connection counts.
    pub trusted_proxies: Vec<String>,
    /// Whoever logs in with the single credential must come through one of them.
    pub proxy_required: bool,
    /// Permissions of users of `$G` that have none of their own.
    pub default_permissions: Option<Permissions>,
    /// Default permissions of users inside the named account.
    pub account_default_permissions: HashMap<Arc<str>, Permissions>,
}

/// Decides logins. Build a new one for a changed configuration.
#[derive(Debug)]
pub struct Authenticator {
    users: HashMap<Arc<str>, KnownUser>,
    nkeys: HashMap<Arc<str>, KnownUser>,
    single: Option<SingleCredential>,
    no_auth_user: Option<String>,
    admit_anonymous: bool,
    map_certificates: bool,
    trusted_proxies: Vec<String>,
    proxy_required: bool,
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
        let default_permissions = compile(config.default_permissions.as_ref())
            .map_err(AuthConfigError::DefaultPermissions)?;
        let mut account_defaults = HashMap::new();
        for (account, permissions) in &config.account_default_permissions {
            let compiled =
                compile(Some(permissions)).map_err(AuthConfigError::DefaultPermissions)?;
            account_defaults.insert(account.clone(), compiled);
        }
        let (mut users, mut nkeys) = (HashMap::new(), HashMap::new());
        for user in config.users {
            let permissions = match &user.permissions {
                Some(own) => compile(Some(own)).map_err(|source| AuthConfigError::Permissions {
                    user: user.name().to_owned(),
                    source,
                })?,
                None if &*user.account == GLOBAL_ACCOUNT => default_permissions.clone(),
                None => account_defaults.get(&user.account).cloned().flatten(),
            };
            let name: Arc<str> = user.name().into();
            let known = KnownUser {
                name: name.clone(),
                permissions,
                user,
            };
            let duplicate = match &known.user.credential {
                UserCredential::Nkey(key) if !nkey::is_user_nkey(key) => {
                    return Err(AuthConfigError::InvalidNkey);
                }
                UserCredential::Nkey(_) => nkeys
                    .insert(name, known)
                    .map(|old| AuthConfigError::DuplicateNkey(old.user.name().to_owned())),
                UserCredential::Password { .. } => users
                    .insert(name, known)
                    .map(|old| AuthConfigError::DuplicateUser(old.user.name().to_owned())),
            };
            if let Some(duplicate) = duplicate {
                return Err(duplicate);
            }
        }
        if let Some(name) = &config.no_auth_user {
            if users.is_empty() && nkeys.is_empty() {
                return Err(AuthConfigError::NoAuthUserWithoutUsers(name.clone()));
            }
            if !users.contains_key(name.as_str()) && !nkeys.contains_key(name.as_str()) {
                return Err(AuthConfigError::UnknownNoAuthUser(name.clone()));
            }
        }
        Ok(Self {
            users,
            nkeys,
            single: config.single,
            no_auth_user: config.no_auth_user,
            admit_anonymous: config.admit_anonymous,
            map_certificates: config.map_certificates,
            trusted_proxies: config.trusted_proxies,
            proxy_required: config.proxy_required,
        })
    }

    /// Whether a connection must present something (`auth_required` in INFO). Where not, everyone is bound to `$G`
    /// and credentials are ignored.
    pub fn is_required(&self) -> bool {
        self.single.is_some() || !self.users.is_empty() || !self.nkeys.is_empty()
    }

    /// Whether INFO must carry a nonce to sign.
    pub fn needs_nonce(&self) -> bool {
        !self.nkeys.is_empty() || !self.trusted_proxies.is_empty()
    }

    /// Whether connections without credentials become a user.
    pub fn has_no_auth_user(&self) -> bool {
        self.no_auth_user.is_some()
    }

    /// Whether there is a user of this name or public nkey.
    pub fn has_user(&self, name: &str) -> bool {
        let is_single =
            matches!(&self.single, Some(SingleCredential::User { user, .. }) if user == name);
        is_single || self.users.contains_key(name) || self.nkeys.contains_key(name)
    }

    /// Whether users of this server must present a certificate, which decides who they are.
    pub fn maps_certificates(&self) -> bool {
        self.map_certificates && !self.users.is_empty()
    }

    /// The proxy that vouches for a connection; `None` if no word of a proxy counts or none was given.
    ///
    /// # Errors
    /// [`AuthError::ProxyNotTrusted`] for a signature that none of the trusted keys has made.
    pub fn proxy(
        &self,
        presented: &ConnectCredentials<'_>,
        nonce: &[u8],
    ) -> Result<Option<&str>, AuthError> {
        let signature = presented.proxy_signature.unwrap_or_default();
        if signature.is_empty() || self.trusted_proxies.is_empty() {
            return Ok(None);
        }
        self.trusted_proxies
            .iter()
            .find(|key| nkey::signed_by(key, signature, nonce))
            .map(|key| Some(key.as_str()))
            .ok_or(AuthError::ProxyNotTrusted)
    }

    /// Whether [`Authenticator::authenticate`] would compute a bcrypt hash (tens of milliseconds of CPU) for these
    /// credentials, so that an async caller moves the call to a blocking thread.
    pub fn is_slow_for(
        &self,
        presented: &ConnectCredentials<'_>,
        connection: &ConnectionFacts<'_>,
    ) -> bool {
        match self.claim(presented, connection) {
            Claim::User(known) => {
                matches!(&known.user.credential, UserCredential::Password { password, .. } if password.is_bcrypt())
            }
            Claim::Single(
                SingleCredential::Token(secret)
                | SingleCredential::User {
                    password: secret, ..
                },
            ) => secret.is_bcrypt(),
            Claim::Nkey(_) | Claim::NoAuthUser(_) | Claim::Unknown | Claim::NotRequired => false,
        }
    }

    /// Decides a login. `nonce` is the text sent in INFO.
    ///
    /// The order is nats-server's: an nkey if any is configured and one is given, then users by name, then the single
    /// token or user. A connection without user, password and token becomes `no_auth_user` if that is configured: an nkey that
    /// no user has does not matter where there are no nkeys, and that of `no_auth_user` itself needs no signature.
    ///
    /// # Errors
    /// Any refusal; the client sees `Authorization Violation` for each of them, the log the reason.
    pub fn authenticate(
        &self,
        presented: &ConnectCredentials<'_>,
        nonce: &[u8],
        connection: &ConnectionFacts<'_>,
    ) -> Result<Identity, AuthError> {
        let proxy = self.proxy(presented, nonce)?;
        let claim = self.claim(presented, connection);
        let requires_proxy = match &claim {
            Claim::NotRequired | Claim::Unknown => false,
            Claim::NoAuthUser(known) | Claim::Nkey(known) | Claim::User(known) => {
                known.user.proxy_required
            }
            Claim::Single(_) => self.proxy_required,
        };
        if requires_proxy && proxy.is_none() {
            return Err(AuthError::ProxyRequired);
        }
        let mut identity = self.decide(claim, presented, nonce, connection)?;
        identity.proxy = proxy.map(Arc::from);
        Ok(identity)
    }

    fn decide(
        &self,
        claim: Claim<'_>,
        presented: &ConnectCredentials<'_>,
        nonce: &[u8],
        connection: &ConnectionFacts<'_>,
    ) -> Result<Identity, AuthError> {
        match claim {
            Claim::NotRequired => Ok(Identity {
                user: presented
                    .user
                    .filter(|user| !user.is_empty())
                    .map(Arc::from),
                ..Identity::unrestricted()
            }),
            Claim::NoAuthUser(known) => known.identity(connection),
            Claim::Nkey(known) => {
                let signature = presented.signature.unwrap_or_default();
                if nkey::signed_by(&known.name, signature, nonce) {
                    known.identity(connection)
                } else {
                    Err(AuthError::Nkey(known.name.to_string()))
                }
            }
            Claim::User(known) => match &known.user.credential {
                UserCredential::Password { password, .. }
                    if password.admits(presented.password.unwrap_or_default()) =>
                {
                    known.identity(connection)
                }
                _ => Err(AuthError::User(known.name.to_string())),
            },
            Claim::Single(SingleCredential::Token(token)) => {
                if token.admits(presented.token.unwrap_or_default()) {
                    Ok(Identity::unrestricted())
                } else {
                    Err(AuthError::refused(presented))
                }
            }
            Claim::Single(SingleCredential::User { user, password }) => {
                if presented.user == Some(user)
                    && password.admits(presented.password.unwrap_or_default())
                {
                    Ok(Identity {
                        user: Some(user.as_str().into()),
                        ..Identity::unrestricted()
                    })
                } else {
                    Err(AuthError::refused(presented))
                }
            }
            Claim::Unknown => Err(AuthError::refused(presented)),
        }
    }

    /// Who the credentials say the connection is, unproven.
    fn claim(
        &self,
        presented: &ConnectCredentials<'_>,
        connection: &ConnectionFacts<'_>,
    ) -> Claim<'_> {
        let key = presented
            .nkey
            .filter(|key| !key.is_empty() && !self.nkeys.is_empty());
        let is_nobody = key.is_none() && presented.name_nobody();
        if !self.is_required() || (self.admit_anonymous && is_nobody) {
            return Claim::NotRequired;
        }
        let no_auth_user = self.no_auth_user.as_deref();
        if let Some(key) = key {
            return match self.nkeys.get(key) {
                Some(known) if no_auth_user == Some(key) => Claim::NoAuthUser(known),
                Some(known) => Claim::Nkey(known),
                None => Claim::Unknown,
            };
        }
        let no_auth_user = no_auth_user.filter(|_| is_nobody);
        if let Some(known) = no_auth_user.and_then(|name| self.nkeys.get(name)) {
            return Claim::NoAuthUser(known);
        }
        if self.maps_certificates() {
            let names = self.users.keys().map(|name| &**name);
            return connection
                .certificate
                .and_then(|certificate| certificate.user(names))
                .and_then(|name| self.users.get(name))
                .map_or(Claim::Unknown, Claim::User);
        }
        if let Some(known) = no_auth_user.and_then(|name| self.users.get(name)) {
            return Claim::NoAuthUser(known);
        }
        if let Some(user) = presented
            .user
            .filter(|user| !user.is_empty() && !self.users.is_empty())
        {
            return self.users.get(user).map_or(Claim::Unknown, Claim::User);
        }
        self.single.as_ref().map_or(Claim::Unknown, Claim::Single)
    }
}

enum Claim<'a> {
    NotRequired,
    NoAuthUser(&'a KnownUser),
    Nkey(&'a KnownUser),
    User(&'a KnownUser),
    Single(&'a SingleCredential),
    Unknown,
}

impl KnownUser {
    fn identity(&self, connection: &ConnectionFacts<'_>) -> Result<Identity, AuthError> {
        if !self.user.connection_types.allow(connection.kind) {
            return Err(AuthError::ConnectionType(self.name.to_string()));
        }
        Ok(Identity {
            user: Some(self.name.clone()),
            account: self.user.account.clone(),
            permissions: self.permissions.clone(),
            ..Identity::unrestricted()
        })
    }
}

fn compile(
    permissions: Option<&Permissions>,
) -> Result<Option<Arc<PermissionSet>>, PermissionError> {
    permissions
        .map(|permissions| PermissionSet::compile(permissions).map(Arc::new))
        .transpose()
}

/// Why a login was refused. Holds names, never secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No usable credentials, and none may be missing.
    #[error("authentication error")]
    NoCredentials,
    /// The name is not known or the password is wrong.
    #[error("authentication error - User {:?}", redacted(.0))]
    User(String),
    /// The key is not known or the signature is wrong.
    #[error("authentication error - Nkey {:?}", redacted(.0))]
    Nkey(String),
    /// The user may not use this kind of connection.
    #[error("authentication error - User {:?}: connection type not allowed", redacted(.0))]
    ConnectionType(String),
    /// A proxy's signature that none of the trusted keys has made.
    #[error("proxy is not trusted")]
    ProxyNotTrusted,
    /// The user must come through a trusted proxy.
    #[error("proxy connection required")]
    ProxyRequired,
    /// The user's claims were taken back.
    #[error("authentication error - User Authentication Revoked")]
    Revoked,
    /// The claims of the user's account have ended.
    #[error("authentication error - Account Authentication Expired")]
    AccountExpired,
    /// A user's claims do not let it in; why is for debug lines only (observed nats-server 2.15.1).
    #[error("authentication error")]
    Claims(String),
}

impl AuthError {
    fn refused(presented: &ConnectCredentials<'_>) -> Self {
        let filled = |field: Option<&str>| field.filter(|text| !text.is_empty()).map(str::to_owned);
        match (filled(presented.nkey), filled(presented.user)) {
            (Some(key), _) => Self::Nkey(key),
            (None, Some(user)) => Self::User(user),
            (None, None) => Self::NoCredentials,
        }
    }
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

#[cfg(test)]
mod tests;
