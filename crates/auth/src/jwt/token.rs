use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use nkeys::{KeyPair, KeyPairType};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bytes of a token at most.
const MAX_TOKEN_BYTES: usize = 1 << 20;

/// The newest layout of claims, and the one that is written.
const VERSION: u32 = 2;

/// Claims with their envelope. Decoded claims have a valid signature of their issuer, nothing more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claims<B> {
    /// For whom.
    #[serde(rename = "aud", default, skip_serializing_if = "String::is_empty")]
    pub audience: String,
    /// Unix seconds after which it does not hold; 0 is never.
    #[serde(rename = "exp", default, skip_serializing_if = "is_zero")]
    pub expires: i64,
    /// An id of the token.
    #[serde(rename = "jti", default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Unix seconds.
    #[serde(rename = "iat", default, skip_serializing_if = "is_zero")]
    pub issued_at: i64,
    /// The public nkey that has signed.
    #[serde(rename = "iss", default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Unix seconds before which it does not hold.
    #[serde(rename = "nbf", default, skip_serializing_if = "is_zero")]
    pub not_before: i64,
    /// The public nkey that the claims are about.
    #[serde(rename = "sub", default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The claims themselves.
    pub nats: B,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// One kind of claims.
pub trait ClaimsBody: DeserializeOwned + Serialize {
    /// `type` in the token.
    const TYPE: &'static str;
    /// Who may sign it.
    const ISSUERS: &'static [KeyPairType];

    /// Takes over claims of layout 1, out of the whole JSON of their token.
    ///
    /// # Errors
    /// [`JwtError::Version`] for kinds that are younger than that layout, [`JwtError::Malformed`] if it is something else.
    fn from_layout_1(_json: &[u8]) -> Result<Self, JwtError> {
        Err(JwtError::Version(1))
    }
}

