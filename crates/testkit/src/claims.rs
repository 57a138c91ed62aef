//! Operators, accounts and users as tokens.
#![expect(clippy::missing_panics_doc, reason = "claims of tests can be signed")]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jetsled_auth::jwt::{
    Account, AccountClaims, Claims, JwtUser, Operator, OperatorClaims, UserClaims,
};
use nkeys::KeyPair;

use crate::Peer;

/// An operator with a system account and one other.
#[derive(Debug)]
pub struct World {
    /// The operator's key.
    pub operator: KeyPair,
    /// The system account's.
    pub system: KeyPair,
    /// The other account's.
    pub account: KeyPair,
    /// Grows with each token, so that later ones are newer.
    pub issued_at: i64,
}

/// A user with its token.
#[derive(Debug)]
pub struct WorldUser {
    /// Signs nonces.
    pub key: KeyPair,
    /// Its claims, signed by its account.
    pub token: String,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// With keys that nobody else has.
    pub fn new() -> Self {
        Self {
            operator: KeyPair::new_operator(),
            system: KeyPair::new_account(),
            account: KeyPair::new_account(),
            issued_at: 1_700_000_000,
        }
    }

    /// Of an operator with one key.
    pub fn operator_claims(&self) -> OperatorClaims {
        let nats = Operator {
            system_account: self.system.public_key(),
            ..Operator::default()
        };
        self.claims(&self.operator, &self.operator, nats)
    }

    /// Any claims that hold for ever.
    pub fn claims<B>(&self, issuer: &KeyPair, subject: &KeyPair, nats: B) -> Claims<B> {
        Claims {
            audience: String::new(),
            expires: 0,
            id: "id".to_owned(),
            issued_at: self.issued_at,
            issuer: issuer.public_key(),
            name: "name".to_owned(),
            not_before: 0,
            subject: subject.public_key(),
            nats,
        }
    }

    /// An account without limits.
    pub fn account_claims(&self, account: &KeyPair) -> AccountClaims {
        let mut nats = Account::default();
        let limits = &mut nats.limits;
        (limits.subs, limits.payload, limits.data) = (-1, -1, -1);
        (limits.conn, limits.leaf) = (-1, -1);
        (limits.imports, limits.exports) = (-1, -1);
        self.claims(&self.operator, account, nats)
    }

    /// The token of the other account, as `change` leaves it.
    pub fn account_token(&self, change: impl FnOnce(&mut AccountClaims)) -> String {
        let mut claims = self.account_claims(&self.account);
        change(&mut claims);
        claims.encode(&self.operator).expect("claims")
    }

    /// A user of an account without limits.
    pub fn user_of(&self, account: &KeyPair, change: impl FnOnce(&mut UserClaims)) -> WorldUser {
        let key = KeyPair::new_user();
        let mut nats = JwtUser::default();
        (nats.limits.subs, nats.limits.data, nats.limits.payload) = (-1, -1, -1);
        let mut claims = self.claims(account, &key, nats);
        change(&mut claims);
        let token = claims.encode(account).expect("claims");
        WorldUser { key, token }
    }

    /// A user of the other account.
    pub fn user(&self) -> WorldUser {
        self.user_of(&self.account, |_| {})
    }

    /// Both accounts' tokens by their public keys; `account` is that of the other one.
    pub fn tokens(&self, account: String) -> BTreeMap<String, String> {
        let system = self.account_claims(&self.system);
        let system = system.encode(&self.operator).expect("claims");
        [
            (self.system.public_key(), system),
            (self.account.public_key(), account),
        ]
        .into()
    }

    /// The same as a configuration file, with accounts' tokens found as `resolver` says.
    pub fn config(&self, resolver: &str, account: String) -> String {
        let operator = self
            .operator_claims()
            .encode(&self.operator)
            .expect("claims");
        let preload: Vec<String> = self
            .tokens(account)
            .into_iter()
            .map(|(key, token)| format!("{key}: {token}"))
            .collect();
        format!(
            "operator: {}\nsystem_account: {}\nresolver: {resolver}\nresolver_preload: {{ {} }}\n",
            operator,
            self.system.public_key(),
            preload.join(", ")
        )
    }
}

impl WorldUser {
    /// CONNECT's fields for a server that has sent this INFO line.
    pub fn fields(&self, info: &str) -> String {
        let info = info.trim_start_matches("INFO ");
        let info: serde_json::Value = serde_json::from_str(info).expect("INFO is JSON");
        let nonce = info["nonce"].as_str().expect("a nonce in INFO");
        let signature = self.key.sign(nonce.as_bytes()).expect("a seed");
        let signature = URL_SAFE_NO_PAD.encode(signature);
        format!(r#""jwt":"{}","sig":"{signature}""#, self.token)
    }

    /// Reads INFO and sends CONNECT with the signed nonce, and PING.
    ///
    /// # Panics
    ///
    /// When the server is not there.
    #[track_caller]
    pub fn log_in(&self, address: SocketAddr) -> Peer {
        let mut peer = Peer::connect(address).expect("it listens");
        let fields = self.fields(&peer.line().expect("INFO"));
        let connect = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1,{fields}}}\r\nPING\r\n"
        );
        peer.send(connect).expect("sent");
        peer
    }

    /// Logs in and waits for the PONG.
    ///
    /// # Panics
    ///
    /// When the login is refused.
    #[track_caller]
    pub fn connected(&self, address: SocketAddr) -> Peer {
        let mut peer = self.log_in(address);
        peer.expect("PONG\r\n");
        peer
    }
}
