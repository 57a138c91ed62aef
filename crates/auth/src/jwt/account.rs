use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use nkeys::KeyPairType;
use serde::{Deserialize, Serialize};

use super::account_limits::{JetStreamLimits, OperatorLimits};
use super::activation::ActivationClaims;
use super::layout_1::{self, AccountLayout1};
use super::sharing::{Export, Import};
use super::signing_key::{Signer, SigningKey};
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

    fn from_layout_1(json: &[u8]) -> Result<Self, JwtError> {
        layout_1::read::<AccountLayout1>(json).map(Self::from)
    }
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
        for (subject, text) in [
            ("", "cannot be empty"),
            ("a b", "cannot have spaces"),
            (".a", "cannot start or end with a `.`"),
            ("a..b", "cannot contain consecutive `.`"),
        ] {
            for place in [
                format!(
                    r#"{{"limits":{{"exports":-1}},"exports":[{{"subject":"{subject}","type":"stream"}}]}}"#
                ),
                format!(
                    r#"{{"limits":{{"imports":-1}},"imports":[{{"subject":"{subject}","type":"stream"}}]}}"#
                ),
                format!(r#"{{"mappings":{{"a":[{{"subject":"{subject}"}}]}}}}"#),
            ] {
                assert!(
                    check(&place).is_some_and(|got| got.contains(text)),
                    "{place}"
                );
            }
        }
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