/// A token that is not what it should be. Never holds the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Larger than 1 MiB.
    #[error("token size {0} exceeds maximum of {MAX_TOKEN_BYTES} bytes")]
    TooLarge(usize),
    /// Not three parts.
    #[error("expected 3 chunks")]
    Chunks,
    /// A part is not base64 or not JSON of the right shape.
    #[error("malformed token: {0}")]
    Malformed(&'static str),
    /// Another signature algorithm.
    #[error("unexpected token algorithm")]
    Algorithm,
    /// A layout that is not known, or in which there are no claims of the kind.
    #[error("JWT version {0} is not supported")]
    Version(u32),
    /// Another kind of claims.
    #[error("not {0} claim")]
    Type(&'static str),
    /// The signature does not verify; with the layout that says what is signed.
    #[error("claim failed V{0} signature verification")]
    Signature(u32),
    /// Signed by a key of the wrong kind.
    #[error("unable to validate expected prefixes")]
    Issuer,
    /// The claims contradict themselves.
    #[error("{0}")]
    Invalid(String),
    /// `exp` is over.
    #[error("claim is expired")]
    Expired,
    /// `nbf` is to come.
    #[error("claim is not yet valid")]
    NotYetValid,
}

impl<B> Claims<B> {
    /// The same envelope without what is in it.
    fn envelope(&self) -> Claims<()> {
        Claims {
            audience: self.audience.clone(),
            expires: self.expires,
            id: self.id.clone(),
            issued_at: self.issued_at,
            issuer: self.issuer.clone(),
            name: self.name.clone(),
            not_before: self.not_before,
            subject: self.subject.clone(),
            nats: (),
        }
    }

    /// The same envelope around something else.
    fn with<C>(self, nats: C) -> Claims<C> {
        Claims {
            audience: self.audience,
            expires: self.expires,
            id: self.id,
            issued_at: self.issued_at,
            issuer: self.issuer,
            name: self.name,
            not_before: self.not_before,
            subject: self.subject,
            nats,
        }
    }
}

#[derive(Deserialize, Serialize)]
struct Header {
    typ: String,
    alg: String,
}

/// What tells the kind and layout of claims.
#[derive(Deserialize)]
struct Kind {
    /// Only in layout 1.
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    nats: Option<KindInside>,
}

#[derive(Deserialize, Default)]
struct KindInside {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    version: u32,
}

impl Kind {
    fn name_and_layout(&self) -> (&str, u32) {
        match &self.nats {
            _ if !self.r#type.is_empty() => (&self.r#type, 1),
            Some(inside) => (&inside.r#type, inside.version),
            None => ("", 0),
        }
    }
}

impl<B: ClaimsBody> Claims<B> {
    /// Decodes a token and verifies its signature by `iss`.
    ///
    /// # Errors
    /// Whatever is wrong with it; times are not checked.
    pub fn decode(token: &str) -> Result<Self, JwtError> {
        let token = Token::open(token)?;
        let kind: Kind = token.read()?;
        let (name, layout) = kind.name_and_layout();
        if layout > VERSION {
            return Err(JwtError::Version(layout));
        }
        if name != B::TYPE {
            return Err(JwtError::Type(B::TYPE));
        }
        let claims = match layout {
            VERSION => token.read::<Self>()?,
            1 => {
                let nats = B::from_layout_1(&token.json)?;
                token.read::<Claims<Option<IgnoredAny>>>()?.with(nats)
            }
            layout => return Err(JwtError::Version(layout)),
        };
        token.verify(&claims.issuer, layout)?;
        let is_issuer = KeyPair::from_public_key(&claims.issuer)
            .is_ok_and(|key| B::ISSUERS.contains(&key.key_pair_type()));
        if is_issuer {
            Ok(claims)
        } else {
            Err(JwtError::Issuer)
        }
    }

    /// Signs the claims; `key` must be that of `Claims::issuer` for anybody to accept them.
    ///
    /// # Errors
    /// Only if `key` has no private half.
    pub fn encode(&self, key: &KeyPair) -> Result<String, JwtError> {
        #[derive(Serialize)]
        struct Typed<'a, B> {
            #[serde(flatten)]
            body: &'a B,
            r#type: &'static str,
            version: u32,
        }
        let typed = self.envelope().with(Typed {
            body: &self.nats,
            r#type: B::TYPE,
            version: VERSION,
        });
        let header = Header {
            typ: "JWT".to_owned(),
            alg: "ed25519-nkey".to_owned(),
        };
        let part = |json: Result<Vec<u8>, serde_json::Error>| {
            json.map(|json| URL_SAFE_NO_PAD.encode(json))
                .map_err(|_| JwtError::Malformed("claims cannot be written"))
        };
        let signed = format!(
            "{}.{}",
            part(serde_json::to_vec(&header))?,
            part(serde_json::to_vec(&typed))?
        );
        let signature = key
            .sign(signed.as_bytes())
            .map_err(|_| JwtError::Signature(VERSION))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Whether the claims hold at `now`.
    ///
    /// # Errors
    /// [`JwtError::Expired`] or [`JwtError::NotYetValid`].
    pub fn check_times(&self, now: Timestamp) -> Result<(), JwtError> {
        let now = now.as_second();
        if self.expires > 0 && now > self.expires {
            return Err(JwtError::Expired);
        }
        if self.not_before > 0 && self.not_before > now {
            return Err(JwtError::NotYetValid);
        }
        Ok(())
    }

    /// When the claims end, if they do.
    pub fn expires_at(&self) -> Option<Timestamp> {
        (self.expires > 0)
            .then(|| Timestamp::from_second(self.expires).ok())
            .flatten()
    }
}

/// Decodes claims of any kind, with their signature verified: what requests to a resolver are made of.
///
/// # Errors
/// As [`Claims::decode`], for the kind and its issuers.
pub fn decode_generic(token: &str) -> Result<Claims<Value>, JwtError> {
    let token = Token::open(token)?;
    let claims: Claims<Value> = token.read()?;
    let layout = if token.has_old_algorithm { 1 } else { VERSION };
    token.verify(&claims.issuer, layout)?;
    Ok(claims)
}

/// Claims whose members that are `null` are left out: Go's encoder writes lists that it was given none of so.
fn without_nulls(json: &[u8]) -> Result<Vec<u8>, JwtError> {
    fn prune(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|_, member| !member.is_null());
                members.values_mut().for_each(prune);
            }
            Value::Array(elements) => elements.iter_mut().for_each(prune),
            _ => {}
        }
    }
    let malformed = |_| JwtError::Malformed("claims are not JSON of their kind");
    let mut claims = serde_json::from_slice(json).map_err(malformed)?;
    prune(&mut claims);
    serde_json::to_vec(&claims).map_err(malformed)
}

/// A token taken apart, not yet believed.
struct Token<'a> {
    /// The algorithm is called as in layout 1.
    has_old_algorithm: bool,
    json: Vec<u8>,
    signature: Vec<u8>,
    /// What is signed in layout 1: the claims alone.
    claims: &'a str,
    /// What is signed in layout 2: the header too.
    header_and_claims: &'a str,
}

impl<'a> Token<'a> {
    fn open(token: &'a str) -> Result<Self, JwtError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(JwtError::TooLarge(token.len()));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwtError::Chunks);
        };
        let decode = |part: &str, what| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| JwtError::Malformed(what))
        };
        let parsed: Header = serde_json::from_slice(&decode(header, "header is not base64")?)
            .map_err(|_| JwtError::Malformed("header is not JSON"))?;
        if !parsed.typ.eq_ignore_ascii_case("jwt") {
            return Err(JwtError::Malformed("not a JWT"));
        }
        let has_old_algorithm = match parsed.alg.to_ascii_lowercase().as_str() {
            "ed25519-nkey" => false,
            "ed25519" => true,
            _ => return Err(JwtError::Algorithm),
        };
        let signed = header.len() + 1 + claims.len();
        Ok(Self {
            has_old_algorithm,
            json: without_nulls(&decode(claims, "claims are not base64")?)?,
            signature: decode(signature, "signature is not base64")?,
            claims,
            header_and_claims: token.get(..signed).unwrap_or_default(),
        })
    }

    fn read<C: DeserializeOwned>(&self) -> Result<C, JwtError> {
        serde_json::from_slice(&self.json)
            .map_err(|_| JwtError::Malformed("claims are not JSON of their kind"))
    }

    fn verify(&self, issuer: &str, layout: u32) -> Result<(), JwtError> {
        let signed = if layout == 1 {
            self.claims
        } else {
            self.header_and_claims
        };
        KeyPair::from_public_key(issuer)
            .and_then(|key| key.verify(signed.as_bytes(), &self.signature))
            .map_err(|_| JwtError::Signature(layout))
    }
}

