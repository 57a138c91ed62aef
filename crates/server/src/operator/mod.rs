//! Operator mode: accounts and users are what signed claims say, found through a resolver.

mod account_options;
mod apply;
mod claims_service;
mod directory;
mod http;
mod resolver;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use jetsled_auth::jwt::{AccountClaims, Import, JwtError, TrustedOperators};
use jetsled_config::{AccountOptions, OperatorOptions, ResolverOptions};
use parking_lot::Mutex;

use crate::server::ServerState;

pub use http::HttpError;
use resolver::Resolver;
pub use resolver::ResolverError;

/// A look-up that found nothing usable is not repeated within this time.
const NOT_AGAIN_WITHIN: Duration = Duration::from_secs(1);

/// Whom the server trusts, and the accounts that are in force.
#[derive(Debug)]
pub(crate) struct OperatorMode {
    options: OperatorOptions,
    trusted: TrustedOperators,
    resolver: Resolver,
    /// By public key. Only accounts that trusted operators have signed get in, once they are what their claims say.
    known: Arc<Mutex<HashMap<Arc<str>, KnownAccount>>>,
}

#[derive(Clone, Debug)]
struct KnownAccount {
    claims: Arc<AccountClaims>,
    token: Arc<str>,
    looked_up: Instant,
}

/// Why an account could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    #[error("not an account's public key")]
    NotAnAccount,
    #[error("account resolver update too soon")]
    TooSoon,
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    #[error("account claims are not valid: {0}")]
    Claims(#[from] JwtError),
    #[error("account claims are about another account")]
    OtherSubject,
    #[error("account claims are not signed by a trusted operator")]
    NotTrusted,
}

impl OperatorMode {
    /// `None` if the configuration trusts no operator.
    pub(crate) fn new(options: &OperatorOptions) -> Result<Option<Self>, ResolverError> {
        if !options.is_on() {
            return Ok(None);
        }
        let resolver = Resolver::new(options)?;
        Ok(Some(Self::with_resolver(options, resolver)))
    }

    fn with_resolver(options: &OperatorOptions, resolver: Resolver) -> Self {
        Self {
            trusted: TrustedOperators::new(&options.operators, &options.trusted_keys),
            resolver,
            options: options.clone(),
            known: Arc::default(),
        }
    }

    /// Whom the server trusts.
    pub(crate) fn trusted(&self) -> &TrustedOperators {
        &self.trusted
    }

    pub(crate) fn options(&self) -> &OperatorOptions {
        &self.options
    }

    /// Whether users of this account may log in at all.
    pub(crate) fn admits_account(&self, account: &str) -> bool {
        let pinned = &self.options.pinned_accounts;
        pinned.is_empty() || pinned.contains(account)
    }

    /// The claims in force of an account, as far as it was looked up.
    pub(crate) fn claims(&self, account: &str) -> Option<Arc<AccountClaims>> {
        self.known
            .lock()
            .get(account)
            .map(|known| Arc::clone(&known.claims))
    }

    /// The token in force of an account, as far as it was looked up.
    pub(crate) fn token(&self, account: &str) -> Option<Arc<str>> {
        self.known
            .lock()
            .get(account)
            .map(|known| Arc::clone(&known.token))
    }

    /// An account's claims, from the resolver if they are not known or do not hold any more.
    pub(crate) async fn look_up(
        &self,
        server: &Arc<ServerState>,
        account: &str,
    ) -> Result<Arc<AccountClaims>, LookupError> {
        if !jetsled_auth::is_account_nkey(account) {
            return Err(LookupError::NotAnAccount);
        }
        let known = self.known.lock().get(account).cloned();
        if let Some(known) = known {
            if known.claims.check_times(jiff::Timestamp::now()).is_ok() {
                return Ok(known.claims);
            }
            if known.looked_up.elapsed() < NOT_AGAIN_WITHIN {
                return Err(LookupError::TooSoon);
            }
        }
        let mut token = self.resolver.fetch(server, account).await?;
        let claims = loop {
            let claims = self.take(server, account, &token)?;
            if self.resolver.full_directory().is_none() {
                break claims;
            }
            // Until now nobody who changed the directory knew that the account is in use.
            let stored = self.resolver.fetch(server, account).await;
            if matches!(stored, Err(ResolverError::Missing)) {
                self.forget(server, account);
            }
            match stored? {
                stored if stored == token => break claims,
                stored => token = stored,
            }
        };
        for import in &claims.nats.imports {
            if self.claims(&import.account).is_none()
                && let Err(error) = Box::pin(self.look_up(server, &import.account)).await
            {
                tracing::error!(
                    "Can't locate account [{}] for import of {} (err={error})",
                    import.account,
                    import.subject
                );
            }
        }
        Ok(claims)
    }

    /// Puts a token's claims into force, after judging them. Unchanged claims change nothing.
    pub(crate) fn take(
        &self,
        server: &Arc<ServerState>,
        account: &str,
        token: &str,
    ) -> Result<Arc<AccountClaims>, LookupError> {
        let claims = Arc::new(self.judge(account, token)?);
        let account = server.account_or_new(account);
        let _turn = account.claims_turn.lock();
        if let Some(before) = self.known.lock().get_mut(account.name())
            && *before.token == *token
        {
            before.looked_up = Instant::now();
            return Ok(Arc::clone(&before.claims));
        }
        server.apply_limits(&account, &claims);
        let before = self.let_in(server, &claims, token);
        if before.is_some() {
            server.judge_connections_anew(&account, &claims);
        }
        server.expire_later(&account, &claims);
        Ok(claims)
    }

