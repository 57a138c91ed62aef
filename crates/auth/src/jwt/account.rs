use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use nkeys::KeyPairType;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::activation::ActivationClaims;
use super::token::{Claims, ClaimsBody, JwtError};
use super::user::{SubjectClaim, UserPermissionLimits};
use crate::Permissions;

/// An account's claims; [`Claims::subject`] is the account's public key, which is its name.
pub type AccountClaims = Claims<Account>;

/// What an account's claims say.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// What it takes from other accounts.
    pub imports: Vec<Import>,
    /// What it offers to other accounts.
    pub exports: Vec<Export>,
    /// What its operator allows it.
    pub limits: OperatorLimits,
    /// Further keys that sign its users.
    pub signing_keys: Vec<SigningKey>,
    /// Users whose tokens issued at or before a time (Unix seconds) do not count; `*` is all users.
    pub revocations: HashMap<String, i64>,
    /// Permissions of users without their own.
    pub default_permissions: DefaultPermissions,
    /// Where published subjects go, in parts.
    pub mappings: BTreeMap<String, Vec<WeightedMapping>>,
    /// Who else decides logins.
    pub authorization: ExternalAuthorization,
    /// Where traces of messages with a `traceparent` go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// In a cluster: whose connections carry its traffic.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_traffic: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub info_url: String,
    /// Lower-case words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl ClaimsBody for Account {
    const TYPE: &'static str = "account";
    const ISSUERS: &'static [KeyPairType] = &[KeyPairType::Account, KeyPairType::Operator];
}

/// `default_permissions`: the permission part of a user's claims.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DefaultPermissions {
    #[serde(rename = "pub")]
    publish: SubjectClaim,
    #[serde(rename = "sub")]
    subscribe: SubjectClaim,
    #[serde(rename = "resp", skip_serializing_if = "Option::is_none")]
    responses: Option<super::user::ResponseClaim>,
}

/// Limits of an account. Negative is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OperatorLimits {
    /// Subscriptions of a connection.
    pub subs: i64,
    /// Bytes; not enforced by nats-server either.
    pub data: i64,
    /// Bytes of one message.
    pub payload: i64,
    /// Number of imports.
    pub imports: i64,
    /// Number of exports.
    pub exports: i64,
    /// Exports may have wildcards.
    pub wildcards: bool,
    /// Users must sign the nonce.
    pub disallow_bearer: bool,
    /// Client connections at once.
    pub conn: i64,
    /// Leaf node connections at once.
    pub leaf: i64,
    /// JetStream, the same for every number of replicas.
    #[serde(flatten)]
    pub jetstream: JetStreamLimits,
    /// JetStream by number of replicas: `R1`, `R3`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tiered_limits: BTreeMap<String, JetStreamLimits>,
}

/// JetStream limits of an account or of one tier. Storage of 0 is none, negative is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JetStreamLimits {
    /// Bytes in memory.
    pub mem_storage: i64,
    /// Bytes on disk.
    pub disk_storage: i64,
    /// Streams.
    pub streams: i64,
    /// Consumers.
    pub consumer: i64,
    /// Unacknowledged messages of one consumer; 0 is no limit.
    pub max_ack_pending: i64,
    /// Bytes of one memory stream; 0 is no limit.
    pub mem_max_stream_bytes: i64,
    /// Bytes of one file stream; 0 is no limit.
    pub disk_max_stream_bytes: i64,
    /// Streams must say how many bytes they may hold.
    pub max_bytes_required: bool,
}

impl JetStreamLimits {
    /// Whether anything may be stored.
    pub fn is_enabled(&self) -> bool {
        self.mem_storage != 0 || self.disk_storage != 0
    }
}

/// A key that signs users of an account.
#[derive(Debug, Clone, PartialEq)]
pub enum SigningKey {
    /// Signs users with whatever permissions.
    Plain(String),
    /// Signs users that take the scope's permissions.
    Scoped(Box<UserScope>),
}

impl SigningKey {
    /// The public key.
    pub fn key(&self) -> &str {
        match self {
            Self::Plain(key) => key,
            Self::Scoped(scope) => &scope.key,
        }
    }
}

/// A signing key with the permissions and limits of all users that it signs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UserScope {
    pub(super) kind: String,
    /// The public key.
    pub key: String,
    /// A name for people.
    pub role: String,
    /// What the users get; subjects may hold `{{name()}}` and the like.
    #[serde(deserialize_with = "template")]
    pub template: UserPermissionLimits,
    /// For people.
    pub description: String,
}

/// A template that does not speak of a limit has none.
fn template<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UserPermissionLimits, D::Error> {
    let mut value = serde_json::Map::<String, serde_json::Value>::deserialize(deserializer)?;
    for limit in ["subs", "data", "payload"] {
        value.entry(limit).or_insert_with(|| (-1).into());
    }
    serde_json::from_value(value.into()).map_err(D::Error::custom)
}

