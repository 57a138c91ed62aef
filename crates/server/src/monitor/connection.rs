//! One connection of `/connz`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jetsled_auth::{
    PeerText, certificate_digest, certificate_subject, public_key_digest, redacted,
};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use serde::{Serialize, Serializer};

use super::closed::EndedSubscriptions;
use super::omit::{is_false, is_zero};
use super::show;
use crate::client::{Client, Login, Subscription};

/// What is shown of a connection, in nats-server's order.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Connection {
    pub(super) cid: u64,
    kind: &'static str,
    #[serde(rename = "type")]
    transport: &'static str,
    ip: String,
    port: u16,
    pub(super) start: Timestamp,
    pub(super) last_activity: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stop: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    #[serde(serialize_with = "go_duration")]
    pub(super) rtt: Duration,
    #[serde(serialize_with = "uptime")]
    pub(super) uptime: Duration,
    #[serde(serialize_with = "uptime")]
    pub(super) idle: Duration,
    pub(super) pending_bytes: usize,
    pub(super) in_msgs: u64,
    pub(super) out_msgs: u64,
    pub(super) in_bytes: u64,
    pub(super) out_bytes: u64,
    #[serde(skip_serializing_if = "is_zero")]
    stalls: u64,
    pub(super) subscriptions: usize,
    #[serde(skip_serializing_if = "PeerText::is_empty")]
    name: PeerText,
    #[serde(skip_serializing_if = "PeerText::is_empty")]
    lang: PeerText,
    #[serde(skip_serializing_if = "PeerText::is_empty")]
    version: PeerText,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cipher_suite: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tls_peer_certs: Vec<PeerCertificate>,
    #[serde(skip_serializing_if = "is_false")]
    tls_first: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authorized_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subscriptions_list: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subscriptions_list_detail: Option<Vec<SubscriptionDetail>>,
    /// Bearer tokens are secrets and never shown.
    #[serde(skip_serializing_if = "String::is_empty")]
    jwt: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    issuer_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name_tag: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<Proxy>,
    /// Described only where they are shown: each costs two digests.
    #[serde(skip)]
    peer_certificates: Arc<[CertificateDer<'static>]>,
    /// What a closed connection was subscribed to; shared, since the ring of them is copied for each answer.
    #[serde(skip)]
    pub(super) ended_subscriptions: Arc<[SubscriptionDetail]>,
    /// The account, whether or not it is shown.
    #[serde(skip)]
    pub(super) account_name: String,
}

impl Connection {
    /// The connection as it is now, with everything that authentication has settled.
    pub(super) fn of(client: &Client, now: Timestamp) -> Self {
        let login = client.login();
        let counters = &client.counters;
        let counted = client.outbound.counted();
        let millis = i64::try_from(counters.last_activity_millis.load(Relaxed)).unwrap_or(0);
        let start = client.started();
        let last_activity = Timestamp::from_millisecond(millis)
            .unwrap_or(start)
            .max(start);
        let account_name = login.account.name().to_owned();
        let claims = login.claims.as_deref();
        let name_tag = client.server.name_tag(&account_name);
        let remote = client.remote();
        let tls = client.tls();
        Self {
            cid: client.cid(),
            kind: "Client",
            transport: client.transport().client_type(),
            ip: remote.ip().to_canonical().to_string(),
            port: remote.port(),
            start,
            last_activity,
            stop: None,
            reason: None,
            rtt: Duration::from_nanos(counters.rtt_nanos.load(Relaxed)),
            uptime: show::between(start, now),
            idle: show::between(last_activity, now),
            pending_bytes: client.outbound.pending(),
            in_msgs: counters.in_messages.load(Relaxed),
            out_msgs: counted.messages,
            in_bytes: counters.in_bytes.load(Relaxed),
            out_bytes: counted.bytes,
            stalls: counters.stalls.load(Relaxed),
            subscriptions: client.subscription_count(),
            name: login.options.name.clone(),
            lang: login.options.lang.clone(),
            version: login.options.version.clone(),
            tls_version: tls.map(|tls| tls.version),
            tls_cipher_suite: tls.map(|tls| tls.cipher_suite.clone()),
            tls_peer_certs: Vec::new(),
            tls_first: tls.is_some_and(|tls| tls.handshake_first),
            authorized_user: authorized_user(&login),
            account: (account_name != jetsled_auth::GLOBAL_ACCOUNT).then(|| account_name.clone()),
            subscriptions_list: None,
            subscriptions_list_detail: None,
            jwt: shown_token(&login),
            issuer_key: claims
                .map(|claims| claims.issuer.clone())
                .unwrap_or_default(),
            name_tag: Some(name_tag),
            tags: claims.map(|claims| claims.tags.clone()).unwrap_or_default(),
            proxy: login.proxy.as_deref().map(|key| Proxy {
                key: key.to_owned(),
            }),
            peer_certificates: tls
                .map_or_else(Arc::default, |tls| Arc::clone(&tls.peer_certificates)),
            ended_subscriptions: Arc::default(),
            account_name,
        }
    }

