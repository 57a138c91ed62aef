//! What nats-server's public advisories were about, as far as it concerns claims, logins and JetStream's API: one test each,
//! named after it. `docs/security.md` has the list.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jetsled_config::DeletePolicy;
use nkeys::KeyPair;
use serde_json::{Value, json};
use support::TestServer;
use support::claims::{World, WorldUser, configure, configure_full};

const REFUSED: &str = "-ERR 'Authorization Violation'\r\n";

/// A token of whatever claims, signed as `signer` would.
fn token(signer: &KeyPair, claims: &Value) -> String {
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let text = format!("{}.{}", encode(&header), encode(claims));
    let signature = signer.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn claims_of(issuer: &str, subject: &str, nats: Value) -> Value {
    json!({"jti": "x", "iat": 1_700_000_000, "iss": issuer, "name": "n", "sub": subject, "nats": nats})
}

#[test]
fn cve_2020_26521_claims_with_holes_are_no_danger() {
    let world = World::new();
    let server =
        TestServer::start(|options| configure(&world, options, world.account_token(|_| {})));
    for nats in [
        json!(null),
        json!([]),
        json!({}),
        json!({"type": "user"}),
        json!({"type": "user", "version": 2, "pub": 5}),
        json!({"type": "user", "version": 2, "sub": {"allow": {"a": "b"}}}),
        json!({"type": "user", "version": 2, "resp": "all", "subs": -1}),
        json!({"type": "user", "version": 2, "times": [null], "src": 7}),
        json!({"type": "user", "version": 2, "times": [{"start": "25:99"}], "subs": -1, "data": -1, "payload": -1}),
        json!({"type": "user", "version": 2, "src": ["nowhere"], "subs": -1, "data": -1, "payload": -1}),
        json!({"type": "user", "version": 2, "subs": 1e300, "payload": "x"}),
        json!({"type": "account", "version": 2}),
        json!({"type": "user", "version": 99}),
        json!({"type": "user", "version": -1}),
    ] {
        let key = KeyPair::new_user();
        let claims = claims_of(&world.account.public_key(), &key.public_key(), nats.clone());
        let token = token(&world.account, &claims);
        let mut peer = WorldUser { key, token }.log_in(server.address);
        assert_eq!(peer.line().unwrap() + "\r\n", REFUSED, "{nats}");
    }
    world.user().connected(server.address);
}

#[test]
fn cve_2020_26892_claims_that_have_ended_or_were_revoked_let_nobody_in() {
    let world = World::new();
    let ended = world.user_of(&world.account, |claims| claims.expires = 1_700_000_001);
    let revoked = world.user();
    let revocation = revoked.key.public_key();
    let account = world.account_token(|claims| {
        claims.nats.revocations = [(revocation, 1_900_000_000)].into();
    });
    let server = TestServer::start(|options| configure(&world, options, account));
    ended.log_in(server.address).expect(REFUSED);
    revoked.log_in(server.address).expect(REFUSED);
    world.user().connected(server.address);
}

#[test]
fn ghsa_g33f_6538_grxh_keys_of_the_wrong_length_are_no_keys() {
    let world = World::new();
    let server =
        TestServer::start(|options| configure(&world, options, world.account_token(|_| {})));
    let account = world.account.public_key();
    let key = KeyPair::new_user();
    let user = key.public_key();
    let nats = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
    let of = |issuer_account: &str| {
        let mut nats = nats.clone();
        nats["issuer_account"] = issuer_account.into();
        nats
    };
    for (issuer, subject, nats) in [
        (&account[..30], &user[..], nats.clone()),
        (&account[..2], &user, nats.clone()),
        ("", &user, nats.clone()),
        ("A", &user, nats.clone()),
        (&account, &user[..55], nats.clone()),
        (&account, "U", nats.clone()),
        (&account, &user, of(&account[..40])),
        (&account, &user, of("A")),
    ] {
        let claims = claims_of(issuer, subject, nats);
        let key = KeyPair::from_seed(&key.seed().unwrap()).unwrap();
        let token = token(&world.account, &claims);
        WorldUser { key, token }
            .log_in(server.address)
            .expect(REFUSED);
    }
    let claims = claims_of(&account, &user, nats);
    let token = token(&world.account, &claims);
    WorldUser { key, token }.connected(server.address);
}

/// Names of files come from public keys only.
#[test]
fn cve_2022_28357_no_claims_name_a_file_elsewhere() {
    let world = World::new();
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("a").join("jwt");
    let server = TestServer::start(|options| {
        configure_full(
            &world,
            options,
            world.account_token(|_| {}),
            &dir,
            DeletePolicy::Remove,
        );
    });
    let mut admin = world
        .user_of(&world.system, |_| {})
        .connected(server.address);
    admin.line().unwrap();
    let operator = world.operator.public_key();
    for subject in [
        "../evil",
        "../../evil",
        "/tmp/evil",
        "A/../../evil",
        "",
        "A",
    ] {
        let nats = json!({"type": "account", "version": 2, "limits": {"subs": -1, "conn": -1}});
        let token = token(&world.operator, &claims_of(&operator, subject, nats));
        let answer = admin
            .request("$SYS.REQ.CLAIMS.UPDATE", token.as_bytes())
            .unwrap();
        let answer = String::from_utf8_lossy(&answer.payload).into_owned();
        assert!(answer.contains("\"error\""), "{subject}: {answer}");
        let nats = json!({"accounts": [subject], "type": "generic", "version": 2});
        let delete = self::token(&world.operator, &claims_of(&operator, &operator, nats));
        admin
            .request("$SYS.REQ.CLAIMS.DELETE", delete.as_bytes())
            .unwrap();
    }
    let found = |path: &std::path::Path| std::fs::read_dir(path).unwrap().count();
    assert_eq!(
        (found(outside.path()), found(&outside.path().join("a"))),
        (1, 1)
    );
    for entry in std::fs::read_dir(&dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let key = name.strip_suffix(".jwt").unwrap();
        assert!(jetsled_auth::is_account_nkey(key), "{name}");
    }
}

fn jetstream(users: &str) -> (tempfile::TempDir, TestServer) {
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::configured(&format!(
        "jetstream {{ store_dir: {:?} }}\nauthorization {{ users: [{users}] }}",
        dir.path().display().to_string()
    ));
    (dir, server)
}

#[test]
fn cve_2022_42708_absurd_numbers_of_replicas_are_refused() {
    let (_dir, server) = jetstream("{user: a, password: p}");
    let mut peer = server.connected(r#","user":"a","pass":"p""#, "PONG\r\n");
    for replicas in [
        "-1",
        "2",
        "6",
        "9223372036854775807",
        "-9223372036854775808",
        "1e99",
        "\"3\"",
    ] {
        let config = format!(r#"{{"name":"S","subjects":["s"],"num_replicas":{replicas}}}"#);
        let answer = peer
            .request("$JS.API.STREAM.CREATE.S", config.as_bytes())
            .unwrap();
        let answer = String::from_utf8_lossy(&answer.payload).into_owned();
        assert!(answer.contains("\"error\""), "{replicas}: {answer}");
    }
    let info = peer.request("$JS.API.INFO", b"").unwrap();
    assert!(String::from_utf8_lossy(&info.payload).contains("\"streams\":0"));
}

/// Leave to restore one stream is none to restore another. Also CVE-2022-26652: nothing in a request names a file.
#[test]
fn cve_2026_33222_a_restore_stays_with_its_stream() {
    let (dir, server) = jetstream(
        r#"{user: a, password: p, permissions: {publish: ["$JS.API.STREAM.RESTORE.S", "$JS.API.STREAM.NAMES"], subscribe: "_INBOX.>"}}"#,
    );
    let mut peer = server.connected(r#","user":"a","pass":"p""#, "PONG\r\n");
    for name in ["OTHER", "../S", "S/../../OTHER", "", "S.OTHER"] {
        let request = json!({
            "config": {"name": name, "subjects": ["s"], "retention": "limits", "storage": "file", "num_replicas": 1},
            "state": {"messages": 0, "bytes": 0, "first_seq": 1, "last_seq": 0},
        });
        let body = request.to_string();
        let answer = peer
            .request("$JS.API.STREAM.RESTORE.S", body.as_bytes())
            .unwrap();
        let answer = String::from_utf8_lossy(&answer.payload).into_owned();
        // An empty name is that of the subject.
        assert!(
            answer.contains("\"error\"") || name.is_empty(),
            "{name}: {answer}"
        );
    }
    let names = peer.request("$JS.API.STREAM.NAMES", b"").unwrap();
    assert!(!String::from_utf8_lossy(&names.payload).contains("OTHER"));
    assert!(!dir.path().join("OTHER").exists());
}

/// The other half of CVE-2023-47090: what a system account with users does not change.
#[test]
fn cve_2023_47090_users_of_the_system_account_alone_keep_nobody_out() {
    let config = "accounts { $SYS { users: [{user: admin, password: p}] } }";
    let server = TestServer::configured(config);
    server.connected("", "PONG\r\n");
    server.connected(r#","user":"admin","pass":"p""#, "PONG\r\n");
    server.connected(r#","user":"admin","pass":"wrong""#, REFUSED);
    for more in [
        "authorization { users: [{user: a, password: p}] }",
        "authorization { timeout: 2 }",
        "accounts { $SYS { users: [{user: admin, password: p}] }, A {} }",
    ] {
        let server = TestServer::configured(&format!("{config}\n{more}"));
        server.connected("", REFUSED);
    }
}
