use std::collections::HashSet;

use nkeys::{KeyPair, KeyPairType};
use serde::{Deserialize, Serialize};

use super::layout_1::{self, OperatorLayout1};
use super::token::{Claims, ClaimsBody, JwtError};

/// An operator's claims.
pub type OperatorClaims = Claims<Operator>;

/// What an operator says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Operator {
    /// Further keys that sign in its name.
    pub signing_keys: Vec<String>,
    /// Where accounts can be fetched: `<url>/accounts/<account>`.
    pub account_server_url: String,
    /// Where tools connect to; of no meaning to a server.
    pub operator_service_urls: Vec<String>,
    /// The system account's public key.
    pub system_account: String,
    /// The oldest server that may run for this operator.
    pub assert_server_version: String,
    /// The operator's own key signs nothing but itself.
    pub strict_signing_key_usage: bool,
}

impl ClaimsBody for Operator {
    const TYPE: &'static str = "operator";
    const ISSUERS: &'static [KeyPairType] = &[KeyPairType::Operator];

    fn from_layout_1(json: &[u8]) -> Result<Self, JwtError> {
        layout_1::read::<OperatorLayout1>(json).map(Self::from)
    }
}

impl OperatorClaims {
    /// What contradicts itself.
    ///
    /// # Errors
    /// [`JwtError::Invalid`] with the first contradiction.
    pub fn validate(&self) -> Result<(), JwtError> {
        let is = |key: &str, kind: KeyPairType| {
            KeyPair::from_public_key(key).is_ok_and(|key| key.key_pair_type() == kind)
        };
        for key in &self.nats.signing_keys {
            if !is(key, KeyPairType::Operator) {
                let text = format!("{key} is not an operator public key");
                return Err(JwtError::Invalid(text));
            }
        }
        let system = &self.nats.system_account;
        if !system.is_empty() && !is(system, KeyPairType::Account) {
            let text = format!("{system} is not an account public key");
            return Err(JwtError::Invalid(text));
        }
        asserted_version(&self.nats.assert_server_version)
            .map(drop)
            .map_err(|text| JwtError::Invalid(format!("assert server version error: {text}")))
    }

    /// Whether a server of `version` (`major.minor.patch`) is new enough.
    pub fn admits_server(&self, version: &str) -> bool {
        match (
            asserted_version(&self.nats.assert_server_version),
            asserted_version(version),
        ) {
            (Ok(Some(asserted)), Ok(Some(version))) => asserted <= version,
            _ => true,
        }
    }
}

fn asserted_version(text: &str) -> Result<Option<(u32, u32, u32)>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let numbers: Vec<u32> = text
        .split('.')
        .map(|part| part.parse().map_err(|_| "not a number"))
        .collect::<Result<_, _>>()?;
    match numbers[..] {
        [major, minor, patch] => Ok(Some((major, minor, patch))),
        _ => Err("asserted server version must be of the form <major>.<minor>.<update>"),
    }
}

/// The keys whose signature makes an account's claims count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedOperators {
    keys: HashSet<String>,
    strict: HashSet<String>,
}

impl TrustedOperators {
    /// Trusts operators by their claims, and by bare public keys (`trusted_keys`).
    pub fn new(operators: &[OperatorClaims], keys: &[String]) -> Self {
        let mut trusted = Self {
            keys: keys.iter().cloned().collect(),
            strict: HashSet::new(),
        };
        for operator in operators {
            let strict = operator.nats.strict_signing_key_usage;
            let own = (!strict).then_some(&operator.subject);
            for key in own.into_iter().chain(&operator.nats.signing_keys) {
                trusted.keys.insert(key.clone());
                if strict {
                    trusted.strict.insert(key.clone());
                }
            }
        }
        trusted
    }

    /// Whether `issuer` may sign accounts.
    pub fn trusts(&self, issuer: &str) -> bool {
        self.keys.contains(issuer)
    }

    /// Whether users of accounts that `issuer` signs must be signed by a signing key, too, not by the account itself.
    pub fn is_strict(&self, issuer: &str) -> bool {
        self.strict.contains(issuer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(strict: bool, signing_keys: &[&str]) -> OperatorClaims {
        OperatorClaims {
            audience: String::new(),
            expires: 0,
            id: String::new(),
            issued_at: 0,
            issuer: "O".to_owned(),
            name: String::new(),
            not_before: 0,
            subject: "O".to_owned(),
            nats: Operator {
                signing_keys: signing_keys.iter().map(|&key| key.to_owned()).collect(),
                strict_signing_key_usage: strict,
                ..Operator::default()
            },
        }
    }

    #[test]
    fn a_strict_operator_signs_with_its_signing_keys_only() {
        let lax = TrustedOperators::new(&[operator(false, &["S"])], &[]);
        assert!(lax.trusts("O") && lax.trusts("S") && !lax.is_strict("S"));
        let strict = TrustedOperators::new(&[operator(true, &["S"])], &["K".to_owned()]);
        assert!(!strict.trusts("O") && strict.trusts("S") && strict.is_strict("S"));
        assert!(strict.trusts("K") && !strict.is_strict("K"));
    }

    #[test]
    fn an_operator_may_ask_for_a_newer_server() {
        let mut claims = operator(false, &[]);
        for (asserted, admitted) in [
            ("", true),
            ("2.15.1", true),
            ("2.16.0", false),
            ("3.0.0", false),
        ] {
            claims.nats.assert_server_version = asserted.to_owned();
            assert_eq!(claims.admits_server("2.15.1"), admitted, "{asserted}");
        }
        claims.nats.assert_server_version = "2.1".to_owned();
        assert!(claims.validate().is_err());
    }
}
