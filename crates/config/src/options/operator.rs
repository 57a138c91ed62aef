use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use jetsled_auth::jwt::{OperatorClaims, UserClaims};

use crate::{NATS_VERSION, Options};

/// Operator mode: accounts and users are what signed claims say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OperatorOptions {
    /// `operator`: who signs accounts.
    pub operators: Vec<OperatorClaims>,
    /// Their tokens.
    pub operator_tokens: Vec<String>,
    /// `trusted_keys`: public keys that sign accounts.
    pub trusted_keys: Vec<String>,
    /// `resolver`: where accounts are found.
    pub resolver: Option<ResolverOptions>,
    /// `resolver_tls`: roots (PEM) for a URL resolver; `None` takes the system's.
    pub resolver_ca_file: Option<PathBuf>,
    /// `resolver_preload`: account tokens by public key.
    pub preload: BTreeMap<String, String>,
    /// `resolver_pinned_accounts`: the only accounts that users may belong to; empty is all.
    pub pinned_accounts: BTreeSet<String>,
    /// `default_sentinel`: a bearer token for connections without claims of their own.
    pub default_sentinel: Option<String>,
}

/// `resolver`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolverOptions {
    /// Preloaded accounts only.
    Memory,
    /// HTTP: `<url>/<account>`.
    Url(String),
    /// All accounts in a directory.
    Full {
        /// The directory.
        dir: PathBuf,
        /// Whether accounts may be deleted.
        delete: DeletePolicy,
        /// Accounts at most; `None` is unlimited.
        limit: Option<usize>,
        /// Time between synchronisations with other servers.
        interval: Duration,
        /// Time that a look-up may take.
        timeout: Duration,
    },
    /// Accounts that were looked up, in a directory.
    Cache {
        /// The directory.
        dir: PathBuf,
        /// Accounts at most.
        limit: usize,
        /// How long an account is kept.
        ttl: Duration,
        /// Time that a look-up may take.
        timeout: Duration,
    },
}

/// `allow_delete`, `hard_delete`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeletePolicy {
    /// Accounts stay.
    #[default]
    Refuse,
    /// A deleted account's file is renamed.
    Rename,
    /// It is removed.
    Remove,
}

impl OperatorOptions {
    /// Whether users must present claims.
    pub fn is_on(&self) -> bool {
        !self.operators.is_empty() || !self.trusted_keys.is_empty()
    }
}

impl Options {
    /// What operator mode does not go together with, in nats-server's words.
    pub(super) fn operator_contradiction(&self) -> Option<String> {
        let operator = &self.operator;
        let says = |text: &str| Some(text.to_owned());
        if let Some(key) = operator
            .pinned_accounts
            .iter()
            .find(|key| !jetsled_auth::is_account_nkey(key))
        {
            return Some(format!(
                "pinned account key {key:?} is not a valid public account nkey"
            ));
        }
        let [first, ..] = &operator.operators[..] else {
            return operator
                .default_sentinel
                .as_ref()
                .and_then(|_| says("default sentinel requires operators and accounts"));
        };
        if let Some(sentinel) = &operator.default_sentinel {
            match UserClaims::decode(sentinel) {
                Err(_) => return says("default sentinel JWT not valid"),
                Ok(claims) if !claims.nats.limits.bearer_token => {
                    return says("default sentinel must be a bearer token");
                }
                Ok(_) => {}
            }
        }
        let Some(resolver) = &operator.resolver else {
            return says("operators require an account resolver to be configured");
        };
        if !self.accounts.is_empty() {
            return says("operators do not allow Accounts to be configured directly");
        }
        if !self.authorization.users.is_empty() {
            return says("operators do not allow users to be configured directly");
        }
        if self.authorization.auth_callout.is_some() {
            return says("operators do not allow authorization callouts to be configured directly");
        }
        if !operator.trusted_keys.is_empty() {
            return says("conflicting options for 'TrustedKeys' and 'TrustedOperators'");
        }
        if self.no_auth_user.is_some() {
            return says("no_auth_user not compatible with Trusted Operator");
        }
        let claimed = operator.operators.iter().map(|o| &o.nats.system_account);
        let claimed: Vec<_> = claimed.filter(|account| !account.is_empty()).collect();
        match &self.system_account {
            Some(system) if system != jetsled_auth::DEFAULT_SYSTEM_ACCOUNT => {
                if !claimed.is_empty() && !claimed.contains(&system) {
                    return says("system_account in config and operator JWT must be identical");
                }
            }
            _ => {
                let is_nats_based = matches!(
                    resolver,
                    ResolverOptions::Full { .. } | ResolverOptions::Cache { .. }
                );
                if is_nats_based && first.nats.system_account.is_empty() {
                    return says(
                        "using nats based account resolver - the system account needs to be specified in configuration or the operator jwt",
                    );
                }
            }
        }
        let too_new = |o: &&OperatorClaims| !o.admits_server(NATS_VERSION);
        operator.operators.iter().find(too_new).map(|o| {
            format!(
                "expected server version {NATS_VERSION} to be at least {}, as operator {} asks",
                o.nats.assert_server_version, o.subject
            )
        })
    }
}
