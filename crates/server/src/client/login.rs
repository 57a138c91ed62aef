//! Who a connection is: CONNECT, and again when the answer may have changed.

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::sync::Arc;

use jetsled_auth::jwt::{JwtLogin, Proof, UserClaims};
use jetsled_auth::{AuthError, CertificateNames, ConnectionFacts, Identity, PeerText, Secret};
use tokio::time::Instant;

use super::callout::{self, Callout, Question};
use super::session::{Session, State};
use super::{Client, CloseReason, ConnectOptions, Login};
use crate::events;
use crate::operator::OperatorMode;
use crate::routing::admission;
use crate::server::ServerState;

/// The secrets of CONNECT, kept to judge the connection anew after a reload. They have no other reader.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presented {
    password: Secret,
    token: Secret,
    signature: Secret,
    proxy_signature: Secret,
}

impl Presented {
    /// Takes the secrets out of `options`, so that nothing can show them.
    pub(crate) fn take(options: &mut ConnectOptions) -> Option<Box<Self>> {
        let mut take =
            |field: fn(&mut ConnectOptions) -> &mut Secret| std::mem::take(field(options));
        let presented = Self {
            password: take(|options| &mut options.pass),
            token: take(|options| &mut options.auth_token),
            signature: take(|options| &mut options.sig),
            proxy_signature: take(|options| &mut options.proxy_sig),
        };
        let all = [
            &presented.password,
            &presented.token,
            &presented.signature,
            &presented.proxy_signature,
        ];
        let is_empty = all.iter().all(|secret| secret.is_empty());
        (!is_empty).then(|| Box::new(presented))
    }

    /// Whether a token was among them.
    pub(crate) fn has_token(&self) -> bool {
        !self.token.is_empty()
    }

    fn put_back(&self, options: &mut ConnectOptions) {
        options.pass.clone_from(&self.password);
        options.auth_token.clone_from(&self.token);
        options.sig.clone_from(&self.signature);
        options.proxy_sig.clone_from(&self.proxy_signature);
    }
}

/// What [`Session::log_in`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    Connect,
    /// The connection has proved itself before.
    Recheck,
}

impl Session {
    /// `then` is [`State::Connected`] after a CONNECT, [`State::Anonymous`] when none was sent.
    pub(super) async fn log_in(
        &mut self,
        options: ConnectOptions,
        then: State,
    ) -> ControlFlow<CloseReason> {
        if !options.account.is_empty() || options.new_account {
            return self.refuse_login(&options, AuthError::NoCredentials, events::refused);
        }
        let identity = match self.authenticate(&options, Occasion::Connect).await {
            Ok(identity) => identity,
            Err(error) => {
                return self.refuse_login(&options, error, events::not_authenticated);
            }
        };
        self.client.guess_rtt();
        self.client.unsubscribe_all();
        let expires = identity.expires;
        let Some(login) = self.server.login(identity, &options) else {
            self.reply_err("Failed Account Registration");
            self.end_batch();
            return ControlFlow::Break(CloseReason::FailedAccountRegistration);
        };
        // Monitoring shows who it is, whatever becomes of it (observed nats-server 2.15.1).
        if !self.server.bind(&self.client, &login) {
            // Else it still counts in the account that it was in.
            if !self.client.is_bound() {
                self.client.replace_login(&login);
            }
            tracing::error!(
                "{} - maximum account active connections exceeded",
                self.client.log_name()
            );
            self.reply_err("maximum account active connections exceeded");
            self.end_batch();
            return ControlFlow::Break(CloseReason::MaxAccountConnectionsExceeded);
        }
        self.client.replace_login(&login);
        if options.protocol != 0 && options.protocol != 1 {
            self.reply_err("invalid client protocol");
            self.end_batch();
            return ControlFlow::Break(CloseReason::BadClientProtocolVersion);
        }
        let headers = options.headers && !self.server.options().no_header_support;
        if options.no_responders && !headers {
            self.reply_err("no responders requires headers support");
            self.end_batch();
            return ControlFlow::Break(CloseReason::NoRespondersRequiresHeaders);
        }
        self.become_login(login, headers);
        // The later INFO comes once, whatever is said in another CONNECT.
        if self.state != State::Greeted {
            self.state = then;
        }
        self.timers.connected(Instant::now());
        self.timers.set_expiry(expires.map(instant_of));
        if self.server.requires_login(self.client.transport()) {
            events::connected(&self.server, &self.client);
        }
        if then == State::Connected {
            self.reply_ok();
        }
        self.end_batch();
        ControlFlow::Continue(())
    }