/// The token in a file: as it is, or between lines of three and more dashes (`-----BEGIN NATS OPERATOR JWT-----`).
pub fn undecorate(text: &str) -> &str {
    let mut lines = text.lines().map(str::trim);
    let is_rule = |line: &str| line.starts_with("---") && line.ends_with("---");
    if lines.by_ref().any(is_rule) {
        lines
            .find(|line| !line.is_empty())
            .filter(|line| !is_rule(line))
            .unwrap_or_default()
    } else {
        text.trim()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::{JwtUser, UserClaims};

    fn user_claims(issuer: &KeyPair) -> UserClaims {
        UserClaims {
            audience: String::new(),
            expires: 0,
            id: String::new(),
            issued_at: 1,
            issuer: issuer.public_key(),
            name: "u".to_owned(),
            not_before: 0,
            subject: KeyPair::new_user().public_key(),
            nats: JwtUser::default(),
        }
    }

    fn signed(json: &str, key: &KeyPair) -> String {
        let claims = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#),
            URL_SAFE_NO_PAD.encode(json)
        );
        let signature = key.sign(claims.as_bytes()).unwrap();
        format!("{claims}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let account = KeyPair::new_account();
        let claims = user_claims(&account);
        let token = claims.encode(&account).unwrap();
        assert_eq!(UserClaims::decode(&token).unwrap(), claims);
    }

    #[test]
    fn a_changed_token_is_refused() {
        let account = KeyPair::new_account();
        let token = user_claims(&account).encode(&account).unwrap();
        let other = user_claims(&account).encode(&account).unwrap();
        let signature = other.rsplit('.').next().unwrap();
        let body = token.rsplit_once('.').unwrap().0;
        let forged = format!("{body}.{signature}");
        assert_eq!(UserClaims::decode(&forged), Err(JwtError::Signature(2)));
        assert_eq!(UserClaims::decode("a.b"), Err(JwtError::Chunks));
        assert!(UserClaims::decode("a.b.c").is_err());
    }

    #[test]
    fn users_are_signed_by_accounts_only() {
        let operator = KeyPair::new_operator();
        let token = user_claims(&operator).encode(&operator).unwrap();
        assert_eq!(UserClaims::decode(&token), Err(JwtError::Issuer));
        let account = KeyPair::new_account();
        let token = user_claims(&account).encode(&account).unwrap();
        let as_account = crate::jwt::AccountClaims::decode(&token);
        assert_eq!(as_account, Err(JwtError::Type("account")));
    }

    #[test]
    fn claims_hold_between_their_times() {
        let account = KeyPair::new_account();
        let mut claims = user_claims(&account);
        let at = |second| Timestamp::from_second(second).unwrap();
        (claims.not_before, claims.expires) = (10, 20);
        assert_eq!(claims.check_times(at(9)), Err(JwtError::NotYetValid));
        assert_eq!(claims.check_times(at(10)), Ok(()));
        assert_eq!(claims.check_times(at(20)), Ok(()));
        assert_eq!(claims.check_times(at(21)), Err(JwtError::Expired));
    }

    #[test]
    fn newer_layouts_are_refused_by_number() {
        let account = KeyPair::new_account();
        for (version, expected) in [(3, 3), (0, 0)] {
            let json = format!(
                r#"{{"iss":"{}","nats":{{"type":"user","version":{version}}}}}"#,
                account.public_key()
            );
            let token = signed(&json, &account);
            assert_eq!(UserClaims::decode(&token), Err(JwtError::Version(expected)));
        }
    }

    #[test]
    fn null_is_as_good_as_nothing() {
        let operator = KeyPair::new_operator();
        let json = format!(
            r#"{{"iss":"{}","name":null,"nats":{{"type":"account","version":2,"imports":null,"limits":{{"conn":3}},
            "authorization":{{"auth_users":null}},"default_permissions":{{"pub":{{"allow":null}},"sub":null}}}}}}"#,
            operator.public_key()
        );
        let claims = crate::jwt::AccountClaims::decode(&signed(&json, &operator)).unwrap();
        let expected: crate::jwt::Account =
            serde_json::from_str(r#"{"limits":{"conn":3}}"#).unwrap();
        assert_eq!(claims.nats, expected);
    }

    #[test]
    fn decorations_are_taken_off() {
        for (text, expected) in [
            ("abc", "abc"),
            (" abc\n", "abc"),
            (
                "-----BEGIN NATS OPERATOR JWT-----\nabc\n------END NATS OPERATOR JWT------\n",
                "abc",
            ),
            ("-----BEGIN X-----\n-----END X-----\n", ""),
        ] {
            assert_eq!(undecorate(text), expected, "{text}");
        }
    }
}
