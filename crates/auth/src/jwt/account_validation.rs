use jiff::Timestamp;

use super::account::{AccountClaims, WeightedMapping};
use super::account_limits::JetStreamLimits;
use super::sharing::Export;
use super::signing_key::SigningKey;
use super::token::JwtError;

impl AccountClaims {
    /// What contradicts itself, and whether the claims hold at `now`.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn validate(&self, now: Timestamp) -> Result<(), JwtError> {
        self.check_times(now)?;
        self.first_contradiction()
            .map_or(Ok(()), |text| Err(JwtError::Invalid(text)))
    }

    pub(super) fn first_contradiction(&self) -> Option<String> {
        let account = &self.nats;
        let limits = &account.limits;
        if !crate::is_account_nkey(&self.subject) {
            return Some("expected subject to be account public key".to_owned());
        }
        let imported = account.imports.iter().map(|import| &import.subject);
        let exported = account.exports.iter().map(|export| &export.subject);
        let mapped = account.mappings.iter().flat_map(|(source, mappings)| {
            std::iter::once(source).chain(mappings.iter().map(|mapping| &mapping.subject))
        });
        if let Some(text) = imported
            .chain(exported)
            .chain(mapped)
            .find_map(|subject| wrong_subject(subject))
        {
            return Some(text);
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

/// What is wrong with a subject in claims, in the words of nats-server 2.15.1.
fn wrong_subject(subject: &str) -> Option<String> {
    if subject.is_empty() {
        Some("subject cannot be empty".to_owned())
    } else if subject.contains(' ') {
        Some(format!("subject {subject:?} cannot have spaces"))
    } else if subject.starts_with('.') || subject.ends_with('.') {
        Some(format!(
            "subject {subject:?} cannot start or end with a `.`"
        ))
    } else if subject.contains("..") {
        Some(format!(
            "subject {subject:?} cannot contain consecutive `.`"
        ))
    } else {
        None
    }
}
