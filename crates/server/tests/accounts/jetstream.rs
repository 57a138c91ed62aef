//! JetStream's API over service imports.

use super::{Player, TestServer, accounts};

#[test]
fn jetstream_works_over_an_import() {
    let dir = tempfile::tempdir().unwrap();
    for (to, api) in [("", "$JS.API"), (r#", to: "acc.API.>""#, "acc.API")] {
        let import = format!(
            r#"imports: [
                {{service: {{account: A, subject: "$JS.API.>"}}{to}}}
                {{service: {{account: A, subject: "$JS.ACK.>"}}}}
            ]"#
        );
        let store = dir.path().join(api).display().to_string();
        let server = TestServer::configured(&format!(
            "jetstream {{ store_dir: {store:?} }}\n{}",
            accounts(&[
                (
                    "A",
                    r#"jetstream: true
                    exports: [{service: "$JS.API.>", response: stream}, {service: "$JS.ACK.>"}]"#
                ),
                ("B", &import),
            ])
        ));
        let mut a = Player::new(&server, "a").peer;
        let mut b = Player::new(&server, "b").peer;
        let created = b
            .request(
                &format!("{api}.STREAM.CREATE.S"),
                br#"{"name":"S","subjects":["foo"]}"#,
            )
            .unwrap();
        assert!(String::from_utf8_lossy(&created.payload).contains("did_create"));
        b.request(
            &format!("{api}.CONSUMER.DURABLE.CREATE.S.C"),
            br#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#,
        )
        .unwrap();
        for _ in 0..2 {
            a.request("foo", b"1").unwrap();
        }
        b.send("SUB in 9\r\n").unwrap();
        let pull = br#"{"batch":2,"expires":20000000000}"#;
        let size = pull.len();
        b.send(format!("PUB {api}.CONSUMER.MSG.NEXT.S.C in {size}\r\n"))
            .unwrap();
        b.send([&pull[..], b"\r\n"].concat()).unwrap();
        let messages = [b.message().unwrap(), b.message().unwrap()];
        for message in messages {
            assert_eq!((&*message.subject, &*message.sid), ("foo", "9"));
            let reply = message.reply.unwrap();
            assert!(reply.starts_with("$JS.ACK.S.C."));
            // Confirmed, since it has a reply.
            b.request(&reply, b"+ACK").unwrap();
        }
        let info = b.request(&format!("{api}.CONSUMER.INFO.S.C"), b"").unwrap();
        let info: serde_json::Value = serde_json::from_slice(&info.payload).unwrap();
        assert_eq!(info["ack_floor"]["stream_seq"], 2);
    }
}

/// Through one import, and through a second one behind it.
#[test]
fn a_pull_request_over_an_import_ends_with_its_subscription() {
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::configured(&format!(
        "jetstream {{ store_dir: {:?} }}\n{}",
        dir.path().display().to_string(),
        accounts(&[
            (
                "A",
                r#"jetstream: true
                exports: [{service: "$JS.API.>", response: stream}]"#
            ),
            (
                "B",
                r#"imports: [{service: {account: A, subject: "$JS.API.>"}}]
                exports: [{service: "$JS.API.>", response: stream}]"#
            ),
            (
                "C",
                r#"imports: [{service: {account: B, subject: "$JS.API.>"}}]"#
            ),
        ])
    ));
    let mut a = Player::new(&server, "a").peer;
    a.request(
        "$JS.API.STREAM.CREATE.S",
        br#"{"name":"S","subjects":["foo"]}"#,
    )
    .unwrap();
    a.request(
        "$JS.API.CONSUMER.DURABLE.CREATE.S.C",
        br#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#,
    )
    .unwrap();
    let mut info = move || -> serde_json::Value {
        a.request("foo", b"1").unwrap();
        let info = a.request("$JS.API.CONSUMER.INFO.S.C", b"").unwrap();
        serde_json::from_slice(&info.payload).unwrap()
    };
    for (unacked, name) in [(1, "b"), (3, "c")] {
        let mut importing = Player::new(&server, name).peer;
        importing.send("SUB in 9\r\n").unwrap();
        let pull = br#"{"batch":5,"expires":20000000000}"#;
        let size = pull.len();
        let sent = format!("PUB $JS.API.CONSUMER.MSG.NEXT.S.C in {size}\r\n");
        importing.send(sent).unwrap();
        importing.send([&pull[..], b"\r\n"].concat()).unwrap();
        importing.sync().unwrap();
        // So that the request has been looked at with its subscription there.
        let delivered = info();
        assert_eq!(delivered["num_waiting"], 1, "{name}: {delivered}");
        assert_eq!(importing.message().unwrap().subject, "foo");
        importing.send("UNSUB 9\r\n").unwrap();
        importing.sync().unwrap();
        let after = info();
        assert_eq!(after["num_waiting"], 0, "{name}: {after}");
        assert_eq!(
            after["delivered"]["stream_seq"],
            delivered["delivered"]["stream_seq"]
        );
        assert_eq!(after["num_pending"], 1);
        assert_eq!(delivered["num_ack_pending"], unacked);
    }
}

/// An account's own API maps the domain away before its imports are looked at (observed nats-server 2.15.1); behind the one that it has
/// imported whole, nothing does.
#[test]
fn the_api_with_the_domain_is_an_accounts_own_unless_it_imports_the_api() {
    let dir = tempfile::tempdir().unwrap();
    let import = r#"{service: {account: A, subject: "$JS.hub.API.>"}}"#;
    let whole = r#"{service: {account: A, subject: "$JS.API.>"}}"#;
    let server = TestServer::configured(&format!(
        "jetstream {{ store_dir: {:?}, domain: hub }}\n{}",
        dir.path().display().to_string(),
        accounts(&[
            (
                "A",
                r#"jetstream: true
                exports: [{service: "$JS.hub.API.>"}, {service: "$JS.API.>"}]"#
            ),
            ("WITHOUT", &format!("imports: [{import}]")),
            ("WITH", &format!("jetstream: true\nimports: [{import}]")),
            ("WHOLE", &format!("imports: [{import}, {whole}]")),
        ])
    ));
    let mut a = Player::new(&server, "a").peer;
    a.request(
        "$JS.API.STREAM.CREATE.OF_A",
        br#"{"name":"OF_A","subjects":["foo"]}"#,
    )
    .unwrap();
    for (user, answer) in [
        ("a", r#""streams":["OF_A"]"#),
        ("without", r#""err_code":10039"#),
        ("with", r#""total":0"#),
        ("whole", r#""streams":["OF_A"]"#),
    ] {
        let mut peer = Player::new(&server, user).peer;
        peer.send("SUB in 1\r\nPUB $JS.hub.API.STREAM.NAMES in 0\r\n\r\n")
            .unwrap();
        let first = peer.message().unwrap();
        let text = String::from_utf8_lossy(&first.payload);
        assert!(text.contains(answer), "{user}: {text}");
        // The domain's own answer and that of an import would both be there by now.
        a.request("$JS.hub.API.STREAM.NAMES", b"").unwrap();
        let more = String::from_utf8(peer.sync().unwrap()).unwrap();
        assert!(!more.contains("MSG in"), "{user}: {more}");
    }
}
