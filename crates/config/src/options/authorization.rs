use std::time::Duration;

use jetsled_auth::{AuthConfig, Permissions, Secret, SingleCredential, User};

use crate::{AuthCalloutOptions, Options};

/// The top-level `authorization` block and its command-line equivalents.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AuthorizationOptions {
    /// There is an `authorization` block, whatever it says.
    pub is_defined: bool,
    /// The single user's name.
    pub user: Option<String>,
    /// The single user's password.
    pub password: Option<Secret>,
    /// The single token.
    pub token: Option<Secret>,
    /// Users of `$G`.
    pub users: Vec<User>,
    /// Permissions of users without their own.
    pub default_permissions: Option<Permissions>,
    /// A service decides logins.
    pub auth_callout: Option<AuthCalloutOptions>,
    /// Connections must come through a trusted proxy.
    pub proxy_required: bool,
    /// Time in which CONNECT must have come; `None` takes [`Options::auth_timeout`]'s default.
    pub timeout: Option<Duration>,
}

impl Options {
    /// Time in which a client must have authenticated: 2 s, with TLS one second more than its handshake may take.
    pub fn auth_timeout(&self) -> Duration {
        self.authorization
            .timeout
            .unwrap_or_else(|| match &self.tls {
                Some(tls) => tls.timeout + Duration::from_secs(1),
                None => Duration::from_secs(2),
            })
    }

    /// Whether the system account was given users and nothing else was said about logins: that is no wish to keep others out
    /// (observed nats-server 2.15.1; with an `authorization` block it is, CVE-2023-47090).
    fn has_users_of_the_system_account_only(&self) -> bool {
        let authorization = &self.authorization;
        let [only] = &self.accounts[..] else {
            return false;
        };
        self.system_account.as_deref() == Some(&*only.name)
            && self.no_auth_user.is_none()
            && !authorization.is_defined
            && authorization.user.is_none()
            && authorization.token.is_none()
            && !self.operator.is_on()
    }

    /// What decides logins, of all accounts.
    pub fn auth_config(&self) -> AuthConfig {
        let authorization = &self.authorization;
        let single = match (&authorization.user, &authorization.token) {
            (Some(user), _) => Some(SingleCredential::User {
                user: user.clone(),
                password: authorization.password.clone().unwrap_or_default(),
            }),
            (None, Some(token)) => Some(SingleCredential::Token(token.clone())),
            (None, None) => None,
        };
        AuthConfig {
            users: authorization
                .users
                .iter()
                .chain(self.accounts.iter().flat_map(|account| &account.users))
                .cloned()
                .collect(),
            single,
            no_auth_user: self.no_auth_user.clone(),
            admit_anonymous: self.has_users_of_the_system_account_only(),
            map_certificates: self.tls.as_ref().is_some_and(|tls| tls.verify_and_map),
            trusted_proxies: self.trusted_proxies.clone(),
            proxy_required: authorization.proxy_required,
            default_permissions: authorization.default_permissions.clone(),
            account_default_permissions: self
                .accounts
                .iter()
                .filter_map(|account| {
                    Some((account.name.clone(), account.default_permissions.clone()?))
                })
                .collect(),
        }
    }
}
