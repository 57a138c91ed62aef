use std::sync::Arc;

use jiff::Timestamp;

use super::account::AccountClaims;
use super::limits::ConnectWindow;
use super::operator::TrustedOperators;
use super::signing_key::Signer;
use super::template;
use super::user::{UserClaims, UserPermissionLimits};
use crate::{AuthError, ClaimedUser, ConnectionFacts, Identity, PermissionSet, UserLimits, nkey};

/// How a user proves that the claims are its own.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// By a signature of the nonce, unless the claims are a bearer token.
    Signature {
        /// `sig` of CONNECT.
        signature: &'a str,
        /// The nonce of INFO.
        nonce: &'a [u8],
    },
    /// An authorization service vouches for it.
    Vouched,
}

/// A user's claims beside those of its account.
#[derive(Debug, Clone, Copy)]
pub struct JwtLogin<'a> {
    /// The user; its account is `account`'s subject.
    pub user: &'a UserClaims,
    /// The account.
    pub account: &'a AccountClaims,
    /// Who may sign accounts.
    pub trusted: &'a TrustedOperators,
}

impl JwtLogin<'_> {
    /// Decides the login: trust from operator to account to user, then what the claims ask of the connection.
    ///
    /// # Errors
    /// [`AuthError::Claims`] with the reason.
    pub fn authenticate(
        &self,
        proof: Proof<'_>,
        connection: &ConnectionFacts<'_>,
        now: Timestamp,
    ) -> Result<Identity, AuthError> {
        let (user, account) = (self.user, self.account);
        user.validate(now)
            .map_err(|error| refused(format!("User JWT no longer valid: {error}")))?;
        if !self.trusted.trusts(&account.issuer) {
            return Err(refused("Account JWT not signed by trusted operator"));
        }
        let (limits, is_scoped) = self.limits()?;
        if account.check_times(now).is_err() {
            return Err(AuthError::AccountExpired);
        }
        if limits.bearer_token && account.nats.limits.disallow_bearer {
            return Err(refused("Account does not allow bearer tokens"));
        }
        admit_connection(&limits, connection)?;
        if let Proof::Signature { signature, nonce } = proof
            && !limits.bearer_token
            && !nkey::signed_by(&user.subject, signature, nonce)
        {
            return Err(refused("Signature not verified"));
        }
        if account.revokes(&user.subject, user.issued_at) {
            return Err(AuthError::Revoked);
        }
        identity(user, &limits, is_scoped, Some(account), connection, now)
    }

    /// The user's own permissions and limits, or those of the scope that its signing key has.
    fn limits(&self) -> Result<(UserPermissionLimits, bool), AuthError> {
        let strict = self.trusted.is_strict(&self.account.issuer);
        match self.account.signer(&self.user.issuer, strict) {
            None => Err(refused("User JWT issuer is not known")),
            Some(Signer::Plain) => Ok((self.user.nats.limits.clone(), false)),
            Some(Signer::Scoped(_)) if !self.user.nats.limits.is_empty() => {
                Err(refused("scoped users require no permissions or limits set"))
            }
            Some(Signer::Scoped(scope)) => {
                template::expand(&scope.template, self.user, self.account)
                    .map(|limits| (limits, true))
                    .map_err(|error| {
                        refused(format!("User JWT generated invalid permissions: {error}"))
                    })
            }
        }
    }
}

impl UserClaims {
    /// What the claims alone amount to, with an account that is yet to be set, once somebody has vouched for them.
    ///
    /// # Errors
    /// [`AuthError::Claims`] if they do not fit the connection.
    pub fn identity(
        &self,
        connection: &ConnectionFacts<'_>,
        now: Timestamp,
    ) -> Result<Identity, AuthError> {
        let limits = &self.nats.limits;
        admit_connection(limits, connection)?;
        identity(self, limits, false, None, connection, now)
    }
}

fn admit_connection(
    limits: &UserPermissionLimits,
    connection: &ConnectionFacts<'_>,
) -> Result<(), AuthError> {
    let types = limits
        .connection_types()
        .map_err(|error| refused(error.to_string()))?;
    if types.allow(connection.kind) {
        Ok(())
    } else {
        Err(refused("Connection type not allowed"))
    }
}

