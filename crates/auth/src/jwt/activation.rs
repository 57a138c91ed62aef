use nkeys::KeyPairType;
use serde::{Deserialize, Serialize};

use super::layout_1::{self, ActivationLayout1};
use super::sharing::TransferType;
use super::token::{Claims, ClaimsBody, JwtError};

/// An exporting account's leave for one importing account ([`Claims::subject`]).
pub type ActivationClaims = Claims<Activation>;

/// What may be imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// The exported subject.
    #[serde(default)]
    pub subject: String,
    /// How.
    pub kind: TransferType,
    /// The exporting account, if [`Claims::issuer`] is one of its signing keys.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer_account: String,
}

impl ClaimsBody for Activation {
    const TYPE: &'static str = "activation";
    const ISSUERS: &'static [KeyPairType] = &[KeyPairType::Account, KeyPairType::Operator];

    fn from_layout_1(json: &[u8]) -> Result<Self, JwtError> {
        layout_1::read::<ActivationLayout1>(json).and_then(Self::try_from)
    }
}
