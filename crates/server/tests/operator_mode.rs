//! Operator mode: who may connect by signed claims, and what claims that change mean for open connections.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use jetsled_auth::jwt::{SigningKey, UserScope};
use jetsled_config::{DeletePolicy, ResolverOptions};
use jiff::Timestamp;
use nkeys::KeyPair;
use support::TestServer;
use support::claims::{World, configure, configure_full};

const REFUSED: &str = "-ERR 'Authorization Violation'\r\n";

fn start(world: &World, account: String) -> TestServer {
    TestServer::start(|options| configure(world, options, account))
}

#[test]
fn a_user_needs_claims_and_its_key() {
    let world = World::new();
    let server = start(&world, world.account_token(|_| {}));
    world.user().connected(server.address);
    let mut stranger = world.user();
    stranger.key = KeyPair::new_user();
    stranger.log_in(server.address).expect(REFUSED);
    let foreign = world.user_of(&KeyPair::new_account(), |_| {});
    foreign.log_in(server.address).expect(REFUSED);
    for fields in ["", r#","user":"a","pass":"b""#, r#","jwt":"x.y.z""#] {
        let mut peer = server.connected(fields, REFUSED);
        assert_eq!(peer.rest().unwrap(), b"");
    }
}

#[test]
fn claims_say_what_a_user_may_do() {
    let world = World::new();
    let account = world.account_token(|claims| claims.nats.limits.conn = 1);
    let server = start(&world, account);
    let user = world.user_of(&world.account, |claims| {
        claims.nats.limits.publish.allow = vec!["ok".to_owned()];
        claims.nats.limits.payload = 4;
        claims.nats.limits.subs = 1;
    });
    let mut peer = user.connected(server.address);
    assert!(peer.line().unwrap().contains(r#""max_payload":4"#));
    peer.send("PUB no 1\r\n1\r\nSUB a 1\r\nSUB b 2\r\n")
        .unwrap();
    peer.expect("-ERR 'Permissions Violation for Publish to \"no\"'\r\n");
    peer.expect("-ERR 'maximum subscriptions exceeded'\r\n");
    let mut second = world.user().log_in(server.address);
    second.expect("-ERR 'maximum account active connections exceeded'\r\n");
    peer.send("PUB ok 5\r\n12345\r\n").unwrap();
    peer.expect("-ERR 'Maximum Payload Violation'\r\n");
}

#[test]
fn a_scope_gives_its_users_what_they_may_do() {
    let world = World::new();
    let signer = KeyPair::new_account();
    let account = world.account_token(|claims| {
        let mut scope: UserScope = serde_json::from_str(
            r#"{"kind":"user_scope","template":{"pub":{"allow":["{{name()}}.>"]}}}"#,
        )
        .unwrap();
        scope.key = signer.public_key();
        claims.nats.signing_keys = vec![SigningKey::Scoped(Box::new(scope))];
    });
    let server = start(&world, account);
    let user = world.user_of(&signer, |claims| {
        claims.nats = jetsled_auth::jwt::JwtUser::default();
        claims.nats.issuer_account = world.account.public_key();
    });
    let mut peer = user.connected(server.address);
    peer.line().unwrap();
    peer.send("PUB name.x 0\r\n\r\nPUB other.x 0\r\n\r\n")
        .unwrap();
    peer.expect("-ERR 'Permissions Violation for Publish to \"other.x\"'\r\n");
    let with_permissions = world.user_of(&signer, |claims| {
        claims.nats.issuer_account = world.account.public_key();
    });
    with_permissions.log_in(server.address).expect(REFUSED);
}

#[test]
fn a_connection_ends_with_its_claims() {
    let world = World::new();
    let server = start(&world, world.account_token(|_| {}));
    let soon = Timestamp::now().as_second() + 1;
    let user = world.user_of(&world.account, |claims| claims.expires = soon);
    let mut peer = user.connected(server.address);
    assert!(peer.line().unwrap().starts_with("INFO"));
    peer.expect("-ERR 'User Authentication Expired'\r\n");
    assert_eq!(peer.rest().unwrap(), b"");
}

#[test]
fn connections_of_an_account_end_with_its_claims() {
    let world = World::new();
    let soon = Timestamp::now().as_second();
    let account = world.account_token(|claims| claims.expires = soon + 1);
    let server = start(&world, account);
    let mut peer = world.user().connected(server.address);
    assert!(peer.line().unwrap().starts_with("INFO"));
    peer.expect("-ERR 'Account Authentication Expired'\r\n");
    assert_eq!(peer.rest().unwrap(), b"");
    world.user().log_in(server.address).expect(REFUSED);
}

#[test]
fn updated_claims_reach_open_connections() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(|options| {
        configure_full(
            &world,
            options,
            world.account_token(|_| {}),
            dir.path(),
            DeletePolicy::Rename,
        );
    });
    let mut admin = world
        .user_of(&world.system, |_| {})
        .connected(server.address);
    admin.line().unwrap();
    let account = world.account.public_key();

    let stored = admin
        .request(&format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP"), b"")
        .unwrap();
    assert_eq!(stored.payload, world.account_token(|_| {}).as_bytes());
    let listed = admin.request("$SYS.REQ.CLAIMS.LIST", b"").unwrap();
    assert!(String::from_utf8_lossy(&listed.payload).contains(&account));

    let (revoked, kept) = (world.user(), world.user());
    let mut revoked_peer = revoked.connected(server.address);
    let mut kept_peer = kept.connected(server.address);
    revoked_peer.line().unwrap();
    kept_peer.line().unwrap();
    world.issued_at += 10;
    let update = world.account_token(|claims| {
        let until = claims.issued_at;
        let key = revoked.key.public_key();
        claims.nats.revocations.insert(key, until);
        claims.nats.limits.payload = 10;
    });
    let subject = format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.UPDATE");
    let done = admin.request(&subject, update.as_bytes()).unwrap();
    let done: serde_json::Value = serde_json::from_slice(&done.payload).unwrap();
    assert_eq!(done["data"]["message"], "jwt updated");
    assert_eq!(done["data"]["account"], account.as_str());
    assert_eq!(done["data"]["code"], 200);
    revoked_peer.expect("-ERR 'User Authentication Revoked'\r\n");
    assert_eq!(revoked_peer.rest().unwrap(), b"");
    revoked.log_in(server.address).expect(REFUSED);
    kept_peer.sync().unwrap();
    kept_peer.send("PUB x 11\r\n12345678901\r\n").unwrap();
    kept_peer.expect("-ERR 'Maximum Payload Violation'\r\n");

    let wrong = admin.request(&subject, b"nonsense").unwrap();
    let wrong: serde_json::Value = serde_json::from_slice(&wrong.payload).unwrap();
    assert_eq!(wrong["error"]["code"], 500);
    let other = KeyPair::new_account().public_key();
    let subject = format!("$SYS.REQ.ACCOUNT.{other}.CLAIMS.UPDATE");
    let wrong = admin.request(&subject, update.as_bytes()).unwrap();
    let text = String::from_utf8_lossy(&wrong.payload).into_owned();
    assert!(
        text.contains("subject does not match jwt content"),
        "{text}"
    );
}

#[test]
fn a_deleted_account_is_gone() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(|options| {
        configure_full(
            &world,
            options,
            world.account_token(|_| {}),
            dir.path(),
            DeletePolicy::Remove,
        );
    });
    let mut peer = world.user().connected(server.address);
    peer.line().unwrap();
    let mut admin = world
        .user_of(&world.system, |_| {})
        .connected(server.address);
    admin.line().unwrap();
    let delete = |accounts: &[String], signer: &KeyPair| {
        let claims = world.claims(
            signer,
            signer,
            serde_json::json!({"accounts": accounts, "type": "generic", "version": 2}),
        );
        sign_generic(&claims, signer)
    };
    let mut ask = |token: String| {
        let answer = admin
            .request("$SYS.REQ.CLAIMS.DELETE", token.as_bytes())
            .unwrap();
        String::from_utf8_lossy(&answer.payload).into_owned()
    };
    let (account, system) = (world.account.public_key(), world.system.public_key());
    let stranger = KeyPair::new_operator();
    assert!(ask(delete(std::slice::from_ref(&account), &stranger)).contains("not trusted"));
    assert!(
        ask(delete(&[system], &world.operator)).contains("not allowed to delete system account")
    );
    assert!(ask(delete(&[account], &world.operator)).contains("deleted 1 accounts"));
    peer.expect("-ERR 'Account Authentication Expired'\r\n");
    world.user().log_in(server.address).expect(REFUSED);
}

fn sign_generic(claims: &jetsled_auth::jwt::Claims<serde_json::Value>, signer: &KeyPair) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let part = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
    let signed = format!(
        "{}.{}",
        part(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#),
        part(&serde_json::to_vec(claims).unwrap())
    );
    let signature = signer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", part(&signature))
}

#[test]
fn accounts_come_from_a_web_server() {
    use std::io::{BufRead, BufReader, Write};
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/accounts", listener.local_addr().unwrap());
    let (name, token) = (world.account.public_key(), world.account_token(|_| {}));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = String::new();
            BufReader::new(stream.try_clone().unwrap())
                .read_line(&mut request)
                .unwrap();
            let (status, body) = match request.split(' ').nth(1) {
                Some("/accounts/") => ("200 OK", ""),
                Some(path) if path == format!("/accounts/{name}") => ("200 OK", token.as_str()),
                _ => ("404 Not Found", ""),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + body).as_bytes()).unwrap();
        }
    });
    let server = TestServer::start(|options| {
        configure(&world, options, String::new());
        options.operator.preload.clear();
        options.operator.resolver = Some(ResolverOptions::Url(url));
    });
    world.user().connected(server.address);
    let other = world.user_of(&KeyPair::new_account(), |_| {});
    other.log_in(server.address).expect(REFUSED);
}