fn identity(
    user: &UserClaims,
    limits: &UserPermissionLimits,
    is_scoped: bool,
    account: Option<&AccountClaims>,
    connection: &ConnectionFacts<'_>,
    now: Timestamp,
) -> Result<Identity, AuthError> {
    if !limits.admits_source(connection.remote) {
        return Err(refused("Bad src Ip"));
    }
    let window = match limits.connect_window(now) {
        ConnectWindow::Always => None,
        ConnectWindow::For(left) => now.checked_add(left).ok(),
        ConnectWindow::Closed => return Err(refused("Outside connect times")),
    };
    let expires = match (window, user.expires_at()) {
        (Some(window), Some(end)) => Some(window.min(end)),
        (window, end) => window.or(end),
    };
    let permissions = limits
        .permissions()
        .or_else(|| account.and_then(AccountClaims::default_permissions))
        .map(|permissions| PermissionSet::compile(&permissions).map(Arc::new))
        .transpose()
        .map_err(|error| refused(format!("User JWT permissions are invalid: {error}")))?;
    Ok(Identity {
        user: Some(user.subject.as_str().into()),
        account: account
            .map_or(user.audience.as_str(), |account| &account.subject)
            .into(),
        permissions,
        limits: UserLimits {
            max_subscriptions: usize::try_from(limits.subs).ok(),
            max_payload: usize::try_from(limits.payload).ok(),
        },
        expires,
        claims: Some(Arc::new(ClaimedUser {
            key: user.subject.clone(),
            name: user.name.clone(),
            tags: user.nats.tags.clone(),
            issuer: user.issuer.clone(),
            issued_at: user.issued_at,
            is_scoped,
            is_bearer: limits.bearer_token,
        })),
        proxy: None,
    })
}