impl<'de> Deserialize<'de> for SigningKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Plain(String),
            Scoped(Box<UserScope>),
        }
        match Either::deserialize(deserializer)? {
            Either::Plain(key) => Ok(Self::Plain(key)),
            Either::Scoped(scope) if scope.kind == USER_SCOPE => Ok(Self::Scoped(scope)),
            Either::Scoped(scope) => Err(D::Error::custom(format!(
                "unknown signing key scope {:?}",
                scope.kind
            ))),
        }
    }
}

impl Serialize for SigningKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(key) => key.serialize(serializer),
            Self::Scoped(scope) => scope.serialize(serializer),
        }
    }
}

const USER_SCOPE: &str = "user_scope";

/// `authorization`: users of this account are decided on by a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExternalAuthorization {
    /// Users that log in as they are: the service's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub auth_users: Vec<String>,
    /// Accounts, beside this one, that the service may put users into; `*` is all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_accounts: Vec<String>,
    /// The service's public curve key, if requests are to be encrypted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub xkey: String,
}

/// Where traces go, and which part of the messages is traced.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trace {
    /// The subject.
    pub dest: String,
    /// Percent; 0 is all.
    pub sampling: i64,
}

/// One destination of a mapping.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WeightedMapping {
    /// Where to.
    pub subject: String,
    /// Percent; 0 is all.
    pub weight: u8,
    /// Only in this cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
}

/// What is shared between accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransferType {
    /// Messages.
    Stream,
    /// Requests and their responses.
    Service,
}

/// How a service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ResponseType {
    /// Once.
    #[default]
    Singleton,
    /// Any number of times.
    Stream,
    /// In parts, ended by an empty one.
    Chunked,
}

/// An offer to other accounts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Export {
    /// For people.
    #[serde(default)]
    pub name: String,
    /// What is offered.
    #[serde(default)]
    pub subject: String,
    /// How.
    pub r#type: TransferType,
    /// Importers need an activation token.
    #[serde(default)]
    pub token_req: bool,
    /// Activation tokens issued at or before a time do not count, by importer or `*`.
    #[serde(default)]
    pub revocations: HashMap<String, i64>,
    /// How the service answers.
    #[serde(default, deserialize_with = "response_type")]
    pub response_type: ResponseType,
    /// Nanoseconds in which it must have; 0 is the default.
    #[serde(default)]
    pub response_threshold: i64,
    /// How its latency is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_latency: Option<ServiceLatency>,
    /// The token of the subject that holds the importing account's key; 0 is none.
    #[serde(default)]
    pub account_token_position: u32,
    /// For people.
    #[serde(default)]
    pub advertise: bool,
    /// Traces may go on into this account.
    #[serde(default)]
    pub allow_trace: bool,
}

fn response_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ResponseType, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" | "Singleton" => Ok(ResponseType::Singleton),
        "Stream" => Ok(ResponseType::Stream),
        "Chunked" => Ok(ResponseType::Chunked),
        other => Err(D::Error::custom(format!(
            "invalid response type for service: {other:?}"
        ))),
    }
}

/// Measuring a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLatency {
    /// How many requests.
    pub sampling: Sampling,
    /// Where the results go.
    pub results: String,
}

/// Which part of the requests is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Those whose headers ask for it.
    Headers,
    /// 1 to 100.
    Percent(u8),
}

impl<'de> Deserialize<'de> for Sampling {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Percent(u8),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Percent(0) => Ok(Self::Headers),
            Either::Percent(percent) => Ok(Self::Percent(percent)),
            Either::Text(text) if text.eq_ignore_ascii_case("headers") => Ok(Self::Headers),
            Either::Text(text) => Err(D::Error::custom(format!("unknown sampling {text:?}"))),
        }
    }
}

impl Serialize for Sampling {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Headers => serializer.serialize_str("headers"),
            Self::Percent(percent) => serializer.serialize_u8(*percent),
        }
    }
}

/// A use of another account's offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Import {
    /// For people.
    #[serde(default)]
    pub name: String,
    /// What the other account calls it.
    #[serde(default)]
    pub subject: String,
    /// The other account's public key.
    #[serde(default)]
    pub account: String,
    /// An activation token, or the URL of one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// Older form of [`Import::local_subject`]: the local subject of a service, a prefix of a stream.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// What it is called here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub local_subject: String,
    /// How.
    pub r#type: TransferType,
    /// The service may know who asks.
    #[serde(default)]
    pub share: bool,
    /// Traces may come in from the other account.
    #[serde(default)]
    pub allow_trace: bool,
}

/// By which of an account's keys a user was signed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Signer<'a> {
    Plain,
    Scoped(&'a UserScope),
}