    fn become_login(&mut self, login: Arc<Login>, headers: bool) {
        self.login = login;
        self.limits.headers = headers;
        self.limits.max_payload = self.login.max_payload;
        self.client.become_login(&self.login, headers);
        self.routes.begin_anew(&self.login.account);
    }

    async fn authenticate(
        &self,
        options: &ConnectOptions,
        occasion: Occasion,
    ) -> Result<Identity, AuthError> {
        let operator = self.server.operator();
        match operator {
            Some(operator) => self.authenticate_claims(&operator, options, occasion).await,
            None => self.authenticate_configured(options).await,
        }
    }

    /// Operator mode: by the user's claims.
    async fn authenticate_claims(
        &self,
        operator: &OperatorMode,
        options: &ConnectOptions,
        occasion: Occasion,
    ) -> Result<Identity, AuthError> {
        let refused = AuthError::Claims;
        let nonce = self.nonce.clone().unwrap_or_default();
        let authenticator = self.server.authenticator(self.client.transport());
        let proxy = authenticator
            .proxy(&options.credentials(), nonce.as_bytes())?
            .map(Arc::from);
        let user = match UserClaims::decode(options.jwt.expose()) {
            Ok(user) => user,
            Err(error) => match &operator.options().default_sentinel {
                Some(sentinel) => UserClaims::decode(sentinel)
                    .map_err(|error| refused(format!("default sentinel: {error}")))?,
                None if options.jwt.is_empty() => {
                    return Err(refused("Authentication requires a user JWT".to_owned()));
                }
                None => return Err(refused(format!("User JWT not valid: {error}"))),
            },
        };
        if user.nats.limits.proxy_required && proxy.is_none() {
            return Err(AuthError::ProxyRequired);
        }
        if !operator.admits_account(user.account()) {
            self.server.count_pinned_account_refusal();
            return Err(refused(format!(
                "Account {} not listed as operator pinned account",
                user.account()
            )));
        }
        let account = operator
            .look_up(&self.server, user.account())
            .await
            .map_err(|error| refused(format!("Account JWT lookup error: {error}")))?;
        let login = JwtLogin {
            user: &user,
            account: &account,
            trusted: operator.trusted(),
        };
        let proof = match occasion {
            Occasion::Connect => Proof::Signature {
                signature: options.sig.expose(),
                nonce: nonce.as_bytes(),
            },
            Occasion::Recheck => Proof::Vouched,
        };
        let certificate = self.client.certificate_names();
        let facts = connection_facts(&self.client, certificate.as_ref());
        let decided = login.authenticate(proof, &facts, jiff::Timestamp::now());
        if !account.has_external_authorization() {
            return decided.map(|identity| Identity { proxy, ..identity });
        }
        let callout = Callout::Claimed {
            operator,
            account: &account,
        };
        if callout.concerns(Some(&user.subject), None) {
            let question = Question {
                options,
                nonce: &nonce,
                claims: Some(&user),
                proxy,
                proxy_required: user.nats.limits.proxy_required,
            };
            return self.ask(&callout, &question).await;
        }
        let mut identity = decided?;
        callout::deny_requests(&mut identity)?;
        Ok(Identity { proxy, ..identity })
    }

