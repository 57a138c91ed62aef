//! Claims as tools wrote them before 2020, with kind, tags and the issuer's account beside `nats` instead of in it.
//!
//! What came later (JetStream limits, scopes, mappings, connection types, ...) is not looked for in them: such members
//! have no effect there (jwt library v2 of NATS).

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::account::Account;
use super::account_limits::OperatorLimits;
use super::activation::Activation;
use super::limits::TimeRange;
use super::operator::Operator;
use super::sharing::{Export, Import, TransferType};
use super::signing_key::SigningKey;
use super::token::JwtError;
use super::user::{ResponseClaim, SubjectClaim, User, UserPermissionLimits, networks};

/// The members of a token that make up its claims.
#[derive(Deserialize)]
pub(super) struct Layout1<B> {
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    issuer_account: String,
    nats: B,
}

/// Reads the claims of one kind.
pub(super) fn read<B: DeserializeOwned + Default>(json: &[u8]) -> Result<Layout1<B>, JwtError> {
    let claims: Layout1<Option<B>> = serde_json::from_slice(json)
        .map_err(|_| JwtError::Malformed("claims are not JSON of their kind"))?;
    Ok(Layout1 {
        tags: claims.tags,
        issuer_account: claims.issuer_account,
        nats: claims.nats.unwrap_or_default(),
    })
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct OperatorLayout1 {
    signing_keys: Vec<String>,
    account_server_url: String,
    operator_service_urls: Vec<String>,
    system_account: String,
}

impl From<Layout1<OperatorLayout1>> for Operator {
    fn from(claims: Layout1<OperatorLayout1>) -> Self {
        Self {
            signing_keys: claims.nats.signing_keys,
            account_server_url: claims.nats.account_server_url,
            operator_service_urls: claims.nats.operator_service_urls,
            system_account: claims.nats.system_account,
            ..Self::default()
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct AccountLayout1 {
    imports: Vec<Import>,
    exports: Vec<Export>,
    limits: LimitsLayout1,
    signing_keys: Vec<String>,
    revocations: HashMap<String, i64>,
}

/// Limits without JetStream.
#[derive(Deserialize, Default)]
#[serde(default)]
struct LimitsLayout1 {
    subs: i64,
    data: i64,
    payload: i64,
    imports: i64,
    exports: i64,
    wildcards: bool,
    disallow_bearer: bool,
    conn: i64,
    leaf: i64,
}

impl From<Layout1<AccountLayout1>> for Account {
    fn from(claims: Layout1<AccountLayout1>) -> Self {
        let limits = claims.nats.limits;
        let keys = claims.nats.signing_keys;
        Self {
            imports: claims.nats.imports,
            exports: claims.nats.exports,
            limits: OperatorLimits {
                subs: limits.subs,
                data: limits.data,
                payload: limits.payload,
                imports: limits.imports,
                exports: limits.exports,
                wildcards: limits.wildcards,
                disallow_bearer: limits.disallow_bearer,
                conn: limits.conn,
                leaf: limits.leaf,
                ..OperatorLimits::default()
            },
            signing_keys: keys.into_iter().map(SigningKey::Plain).collect(),
            revocations: claims.nats.revocations,
            tags: claims.tags,
            ..Self::default()
        }
    }
}

/// A user; limits that are not given are none.
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct UserLayout1 {
    #[serde(rename = "pub")]
    publish: SubjectClaim,
    #[serde(rename = "sub")]
    subscribe: SubjectClaim,
    #[serde(rename = "resp")]
    responses: Option<ResponseClaim>,
    #[serde(rename = "src", deserialize_with = "networks")]
    sources: Vec<String>,
    times: Vec<TimeRange>,
    times_location: String,
    subs: i64,
    data: i64,
    payload: i64,
    bearer_token: bool,
}

impl Default for UserLayout1 {
    fn default() -> Self {
        Self {
            publish: SubjectClaim::default(),
            subscribe: SubjectClaim::default(),
            responses: None,
            sources: Vec::new(),
            times: Vec::new(),
            times_location: String::new(),
            subs: -1,
            data: -1,
            payload: -1,
            bearer_token: false,
        }
    }
}

impl From<Layout1<UserLayout1>> for User {
    fn from(claims: Layout1<UserLayout1>) -> Self {
        let user = claims.nats;
        Self {
            limits: UserPermissionLimits {
                publish: user.publish,
                subscribe: user.subscribe,
                responses: user.responses,
                sources: user.sources,
                times: user.times,
                times_location: user.times_location,
                subs: user.subs,
                data: user.data,
                payload: user.payload,
                bearer_token: user.bearer_token,
                ..UserPermissionLimits::default()
            },
            issuer_account: claims.issuer_account,
            tags: claims.tags,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ActivationLayout1 {
    subject: String,
    r#type: Option<TransferType>,
}

impl TryFrom<Layout1<ActivationLayout1>> for Activation {
    type Error = JwtError;

    fn try_from(claims: Layout1<ActivationLayout1>) -> Result<Self, JwtError> {
        let kind = claims.nats.r#type;
        Ok(Self {
            subject: claims.nats.subject,
            kind: kind.ok_or(JwtError::Malformed(
                "an activation says neither stream nor service",
            ))?,
            issuer_account: claims.issuer_account,
        })
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use nkeys::KeyPair;

    use super::*;
    use crate::jwt::{
        AccountClaims, ActivationClaims, AuthorizationResponseClaims, Claims, ClaimsBody,
        OperatorClaims, UserClaims,
    };

    /// A token of layout 1: the signature is that of the claims alone.
    fn token(issuer: &KeyPair, members: &str) -> String {
        let json = format!(
            r#"{{"iss":"{}","sub":"S","iat":7,{members}}}"#,
            issuer.public_key()
        );
        let claims = URL_SAFE_NO_PAD.encode(json);
        let signature = URL_SAFE_NO_PAD.encode(issuer.sign(claims.as_bytes()).unwrap());
        let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"jwt","alg":"ed25519"}"#);
        format!("{header}.{claims}.{signature}")
    }

    #[track_caller]
    fn check<B: ClaimsBody + PartialEq + std::fmt::Debug>(
        issuer: &KeyPair,
        members: &str,
        nats: B,
    ) {
        let claims = Claims::<B>::decode(&token(issuer, members)).unwrap();
        assert_eq!((claims.subject.as_str(), claims.issued_at), ("S", 7));
        assert_eq!(claims.nats, nats);
    }

    #[test]
    fn operators_are_taken_over() {
        let operator = KeyPair::new_operator();
        check(&operator, r#""type":"operator""#, Operator::default());
        check(
            &operator,
            r#""type":"operator","nats":{"signing_keys":["K"],"system_account":"A","strict_signing_key_usage":true}"#,
            Operator {
                signing_keys: vec!["K".to_owned()],
                system_account: "A".to_owned(),
                ..Operator::default()
            },
        );
    }

    #[test]
    fn accounts_are_taken_over_without_what_came_later() {
        let operator = KeyPair::new_operator();
        check(
            &operator,
            r#""type":"account","tags":["t"],"nats":{"limits":{"subs":-1,"conn":3,"wildcards":true,"disk_storage":9},
                "signing_keys":["K"],"revocations":{"U":5},"description":"d"}"#,
            Account {
                limits: OperatorLimits {
                    subs: -1,
                    conn: 3,
                    wildcards: true,
                    ..OperatorLimits::default()
                },
                signing_keys: vec![SigningKey::Plain("K".to_owned())],
                revocations: [("U".to_owned(), 5)].into(),
                tags: vec!["t".to_owned()],
                ..Account::default()
            },
        );
    }

    #[test]
    fn users_are_taken_over_without_limits() {
        let account = KeyPair::new_account();
        let limits = UserPermissionLimits {
            subs: -1,
            data: -1,
            payload: 5,
            sources: vec!["10.0.0.0/8".to_owned()],
            ..UserPermissionLimits::default()
        };
        check(
            &account,
            r#""type":"user","issuer_account":"A","nats":{"pub":{},"payload":5,"src":"10.0.0.0/8","max":1,
                "allowed_connection_types":["MQTT"]}"#,
            User {
                limits,
                issuer_account: "A".to_owned(),
                tags: Vec::new(),
            },
        );
    }

    #[test]
    fn activations_are_taken_over() {
        let account = KeyPair::new_account();
        check(
            &account,
            r#""type":"activation","issuer_account":"A","nats":{"subject":"a.b","type":"service","max":3}"#,
            Activation {
                subject: "a.b".to_owned(),
                kind: TransferType::Service,
                issuer_account: "A".to_owned(),
            },
        );
    }

    #[test]
    fn the_layout_is_what_the_claims_say_whatever_the_algorithm_is_called() {
        let account = KeyPair::new_account();
        let old = token(&account, r#""nats":{"type":"user","version":1}"#);
        assert!(UserClaims::decode(&old).is_ok());
        let new = token(&account, r#""nats":{"type":"user","version":2}"#);
        assert_eq!(UserClaims::decode(&new), Err(JwtError::Signature(2)));
    }

    #[test]
    fn a_token_must_be_signed_and_of_its_kind() {
        let (account, other) = (KeyPair::new_account(), KeyPair::new_account());
        let user = token(&account, r#""type":"user""#);
        let forged = token(&other, r#""type":"user""#);
        let forged = format!(
            "{}.{}",
            user.rsplit_once('.').unwrap().0,
            forged.rsplit_once('.').unwrap().1
        );
        assert_eq!(UserClaims::decode(&forged), Err(JwtError::Signature(1)));
        assert_eq!(AccountClaims::decode(&user), Err(JwtError::Type("account")));
        assert_eq!(
            OperatorClaims::decode(&user),
            Err(JwtError::Type("operator"))
        );
        assert_eq!(
            ActivationClaims::decode(&user),
            Err(JwtError::Type("activation"))
        );
        let by_account = token(&account, r#""type":"operator""#);
        assert_eq!(OperatorClaims::decode(&by_account), Err(JwtError::Issuer));
        let younger = token(&account, r#""type":"authorization_response""#);
        assert_eq!(
            AuthorizationResponseClaims::decode(&younger),
            Err(JwtError::Version(1))
        );
        let scoped = token(
            &KeyPair::new_operator(),
            r#""type":"account","nats":{"signing_keys":[{"kind":"user_scope","key":"A"}]}"#,
        );
        assert!(matches!(
            AccountClaims::decode(&scoped),
            Err(JwtError::Malformed(_))
        ));
    }
}
