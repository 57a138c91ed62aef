use std::time::Duration;

use jiff::Timestamp;
use nkeys::KeyPairType;
use serde::{Deserialize, Deserializer, Serialize};

use super::layout_1::{self, UserLayout1};
use super::limits::{self, ConnectWindow, TimeRange};
use super::token::{Claims, ClaimsBody, JwtError};
use crate::{ConnectionType, ConnectionTypes, Permissions, ResponsePermission, SubjectPermission};

/// A user's claims.
pub type UserClaims = Claims<User>;

/// What a user's claims say.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// What it may do.
    #[serde(flatten)]
    pub limits: UserPermissionLimits,
    /// The account, if [`Claims::issuer`] is one of its signing keys.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer_account: String,
    /// Lower-case words, `key:value` by custom.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl ClaimsBody for User {
    const TYPE: &'static str = "user";
    const ISSUERS: &'static [KeyPairType] = &[KeyPairType::Account];

    fn from_layout_1(json: &[u8]) -> Result<Self, JwtError> {
        layout_1::read::<UserLayout1>(json).map(Self::from)
    }
}

/// Permissions and limits of a user, or the template of a scoped signing key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UserPermissionLimits {
    /// What it may publish to.
    #[serde(rename = "pub")]
    pub publish: SubjectClaim,
    /// What it may subscribe to.
    #[serde(rename = "sub")]
    pub subscribe: SubjectClaim,
    /// Leave to answer requests.
    #[serde(rename = "resp", skip_serializing_if = "Option::is_none")]
    pub responses: Option<ResponseClaim>,
    /// Networks (CIDR) that it may come from.
    #[serde(
        rename = "src",
        deserialize_with = "networks",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub sources: Vec<String>,
    /// When it may be connected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<TimeRange>,
    /// Where it is that time: an IANA name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub times_location: String,
    /// Subscriptions; negative is no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub subs: i64,
    /// Bytes; negative is no limit. Not enforced by nats-server either.
    #[serde(skip_serializing_if = "is_zero")]
    pub data: i64,
    /// Bytes of one message; negative is no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub payload: i64,
    /// It needs no signature of the nonce.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bearer_token: bool,
    /// It must come through a trusted proxy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub proxy_required: bool,
    /// How it may connect; empty is any way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_connection_types: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// An allow and a deny list as claims write them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SubjectClaim {
    /// See [`SubjectPermission::allow`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// See [`SubjectPermission::deny`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// `resp` as claims write it. 0 is the default of `allow_responses`, negative is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ResponseClaim {
    /// Responses per request.
    pub max: i64,
    /// Nanoseconds in which they may be sent.
    pub ttl: i64,
}

/// A list, or one string with commas.
pub(super) fn networks<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<String>),
        Text(String),
        Nothing(()),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::List(list) => list,
        Either::Text(text) => text
            .split(',')
            .map(|part| part.trim().to_lowercase())
            .filter(|part| !part.is_empty())
            .collect(),
        Either::Nothing(()) => Vec::new(),
    })
}

impl UserClaims {
    /// The account that the user belongs to.
    pub fn account(&self) -> &str {
        if self.nats.issuer_account.is_empty() {
            &self.issuer
        } else {
            &self.nats.issuer_account
        }
    }

    /// What contradicts itself, and whether the claims hold at `now`.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn validate(&self, now: Timestamp) -> Result<(), JwtError> {
        self.check_times(now)?;
        let account = &self.nats.issuer_account;
        if !account.is_empty() && !crate::is_account_nkey(account) {
            let text = "account_id is not an account public key".to_owned();
            return Err(JwtError::Invalid(text));
        }
        self.nats.limits.validate()
    }
}

impl UserPermissionLimits {
    fn validate(&self) -> Result<(), JwtError> {
        let invalid = |text: String| Err(JwtError::Invalid(text));
        for (list, may_name_queues) in [(&self.publish, false), (&self.subscribe, true)] {
            for entry in list.allow.iter().chain(&list.deny) {
                if !is_subject_entry(entry, may_name_queues) {
                    return invalid(format!("{entry:?} is not a valid permission subject"));
                }
            }
        }
        for network in &self.sources {
            if !limits::is_network(network) {
                return invalid(format!("invalid cidr {network:?} in user src limits"));
            }
        }
        if self.times.iter().any(|range| !range.is_valid()) {
            return invalid("invalid time range".to_owned());
        }
        if !self.times_location.is_empty() && jiff::tz::TimeZone::get(&self.times_location).is_err()
        {
            let text = format!(
                "could not parse iana time zone by name: {:?}",
                self.times_location
            );
            return invalid(text);
        }
        Ok(())
    }

