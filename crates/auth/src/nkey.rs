//! The signature of a connection's nonce.

use base64::{Engine, engine::general_purpose};
use nkeys::{KeyPair, KeyPairType, XKey};

/// Whether `signature` (base64, raw-URL or padded standard) is `public_key`'s over the nonce's ASCII bytes.
pub(crate) fn signed_by(public_key: &str, signature: &str, nonce: &[u8]) -> bool {
    let decoded = general_purpose::URL_SAFE_NO_PAD
        .decode(signature)
        .or_else(|_| general_purpose::STANDARD.decode(signature));
    let (Ok(signature), Ok(key)) = (decoded, KeyPair::from_public_key(public_key)) else {
        return false;
    };
    key.verify(nonce, &signature).is_ok()
}

/// Kinds of public key that a configuration names, beside users' and accounts'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicKeyKind {
    /// `O...`
    Operator,
    /// `X...`: an x25519 key.
    Curve,
}

/// Whether the text is a public key of this kind.
pub fn is_public_nkey(text: &str, kind: PublicKeyKind) -> bool {
    match kind {
        PublicKeyKind::Operator => KeyPair::from_public_key(text)
            .is_ok_and(|key| key.key_pair_type() == KeyPairType::Operator),
        PublicKeyKind::Curve => XKey::from_public_key(text).is_ok(),
    }
}

/// Whether the text is a public key of a kind that signs.
pub fn is_any_public_nkey(text: &str) -> bool {
    KeyPair::from_public_key(text).is_ok()
}

/// Whether the text is the public key of a user (`U...`).
pub fn is_user_nkey(text: &str) -> bool {
    KeyPair::from_public_key(text).is_ok_and(|key| key.key_pair_type() == KeyPairType::User)
}

/// Whether the text is the public key of an account (`A...`).
pub fn is_account_nkey(text: &str) -> bool {
    KeyPair::from_public_key(text).is_ok_and(|key| key.key_pair_type() == KeyPairType::Account)
}
