//! Who may connect, and what they may do then.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::Duration;

use jetsled_testkit::Peer;
use support::{TestServer, expect};

const REFUSED: &str = "-ERR 'Authorization Violation'\r\n";

#[track_caller]
fn check_login(server: &TestServer, fields: &str, is_welcome: bool) {
    let mut peer = server.connected(fields, if is_welcome { "PONG\r\n" } else { REFUSED });
    if !is_welcome {
        assert_eq!(peer.rest().unwrap(), b"");
    }
}

#[test]
fn a_user_needs_the_right_password() {
    let server = TestServer::configured("authorization { user: a, password: b }");
    check_login(&server, r#","user":"a","pass":"b""#, true);
    check_login(&server, r#","user":"a","pass":"c""#, false);
    check_login(&server, r#","user":"b","pass":"b""#, false);
    check_login(&server, "", false);
}

#[test]
fn a_token_is_enough() {
    let server = TestServer::configured("authorization { token: secret }");
    check_login(&server, r#","auth_token":"secret""#, true);
    check_login(&server, r#","auth_token":"Secret""#, false);
}

#[test]
fn the_first_operation_must_be_connect_where_a_login_is_needed() {
    let server = TestServer::configured("authorization { token: secret }");
    let mut peer = Peer::connect(server.address).unwrap();
    assert!(peer.line().unwrap().contains(r#""auth_required":true"#));
    peer.send("PING\r\n").unwrap();
    peer.expect(REFUSED);
    assert_eq!(peer.rest().unwrap(), b"");
}

#[test]
fn who_does_not_log_in_within_the_timeout_is_closed() {
    let server = TestServer::start(|options| {
        options.authorization.token = Some("secret".into());
        options.authorization.timeout = Some(Duration::from_millis(50));
    });
    let mut silent = server.connect();
    let mut dripping = server.connect();
    dripping.send("CONNECT {\"auth_token\":").unwrap();
    for peer in [&mut silent, &mut dripping] {
        peer.expect("-ERR 'Authentication Timeout'\r\n");
        assert_eq!(peer.rest().unwrap(), b"");
    }
}

#[test]
fn who_does_not_shake_hands_within_the_timeout_for_a_login_is_closed() {
    let server = TestServer::configured(
        r#"authorization { token: secret, timeout: "50ms" }
        websocket { host: 127.0.0.1, port: -1, no_tls: true, handshake_timeout: "1h" }"#,
    );
    let address = server.server().websocket_address().unwrap();
    let silent = Peer::connect(address).unwrap();
    let mut dripping = Peer::connect(address).unwrap();
    dripping.send("GET / HTTP/1.1\r\n").unwrap();
    for mut peer in [silent, dripping] {
        assert_eq!(peer.rest().unwrap(), b"");
    }
}

#[test]
fn no_auth_user_stands_in_for_missing_credentials() {
    let server = TestServer::configured(
        r#"accounts { A { users: [ {user: a, password: a} ] }, B { users: [ {user: b, password: b} ] } }
        no_auth_user: a"#,
    );
    let mut anonymous = server.connect();
    anonymous.send("SUB x 1\r\nPING\r\n").unwrap();
    anonymous.expect("+OK\r\nPONG\r\n");
    let mut a = server.connected(r#","user":"a","pass":"a""#, "PONG\r\n");
    a.send("PUB x 1\r\n1\r\n").unwrap();
    anonymous.expect("MSG x 1 1\r\n1\r\n");
}

#[test]
fn no_auth_user_is_known_to_the_first_info_only() {
    let server = TestServer::configured(
        "accounts { A { users: [ {user: a, password: a} ] } }, no_auth_user: a",
    );
    let mut peer = Peer::connect(server.address).unwrap();
    assert!(!peer.line().unwrap().contains("auth_required"));
    peer.send("CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n")
        .unwrap();
    peer.expect("PONG\r\n");
    let second = peer.line().unwrap();
    assert!(second.contains(r#""auth_required":true"#), "{second}");
    assert!(second.contains(r#""connect_info":true"#), "{second}");
}

#[test]
fn accounts_do_not_hear_each_other() {
    let server = TestServer::configured(
        "accounts { A { users: [ {user: a, password: a} ] }, B { users: [ {user: b, password: b} ] } }",
    );
    let mut a = server.connected(r#","user":"a","pass":"a""#, "PONG\r\n");
    let mut b = server.connected(r#","user":"b","pass":"b""#, "PONG\r\n");
    b.send("SUB > 1\r\n").unwrap();
    b.sync().unwrap();
    a.send("SUB inbox 2\r\nPUB x inbox 1\r\n1\r\n").unwrap();
    a.expect("HMSG inbox 2 33 33\r\n");
    a.sync().unwrap();
    assert_eq!(b.sync().unwrap(), b"");
}

#[test]
fn permissions_hold_for_publishes_subscriptions_and_deliveries() {
    let server = TestServer::configured(
        r#"authorization { users: [
            { user: all, password: p }
            { user: u, password: p, permissions: {
                publish: { allow: ["ok.>", "_INBOX.>"], deny: "ok.no" }
                subscribe: { allow: ["in.>", "q.* qg"], deny: "in.secret" }
            } }
        ] }"#,
    );
    let mut all = server.connected(r#","user":"all","pass":"p""#, "PONG\r\n");
    all.send("SUB ok.> 1\r\n").unwrap();
    all.sync().unwrap();
    let mut user = server.connected(r#","user":"u","pass":"p""#, "PONG\r\n");
    let table: [(&str, &str); 9] = [
        ("PUB ok.yes 1\r\n1\r\n", ""),
        (
            "PUB ok.no 1\r\n2\r\n",
            "-ERR 'Permissions Violation for Publish to \"ok.no\"'\r\n",
        ),
        (
            "PUB other 1\r\n3\r\n",
            "-ERR 'Permissions Violation for Publish to \"other\"'\r\n",
        ),
        ("SUB in.> 1\r\n", ""),
        (
            "SUB in.secret 2\r\n",
            "-ERR 'Permissions Violation for Subscription to \"in.secret\"'\r\n",
        ),
        (
            "SUB > 3\r\n",
            "-ERR 'Permissions Violation for Subscription to \">\"'\r\n",
        ),
        ("SUB q.x qg 4\r\n", ""),
        (
            "SUB q.x other 5\r\n",
            "-ERR 'Permissions Violation for Subscription to \"q.x\" using queue \"other\"'\r\n",
        ),
        (
            "SUB q.x 6\r\n",
            "-ERR 'Permissions Violation for Subscription to \"q.x\"'\r\n",
        ),
    ];
    for (input, output) in table {
        user.send(input).unwrap();
        assert_eq!(
            String::from_utf8(user.sync().unwrap()).unwrap(),
            output,
            "{input:?}"
        );
    }
    assert_eq!(all.sync().unwrap(), b"MSG ok.yes 1 1\r\n1\r\n");
    all.send("PUB in.a 1\r\n1\r\nPUB in.secret 1\r\n2\r\nPUB in.b 1\r\n3\r\n")
        .unwrap();
    all.sync().unwrap();
    assert_eq!(
        user.sync().unwrap(),
        b"MSG in.a 1 1\r\n1\r\nMSG in.b 1 1\r\n3\r\n"
    );
}

#[test]
fn responses_are_allowed_as_often_as_configured() {
    let server = TestServer::configured(
        r#"authorization { users: [
            { user: all, password: p }
            { user: service, password: p, permissions: {
                subscribe: "service", allow_responses: { max: 2, expires: "1m" }
            } }
        ] }"#,
    );
    let mut service = server.connected(r#","user":"service","pass":"p""#, "PONG\r\n");
    service.send("SUB service 1\r\n").unwrap();
    service.sync().unwrap();
    let mut all = server.connected(r#","user":"all","pass":"p""#, "PONG\r\n");
    all.send("SUB inbox.* 1\r\nPUB service inbox.1 0\r\n\r\n")
        .unwrap();
    service.expect("MSG service 1 inbox.1 0\r\n\r\n");
    service.send("PUB inbox.1 1\r\na\r\nPUB inbox.1 1\r\nb\r\nPUB inbox.1 1\r\nc\r\nPUB inbox.2 1\r\nd\r\n").unwrap();
    service.expect(
        "-ERR 'Permissions Violation for Publish to \"inbox.1\"'\r\n\
         -ERR 'Permissions Violation for Publish to \"inbox.2\"'\r\n",
    );
    assert_eq!(
        all.sync().unwrap(),
        b"MSG inbox.1 1 1\r\na\r\nMSG inbox.1 1 1\r\nb\r\n"
    );
}

#[test]
fn the_smallest_of_the_limits_holds() {
    let server = TestServer::configured(
        r#"max_subscriptions: 3
        accounts { A {
            users: [ {user: a, password: a} ]
            limits { max_subscriptions: 2, max_connections: 1, max_payload: 10 }
        } }"#,
    );
    let mut a = server.connected(r#","user":"a","pass":"a","protocol":1"#, "PONG\r\n");
    let info = a.line().unwrap();
    assert!(
        info.contains(r#""max_payload":10,"#) && info.contains(r#""remote_account":"A""#),
        "{info}"
    );
    a.send("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nUNSUB 1\r\nSUB d 4\r\nPUB a 11\r\n")
        .unwrap();
    expect(
        &mut a,
        b"-ERR 'maximum subscriptions exceeded'\r\n-ERR 'Maximum Payload Violation'\r\n",
    );
    let _first = server.connected(r#","user":"a","pass":"a""#, "PONG\r\n");
    let mut second = server.connected(
        r#","user":"a","pass":"a""#,
        "-ERR 'maximum account active connections exceeded'\r\n",
    );
    assert_eq!(second.rest().unwrap(), b"");
}

#[test]
fn an_nkey_user_signs_the_nonce() {
    let key = nkeys::KeyPair::new_user();
    let public = key.public_key();
    let server = TestServer::configured(&format!(
        "authorization {{ users: [ {{ nkey: {public} }} ] }}"
    ));
    for is_right in [true, false] {
        let mut peer = Peer::connect(server.address).unwrap();
        let info = peer.line().unwrap();
        let nonce = info
            .split(r#""nonce":""#)
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        assert_eq!(nonce.len(), 15);
        let signed = if is_right { nonce } else { "another nonce.." };
        let signature = key.sign(signed.as_bytes()).unwrap();
        let signature =
            base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature);
        peer.send(format!("CONNECT {{\"verbose\":false,\"nkey\":\"{public}\",\"sig\":\"{signature}\"}}\r\nPING\r\n")).unwrap();
        peer.expect(if is_right { "PONG\r\n" } else { REFUSED });
    }
}

#[test]
fn a_peer_that_never_finishes_its_connect_is_cut_off_at_the_line_limit() {
    let server = TestServer::configured("authorization { token: secret }");
    let mut peer = server.connect();
    // The server may close while this is still being sent.
    peer.send(format!("CONNECT {{\"name\":\"{}", "x".repeat(100_000)))
        .ok();
    peer.expect("-ERR 'maximum control line exceeded'\r\n");
}
