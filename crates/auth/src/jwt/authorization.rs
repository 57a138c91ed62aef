use std::fmt;

use nkeys::{KeyPair, KeyPairType};
use serde::{Deserialize, Serialize};

use super::token::{Claims, ClaimsBody, JwtError};

/// What a server asks an authorization service (ADR-26).
pub type AuthorizationRequestClaims = Claims<AuthorizationRequest>;

/// What the service answers.
pub type AuthorizationResponseClaims = Claims<AuthorizationResponse>;

/// A login to be decided on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// Who asks.
    pub server_id: ServerId,
    /// The key that the answer must be about.
    pub user_nkey: String,
    /// The connection.
    pub client_info: ClientInformation,
    /// What it has presented.
    pub connect_opts: PresentedOptions,
    /// Its certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_tls: Option<ClientTls>,
}

impl ClaimsBody for AuthorizationRequest {
    const TYPE: &'static str = "authorization_request";
    const ISSUERS: &'static [KeyPairType] = &[KeyPairType::Server];
}

/// The asking server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerId {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub host: String,
    /// Its public key.
    pub id: String,
    /// The nats-server version that it announces.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Its cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// Its tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its public curve key, if the request is encrypted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub xkey: String,
}

/// The connection that wants in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientInformation {
    /// Its address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Its number.
    #[serde(skip_serializing_if = "is_zero")]
    pub id: u64,
    /// The user by whatever it was given: name, key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// What it calls itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Tags of its user's claims.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Name in its user's claims.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name_tag: String,
    /// `Client`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// `nats` or `websocket`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub r#type: String,
    /// The challenge that it has signed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nonce: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What CONNECT has presented. `Debug` shows names, never secrets.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PresentedOptions {
    /// A user's claims.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwt: String,
    /// A public key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nkey: String,
    /// The signed nonce.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sig: String,
    /// A token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub auth_token: String,
    /// A user's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Its password.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pass: String,
    /// What it calls itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The client library's language.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lang: String,
    /// The client library's version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// 0 or 1.
    pub protocol: i64,
}

impl fmt::Debug for PresentedOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedOptions")
            .field("user", &self.user)
            .field("nkey", &self.nkey)
            .finish_non_exhaustive()
    }
}

/// A TLS connection's certificates, each as PEM.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientTls {
    /// `1.2` or `1.3`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The cipher suite.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cipher: String,
    /// Certificates that were presented and not verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certs: Vec<String>,
    /// Chains from the presented certificate to a root.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verified_chains: Vec<Vec<String>>,
}

/// The service's decision: claims of a user, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthorizationResponse {
    /// A user's claims as a token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwt: String,
    /// Why the login is refused.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// The account, if [`Claims::issuer`] is one of its signing keys.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer_account: String,
}

impl ClaimsBody for AuthorizationResponse {
    const TYPE: &'static str = "authorization_response";
    const ISSUERS: &'static [KeyPairType] = &[KeyPairType::Account];
}

impl AuthorizationResponseClaims {
    /// What contradicts itself.
    ///
    /// # Errors
    /// The first contradiction, in nats-server's words.
    pub fn validate(&self) -> Result<(), JwtError> {
        let invalid = |text: &str| Err(JwtError::Invalid(text.to_owned()));
        let is_server = KeyPair::from_public_key(&self.audience)
            .is_ok_and(|key| key.key_pair_type() == KeyPairType::Server);
        let response = &self.nats;
        if !crate::is_user_nkey(&self.subject) {
            return invalid("Subject must be a user public key");
        }
        if !is_server {
            return invalid("Audience must be a server public key");
        }
        match (response.error.is_empty(), response.jwt.is_empty()) {
            (true, true) => return invalid("Error or Jwt is required"),
            (false, false) => return invalid("Only Error or Jwt can be set"),
            _ => {}
        }
        if !response.issuer_account.is_empty() && !crate::is_account_nkey(&response.issuer_account)
        {
            return invalid("issuer_account is not an account public key");
        }
        Ok(())
    }
}
