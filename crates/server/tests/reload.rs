//! What a reload changes for connections that are open.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use jetsled_testkit::Peer;
use support::{TestServer, options_of};

#[track_caller]
fn reload(server: &TestServer, text: &str) -> Result<(), String> {
    let mut options = options_of(text);
    options.port = jetsled_config::Port::Random;
    server
        .server()
        .reload(options)
        .map_err(|error| error.to_string())
}

fn user(server: &TestServer, name: &str, password: &str) -> Peer {
    server.connected(
        &format!(r#","user":"{name}","pass":"{password}""#),
        "PONG\r\n",
    )
}

#[test]
fn users_that_are_gone_or_have_moved_are_closed_without_a_word() {
    let server = TestServer::configured(
        "accounts { A { users: [ {user: a, password: p}, {user: b, password: p}, {user: c, password: p} ] }, B {} }",
    );
    let mut peers = ["a", "b", "c"].map(|name| user(&server, name, "p"));
    reload(
        &server,
        "accounts { A { users: [ {user: a, password: p} ] }, B { users: [ {user: b, password: p} ] } }",
    )
    .unwrap();
    let [a, b, c] = &mut peers;
    assert_eq!(b.rest().unwrap(), b"", "moved");
    assert_eq!(c.rest().unwrap(), b"", "gone");
    a.sync().unwrap();
}

#[test]
fn a_changed_password_is_a_violation() {
    let server = TestServer::configured(
        "authorization { users: [ {user: a, password: p}, {user: b, password: p} ] }",
    );
    let (mut a, mut b) = (user(&server, "a", "p"), user(&server, "b", "p"));
    reload(
        &server,
        "authorization { users: [ {user: a, password: p}, {user: b, password: q} ] }",
    )
    .unwrap();
    b.expect("-ERR 'Authorization Violation'\r\n");
    assert_eq!(b.rest().unwrap(), b"");
    a.sync().unwrap();
    user(&server, "b", "q");
}

#[test]
fn permissions_change_for_open_connections() {
    let with = |permissions: &str| {
        format!(
            "authorization {{ users: [ {{user: a, password: p, permissions: {permissions}}} ] }}"
        )
    };
    let server = TestServer::configured(&with("{ publish: x, subscribe: [x, y] }"));
    let mut peer = user(&server, "a", "p");
    peer.send("SUB x 1\r\nSUB y 2\r\n").unwrap();
    peer.sync().unwrap();
    reload(&server, &with("{ publish: y, subscribe: y }")).unwrap();
    peer.expect("-ERR 'Permissions Violation for Subscription to \"x\" (sid \"1\")'\r\n");
    peer.send("PUB x 0\r\n\r\nPUB y 0\r\n\r\n").unwrap();
    peer.expect("-ERR 'Permissions Violation for Publish to \"x\"'\r\nMSG y 2 0\r\n\r\n");
}

#[test]
fn limits_change_for_open_connections() {
    let server = TestServer::configured("max_payload: 100");
    let mut peers: Vec<_> = (0..3).map(|_| server.connected("", "PONG\r\n")).collect();
    reload(&server, "max_payload: 10, max_connections: 2").unwrap();
    let mut youngest = peers.pop().unwrap();
    youngest.expect("-ERR 'maximum connections exceeded'\r\n");
    assert_eq!(youngest.rest().unwrap(), b"");
    peers[0].sync().unwrap();
    peers[0].send("PUB x 11\r\n12345678901\r\n").unwrap();
    peers[0].expect("-ERR 'Maximum Payload Violation'\r\n");
    peers[1].sync().unwrap();
}

#[test]
fn what_cannot_change_is_refused_and_nothing_changes() {
    let server = TestServer::configured("authorization { user: a, password: p }");
    let error = reload(
        &server,
        "authorization { user: a, password: q }, max_pending: 1MB",
    )
    .unwrap_err();
    assert_eq!(
        error,
        "config reload not supported for MaxPending: old=67108864, new=1048576"
    );
    user(&server, "a", "p");
}

#[test]
fn accounts_come_and_go() {
    let server = TestServer::configured("accounts { A { users: [ {user: a, password: p} ] } }");
    let mut a = user(&server, "a", "p");
    reload(
        &server,
        "accounts { A { users: [ {user: a, password: p} ], limits: {max_connections: 1} }, B { users: [ {user: b, password: p} ] } }",
    )
    .unwrap();
    user(&server, "b", "p");
    a.sync().unwrap();
    let over = r#","user":"a","pass":"p""#;
    server.connected(
        over,
        "-ERR 'maximum account active connections exceeded'\r\n",
    );
    reload(
        &server,
        "accounts { B { users: [ {user: b, password: p} ] } }",
    )
    .unwrap();
    assert_eq!(a.rest().unwrap(), b"");
}

#[test]
fn the_ports_file_moves() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = |dir: &tempfile::TempDir| format!("ports_file_dir: {:?}", dir.path());
    let files = |dir: &tempfile::TempDir| std::fs::read_dir(dir).unwrap().count();
    let mut server = TestServer::configured(&config(&old));
    assert_eq!((files(&old), files(&new)), (1, 0));
    reload(&server, &config(&new)).unwrap();
    assert_eq!((files(&old), files(&new)), (0, 1));
    reload(&server, "ping_max: 3").unwrap();
    assert_eq!((files(&old), files(&new)), (0, 0));
    reload(&server, &config(&old)).unwrap();
    assert_eq!((files(&old), files(&new)), (1, 0));
    server.shutdown();
    assert_eq!((files(&old), files(&new)), (0, 0));
}

