//! Signed claims, nkeys, and texts with secrets in them.
//!
//! `{O}`, `{A}` and `{U}` in an input stand for the public keys that sign it, so that it gets past its signature.

#![no_main]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jetsled_auth::jwt::{
    AccountClaims, ActivationClaims, AuthorizationRequestClaims, AuthorizationResponseClaims,
    JwtLogin, OperatorClaims, Proof, TrustedOperators, UserClaims, decode_generic, undecorate,
};
use jetsled_auth::{
    CertificateNames, ConnectionFacts, ConnectionType, PublicKeyKind, REDACTED, is_account_nkey,
    is_any_public_nkey, is_public_nkey, is_user_nkey, redacted,
};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use nkeys::{KeyPair, KeyPairType};

struct Keys {
    operator: KeyPair,
    account: KeyPair,
    user: KeyPair,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = |kind| KeyPair::new_from_raw(kind, [7; 32]).expect("32 bytes");
    Keys {
        operator: key(KeyPairType::Operator),
        account: key(KeyPairType::Account),
        user: key(KeyPairType::User),
    }
});

fuzz_target!(|data: &[u8]| {
    let _ = CertificateNames::from_der(data);
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let _ = (
        is_account_nkey(text),
        is_user_nkey(text),
        is_any_public_nkey(text),
    );
    let _ = is_public_nkey(text, PublicKeyKind::Curve);
    let _ = is_public_nkey(text, PublicKeyKind::Operator);
    let shown = redacted(text);
    assert!(shown == text || shown.contains(REDACTED));
    all(undecorate(text));
    for key in [&KEYS.operator, &KEYS.account] {
        for header in [
            r#"{"typ":"JWT","alg":"ed25519-nkey"}"#,
            r#"{"typ":"jwt","alg":"ed25519"}"#,
        ] {
            all(&signed(header, text, key));
        }
    }
});

fn signed(header: &str, claims: &str, key: &KeyPair) -> String {
    let claims = claims
        .replace("{O}", &KEYS.operator.public_key())
        .replace("{A}", &KEYS.account.public_key())
        .replace("{U}", &KEYS.user.public_key());
    let claims = URL_SAFE_NO_PAD.encode(claims);
    let both = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header));
    // The older layout signs the claims alone.
    let signs = if header.contains("nkey") {
        &both
    } else {
        &claims
    };
    let signature = key.sign(signs.as_bytes()).expect("a seed");
    format!("{both}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn all(token: &str) {
    let now = Timestamp::UNIX_EPOCH;
    let _ = decode_generic(token);
    let _ = ActivationClaims::decode(token);
    let _ = AuthorizationRequestClaims::decode(token);
    if let Ok(response) = AuthorizationResponseClaims::decode(token) {
        let _ = response.validate();
    }
    if let Ok(operator) = OperatorClaims::decode(token) {
        let _ = operator.validate();
        let _ = operator.admits_server("2.15.1");
        let _ = TrustedOperators::new(&[operator], &[]);
    }
    let account = AccountClaims::decode(token);
    if let Ok(account) = &account {
        let _ = account.validate(now);
        let _ = account.default_permissions();
        let _ = account.jetstream_limits();
        let _ = account.revokes(&KEYS.user.public_key(), 1);
    }
    if let Ok(user) = UserClaims::decode(token) {
        let _ = user.validate(now);
        let facts = ConnectionFacts {
            kind: ConnectionType::Standard,
            remote: None,
            certificate: None,
        };
        let _ = user.identity(&facts, now);
        let account = account.unwrap_or_else(|_| account_of(&KEYS.account));
        let login = JwtLogin {
            user: &user,
            account: &account,
            trusted: &TrustedOperators::new(&[], &[KEYS.operator.public_key()]),
        };
        let _ = login.authenticate(Proof::Vouched, &facts, now);
    }
}

fn account_of(key: &KeyPair) -> AccountClaims {
    let claims =
        r#"{"iss":"{O}","sub":"{A}","nats":{"type":"account","version":2,"limits":{"subs":-1}}}"#;
    let header = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;
    let token = signed(
        header,
        &claims.replace("{A}", &key.public_key()),
        &KEYS.operator,
    );
    AccountClaims::decode(&token).expect("an account")
}