impl AccountClaims {
    /// Whether `issuer` may sign users of this account; with `strict`, the account's own key may not.
    pub(crate) fn signer(&self, issuer: &str, strict: bool) -> Option<Signer<'_>> {
        let signing_key = self
            .nats
            .signing_keys
            .iter()
            .find(|known| known.key() == issuer);
        match signing_key {
            Some(SigningKey::Plain(_)) => Some(Signer::Plain),
            Some(SigningKey::Scoped(scope)) => Some(Signer::Scoped(scope)),
            None if issuer == self.subject && !strict => Some(Signer::Plain),
            None => None,
        }
    }

    /// Whether `import` of the account `importer` comes with an activation token of this account that counts.
    pub fn activates(&self, importer: &AccountClaims, import: &Import, now: Timestamp) -> bool {
        let Ok(activation) = ActivationClaims::decode(&import.token) else {
            return false;
        };
        let is_issued = match activation.nats.issuer_account.as_str() {
            "" => activation.issuer == self.subject,
            account => account == self.subject && self.has_signing_key(&activation.issuer),
        };
        let is_revoked = self.nats.exports.iter().any(|export| {
            let is_meant = export.r#type == import.r#type
                && jetsled_protocol::subject::is_subset(
                    import.subject.as_bytes(),
                    export.subject.as_bytes(),
                );
            is_meant
                && [importer.subject.as_str(), "*"].iter().any(|key| {
                    let until = export.revocations.get(*key);
                    until.is_some_and(|until| activation.issued_at <= *until)
                })
        });
        is_issued
            && !is_revoked
            && activation.subject == importer.subject
            && activation.check_times(now).is_ok()
            && activation.nats.kind == import.r#type
            && jetsled_protocol::subject::is_subset(
                import.subject.as_bytes(),
                activation.nats.subject.as_bytes(),
            )
    }

    /// Whether `key` is among the signing keys.
    pub fn has_signing_key(&self, key: &str) -> bool {
        self.nats
            .signing_keys
            .iter()
            .any(|known| known.key() == key)
    }

    /// Whether a service decides on the account's users.
    pub fn has_external_authorization(&self) -> bool {
        !self.nats.authorization.auth_users.is_empty()
    }

    /// Whether a token of `user` issued then does not count any more.
    pub fn revokes(&self, user: &str, issued_at: i64) -> bool {
        [user, "*"].iter().any(|key| {
            self.nats
                .revocations
                .get(*key)
                .is_some_and(|until| issued_at <= *until)
        })
    }

    /// Permissions of users without their own.
    pub fn default_permissions(&self) -> Option<Permissions> {
        let DefaultPermissions {
            publish,
            subscribe,
            responses,
        } = self.nats.default_permissions.clone();
        UserPermissionLimits {
            publish,
            subscribe,
            responses,
            ..UserPermissionLimits::default()
        }
        .permissions()
    }

    /// Whether JetStream is on for the account.
    pub fn has_jetstream(&self) -> bool {
        let limits = &self.nats.limits;
        if limits.tiered_limits.is_empty() {
            limits.jetstream.is_enabled()
        } else {
            limits
                .tiered_limits
                .values()
                .any(JetStreamLimits::is_enabled)
        }
    }

    /// The JetStream limits that hold on a server alone: those of all tiers, else those of one replica.
    pub fn jetstream_limits(&self) -> Option<JetStreamLimits> {
        if !self.has_jetstream() {
            return None;
        }
        let limits = &self.nats.limits;
        if limits.tiered_limits.is_empty() {
            Some(limits.jetstream)
        } else {
            limits.tiered_limits.get("R1").copied()
        }
    }

    /// What contradicts itself, and whether the claims hold at `now`.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn validate(&self, now: Timestamp) -> Result<(), JwtError> {
        self.check_times(now)?;
        self.first_contradiction()
            .map_or(Ok(()), |text| Err(JwtError::Invalid(text)))
    }

    fn first_contradiction(&self) -> Option<String> {
        let account = &self.nats;
        let limits = &account.limits;
        if !crate::is_account_nkey(&self.subject) {
            return Some("expected subject to be account public key".to_owned());
        }
        let over = |count: usize, limit: i64| {
            limit >= 0 && i64::try_from(count).is_ok_and(|count| count > limit)
        };
        if over(account.imports.len(), limits.imports) {
            let text = "the account contains more imports than allowed by the operator";
            return Some(text.to_owned());
        }
        if over(account.exports.len(), limits.exports) {
            let text = "the account contains more exports than allowed by the operator";
            return Some(text.to_owned());
        }
        let has_wildcard =
            |export: &Export| jetsled_protocol::subject::has_wildcard(export.subject.as_bytes());
        if limits.exports >= 0 && !limits.wildcards && account.exports.iter().any(has_wildcard) {
            let text = "the account contains wildcard exports that are not allowed by the operator";
            return Some(text.to_owned());
        }
        if !limits.tiered_limits.is_empty() && limits.jetstream != JetStreamLimits::default() {
            let text = "JetStream Limits and tiered JetStream Limits are mutually exclusive";
            return Some(text.to_owned());
        }
        let wrong = |key: &&SigningKey| !crate::is_account_nkey(key.key());
        if let Some(key) = account.signing_keys.iter().find(wrong) {
            return Some(format!("{} is not an account public key", key.key()));
        }
        for (source, mappings) in &account.mappings {
            let weight = |mapping: &WeightedMapping| match mapping.weight {
                0 => 100,
                weight => u32::from(weight),
            };
            let here = mappings.iter().filter(|mapping| mapping.cluster.is_empty());
            if here.map(weight).sum::<u32>() > 100 {
                return Some(format!(
                    "Mapping {source:?} exceeds 100% among all of it's weighted to mappings"
                ));
            }
        }
        let external = &account.authorization;
        if external.auth_users.is_empty() && !external.allowed_accounts.is_empty() {
            let text = "External authorization cannot have accounts without users specified";
            return Some(text.to_owned());
        }
        let wrong = |user: &&String| !crate::is_user_nkey(user);
        if let Some(user) = external.auth_users.iter().find(wrong) {
            return Some(format!("AuthUser {user:?} is not a valid user public key"));
        }
        let known = |account: &String| account == "*" || crate::is_account_nkey(account);
        if let Some(account) = external.allowed_accounts.iter().find(|name| !known(name)) {
            return Some(format!(
                "Account {account:?} is not a valid account public key"
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nkeys::KeyPair;

    fn claims(json: &str) -> AccountClaims {
        AccountClaims {
            audience: String::new(),
            expires: 0,
            id: String::new(),
            issued_at: 0,
            issuer: String::new(),
            name: String::new(),
            not_before: 0,
            subject: KeyPair::new_account().public_key(),
            nats: serde_json::from_str(json).unwrap(),
        }
    }

    #[test]
    fn signing_keys_are_plain_or_scoped() {
        let claims = claims(
            r#"{"signing_keys":["AP",{"kind":"user_scope","key":"AS","role":"r","template":{"pub":{"allow":["a"]}}}]}"#,
        );
        assert_eq!(claims.signer("AP", false), Some(Signer::Plain));
        let Some(Signer::Scoped(scope)) = claims.signer("AS", false) else {
            panic!("AS is scoped");
        };
        assert_eq!(scope.template.publish.allow, ["a"]);
        assert_eq!(
            scope.template.subs, -1,
            "a template has no limits of its own"
        );
        assert_eq!(claims.signer("AX", false), None);
        let own = claims.subject.clone();
        assert_eq!(claims.signer(&own, false), Some(Signer::Plain));
        assert_eq!(claims.signer(&own, true), None);
        let wrong = serde_json::from_str::<Account>(r#"{"signing_keys":[{"kind":"x","key":"A"}]}"#);
        assert!(wrong.is_err());
    }

    #[test]
    fn revocations_count_up_to_their_time() {
        let claims = claims(r#"{"revocations":{"U1":10,"*":5}}"#);
        for (user, issued_at, revoked) in [
            ("U1", 10, true),
            ("U1", 11, false),
            ("U2", 5, true),
            ("U2", 6, false),
        ] {
            assert_eq!(
                claims.revokes(user, issued_at),
                revoked,
                "{user} {issued_at}"
            );
        }
    }

    #[test]
    fn jetstream_is_on_with_storage() {
        assert!(!claims(r#"{"limits":{"streams":-1}}"#).has_jetstream());
        let flat = claims(r#"{"limits":{"disk_storage":-1,"streams":3}}"#);
        assert_eq!(flat.jetstream_limits().unwrap().streams, 3);
        let tiered = claims(
            r#"{"limits":{"tiered_limits":{"R1":{"mem_storage":7},"R3":{"mem_storage":9}}}}"#,
        );
        assert_eq!(tiered.jetstream_limits().unwrap().mem_storage, 7);
    }

    #[test]
    fn contradictions_are_named() {
        let check = |json: &str| claims(json).first_contradiction();
        assert_eq!(check(r#"{"limits":{"imports":-1,"exports":-1}}"#), None);
        assert!(
            check(r#"{"limits":{"exports":0},"exports":[{"subject":"a","type":"stream"}]}"#)
                .is_some_and(|text| text.contains("more exports"))
        );
        assert!(check(r#"{"signing_keys":["A"]}"#).is_some());
        assert!(check(r#"{"authorization":{"allowed_accounts":["*"]}}"#).is_some());
        assert!(
            check(
                r#"{"mappings":{"a":[{"subject":"b","weight":60},{"subject":"c","weight":60}]}}"#
            )
            .is_some()
        );
    }
}
