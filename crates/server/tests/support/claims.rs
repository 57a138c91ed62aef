//! Operators, accounts and users as tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jetsled_auth::jwt::{
    Account, AccountClaims, Claims, JwtUser, Operator, OperatorClaims, UserClaims,
};
use jetsled_config::{Options, ResolverOptions};
use jetsled_testkit::Peer;
use nkeys::KeyPair;

/// An operator with a system account and one other.
pub(crate) struct World {
    pub(crate) operator: KeyPair,
    pub(crate) system: KeyPair,
    pub(crate) account: KeyPair,
    /// Grows with each token, so that later ones are newer.
    pub(crate) issued_at: i64,
}

/// A user with its token.
pub(crate) struct WorldUser {
    pub(crate) key: KeyPair,
    pub(crate) token: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            operator: KeyPair::new_operator(),
            system: KeyPair::new_account(),
            account: KeyPair::new_account(),
            issued_at: 1_700_000_000,
        }
    }

    pub(crate) fn operator_claims(&self) -> OperatorClaims {
        let nats = Operator {
            system_account: self.system.public_key(),
            ..Operator::default()
        };
        self.claims(&self.operator, &self.operator, nats)
    }

    pub(crate) fn claims<B>(&self, issuer: &KeyPair, subject: &KeyPair, nats: B) -> Claims<B> {
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
    pub(crate) fn account_claims(&self, account: &KeyPair) -> AccountClaims {
        let mut nats = Account::default();
        let limits = &mut nats.limits;
        (limits.subs, limits.payload, limits.data) = (-1, -1, -1);
        (limits.conn, limits.leaf) = (-1, -1);
        (limits.imports, limits.exports) = (-1, -1);
        self.claims(&self.operator, account, nats)
    }

    pub(crate) fn account_token(&self, change: impl FnOnce(&mut AccountClaims)) -> String {
        let mut claims = self.account_claims(&self.account);
        change(&mut claims);
        claims.encode(&self.operator).unwrap()
    }

    /// A user of an account without limits.
    pub(crate) fn user_of(
        &self,
        account: &KeyPair,
        change: impl FnOnce(&mut UserClaims),
    ) -> WorldUser {
        let key = KeyPair::new_user();
        let mut nats = JwtUser::default();
        (nats.limits.subs, nats.limits.data, nats.limits.payload) = (-1, -1, -1);
        let mut claims = self.claims(account, &key, nats);
        change(&mut claims);
        let token = claims.encode(account).unwrap();
        WorldUser { key, token }
    }

    pub(crate) fn user(&self) -> WorldUser {
        self.user_of(&self.account, |_| {})
    }

    /// Operator mode with both accounts preloaded.
    pub(crate) fn configure(&self, options: &mut Options, account: String) {
        options.operator.operators = vec![self.operator_claims()];
        options.system_account = Some(self.system.public_key());
        options.operator.resolver = Some(ResolverOptions::Memory);
        let system = self.account_claims(&self.system);
        options.operator.preload = [
            (
                self.system.public_key(),
                system.encode(&self.operator).unwrap(),
            ),
            (self.account.public_key(), account),
        ]
        .into();
    }
}

impl WorldUser {
    /// Reads INFO and sends CONNECT with the signed nonce, and PING.
    #[track_caller]
    pub(crate) fn log_in(&self, address: std::net::SocketAddr) -> Peer {
        let mut peer = Peer::connect(address).unwrap();
        let info = peer.line().unwrap();
        let info: serde_json::Value =
            serde_json::from_str(info.trim_start_matches("INFO ")).unwrap();
        let nonce = info["nonce"].as_str().expect("a nonce in INFO");
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(nonce.as_bytes()).unwrap());
        let connect = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1,\"jwt\":\"{}\",\"sig\":\"{signature}\"}}\r\nPING\r\n",
            self.token
        );
        peer.send(connect).unwrap();
        peer
    }

    #[track_caller]
    pub(crate) fn connected(&self, address: std::net::SocketAddr) -> Peer {
        let mut peer = self.log_in(address);
        peer.expect("PONG\r\n");
        peer
    }
}
