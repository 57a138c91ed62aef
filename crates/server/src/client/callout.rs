//! A service decides logins (auth callout, ADR-26).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jetsled_auth::jwt::{
    AccountClaims, AuthorizationRequest, AuthorizationRequestClaims, AuthorizationResponseClaims,
    ClientInformation, ClientTls, JwtLogin, PresentedOptions, Proof, ServerId, UserClaims,
};
use jetsled_auth::{
    AuthError, Identity, PeerText, PermissionSet, Permissions, SubjectPermission, redacted,
};
use jetsled_config::AuthCalloutOptions;
use jiff::Timestamp;
use nkeys::{KeyPair, XKey};

use super::session::Session;
use super::{Client, ConnectOptions, TlsFacts, login};
use crate::account::Account;
use crate::operator::OperatorMode;
use crate::{internal_request, nuid};

/// Where the service listens.
const SUBJECT: &str = "$SYS.REQ.USER.AUTH";
const AUDIENCE: &str = "nats-authorization-request";

/// A token begins so, an encrypted answer does not.
const TOKEN_PREFIX: &[u8] = b"eyJ";

/// Who is asked about a login.
pub(super) enum Callout<'a> {
    /// By configuration.
    Configured(&'a AuthCalloutOptions),
    /// By the claims of the user's account.
    Claimed {
        operator: &'a OperatorMode,
        account: &'a Arc<AccountClaims>,
    },
}

/// A login that the service, or its answer, refuses.
#[derive(Debug)]
enum Refused {
    /// It is logged as a warning.
    Because(String),
    ProxyRequired,
}

impl Callout<'_> {
    /// The account that the service listens in.
    fn account_name(&self) -> &str {
        match self {
            Self::Configured(callout) => &callout.account,
            Self::Claimed { account, .. } => &account.subject,
        }
    }

    /// The service's public curve key.
    fn xkey(&self) -> Option<&str> {
        match self {
            Self::Configured(callout) => callout.xkey.as_deref(),
            Self::Claimed { account, .. } => {
                Some(account.nats.authorization.xkey.as_str()).filter(|key| !key.is_empty())
            }
        }
    }

    /// Whether the service is to be asked about `user`, who is one of `account` as far as is known.
    pub(super) fn concerns(&self, user: Option<&str>, account: Option<&str>) -> bool {
        let (auth_users, allowed) = match self {
            Self::Configured(callout) => (&callout.auth_users, &callout.allowed_accounts[..]),
            // Which accounts the answer may name is another question.
            Self::Claimed { account, .. } => (&account.nats.authorization.auth_users, &[][..]),
        };
        let is_concerned = match account {
            None | Some(jetsled_auth::GLOBAL_ACCOUNT) => true,
            Some(account) => allowed.is_empty() || allowed.iter().any(|name| name == account),
        };
        let is_own = user.is_some_and(|user| auth_users.iter().any(|own| own == user));
        is_concerned && !is_own
    }
}

/// A login as the service sees it.
pub(super) struct Question<'a> {
    pub(super) options: &'a ConnectOptions,
    pub(super) nonce: &'a str,
    /// Of the user's claims.
    pub(super) claims: Option<&'a UserClaims>,
    pub(super) proxy: Option<Arc<str>>,
    pub(super) proxy_required: bool,
}

impl Session {
    /// Asks the service.
    pub(super) async fn ask(
        &self,
        callout: &Callout<'_>,
        question: &Question<'_>,
    ) -> Result<Identity, AuthError> {
        match self.ask_account(callout, question).await {
            Ok(identity) => Ok(identity),
            Err(Refused::ProxyRequired) => Err(AuthError::ProxyRequired),
            Err(Refused::Because(reason)) => {
                tracing::warn!("{} - {reason}", self.client.log_name());
                Err(AuthError::Claims(reason))
            }
        }
    }

    async fn ask_account(
        &self,
        callout: &Callout<'_>,
        question: &Question<'_>,
    ) -> Result<Identity, Refused> {
        let name = callout.account_name();
        let Some(account) = self.server.account(name) else {
            return because(format!(
                "No valid account {name:?} for auth callout request"
            ));
        };
        let user = KeyPair::new_user();
        let service_key = callout
            .xkey()
            .map(|key| {
                XKey::from_public_key(key).map_err(|error| Refused::Because(error.to_string()))
            })
            .transpose()?;
        let request = self.request(callout, question, &user, service_key.is_some());
        let token = request
            .encode(self.server.key())
            .map_err(|error| Refused::Because(error.to_string()))?;
        let (headers, payload) = match &service_key {
            None => (Vec::new(), token.into_bytes()),
            Some(key) => {
                let own = self.server.curve_key();
                let sealed = own
                    .seal(token.as_bytes(), key)
                    .map_err(|error| Refused::Because(error.to_string()))?;
                let headers = format!("NATS/1.0\r\nNats-Server-Xkey: {}\r\n\r\n", own.public_key());
                (headers.into_bytes(), sealed)
            }
        };
        let within = self.server.options().auth_timeout();
        let answer =
            internal_request::request(&account, SUBJECT.as_bytes(), &headers, &payload, within)
                .await;
        let Some(answer) = answer else {
            let text =
                format!("Authorization callout response not received in time on account {name:?}");
            return because(text);
        };
        let expected = Expected {
            callout,
            user: user.public_key(),
            server: self.server.id(),
            account: &account,
        };
        let claims = expected.read(&answer, self.server.curve_key(), service_key.as_ref())?;
        let requires_proxy = question.proxy_required || claims.nats.limits.proxy_required;
        if requires_proxy && question.proxy.is_none() {
            return Err(Refused::ProxyRequired);
        }
        let mut identity = self.place(callout, &claims).await?;
        if *identity.account == *name {
            deny_requests(&mut identity).map_err(|error| Refused::Because(error.to_string()))?;
        }
        identity.user = Some(match claims.name.as_str() {
            "" => redacted(presented_user(question).unwrap_or(&claims.subject)).into(),
            name => name.into(),
        });
        identity.proxy = question.proxy.clone();
        if let Some(claims) = identity.claims.as_mut() {
            // What the connection itself has presented may be a token that anybody could use.
            Arc::make_mut(claims).is_bearer = true;
        }
        Ok(identity)
    }

