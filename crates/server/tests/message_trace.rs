//! Message traces. What is expected was taken from nats-server 2.15.1.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jetsled_testkit::Peer;
use serde_json::{Value, json};
use support::TestServer;

const CONFIG: &str = r#"accounts {
    A {
        users: [
            {user: a, password: p}
            {user: d, password: p, permissions: {publish: {deny: ["tr", "no"]}, subscribe: {deny: "foo.no"}}}
            {user: e, password: p, permissions: {publish: {deny: "no"}}}
        ]
        mappings { "map.*": "foo.$1" }
        msg_trace: acc.tr
        exports: [
            {service: open, allow_trace: true}, {service: shut}
            {stream: "st.*"}
        ]
    }
    B {
        users: [ {user: b, password: p} ]
        imports: [
            {service: {account: A, subject: open}}, {service: {account: A, subject: shut}}
            {stream: {account: A, subject: "st.*"}, allow_trace: true}
        ]
    }
    C {
        users: [ {user: c, password: p} ]
        imports: [ {stream: {account: A, subject: "st.*"}, prefix: c} ]
    }
}"#;

fn connect(server: &TestServer, user: &str) -> Peer {
    let fields = format!(r#","user":"{user}","pass":"p","name":"{user}""#);
    server.connected(&fields, "PONG\r\n")
}

fn subscribe(peer: &mut Peer, subs: &str) {
    peer.send(subs.replace('|', "\r\n") + "\r\n").unwrap();
    peer.sync().unwrap();
}

fn block(lines: &str) -> String {
    format!("NATS/1.0\r\n{}\r\n", lines.replace('|', "\r\n"))
}

/// Publishes with these header lines and gives back what the publisher is told.
fn publish(peer: &mut Peer, subject: &str, headers: &str) -> String {
    let block = block(headers);
    let size = block.len();
    let line = format!("HPUB {subject} {size} {}\r\n{block}hi\r\n", size + 2);
    peer.send(line).unwrap();
    String::from_utf8(peer.sync().unwrap()).unwrap()
}

/// The events of the next trace, without times and connection numbers.
#[track_caller]
fn events(observer: &mut Peer) -> Value {
    let trace: Value = serde_json::from_slice(&observer.message().unwrap().payload).unwrap();
    assert!(trace["server"]["id"].is_string());
    assert!(trace["request"]["msgsize"].as_u64().unwrap() > 20);
    let mut events = trace["events"].clone();
    for event in events.as_array_mut().unwrap() {
        let event = event.as_object_mut().unwrap();
        assert!(event.remove("ts").is_some());
        event.remove("cid");
    }
    events
}

fn ingress(user: &str, account: &str, subject: &str) -> Value {
    json!({"type": "in", "kind": 0, "name": user, "acc": account, "subj": subject})
}

fn egress(user: &str, subscribed: &str) -> Value {
    json!({"type": "eg", "kind": 0, "name": user, "sub": subscribed})
}

const HERE: &str = "Nats-Trace-Dest: tr|";
const ONLY: &str = "Nats-Trace-Dest: tr|Nats-Trace-Only: true|";

#[test]
fn a_trace_amidst_publishes_with_one_control_line_is_noticed() {
    let server = TestServer::configured(CONFIG);
    let mut observer = connect(&server, "b");
    subscribe(&mut observer, "SUB tr 1");
    let mut listener = connect(&server, "b");
    subscribe(&mut listener, "SUB run 1");
    let frame = |name: &str, payload: char| {
        let block = format!("NATS/1.0\r\n{name}: tr\r\n\r\n");
        let size = block.len();
        format!("HPUB run {size} {}\r\n{block}{payload}\r\n", size + 1)
    };
    let plain = "Nats-Other-Name";
    let frames = [
        frame(plain, '1'),
        frame(plain, '2'),
        frame("Nats-Trace-Dest", '3'),
        frame(plain, '4'),
    ];
    let mut publisher = connect(&server, "b");
    publisher.send(frames.concat()).unwrap();
    for payload in ["1", "2", "3", "4"] {
        let message = listener.message().unwrap();
        assert_eq!(message.payload, payload.as_bytes());
    }
    assert_eq!(events(&mut observer)[0], ingress("b", "B", "run"));
}

#[test]
fn every_delivery_is_told() {
    let server = TestServer::configured(CONFIG);
    let (mut a, mut observer, mut other) = (
        connect(&server, "a"),
        connect(&server, "a"),
        connect(&server, "e"),
    );
    subscribe(&mut observer, "SUB tr 1");
    subscribe(&mut other, "SUB foo 1|SUB foo q 2");
    let mut queue = egress("e", "foo");
    queue["queue"] = "q".into();
    let expected = json!([ingress("a", "A", "foo"), egress("e", "foo"), queue]);
    assert_eq!(publish(&mut a, "foo", HERE), "");
    assert_eq!(events(&mut observer), expected);
    let delivered = String::from_utf8(other.sync().unwrap()).unwrap();
    assert_eq!(delivered.matches("HMSG foo").count(), 2);

    // Told only, not delivered.
    assert_eq!(publish(&mut a, "foo", ONLY), "");
    assert_eq!(events(&mut observer), expected);
    assert_eq!(other.sync().unwrap(), b"");

    publish(&mut a, "map.x", HERE);
    assert_eq!(
        events(&mut observer),
        json!([ingress("a", "A", "map.x"), {"type": "sm", "to": "foo.x"}])
    );
}

#[test]
fn what_is_not_delivered_is_told_with_its_reason() {
    let server = TestServer::configured(CONFIG);
    let (mut a, mut observer, mut d) = (
        connect(&server, "a"),
        connect(&server, "a"),
        connect(&server, "d"),
    );
    subscribe(&mut observer, "SUB tr 1");
    subscribe(&mut d, "SUB foo.* 1|SUB foo.* q 2");
    publish(&mut a, "foo.no", HERE);
    let denied = "Not delivered because subscription denies this subject";
    let found = events(&mut observer);
    assert_eq!(found[1]["error"], denied);
    assert_eq!(found[2]["error"], denied);
    assert_eq!(d.sync().unwrap(), b"");

    let mut silent = server.connected(
        r#","user":"a","pass":"p","name":"s","echo":false"#,
        "PONG\r\n",
    );
    subscribe(&mut silent, "SUB own 1");
    publish(&mut silent, "own", HERE);
    let found = events(&mut observer);
    assert_eq!(found[1]["error"], "Not delivered because of no echo");

    let mut e = connect(&server, "e");
    let text = "Permissions Violation for Publish to \"no\"";
    assert_eq!(publish(&mut e, "no", HERE), format!("-ERR '{text}'\r\n"));
    assert_eq!(events(&mut observer)[0]["error"], text);
}

/// A trace may not go where its publisher may not publish; then the message does not go either.
#[test]
fn the_destination_is_a_publish_like_any_other() {
    let server = TestServer::configured(CONFIG);
    let (mut d, mut observer) = (connect(&server, "d"), connect(&server, "a"));
    subscribe(&mut observer, "SUB tr 1|SUB foo 2|SUB $SYS.> 3");
    for (destination, refusal) in [("tr", "tr"), ("$NRG.x", "$NRG.x"), ("_GR_.x", "_GR_.x")] {
        let header = format!("Nats-Trace-Dest: {destination}|");
        let text = format!("-ERR 'Permissions Violation for Publish to \"{refusal}\"'\r\n");
        assert_eq!(publish(&mut d, "foo", &header), text);
    }
    // No subject to publish to: not traced.
    assert_eq!(publish(&mut d, "foo", "Nats-Trace-Dest: a.*|"), "");
    let delivered = String::from_utf8(observer.sync().unwrap()).unwrap();
    assert_eq!(delivered.matches("HMSG foo").count(), 1);
    assert_eq!(delivered.matches("MSG ").count(), 1);
}

#[test]
fn traces_cross_accounts_only_where_it_is_allowed() {
    let server = TestServer::configured(CONFIG);
    let (mut a, mut b, mut c) = (
        connect(&server, "a"),
        connect(&server, "b"),
        connect(&server, "c"),
    );
    let (mut in_a, mut in_b) = (connect(&server, "a"), connect(&server, "b"));
    subscribe(&mut in_a, "SUB tr 1");
    subscribe(&mut in_b, "SUB tr 1");
    subscribe(&mut a, "SUB open 1|SUB shut 1");
    subscribe(&mut a, "SUB shut 2");
    let mut beyond = egress("a", "open");
    beyond["acc"] = "A".into();
    let import = |name: &str| json!({"type": "si", "acc": "A", "from": name, "to": name});
    for headers in [HERE, ONLY] {
        publish(&mut b, "open", headers);
        assert_eq!(
            events(&mut in_b),
            json!([ingress("b", "B", "open"), import("open"), beyond])
        );
        publish(&mut b, "shut", headers);
        assert_eq!(
            events(&mut in_b),
            json!([ingress("b", "B", "shut"), import("shut")])
        );
    }
    let delivered = String::from_utf8(a.sync().unwrap()).unwrap();
    assert_eq!(delivered.matches("HMSG").count(), 2);
    // The other account is not told where the trace goes.
    assert_eq!(
        delivered.matches("Nats-Trace-Dest: trace disabled").count(),
        2
    );

    subscribe(&mut b, "SUB st.x 1");
    subscribe(&mut c, "SUB c.st.x 1");
    publish(&mut a, "st.x", HERE);
    let mut told = events(&mut in_a).as_array().unwrap().clone();
    told.sort_by_key(ToString::to_string);
    let mut beyond = egress("b", "st.x");
    beyond["acc"] = "B".into();
    let mut expected = vec![
        ingress("a", "A", "st.x"),
        json!({"type": "se", "acc": "B", "to": "st.x"}),
        json!({"type": "se", "acc": "C", "to": "c.st.x"}),
        beyond,
    ];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(told, expected);
    for peer in [&mut b, &mut c] {
        let delivered = String::from_utf8(peer.sync().unwrap()).unwrap();
        assert_eq!(delivered.matches("HMSG").count(), 1);
    }
}

#[test]
fn a_distributed_trace_goes_to_the_accounts_destination() {
    let server = TestServer::configured(CONFIG);
    let (mut a, mut observer) = (connect(&server, "a"), connect(&server, "a"));
    subscribe(&mut observer, "SUB acc.tr 1|SUB foo 2");
    publish(&mut a, "foo", "TraceParent: 00-4bf9-00f0-00|");
    assert_eq!(observer.message().unwrap().subject, "foo");
    publish(&mut a, "foo", "TraceParent: 00-4bf9-00f0-01|");
    let first = observer.message().unwrap();
    assert_eq!(first.subject, "foo");
    assert_eq!(
        events(&mut observer),
        json!([ingress("a", "A", "foo"), egress("a", "foo")])
    );
}

#[test]
fn what_is_stored_is_traced_no_further() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::configured(&format!(
        r#"jetstream {{ store_dir: '{}' }}
        accounts {{
            A {{ jetstream: true, msg_trace: acc.tr, users: [ {{user: a, password: p}} ], exports: [ {{stream: "st.*"}} ] }}
            B {{ jetstream: true, users: [ {{user: b, password: p}} ], imports: [ {{stream: {{account: A, subject: "st.*"}}}} ] }}
        }}"#,
        directory.path().display()
    ));
    let (mut a, mut b) = (connect(&server, "a"), connect(&server, "b"));
    for peer in [&mut a, &mut b] {
        let created = peer.request(
            "$JS.API.STREAM.CREATE.S",
            br#"{"name":"S","subjects":["st.*"]}"#,
        );
        assert!(created.unwrap().payload.ends_with(b"\"did_create\":true}"));
    }
    let mut listener = connect(&server, "a");
    subscribe(&mut listener, "SUB st.> 1");
    let mut observer = connect(&server, "a");
    subscribe(&mut observer, "SUB tr 1");
    for (lines, want) in [
        (
            "A: b|Nats-Trace-Dest: tr|C: d|",
            "A: b|Nats-Trace-Dest: trace disabled|C: d|",
        ),
        (
            "Nats-Trace-Dest:tr|Nats-Trace-Dest: no|",
            "Nats-Trace-Dest:trace disabled|Nats-Trace-Dest: no|",
        ),
        (
            "traceparent: 00-4bf9-00f0-01|",
            "traceparent: 00-4bf9-00f0-01|Nats-Trace-Dest: trace disabled|",
        ),
        (
            "traceparent: 00-4bf9-00f0-00|",
            "traceparent: 00-4bf9-00f0-00|",
        ),
        ("nats-trace-dest: tr|", "nats-trace-dest: tr|"),
    ] {
        publish(&mut a, "st.1", lines);
        let shown = listener.message().unwrap();
        assert_eq!(shown.headers, block(lines), "{lines}");
        for peer in [&mut a, &mut b] {
            assert_eq!(last_stored(peer), block(want), "{lines}");
        }
    }
    let trace = String::from_utf8(observer.message().unwrap().payload).unwrap();
    assert!(trace.contains(r#""sub":"st.\u003e""#), "{trace}");
}

/// The headers of the message that was stored last.
fn last_stored(peer: &mut Peer) -> String {
    let reply = peer.request("$JS.API.STREAM.MSG.GET.S", br#"{"last_by_subj":"st.1"}"#);
    let reply: Value = serde_json::from_slice(&reply.unwrap().payload).unwrap();
    let headers = STANDARD.decode(reply["message"]["hdrs"].as_str().unwrap());
    String::from_utf8(headers.unwrap()).unwrap()
}