    /// Lets claims be found, and puts into force what they share; returns those that were known before.
    fn let_in(
        &self,
        server: &ServerState,
        claims: &Arc<AccountClaims>,
        token: &str,
    ) -> Option<KnownAccount> {
        let turn = server.wiring_turn();
        let name = claims.subject.as_str();
        if shares(claims) || self.claims(name).is_some_and(|before| shares(&before)) {
            turn.wire_claimed(&self.known_options(Some(claims)));
        }
        let now_known = KnownAccount {
            claims: Arc::clone(claims),
            token: token.into(),
            looked_up: Instant::now(),
        };
        self.known.lock().insert(name.into(), now_known)
    }

    /// Decodes an account's token and checks that it counts.
    pub(crate) fn judge(&self, account: &str, token: &str) -> Result<AccountClaims, LookupError> {
        let claims = AccountClaims::decode(token)?;
        if claims.subject != account {
            return Err(LookupError::OtherSubject);
        }
        if !self.trusted.trusts(&claims.issuer) {
            return Err(LookupError::NotTrusted);
        }
        claims.validate(jiff::Timestamp::now())?;
        Ok(claims)
    }

    /// All accounts in force, as a configuration file would have them; `coming` are claims that are to take the place of those known.
    pub(crate) fn known_options(&self, coming: Option<&Arc<AccountClaims>>) -> Vec<AccountOptions> {
        let known = self.known.lock();
        let known = known.values().map(|known| &known.claims).chain(coming);
        let known: HashMap<String, Arc<AccountClaims>> = known
            .map(|claims| (claims.subject.clone(), Arc::clone(claims)))
            .collect();
        let now = jiff::Timestamp::now();
        let is_activated = |importer: &AccountClaims, import: &Import| {
            known
                .get(import.account.as_str())
                .is_some_and(|exporter| exporter.activates(importer, import, now))
        };
        known
            .values()
            .map(|claims| account_options::account_options(claims, &is_activated))
            .collect()
    }

    /// The same operator mode with other options: accounts in force stay in force, and what a request still does with the options before is
    /// seen with these.
    pub(crate) fn with_options(
        &self,
        options: &OperatorOptions,
    ) -> Result<Option<Self>, ResolverError> {
        let fresh = if options.resolver == self.options.resolver && options.is_on() {
            let resolver = self.resolver.reloaded(options)?;
            Some(Self::with_resolver(options, resolver))
        } else {
            Self::new(options)?
        };
        Ok(fresh.map(|fresh| Self {
            known: Arc::clone(&self.known),
            ..fresh
        }))
    }

    /// The tokens that the configuration brings along.
    pub(crate) fn preloaded_tokens(&self) -> Vec<(String, String)> {
        let preload = &self.options.preload;
        preload
            .iter()
            .map(|(name, token)| (name.clone(), token.clone()))
            .collect()
    }

    /// Accounts in force that a memory resolver has no more.
    pub(crate) fn accounts_gone(&self) -> Vec<String> {
        if self.options.resolver != Some(ResolverOptions::Memory) {
            return Vec::new();
        }
        let known = self.known.lock();
        let is_gone = |name: &&Arc<str>| !self.options.preload.contains_key(&***name);
        known
            .keys()
            .filter(is_gone)
            .map(ToString::to_string)
            .collect()
    }

    /// Takes an account out of force: its connections end.
    pub(crate) fn drop_account(&self, server: &ServerState, account: &str) {
        self.forget(server, account);
    }

    /// Accounts that are known before anybody logs in.
    pub(crate) fn preloaded(&self) -> Vec<String> {
        self.options.preload.keys().cloned().collect()
    }
}

/// Whether claims concern what accounts share.
fn shares(claims: &AccountClaims) -> bool {
    let account = &claims.nats;
    !(account.exports.is_empty() && account.imports.is_empty() && account.mappings.is_empty())
}

impl ServerState {
    /// Looks up the accounts that must be there before anybody logs in: the system account, those that the
    /// configuration brings along, and those that have streams.
    pub(crate) async fn load_accounts(self: &Arc<Self>) -> Result<(), ResolverError> {
        let Some(operator) = self.operator() else {
            return Ok(());
        };
        operator.resolver.check().await?;
        operator.serve(self);
        let mut names = operator.preloaded();
        names.extend(self.system().map(|system| system.name().to_owned()));
        names.extend(
            self.jetstream()
                .map(|j| j.stored_accounts())
                .unwrap_or_default(),
        );
        names.sort_unstable();
        names.dedup();
        for name in names {
            if jetsled_auth::is_account_nkey(&name)
                && let Err(error) = operator.look_up(self, &name).await
            {
                tracing::warn!("Error looking up account {name}: {error}");
            }
        }
        Ok(())
    }
}
