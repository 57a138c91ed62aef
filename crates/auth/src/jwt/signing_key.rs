use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::user::UserPermissionLimits;

/// A key that signs users of an account.
#[derive(Debug, Clone, PartialEq)]
pub enum SigningKey {
    /// Signs users with whatever permissions.
    Plain(String),
    /// Signs users that take the scope's permissions.
    Scoped(Box<UserScope>),
}

impl SigningKey {
    /// The public key.
    pub fn key(&self) -> &str {
        match self {
            Self::Plain(key) => key,
            Self::Scoped(scope) => &scope.key,
        }
    }
}

/// A signing key with the permissions and limits of all users that it signs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UserScope {
    pub(super) kind: String,
    /// The public key.
    pub key: String,
    /// A name for people.
    pub role: String,
    /// What the users get; subjects may hold `{{name()}}` and the like.
    #[serde(deserialize_with = "template")]
    pub template: UserPermissionLimits,
    /// For people.
    pub description: String,
}

/// A template that does not speak of a limit has none.
fn template<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UserPermissionLimits, D::Error> {
    let mut value = serde_json::Map::<String, serde_json::Value>::deserialize(deserializer)?;
    for limit in ["subs", "data", "payload"] {
        value.entry(limit).or_insert_with(|| (-1).into());
    }
    serde_json::from_value(value.into()).map_err(D::Error::custom)
}

impl<'de> Deserialize<'de> for SigningKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Plain(String),
            Scoped(Box<UserScope>),
        }
        match Either::deserialize(deserializer)? {
            Either::Plain(key) => Ok(Self::Plain(key)),
            Either::Scoped(scope) if scope.kind == USER_SCOPE => Ok(Self::Scoped(scope)),
            Either::Scoped(scope) => Err(D::Error::custom(format!(
                "unknown signing key scope {:?}",
                scope.kind
            ))),
        }
    }
}

impl Serialize for SigningKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(key) => key.serialize(serializer),
            Self::Scoped(scope) => scope.serialize(serializer),
        }
    }
}

const USER_SCOPE: &str = "user_scope";

/// By which of an account's keys a user was signed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Signer<'a> {
    Plain,
    Scoped(&'a UserScope),
}
