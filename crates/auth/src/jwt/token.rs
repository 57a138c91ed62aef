use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use nkeys::{KeyPair, KeyPairType};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Bytes of a token at most.
const MAX_TOKEN_BYTES: usize = 1 << 20;

/// The newest layout of claims that is understood, and the only one: layout 1 is from before 2020.
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
    /// Claims of layout 1, or of one newer than 2.
    #[error("JWT version {0} is not supported, only version 2 is")]
    Version(u32),
    /// Another kind of claims.
    #[error("not {0} claim")]
    Type(&'static str),
    /// The signature does not verify.
    #[error("claim failed V2 signature verification")]
    Signature,
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
    r#type: Option<String>,
    #[serde(default)]
    nats: KindInside,
}

#[derive(Deserialize, Default)]
struct KindInside {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    version: u32,
}

impl<B: ClaimsBody> Claims<B> {
    /// Decodes a token and verifies its signature by `iss`.
    ///
    /// # Errors
    /// Whatever is wrong with it; times are not checked.
    pub fn decode(token: &str) -> Result<Self, JwtError> {
        let (claims, kind) = decode_signed::<Self>(token)?;
        if kind.r#type.is_some() || kind.nats.version < VERSION {
            return Err(JwtError::Version(kind.nats.version.max(1)));
        }
        if kind.nats.version > VERSION {
            return Err(JwtError::Version(kind.nats.version));
        }
        if kind.nats.r#type != B::TYPE {
            return Err(JwtError::Type(B::TYPE));
        }
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
        let typed = Claims {
            audience: self.audience.clone(),
            expires: self.expires,
            id: self.id.clone(),
            issued_at: self.issued_at,
            issuer: self.issuer.clone(),
            name: self.name.clone(),
            not_before: self.not_before,
            subject: self.subject.clone(),
            nats: Typed {
                body: &self.nats,
                r#type: B::TYPE,
                version: VERSION,
            },
        };
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
            .map_err(|_| JwtError::Signature)?;
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
pub fn decode_generic(token: &str) -> Result<Claims<serde_json::Value>, JwtError> {
    decode_signed(token).map(|(claims, _)| claims)
}

/// An envelope whose issuer can be asked for.
trait Signed: DeserializeOwned {
    fn issuer(&self) -> &str;
}

impl<B: DeserializeOwned> Signed for Claims<B> {
    fn issuer(&self) -> &str {
        &self.issuer
    }
}

fn decode_signed<C: Signed>(token: &str) -> Result<(C, Kind), JwtError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(JwtError::TooLarge(token.len()));
    }
    let mut parts = token.split('.');
    let (Some(header), Some(body), Some(signature), None) =
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
    match parsed.alg.as_str() {
        "ed25519-nkey" => {}
        "ed25519" => return Err(JwtError::Version(1)),
        _ => return Err(JwtError::Algorithm),
    }
    let json = decode(body, "claims are not base64")?;
    let malformed = |_| JwtError::Malformed("claims are not JSON of their kind");
    let kind: Kind = serde_json::from_slice(&json).map_err(malformed)?;
    let claims: C = serde_json::from_slice(&json).map_err(malformed)?;
    let signature = decode(signature, "signature is not base64")?;
    let signed = header.len() + 1 + body.len();
    let signed = token.as_bytes().get(..signed).unwrap_or_default();
    let issuer = KeyPair::from_public_key(claims.issuer()).map_err(|_| JwtError::Signature)?;
    issuer
        .verify(signed, &signature)
        .map_err(|_| JwtError::Signature)?;
    Ok((claims, kind))
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
        assert_eq!(UserClaims::decode(&forged), Err(JwtError::Signature));
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
    fn layout_1_is_refused_by_name() {
        let account = KeyPair::new_account();
        let sign = |header: &str, body: &str| {
            let signed = format!(
                "{}.{}",
                URL_SAFE_NO_PAD.encode(header),
                URL_SAFE_NO_PAD.encode(body)
            );
            let signature = account.sign(signed.as_bytes()).unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        };
        let iss = account.public_key();
        let old = sign(
            r#"{"typ":"jwt","alg":"ed25519"}"#,
            &format!(r#"{{"iss":"{iss}","type":"user","nats":{{}}}}"#),
        );
        assert_eq!(UserClaims::decode(&old), Err(JwtError::Version(1)));
        let newer = sign(
            r#"{"typ":"JWT","alg":"ed25519-nkey"}"#,
            &format!(r#"{{"iss":"{iss}","nats":{{"type":"user","version":3}}}}"#),
        );
        assert_eq!(UserClaims::decode(&newer), Err(JwtError::Version(3)));
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
