use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use nkeys::KeyPair;

use super::*;
use crate::ConnectionTypes;

const NONCE: &[u8] = b"abcdefghijklmno";

fn user(name: &str, password: &str, account: &str) -> User {
    User {
        credential: UserCredential::Password {
            user: name.to_owned(),
            password: password.into(),
        },
        account: account.into(),
        permissions: None,
        connection_types: ConnectionTypes::default(),
        proxy_required: false,
    }
}

fn nkey_user(key: &KeyPair) -> User {
    User {
        credential: UserCredential::Nkey(key.public_key()),
        ..user("", "", "APP")
    }
}

fn standard() -> ConnectionFacts<'static> {
    ConnectionFacts {
        kind: ConnectionType::Standard,
        remote: None,
        certificate: None,
    }
}

#[track_caller]
fn check(
    config: AuthConfig,
    presented: ConnectCredentials<'_>,
    expected: Result<(Option<&str>, &str), AuthError>,
) {
    let authenticator = Authenticator::new(config).unwrap();
    let got = authenticator.authenticate(&presented, NONCE, &standard());
    let got = got.map(|identity| {
        (
            identity.user.map(|user| user.to_string()),
            identity.account.to_string(),
        )
    });
    assert_eq!(
        got,
        expected.map(|(user, account)| (user.map(str::to_owned), account.to_owned()))
    );
}

fn by_name<'a>(user: &'a str, password: &'a str) -> ConnectCredentials<'a> {
    ConnectCredentials {
        user: Some(user),
        password: Some(password),
        ..ConnectCredentials::default()
    }
}

#[test]
fn without_configured_users_everyone_is_in_the_global_account() {
    check(
        AuthConfig::default(),
        ConnectCredentials::default(),
        Ok((None, "$G")),
    );
    check(
        AuthConfig::default(),
        by_name("who", "ever"),
        Ok((Some("who"), "$G")),
    );
}

#[test]
fn users_are_told_apart_by_name_and_password() {
    let config = || AuthConfig {
        users: vec![user("a", "pa", "$G"), user("b", "pb", "APP")],
        ..AuthConfig::default()
    };
    check(config(), by_name("a", "pa"), Ok((Some("a"), "$G")));
    check(config(), by_name("b", "pb"), Ok((Some("b"), "APP")));
    check(
        config(),
        by_name("a", "pb"),
        Err(AuthError::User("a".into())),
    );
    check(
        config(),
        by_name("c", "pa"),
        Err(AuthError::User("c".into())),
    );
    check(
        config(),
        ConnectCredentials::default(),
        Err(AuthError::NoCredentials),
    );
}

#[test]
fn hashes_are_slow_and_plain_passwords_are_not() {
    let hash = bcrypt::hash("pa", 4).unwrap();
    let config = AuthConfig {
        users: vec![user("h", &hash, "$G"), user("p", "pa", "$G")],
        ..AuthConfig::default()
    };
    let authenticator = Authenticator::new(config.clone()).unwrap();
    assert!(authenticator.is_slow_for(&by_name("h", "pa"), &standard()));
    assert!(!authenticator.is_slow_for(&by_name("p", "pa"), &standard()));
    assert!(!authenticator.is_slow_for(&by_name("nobody", "pa"), &standard()));
    check(config.clone(), by_name("h", "pa"), Ok((Some("h"), "$G")));
    check(config, by_name("h", "pb"), Err(AuthError::User("h".into())));
}

#[test]
fn a_single_user_or_token_admits_to_the_global_account() {
    let token = || AuthConfig {
        single: Some(SingleCredential::Token("t0".into())),
        ..AuthConfig::default()
    };
    let presented = |token| ConnectCredentials {
        token: Some(token),
        ..ConnectCredentials::default()
    };
    check(token(), presented("t0"), Ok((None, "$G")));
    check(token(), presented("t1"), Err(AuthError::NoCredentials));
    check(
        token(),
        ConnectCredentials::default(),
        Err(AuthError::NoCredentials),
    );
    let single = || AuthConfig {
        single: Some(SingleCredential::User {
            user: "u".into(),
            password: "p".into(),
        }),
        ..AuthConfig::default()
    };
    check(single(), by_name("u", "p"), Ok((Some("u"), "$G")));
    check(
        single(),
        by_name("u", "q"),
        Err(AuthError::User("u".into())),
    );
    check(
        single(),
        by_name("v", "p"),
        Err(AuthError::User("v".into())),
    );
}

#[test]
fn an_nkey_is_proven_by_signing_the_nonce() {
    let key = KeyPair::new_user();
    let config = || AuthConfig {
        users: vec![nkey_user(&key)],
        ..AuthConfig::default()
    };
    assert!(Authenticator::new(config()).unwrap().needs_nonce());
    let public = key.public_key();
    let refused = || Err(AuthError::Nkey(public.clone()));
    fn presented<'a>(key: &'a str, signature: &'a str) -> ConnectCredentials<'a> {
        ConnectCredentials {
            nkey: Some(key),
            signature: Some(signature),
            ..ConnectCredentials::default()
        }
    }
    let signature = key.sign(NONCE).unwrap();
    check(
        config(),
        presented(&public, &URL_SAFE_NO_PAD.encode(&signature)),
        Ok((Some(&public), "APP")),
    );
    let padded = base64::engine::general_purpose::STANDARD.encode(&signature);
    check(
        config(),
        presented(&public, &padded),
        Ok((Some(&public), "APP")),
    );
    check(
        config(),
        presented(
            &public,
            &URL_SAFE_NO_PAD.encode(key.sign(b"other").unwrap()),
        ),
        refused(),
    );
    check(config(), presented(&public, "not base64!"), refused());
    check(config(), presented(&public, ""), refused());
    let stranger = KeyPair::new_user().public_key();
    let presented = ConnectCredentials {
        nkey: Some(&stranger),
        ..ConnectCredentials::default()
    };
    check(config(), presented, Err(AuthError::Nkey(stranger.clone())));
}