    fn request(
        &self,
        callout: &Callout<'_>,
        question: &Question<'_>,
        user: &KeyPair,
        is_encrypted: bool,
    ) -> AuthorizationRequestClaims {
        let (server, options) = (&self.server, self.server.options());
        let now = Timestamp::now().as_second();
        let timeout = i64::try_from(options.auth_timeout().as_secs()).unwrap_or(i64::MAX);
        let connect = question.options;
        let subject = match callout {
            Callout::Configured(callout) => callout.issuer.clone(),
            Callout::Claimed { account, .. } => account.subject.clone(),
        };
        AuthorizationRequestClaims {
            audience: AUDIENCE.to_owned(),
            expires: now.saturating_add(timeout),
            id: nuid::next(),
            issued_at: now,
            issuer: server.id().to_owned(),
            name: String::new(),
            not_before: 0,
            subject,
            nats: AuthorizationRequest {
                server_id: ServerId {
                    name: server.name().to_owned(),
                    host: options.host.clone(),
                    id: server.id().to_owned(),
                    version: crate::VERSION.to_owned(),
                    cluster: String::new(),
                    tags: options.server_tags.clone(),
                    xkey: if is_encrypted {
                        server.curve_key().public_key()
                    } else {
                        String::new()
                    },
                },
                user_nkey: user.public_key(),
                client_info: client_information(&self.client, question),
                connect_opts: PresentedOptions {
                    jwt: connect.jwt.expose().to_owned(),
                    nkey: connect.nkey.expose().to_owned(),
                    sig: connect.sig.expose().to_owned(),
                    auth_token: connect.auth_token.expose().to_owned(),
                    user: connect.user.expose().to_owned(),
                    pass: connect.pass.expose().to_owned(),
                    name: connect.name.expose().to_owned(),
                    lang: connect.lang.expose().to_owned(),
                    version: connect.version.expose().to_owned(),
                    protocol: connect.protocol,
                },
                client_tls: self.client.tls().map(client_tls),
            },
        }
    }

    /// Puts the answered user into its account.
    async fn place(&self, callout: &Callout<'_>, claims: &UserClaims) -> Result<Identity, Refused> {
        let now = Timestamp::now();
        let certificate = self.client.certificate_names();
        let facts = login::connection_facts(&self.client, certificate.as_ref());
        let refused = |error: AuthError| match error {
            AuthError::Claims(reason) => Refused::Because(reason),
            error => Refused::Because(error.to_string()),
        };
        match callout {
            Callout::Configured(_) => {
                let mut identity = claims.identity(&facts, now).map_err(refused)?;
                if self.server.account(&claims.audience).is_none() {
                    return because(format!(
                        "No valid account {:?} for auth callout response on account {:?}",
                        claims.audience,
                        callout.account_name()
                    ));
                }
                identity.account = claims.audience.as_str().into();
                Ok(identity)
            }
            Callout::Claimed { operator, account } => {
                let target = claims.account();
                let allowed = &account.nats.authorization.allowed_accounts;
                let is_allowed = target == account.subject
                    || allowed.iter().any(|name| name == "*" || name == target);
                if !is_allowed {
                    return because(format!(
                        "Account {:?} not permitted as valid account option for auth callout for account {:?}",
                        claims.issuer, account.subject
                    ));
                }
                let target = operator
                    .look_up(&self.server, target)
                    .await
                    .map_err(|error| Refused::Because(format!("No valid account: {error}")))?;
                let login = JwtLogin {
                    user: claims,
                    account: &target,
                    trusted: operator.trusted(),
                };
                login
                    .authenticate(Proof::Vouched, &facts, now)
                    .map_err(refused)
            }
        }
    }
}

/// What the answer must be like.
struct Expected<'a> {
    callout: &'a Callout<'a>,
    /// The key made for this one question.
    user: String,
    server: &'a str,
    account: &'a Arc<Account>,
}