    /// By the users of the configuration, or by the service that stands in for them.
    async fn authenticate_configured(
        &self,
        options: &ConnectOptions,
    ) -> Result<Identity, AuthError> {
        let decided = self.authenticate_by_users(options).await;
        let server = self.server.options();
        let Some(configured) = &server.authorization.auth_callout else {
            return decided;
        };
        let refused_for_proxy = matches!(
            decided,
            Err(AuthError::ProxyNotTrusted | AuthError::ProxyRequired)
        );
        if refused_for_proxy {
            return decided;
        }
        let presented = options.presented_user().map(PeerText::expose);
        let (user, account) = match &decided {
            Ok(identity) => (identity.user.as_deref(), Some(&*identity.account)),
            Err(_) => (presented, None),
        };
        let callout = Callout::Configured(configured);
        if !callout.concerns(user, account) {
            let mut identity = decided?;
            if *identity.account == *configured.account {
                callout::deny_requests(&mut identity)?;
            }
            return Ok(identity);
        }
        let nonce = self.nonce.clone().unwrap_or_default();
        let proxy = match &decided {
            Ok(identity) => identity.proxy.clone(),
            Err(_) => self
                .server
                .authenticator(self.client.transport())
                .proxy(&options.credentials(), nonce.as_bytes())?
                .map(Arc::from),
        };
        let question = Question {
            options,
            nonce: &nonce,
            claims: None,
            proxy,
            proxy_required: server.authorization.proxy_required,
        };
        self.ask(&callout, &question).await
    }

    async fn authenticate_by_users(&self, options: &ConnectOptions) -> Result<Identity, AuthError> {
        let authenticator = self.server.authenticator(self.client.transport());
        let certificate = self.client.certificate_names();
        let nonce = self.nonce.clone().unwrap_or_default();
        let facts = connection_facts(&self.client, certificate.as_ref());
        if !authenticator.is_slow_for(&options.credentials(), &facts) {
            return authenticator.authenticate(&options.credentials(), nonce.as_bytes(), &facts);
        }
        // A bcrypt hash takes tens of milliseconds that other connections of this thread should not wait for.
        let (client, options) = (Arc::clone(&self.client), options.clone());
        tokio::task::spawn_blocking(move || {
            let facts = connection_facts(&client, certificate.as_ref());
            authenticator.authenticate(&options.credentials(), nonce.as_bytes(), &facts)
        })
        .await
        .unwrap_or(Err(AuthError::NoCredentials))
    }

    fn refuse_login(
        &mut self,
        options: &ConnectOptions,
        error: AuthError,
        tell: fn(&ServerState, &Client, CloseReason),
    ) -> ControlFlow<CloseReason> {
        let reason = match error {
            AuthError::ProxyNotTrusted => CloseReason::ProxyNotTrusted,
            AuthError::ProxyRequired => CloseReason::ProxyRequired,
            _ => CloseReason::AuthenticationFailure,
        };
        // Tools look for this line; before the connection it names only what is known for sure (observed nats-server 2.15.1).
        if let AuthError::Claims(reason) = &error {
            tracing::debug!("{} - {reason}", self.client.log_name());
        }
        tracing::error!("{} - {error}", self.client.log_name());
        self.client.note_refused(options);
        self.client.guess_rtt();
        tell(&self.server, &self.client, reason);
        self.reply_err("Authorization Violation");
        self.end_batch();
        ControlFlow::Break(reason)
    }