#[test]
fn no_auth_user_stands_in_for_missing_credentials_only() {
    let config = || AuthConfig {
        users: vec![user("a", "pa", "APP")],
        no_auth_user: Some("a".into()),
        ..AuthConfig::default()
    };
    check(
        config(),
        ConnectCredentials::default(),
        Ok((Some("a"), "APP")),
    );
    check(config(), by_name("", ""), Ok((Some("a"), "APP")));
    check(
        config(),
        by_name("a", "wrong"),
        Err(AuthError::User("a".into())),
    );
    let token = ConnectCredentials {
        token: Some("x"),
        ..ConnectCredentials::default()
    };
    check(config(), token, Err(AuthError::NoCredentials));
}

#[test]
fn who_presents_only_claims_a_signature_or_a_useless_nkey_is_no_auth_user() {
    let (known, stranger) = (KeyPair::new_user(), KeyPair::new_user().public_key());
    let named = AuthConfig {
        users: vec![user("a", "pa", "APP")],
        no_auth_user: Some("a".into()),
        ..AuthConfig::default()
    };
    let unsigned = ConnectCredentials {
        jwt: Some("x"),
        signature: Some("x"),
        ..ConnectCredentials::default()
    };
    let by_key = |key| ConnectCredentials {
        nkey: Some(key),
        ..unsigned
    };
    check(named.clone(), unsigned, Ok((Some("a"), "APP")));
    check(named.clone(), by_key(&stranger), Ok((Some("a"), "APP")));

    let mut with_nkeys = named;
    with_nkeys.users.push(nkey_user(&known));
    check(
        with_nkeys.clone(),
        by_key(&stranger),
        Err(AuthError::Nkey(stranger.clone())),
    );
    let public = known.public_key();
    check(
        with_nkeys.clone(),
        by_key(&public),
        Err(AuthError::Nkey(public.clone())),
    );
    with_nkeys.no_auth_user = Some(public.clone());
    check(with_nkeys, by_key(&public), Ok((Some(&public), "APP")));
}

#[test]
fn connection_types_are_kept_to() {
    let mut websocket_only = user("a", "pa", "$G");
    websocket_only
        .connection_types
        .insert(ConnectionType::Websocket);
    let config = AuthConfig {
        users: vec![websocket_only],
        ..AuthConfig::default()
    };
    check(
        config,
        by_name("a", "pa"),
        Err(AuthError::ConnectionType("a".into())),
    );
}

#[test]
fn default_permissions_are_those_of_the_users_account() {
    let permissions = |allow: &str| Permissions {
        publish: Some(crate::SubjectPermission {
            allow: vec![allow.into()],
            deny: vec![],
        }),
        ..Permissions::default()
    };
    let config = AuthConfig {
        users: vec![
            user("g", "", "$G"),
            user("app", "", "APP"),
            user("free", "", "FREE"),
        ],
        default_permissions: Some(permissions("global")),
        account_default_permissions: HashMap::from([("APP".into(), permissions("app"))]),
        ..AuthConfig::default()
    };
    let authenticator = Authenticator::new(config).unwrap();
    let may_publish = |name, subject: &[u8]| {
        let identity = authenticator
            .authenticate(&by_name(name, ""), NONCE, &standard())
            .unwrap();
        identity
            .permissions
            .is_none_or(|permissions| permissions.may_publish(subject))
    };
    assert!(may_publish("g", b"global") && !may_publish("g", b"app"));
    assert!(may_publish("app", b"app") && !may_publish("app", b"global"));
    assert!(may_publish("free", b"app") && may_publish("free", b"global"));
}

#[test]
fn users_that_cannot_be_told_apart_are_refused() {
    let build = |config| Authenticator::new(config).map(drop);
    let twice = AuthConfig {
        users: vec![user("a", "1", "$G"), user("a", "2", "APP")],
        ..AuthConfig::default()
    };
    assert_eq!(
        build(twice),
        Err(AuthConfigError::DuplicateUser("a".into()))
    );
    let missing = AuthConfig {
        users: vec![user("a", "1", "$G")],
        no_auth_user: Some("b".into()),
        ..AuthConfig::default()
    };
    assert_eq!(
        build(missing),
        Err(AuthConfigError::UnknownNoAuthUser("b".into()))
    );
    let alone = AuthConfig {
        no_auth_user: Some("b".into()),
        ..AuthConfig::default()
    };
    assert_eq!(
        build(alone),
        Err(AuthConfigError::NoAuthUserWithoutUsers("b".into()))
    );
    let account_key = AuthConfig {
        users: vec![nkey_user(&KeyPair::new_account())],
        ..AuthConfig::default()
    };
    assert_eq!(build(account_key), Err(AuthConfigError::InvalidNkey));
}

#[test]
fn secrets_never_reach_debug_output() {
    let config = AuthConfig {
        users: vec![user("a", "hunter2", "$G")],
        single: Some(SingleCredential::Token("hunter2".into())),
        ..AuthConfig::default()
    };
    let presented = ConnectCredentials {
        token: Some("hunter2"),
        jwt: Some("hunter2"),
        ..by_name("a", "hunter2")
    };
    let shown = format!(
        "{config:?} {presented:?} {:?}",
        Authenticator::new(config.clone()).unwrap()
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}