    /// Whether nothing is said, as it must be for users of a scoped signing key.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The permissions in the form that is compiled; `None` if none are given.
    pub fn permissions(&self) -> Option<Permissions> {
        let side = |claim: &SubjectClaim| {
            (!claim.allow.is_empty() || !claim.deny.is_empty()).then(|| SubjectPermission {
                allow: claim.allow.clone(),
                deny: claim.deny.clone(),
            })
        };
        let permissions = Permissions {
            publish: side(&self.publish),
            subscribe: side(&self.subscribe),
            responses: self.responses.map(ResponseClaim::permission),
        };
        (permissions != Permissions::default()).then_some(permissions)
    }

    /// The kinds of connection that may be used. Names that are not known are passed over.
    ///
    /// # Errors
    /// If names are given and none of them is known.
    pub fn connection_types(&self) -> Result<ConnectionTypes, JwtError> {
        let mut types = ConnectionTypes::default();
        let mut known = 0;
        for kind in self
            .allowed_connection_types
            .iter()
            .flat_map(|name| name.parse::<ConnectionType>())
        {
            types.insert(kind);
            known += 1;
        }
        if known == 0 && !self.allowed_connection_types.is_empty() {
            let text = "no known connection type is allowed".to_owned();
            return Err(JwtError::Invalid(text));
        }
        Ok(types)
    }

    /// Whether a connection may come from this address.
    pub fn admits_source(&self, remote: Option<std::net::IpAddr>) -> bool {
        limits::admits_source(&self.sources, remote)
    }

    /// Whether and how long the user may be connected by the time of day.
    pub fn connect_window(&self, now: Timestamp) -> ConnectWindow {
        limits::connect_window(&self.times, &self.times_location, now)
    }
}

impl ResponseClaim {
    fn permission(self) -> ResponsePermission {
        let default = ResponsePermission::default();
        ResponsePermission {
            max: match self.max {
                0 => default.max,
                ..0 => None,
                max => Some(u32::try_from(max).unwrap_or(u32::MAX)),
            },
            expires: match self.ttl {
                0 => default.expires,
                ttl => u64::try_from(ttl).ok().map(Duration::from_nanos),
            },
        }
    }
}

/// The jwt library's idea of a subject, and of a queue behind it.
fn is_subject_entry(entry: &str, may_name_queues: bool) -> bool {
    let mut parts = entry.split(' ');
    let is_subject = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.contains("..")
    };
    match (parts.next(), parts.next(), parts.next()) {
        (Some(subject), None, None) => is_subject(subject),
        (Some(subject), Some(queue), None) => {
            may_name_queues && is_subject(subject) && is_subject(queue)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_of_a_user_are_read() {
        let json = r#"{"pub":{"allow":["a.>"]},"sub":{"deny":["b"]},"resp":{"max":3,"ttl":0},"src":"10.0.0.0/8, ::1/128",
            "subs":-1,"data":-1,"payload":64,"bearer_token":true,"type":"user","version":2,"tags":["k:v"]}"#;
        let user: User = serde_json::from_str(json).unwrap();
        let permissions = user.limits.permissions().unwrap();
        assert_eq!(permissions.publish.unwrap().allow, ["a.>"]);
        assert_eq!(permissions.subscribe.unwrap().deny, ["b"]);
        let responses = permissions.responses.unwrap();
        assert_eq!(responses.max, Some(3));
        assert_eq!(responses.expires, ResponsePermission::default().expires);
        assert_eq!(user.limits.sources, ["10.0.0.0/8", "::1/128"]);
        assert_eq!((user.limits.subs, user.limits.payload), (-1, 64));
        assert!(user.limits.bearer_token);
        assert!(user.limits.validate().is_ok());
    }

    #[test]
    fn unknown_connection_types_are_passed_over_beside_known_ones() {
        let with = |names: &[&str]| UserPermissionLimits {
            allowed_connection_types: names.iter().map(|&name| name.to_owned()).collect(),
            ..UserPermissionLimits::default()
        };
        let types = with(&["WEBSOCKET", "PIGEON"]).connection_types().unwrap();
        assert!(types.allow(ConnectionType::Websocket));
        assert!(!types.allow(ConnectionType::Standard));
        assert!(with(&["PIGEON"]).connection_types().is_err());
        assert!(
            with(&[])
                .connection_types()
                .unwrap()
                .allow(ConnectionType::Mqtt)
        );
    }

    #[test]
    fn invalid_claims_are_named() {
        let check = |change: fn(&mut UserPermissionLimits)| {
            let mut limits = UserPermissionLimits::default();
            change(&mut limits);
            limits.validate().is_err()
        };
        assert!(!check(|_| {}));
        assert!(check(|limits| limits.sources = vec!["10.0.0.1".into()]));
        assert!(check(|limits| limits.publish.allow = vec!["a b".into()]));
        assert!(!check(|limits| limits.subscribe.allow = vec!["a b".into()]));
        assert!(check(|limits| limits.subscribe.allow = vec![".a".into()]));
        assert!(check(|limits| limits.times_location = "Nowhere/Land".into()));
        assert!(check(|limits| limits.times = vec![TimeRange::default()]));
    }
}