    /// Users, accounts or their claims have changed: judges the connection anew.
    pub(super) async fn recheck(&mut self) -> ControlFlow<CloseReason> {
        if self.state == State::MustLogIn {
            return ControlFlow::Continue(());
        }
        let mut options = self.login.options.clone();
        if let Some(presented) = &self.login.presented {
            presented.put_back(&mut options);
        }
        let is_claimed = self.server.operator().is_some();
        if let Some(user) = self.login.user.as_deref().filter(|_| !is_claimed)
            && !self
                .server
                .authenticator(self.client.transport())
                .has_user(user)
        {
            // A user that is gone leaves without a word (observed nats-server 2.15.1).
            return ControlFlow::Break(CloseReason::ClientClosed);
        }
        let identity = match self.authenticate(&options, Occasion::Recheck).await {
            Ok(identity) => identity,
            Err(AuthError::Revoked) => {
                self.reply_err("User Authentication Revoked");
                self.end_batch();
                return ControlFlow::Break(CloseReason::CredentialsRevoked);
            }
            Err(AuthError::AccountExpired) => {
                self.reply_err("Account Authentication Expired");
                self.end_batch();
                return ControlFlow::Break(CloseReason::AuthenticationExpired);
            }
            Err(error) => {
                let reason = CloseReason::AuthenticationFailure;
                events::not_authenticated(&self.server, &self.client, reason);
                tracing::error!("{} - {error}", self.client.log_name());
                self.reply_err("Authorization Violation");
                self.end_batch();
                return ControlFlow::Break(reason);
            }
        };
        if *identity.account != *self.login.account.name() {
            return ControlFlow::Break(CloseReason::ClientClosed);
        }
        let expires = identity.expires;
        let headers = self.limits.headers;
        let Some(login) = self.server.login(identity, &options) else {
            return ControlFlow::Break(CloseReason::FailedAccountRegistration);
        };
        if !Arc::ptr_eq(&login.account, &self.login.account) {
            // It was removed and has come back: another one of the same name.
            return ControlFlow::Break(CloseReason::ClientClosed);
        }
        let tracked = self.client.tracks_responses();
        self.become_login(login, headers);
        self.timers.set_expiry(expires.map(instant_of));
        self.drop_denied_subscriptions(tracked != self.client.tracks_responses());
        let max = self.login.max_subscriptions;
        let is_over = max.is_some_and(|max| self.client.subscription_count() > max);
        if is_over {
            self.reply_err("maximum subscriptions exceeded");
        }
        self.end_batch();
        if is_over {
            ControlFlow::Break(CloseReason::MaxSubscriptionsExceeded)
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Removes the subscriptions that the connection may not have any more. Routes that others have resolved since the permissions changed know
    /// of the ones before: those to subscriptions whose deliveries are looked at, and to `all` if replies are tracked from now on or no longer.
    fn drop_denied_subscriptions(&mut self, all: bool) {
        for subscription in self.client.subscriptions() {
            let principal = Self::principal(&self.server, &self.login);
            match admission::subscribe(principal, subscription.subject(), subscription.queue()) {
                Ok(admitted) if all || admitted.filtered || subscription.is_filtered() => {
                    subscription.set_filtered(admitted.filtered);
                    self.login.account.invalidate_routes(subscription.subject());
                }
                Ok(_) => {}
                Err(denied) => {
                    let sid = String::from_utf8_lossy(subscription.sid()).into_owned();
                    tracing::info!(
                        "Removed sub {} (sid {sid:?}) for {} - not authorized",
                        jetsled_protocol::GoQuoted(subscription.subject()),
                        self.client.log_name(),
                    );
                    let text = format!("{denied} (sid {sid:?})");
                    self.client.unsubscribe(&subscription);
                    self.reply_err(&text);
                }
            }
        }
    }
}

pub(super) fn connection_facts<'a>(
    client: &Client,
    certificate: Option<&'a CertificateNames>,
) -> ConnectionFacts<'a> {
    ConnectionFacts {
        kind: client.transport().connection_type(),
        remote: Some(client.remote().ip()),
        certificate,
    }
}

/// When a moment of the wall clock comes.
fn instant_of(at: jiff::Timestamp) -> Instant {
    let left = at.duration_since(jiff::Timestamp::now());
    Instant::now() + std::time::Duration::try_from(left).unwrap_or_default()
}