#[test]
fn bearer_tokens_and_pinned_accounts() {
    let world = World::new();
    let server = TestServer::start(|options| {
        configure(&world, options, world.account_token(|_| {}));
        options.operator.pinned_accounts = [world.account.public_key()].into();
        let sentinel = world.user_of(&world.account, |claims| {
            claims.nats.limits.bearer_token = true;
            claims.nats.limits.publish.deny = vec![">".to_owned()];
        });
        options.operator.default_sentinel = Some(sentinel.token);
    });
    let mut bearer = world.user_of(&world.account, |claims| {
        claims.nats.limits.bearer_token = true;
    });
    bearer.key = KeyPair::new_user();
    bearer.connected(server.address);
    let other = world.user_of(&world.system, |_| {});
    other.log_in(server.address).expect(REFUSED);
    let mut anonymous = server.connected("", "PONG\r\n");
    anonymous.send("PUB x 0\r\n\r\n").unwrap();
    anonymous.expect("-ERR 'Permissions Violation for Publish to \"x\"'\r\n");
}

#[test]
fn accounts_share_by_their_claims() {
    use jetsled_auth::jwt::{Export, Import};
    let world = World::new();
    let importer = KeyPair::new_account();
    let account = world.account_token(|claims| {
        let export = r#"{"subject":"news.>","type":"stream"}"#;
        let service = r#"{"subject":"ask","type":"service","token_req":true}"#;
        claims.nats.exports = [export, service]
            .map(|json| serde_json::from_str::<Export>(json).unwrap())
            .into();
    });
    let activation = world
        .claims(
            &world.account,
            &importer,
            jetsled_auth::jwt::Activation {
                subject: "ask".to_owned(),
                kind: jetsled_auth::jwt::TransferType::Service,
                issuer_account: String::new(),
            },
        )
        .encode(&world.account)
        .unwrap();
    for (token, is_granted) in [(activation.as_str(), true), ("", false)] {
        let server = TestServer::start(|options| {
            configure(&world, options, account.clone());
            let mut claims = world.account_claims(&importer);
            let exporter = world.account.public_key();
            let stream = format!(
                r#"{{"subject":"news.>","account":"{exporter}","type":"stream","local_subject":"far.>"}}"#
            );
            let service = format!(
                r#"{{"subject":"ask","account":"{exporter}","type":"service","token":"{token}"}}"#
            );
            claims.nats.imports = [stream, service]
                .map(|json| serde_json::from_str::<Import>(&json).unwrap())
                .into();
            let token = claims.encode(&world.operator).unwrap();
            options
                .operator
                .preload
                .insert(importer.public_key(), token);
        });
        let mut here = world.user_of(&importer, |_| {}).connected(server.address);
        let mut there = world.user().connected(server.address);
        for peer in [&mut here, &mut there] {
            peer.line().unwrap();
        }
        here.send("SUB far.x 1\r\n").unwrap();
        here.sync().unwrap();
        there.send("SUB ask 1\r\nPUB news.x 1\r\n1\r\n").unwrap();
        there.sync().unwrap();
        here.expect("MSG far.x 1 1\r\n1\r\n");
        here.send("SUB inbox 2\r\nPUB ask inbox 1\r\n?\r\n")
            .unwrap();
        if is_granted {
            let request = there.message().unwrap();
            assert_eq!(request.payload, b"?");
        } else {
            let answer = here.message().unwrap();
            assert_eq!(answer.status(), Some("503"));
        }
    }
}