/// Observed nats-server 2.15.1, which tells those who wait nothing.
#[test]
fn streams_rest_while_their_account_has_no_jetstream() {
    let directory = tempfile::tempdir().unwrap();
    let configured = |a: &str| {
        format!(
            "jetstream {{ store_dir: '{}' }}, accounts {{ B {{ users: [ {{user: b, password: p}} ] }}, {a} }}",
            directory.path().display()
        )
    };
    let on = configured("A { jetstream: enabled, users: [ {user: a, password: p} ] }");
    let off = configured("A { users: [ {user: a, password: p} ] }");
    let gone = configured("");
    let ask = |peer: &mut Peer, subject: &str, body: &str| {
        let reply = peer.request(subject, body.as_bytes()).unwrap();
        let status = reply.status().unwrap_or_default().to_owned();
        status + &String::from_utf8(reply.payload).unwrap()
    };
    let server = TestServer::configured(&on);
    let mut peer = user(&server, "a", "p");
    for (stream, storage) in [("F", "file"), ("M", "memory")] {
        let config = format!(r#"{{"name":"{stream}","storage":"{storage}"}}"#);
        ask(
            &mut peer,
            &format!("$JS.API.STREAM.CREATE.{stream}"),
            &config,
        );
        ask(&mut peer, stream, "first");
        ask(&mut peer, stream, "second");
    }
    let consumer = r#"{"stream_name":"F","config":{"durable_name":"C","ack_policy":"explicit"}}"#;
    ask(&mut peer, "$JS.API.CONSUMER.CREATE.F.C", consumer);
    let next = "$JS.API.CONSUMER.MSG.NEXT.F.C";
    let first = peer.request(next, br#"{"batch":1}"#).unwrap();
    ask(&mut peer, &first.reply.unwrap(), "+ACK");
    let check_state = |peer: &mut Peer| {
        let info = ask(peer, "$JS.API.CONSUMER.INFO.F.C", "");
        assert!(
            info.contains(r#""ack_floor":{"consumer_seq":1,"stream_seq":1"#),
            "{info}"
        );
        assert!(info.contains(r#""num_pending":1"#), "{info}");
    };
    check_state(&mut peer);

    let pull = r#"{"batch":5,"expires":9000000000}"#;
    let pull = format!("SUB w 9\r\nPUB {next} w {}\r\n{pull}\r\n", pull.len());
    peer.send(pull).unwrap();
    assert_eq!(peer.message().unwrap().payload, b"second");
    reload(&server, &off).unwrap();
    assert_eq!(
        peer.message().unwrap().status(),
        Some("409 Server Shutdown")
    );
    for subject in [
        "$JS.API.INFO",
        "$JS.API.STREAM.INFO.F",
        "$JS.API.STREAM.CREATE.N",
    ] {
        let refused = ask(&mut peer, subject, r#"{"name":"N"}"#);
        assert!(refused.contains(r#""err_code":10039"#), "{refused}");
    }
    for subject in ["F", "M", next] {
        assert_eq!(ask(&mut peer, subject, ""), "503");
    }

    reload(&server, &on).unwrap();
    let info = ask(&mut peer, "$JS.API.CONSUMER.INFO.F.C", "");
    assert!(info.contains(r#""num_ack_pending":1"#), "{info}");
    let info = ask(&mut peer, "$JS.API.STREAM.INFO.M", "");
    assert!(info.contains(r#""err_code":10059"#), "{info}");
    assert!(ask(&mut peer, "F", "third").contains(r#""seq":3"#));

    reload(&server, &gone).unwrap();
    assert_eq!(peer.rest().unwrap(), b"");
    reload(&server, &on).unwrap();
    let mut peer = user(&server, "a", "p");
    let third = peer.request(next, br#"{"batch":1}"#).unwrap();
    assert_eq!(third.payload, b"third");
    ask(&mut peer, &third.reply.unwrap(), "+ACK");

    // The last checkpoint is written while the account has no JetStream.
    reload(&server, &off).unwrap();
    drop(server);
    let server = TestServer::configured(&on);
    let mut peer = user(&server, "a", "p");
    let info = ask(&mut peer, "$JS.API.CONSUMER.INFO.F.C", "");
    assert!(
        info.contains(r#""delivered":{"consumer_seq":3,"stream_seq":3"#),
        "{info}"
    );
    assert!(info.contains(r#""num_ack_pending":1"#), "{info}");
}

#[test]
fn a_reload_that_can_not_start_jetstream_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let both = "accounts { A { users: [ {user: a, password: p}, {user: b, password: p} ] } }";
    let server = TestServer::configured(both);
    let mut b = user(&server, "b", "p");
    let without_b = format!(
        "accounts {{ A {{ users: [ {{user: a, password: p}} ] }} }}, jetstream {{ store_dir: '{}' }}",
        file.display()
    );
    let error = reload(&server, &without_b).unwrap_err();
    assert!(error.contains("JetStream"), "{error}");
    b.sync().unwrap();
    user(&server, "b", "p");
}

/// Account A with JetStream and this export, and account B with `b`.
fn exporting(store: &str, export: &str, b: &str) -> String {
    format!(
        r#"jetstream {{ store_dir: {store:?} }}
        accounts {{
            A {{
                jetstream: true
                users: [ {{user: a, password: p}} ]
                exports: [ {export} ]
            }}
            B {{
                users: [ {{user: b, password: p}} ]
                {b}
            }}
        }}"#
    )
}

#[test]
fn an_imported_jetstream_api_comes_and_goes() {
    const IMPORT: &str = r#"imports: [ {service: {account: A, subject: "$JS.API.>"}} ]"#;
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().display().to_string();
    let with = |b: &str| exporting(&store, r#"{service: "$JS.API.>", response: stream}"#, b);
    let server = TestServer::configured(&with(""));
    user(&server, "a", "p")
        .request(
            "$JS.API.STREAM.CREATE.S",
            br#"{"name":"S","subjects":["s"]}"#,
        )
        .unwrap();
    let mut peer = user(&server, "b", "p");
    peer.send("SUB in 1\r\n").unwrap();
    let (not_enabled, of_a, own) = (
        r#""err_code":10039"#,
        r#""streams":["S"]"#,
        r#""limit":1024,"streams":null"#,
    );
    let with_both = format!("jetstream: true\n{IMPORT}");
    // As nats-server 2.15.1: who has JetStream and imports another account's hears both.
    let cases: [(&str, &[&str]); 6] = [
        (IMPORT, &[of_a]),
        ("", &[not_enabled]),
        (&with_both, &[of_a, own]),
        (IMPORT, &[of_a]),
        ("jetstream: true", &[own]),
        ("", &[not_enabled]),
    ];
    for (b, expected) in cases {
        reload(&server, &with(b)).unwrap();
        // What came once too often would come before the next one's answer.
        peer.send("PUB $JS.API.STREAM.NAMES in 0\r\n\r\n").unwrap();
        let answers: Vec<String> = expected
            .iter()
            .map(|_| peer.message().unwrap())
            .map(|answer| String::from_utf8(answer.payload.to_vec()).unwrap())
            .collect();
        for expected in expected {
            let is_there = answers.iter().any(|answer| answer.contains(expected));
            assert!(is_there, "{b}: {expected} in {answers:?}");
        }
    }
}

/// Who had subscribed before an import came into force was not noticed by the push consumers of the account that exports.
#[test]
fn a_push_consumer_delivers_to_an_import_that_comes_later() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().display().to_string();
    let with = |b: &str| exporting(&store, r#"{stream: "out"}"#, b);
    let server = TestServer::configured(&with(""));
    let mut a = user(&server, "a", "p");
    let stream = br#"{"name":"S","subjects":["s"]}"#;
    a.request("$JS.API.STREAM.CREATE.S", stream).unwrap();
    let consumer = br#"{"stream_name":"S","config":{"durable_name":"C","deliver_subject":"out"}}"#;
    a.request("$JS.API.CONSUMER.DURABLE.CREATE.S.C", consumer)
        .unwrap();
    a.request("s", b"1").unwrap();
    let mut b = user(&server, "b", "p");
    b.send("SUB out 1\r\n").unwrap();
    b.sync().unwrap();
    let mut is_bound = || -> serde_json::Value {
        let info = a.request("$JS.API.CONSUMER.INFO.S.C", b"").unwrap();
        let mut info: serde_json::Value = serde_json::from_slice(&info.payload).unwrap();
        info["push_bound"].take()
    };
    assert_eq!(is_bound(), serde_json::Value::Null);
    let import = r#"imports: [ {stream: {account: A, subject: "out"}} ]"#;
    reload(&server, &with(import)).unwrap();
    assert_eq!(b.message().unwrap().payload, b"1");
    assert_eq!(is_bound(), true);
    reload(&server, &with("")).unwrap();
    assert_eq!(is_bound(), serde_json::Value::Null);
}