impl Expected<'_> {
    /// The claims of the user, from the service's answer.
    fn read(
        &self,
        answer: &[u8],
        own: &XKey,
        service_key: Option<&XKey>,
    ) -> Result<UserClaims, Refused> {
        let account = self.account.name();
        let invalid = |error: jetsled_auth::jwt::JwtError| Refused::Because(error.to_string());
        if answer.is_empty() {
            return because(format!(
                "Auth callout violation: \"no reason supplied\" on account {account:?}"
            ));
        }
        let opened = match service_key {
            Some(key) if !answer.starts_with(TOKEN_PREFIX) => {
                Some(own.open(answer, key).map_err(|error| {
                    Refused::Because(format!(
                        "Error decrypting auth callout response on account {account:?}: {error}"
                    ))
                })?)
            }
            _ => None,
        };
        let token = String::from_utf8_lossy(opened.as_deref().unwrap_or(answer));
        let response = AuthorizationResponseClaims::decode(&token).map_err(invalid)?;
        response.validate().map_err(|error| {
            Refused::Because(format!(
                "Authorization response had validation errors: {error}"
            ))
        })?;
        response.check_times(Timestamp::now()).map_err(invalid)?;
        if response.subject != self.user {
            return because(
                "Auth callout violation: auth callout response is not for expected user".to_owned(),
            );
        }
        if response.audience != self.server {
            return because(
                "Auth callout violation: auth callout response is not for server".to_owned(),
            );
        }
        if !response.nats.error.is_empty() {
            return because(format!(
                "Auth callout service returned an error: {}",
                response.nats.error
            ));
        }
        if let (Callout::Claimed { account, .. }, None) = (self.callout, &opened) {
            let signer = match response.nats.issuer_account.as_str() {
                "" => &response.issuer,
                issuer_account => issuer_account,
            };
            if signer != account.subject && !account.has_signing_key(signer) {
                return because("Auth callout signing key is unknown".to_owned());
            }
        }
        let claims = UserClaims::decode(&response.nats.jwt).map_err(invalid)?;
        claims
            .validate(Timestamp::now())
            .map_err(|error| Refused::Because(format!("Error validating user JWT: {error}")))?;
        if claims.subject != self.user {
            return because(format!(
                "Expected authorized user of {:?} but got {:?} on account {account:?}",
                self.user, claims.subject
            ));
        }
        if let Callout::Configured(callout) = self.callout {
            if !claims.nats.issuer_account.is_empty() {
                return because(format!(
                    "Error non operator mode account {account:?}: attempted to use issuer_account"
                ));
            }
            if claims.issuer != callout.issuer {
                return because(format!(
                    "Wrong issuer for auth callout response on account {account:?}, expected {:?} got {:?}",
                    callout.issuer, claims.issuer
                ));
            }
        }
        Ok(claims)
    }
}

fn because<T>(reason: String) -> Result<T, Refused> {
    Err(Refused::Because(reason))
}

/// Users of the service's own account may not ask in the server's name.
pub(super) fn deny_requests(identity: &mut Identity) -> Result<(), AuthError> {
    let mut permissions = identity
        .permissions
        .as_ref()
        .map_or_else(Permissions::default, |set| set.source().clone());
    permissions
        .publish
        .get_or_insert_with(SubjectPermission::default)
        .deny
        .push(SUBJECT.to_owned());
    let compiled = PermissionSet::compile(&permissions)
        .map_err(|error| AuthError::Claims(error.to_string()))?;
    identity.permissions = Some(Arc::new(compiled));
    Ok(())
}

/// The user by whatever name CONNECT gave it.
fn presented_user<'a>(question: &Question<'a>) -> Option<&'a str> {
    let presented = question.options.presented_user();
    presented
        .map(PeerText::expose)
        .or_else(|| question.claims.map(|claims| claims.subject.as_str()))
}

fn client_information(client: &Client, question: &Question<'_>) -> ClientInformation {
    let options = question.options;
    ClientInformation {
        host: client.remote().ip().to_string(),
        id: client.cid(),
        user: presented_user(question).unwrap_or_default().to_owned(),
        name: options.name.expose().to_owned(),
        tags: question
            .claims
            .map(|claims| claims.nats.tags.clone())
            .unwrap_or_default(),
        name_tag: question
            .claims
            .map(|claims| claims.name.clone())
            .unwrap_or_default(),
        kind: "Client".to_owned(),
        r#type: client.transport().client_type().to_owned(),
        nonce: if options.sig.is_empty() {
            String::new()
        } else {
            question.nonce.to_owned()
        },
    }
}

fn client_tls(facts: &TlsFacts) -> ClientTls {
    let chain: Vec<_> = facts.peer_certificates.iter().map(|der| pem(der)).collect();
    ClientTls {
        version: facts.version.to_owned(),
        cipher: facts.cipher_suite.clone(),
        certs: Vec::new(),
        verified_chains: if chain.is_empty() {
            Vec::new()
        } else {
            vec![chain]
        },
    }
}

fn pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in base64.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}