fn refused(reason: impl Into<String>) -> AuthError {
    AuthError::Claims(reason.into())
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use nkeys::KeyPair;

    use super::*;
    use crate::ConnectionType;
    use crate::jwt::{Account, Claims, JwtUser, SigningKey, UserScope};

    struct World {
        operator: KeyPair,
        account_key: KeyPair,
        user_key: KeyPair,
        account: AccountClaims,
        user: UserClaims,
        nonce: &'static [u8],
        signed: &'static [u8],
        now: i64,
    }

    impl World {
        fn new() -> Self {
            let operator = KeyPair::new_operator();
            let (account_key, user_key) = (KeyPair::new_account(), KeyPair::new_user());
            let mut user = claims(&account_key, &user_key, JwtUser::default());
            (user.nats.limits.subs, user.nats.limits.payload) = (-1, -1);
            Self {
                account: claims(&operator, &account_key, Account::default()),
                user,
                operator,
                account_key,
                user_key,
                nonce: b"nonce",
                signed: b"nonce",
                now: 1000,
            }
        }

        fn log_in(&self) -> Result<Identity, String> {
            let signature = URL_SAFE_NO_PAD.encode(self.user_key.sign(self.signed).unwrap());
            let proof = Proof::Signature {
                signature: &signature,
                nonce: self.nonce,
            };
            let trusted = TrustedOperators::new(&[], &[self.operator.public_key()]);
            let facts = ConnectionFacts {
                kind: ConnectionType::Standard,
                remote: Some("10.0.0.1".parse().unwrap()),
                certificate: None,
            };
            let login = JwtLogin {
                user: &self.user,
                account: &self.account,
                trusted: &trusted,
            };
            login
                .authenticate(proof, &facts, Timestamp::from_second(self.now).unwrap())
                .map_err(|error| match error {
                    AuthError::Claims(reason) => reason,
                    other => other.to_string(),
                })
        }
    }

    fn claims<B>(issuer: &KeyPair, subject: &KeyPair, nats: B) -> Claims<B> {
        Claims {
            audience: String::new(),
            expires: 0,
            id: String::new(),
            issued_at: 500,
            issuer: issuer.public_key(),
            name: "name".to_owned(),
            not_before: 0,
            subject: subject.public_key(),
            nats,
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut World), expected: Result<(), &str>) {
        let mut world = World::new();
        change(&mut world);
        match (world.log_in(), expected) {
            (Ok(_), Ok(())) => {}
            (Err(reason), Err(part)) if reason.contains(part) => {}
            (got, expected) => panic!("{got:?} is not {expected:?}"),
        }
    }

    #[test]
    fn each_link_of_trust_is_needed() {
        check(|_| {}, Ok(()));
        check(
            |world| world.account.issuer = KeyPair::new_operator().public_key(),
            Err("not signed by trusted operator"),
        );
        check(
            |world| world.user.issuer = KeyPair::new_account().public_key(),
            Err("issuer is not known"),
        );
        check(|world| world.signed = b"other", Err("Signature"));
        check(
            |world| {
                world.signed = b"other";
                world.user.nats.limits.bearer_token = true;
            },
            Ok(()),
        );
        check(
            |world| {
                world.user.nats.limits.bearer_token = true;
                world.account.nats.limits.disallow_bearer = true;
            },
            Err("bearer"),
        );
    }

    #[test]
    fn claims_end() {
        check(|world| world.user.expires = 1000, Ok(()));
        check(|world| world.user.expires = 999, Err("no longer valid"));
        check(
            |world| world.account.expires = 999,
            Err("Account Authentication Expired"),
        );
        check(
            |world| {
                let key = world.user.subject.clone();
                world.account.nats.revocations.insert(key, 500);
            },
            Err("Revoked"),
        );
        let mut world = World::new();
        world.user.expires = 2000;
        let expires = world.log_in().unwrap().expires.unwrap();
        assert_eq!(expires.as_second(), 2000);
    }

    #[test]
    fn connections_must_fit() {
        let types = |world: &mut World, name: &str| {
            world.user.nats.limits.allowed_connection_types = vec![name.to_owned()];
        };
        check(|world| types(world, "STANDARD"), Ok(()));
        check(|world| types(world, "WEBSOCKET"), Err("Connection type"));
        check(|world| types(world, "PIGEON"), Err("connection type"));
        check(
            |world| world.user.nats.limits.sources = vec!["192.168.0.0/16".to_owned()],
            Err("src"),
        );
    }

    #[test]
    fn a_scope_decides_for_its_users() {
        let scoped = |world: &mut World| {
            let key = KeyPair::new_account().public_key();
            let mut scope = UserScope {
                key: key.clone(),
                ..UserScope::default()
            };
            scope.template.publish.allow = vec!["{{name()}}.>".to_owned()];
            scope.template.subs = 7;
            world.account.nats.signing_keys = vec![SigningKey::Scoped(Box::new(scope))];
            world.user.issuer = key;
            world.user.nats.issuer_account = world.account_key.public_key();
        };
        check(scoped, Err("scoped users"));
        let mut world = World::new();
        scoped(&mut world);
        world.user.nats.limits = UserPermissionLimits::default();
        let identity = world.log_in().unwrap();
        let permissions = identity.permissions.unwrap();
        assert!(permissions.may_publish(b"name.x"));
        assert!(!permissions.may_publish(b"other.x"));
        assert_eq!(identity.limits.max_subscriptions, Some(7));
        assert_eq!(&*identity.account, world.account_key.public_key());
        assert!(identity.claims.unwrap().is_scoped);
    }

    #[test]
    fn defaults_are_for_users_without_permissions() {
        let mut world = World::new();
        world.account.nats.default_permissions =
            serde_json::from_str(r#"{"pub":{"deny":["secret"]}}"#).unwrap();
        let permissions = world.log_in().unwrap().permissions.unwrap();
        assert!(!permissions.may_publish(b"secret"));
        world.user.nats.limits.publish.deny = vec!["other".to_owned()];
        let permissions = world.log_in().unwrap().permissions.unwrap();
        assert!(permissions.may_publish(b"secret"));
    }
}