    /// What its client calls itself, as it is shown.
    pub(super) fn shown_name(&self) -> String {
        self.name.shown().into_owned()
    }

    /// What a search for it looks at.
    pub(super) fn texts(&self) -> Vec<String> {
        let user = self.authorized_user.clone().unwrap_or_default();
        let lang = self.lang.shown().into_owned();
        vec![self.shown_name(), self.ip.clone(), lang, user]
    }

    /// Leaves out who it is.
    pub(super) fn hide_authentication(&mut self) {
        self.authorized_user = None;
        self.account = None;
        self.name_tag = None;
        self.jwt.clear();
        self.issuer_key.clear();
        self.tags.clear();
    }

    /// Describes what the peer has shown in the TLS handshake.
    pub(super) fn show_certificates(&mut self) {
        let chain = self.peer_certificates.iter();
        self.tls_peer_certs = chain.map(|der| PeerCertificate::of(der)).collect();
    }

    /// What is not kept of a connection that has ended, whose subscriptions these were (observed nats-server 2.15.1).
    pub(super) fn end(&mut self, subscriptions: EndedSubscriptions) {
        self.pending_bytes = 0;
        self.peer_certificates = Arc::default();
        if self.is_global() {
            self.name_tag = None;
        }
        self.subscriptions = subscriptions.count;
        self.ended_subscriptions = subscriptions.listed.into();
    }

    pub(super) fn is_global(&self) -> bool {
        self.account_name == jetsled_auth::GLOBAL_ACCOUNT
    }
}

/// A certificate that the peer has shown.
#[derive(Clone, Debug, Serialize)]
struct PeerCertificate {
    #[serde(skip_serializing_if = "String::is_empty")]
    subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    spki_sha256: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cert_sha256: String,
}

impl PeerCertificate {
    fn of(der: &[u8]) -> Self {
        Self {
            subject: certificate_subject(der).unwrap_or_default(),
            spki_sha256: public_key_digest(der).unwrap_or_default(),
            cert_sha256: certificate_digest(der),
        }
    }
}

/// The proxy that a connection came through.
#[derive(Clone, Debug, Serialize)]
struct Proxy {
    key: String,
}

/// The user; for a refused one, as it called itself.
fn authorized_user(login: &Login) -> Option<String> {
    let given = login.shown_user();
    let given = Some(&*given).filter(|given| !given.is_empty());
    let user = login.user.as_deref().or(given)?;
    Some(redacted(user).into_owned())
}

/// The user's claims, unless whoever has them could log in with them.
pub(crate) fn shown_token(login: &Login) -> String {
    match &login.claims {
        Some(claims) if !claims.is_bearer => login.options.jwt.expose().to_owned(),
        _ => String::new(),
    }
}

/// A subscription in detail.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SubscriptionDetail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) account_tag: Option<String>,
    pub(super) subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) qgroup: String,
    pub(super) sid: String,
    pub(super) msgs: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) max: u64,
    pub(super) cid: u64,
}

impl SubscriptionDetail {
    pub(super) fn of(subscription: &Subscription) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            account: None,
            account_tag: None,
            subject: text(subscription.subject()),
            qgroup: text(subscription.queue()),
            sid: text(subscription.sid()),
            msgs: subscription.delivered(),
            max: subscription.max(),
            cid: subscription.client.cid(),
        }
    }

    /// The same with its account's name.
    pub(super) fn in_account(self, account: &str) -> Self {
        Self {
            account: Some(account.to_owned()),
            account_tag: Some(account.to_owned()),
            ..self
        }
    }
}

fn go_duration<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&show::duration(*time))
}

fn uptime<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&show::uptime(*time))
}
