//! Monitoring answers with nats-server's fields, types, parameters and errors.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use jetsled_config::{Options, Port};
use serde_json::Value;
use support::TestServer;

/// A response: status, content type and body.
struct Answer {
    status: u16,
    content_type: String,
    body: String,
}

fn get(address: SocketAddr, path: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let content_type = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Type: "))
        .unwrap_or_default();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        content_type: content_type.to_owned(),
        body: body.to_owned(),
    }
}

fn json(server: &TestServer, path: &str) -> Value {
    let answer = get(server.monitor(), path);
    assert_eq!(
        (answer.status, answer.content_type.as_str()),
        (200, "application/json"),
        "{path}"
    );
    serde_json::from_str(&answer.body).unwrap()
}

fn monitored(change: impl FnOnce(&mut Options)) -> TestServer {
    TestServer::start(|options| {
        options.monitor.http_port = Some(Port::Random);
        change(options);
    })
}

/// The value at a path such as `.connections[].cid`; `[]` is the first element.
fn at<'a>(mut value: &'a Value, path: &str) -> Option<&'a Value> {
    for part in path.split('.').skip(1) {
        let (key, first) = match part.strip_suffix("[]") {
            Some(key) => (key, true),
            None => (part, false),
        };
        value = value.get(key)?;
        if first {
            value = value.get(0)?;
        }
    }
    Some(value)
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[test]
fn every_field_of_nats_server_is_there_with_its_type() {
    let directory = tempfile::tempdir().unwrap();
    let server = monitored(|options| {
        options.jetstream.enabled = true;
        options.jetstream.configured_store_dir = Some(directory.path().into());
        options.server_tags = vec!["a".into()];
        options.config_digest = Some("sha256:00".into());
    });
    let named = || {
        let mut peer = server.connect();
        peer.send("CONNECT {\"name\":\"n\",\"lang\":\"l\",\"version\":\"v\"}\r\nPING\r\n")
            .unwrap();
        peer.sync().unwrap();
        peer
    };
    let mut peer = named();
    peer.send("SUB foo.* q 1\r\n").unwrap();
    peer.sync().unwrap();
    let mut admin = named();
    let api = |peer: &mut jetsled_testkit::Peer, subject: &str, body: &str| {
        let request = format!(
            "SUB r 9\r\nPUB $JS.API.{subject} r {}\r\n{body}\r\n",
            body.len()
        );
        peer.send(request).unwrap();
        let mut reply = String::new();
        while !reply.contains("\"type\"") {
            reply = peer.line().unwrap();
        }
        assert!(!reply.contains("\"error\""), "{reply}");
    };
    api(
        &mut admin,
        "STREAM.CREATE.S",
        "{\"name\":\"S\",\"subjects\":[\"s.*\"],\"allow_direct\":true}",
    );
    api(
        &mut admin,
        "CONSUMER.CREATE.S.C",
        "{\"stream_name\":\"S\",\"config\":{\"name\":\"C\",\"durable_name\":\"C\",\"ack_policy\":\"explicit\"}}",
    );
    admin.send("PUB s.1 2\r\nhi\r\n").unwrap();
    admin.sync().unwrap();
    drop(admin);
    await_closed(&server, 1);

    let mut missing = Vec::new();
    for line in include_str!("monitoring/fields.txt").lines().skip(1) {
        let [path, field, kind] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let answer = json(&server, path);
        match at(&answer, field) {
            Some(value) if type_of(value) == kind => {}
            other => missing.push(format!("{line}: {other:?}")),
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Waits until so many connections are known as closed.
fn await_closed(server: &TestServer, count: u64) {
    while json(server, "/connz?state=closed")["total"] != count {
        std::thread::yield_now();
    }
}

#[test]
fn wrong_parameters_are_refused_in_nats_servers_words() {
    let server = monitored(|_| {});
    for (path, status, text) in [
        (
            "/connz?limit=x",
            400,
            "Error decoding int for 'limit': strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        ("/connz?state=bogus", 400, "Error decoding state for bogus"),
        ("/connz?sort=bogus", 400, "invalid sorting option: bogus"),
        (
            "/connz?sort=stop",
            400,
            "sort by stop only valid on closed connections",
        ),
        (
            "/connz?subs=x",
            400,
            "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"x\": invalid syntax",
        ),
        (
            "/connz?cid=x",
            400,
            "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (
            "/subsz?test=foo.*",
            400,
            "invalid test subject, must be valid publish subject: foo.*",
        ),
        ("/accountz?acc=nope", 400, "Account nope does not exist"),
        ("/raftz", 404, "No Raft nodes registered"),
        ("/nope", 404, "404 page not found\n"),
        ("/connz/", 404, "404 page not found\n"),
    ] {
        let answer = get(server.monitor(), path);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, text),
            "{path}"
        );
        assert_eq!(answer.content_type, "text/plain; charset=utf-8");
    }
}

#[test]
fn connections_are_sorted_paged_and_filtered() {
    let server = monitored(|_| {});
    let mut peers: Vec<_> = (0..3).map(|_| server.ready()).collect();
    peers[1]
        .send("SUB a 1\r\nSUB b 2\r\nPUB a 2\r\nhi\r\n")
        .unwrap();
    peers[1].sync().unwrap();
    peers[2].send("SUB c 1\r\n").unwrap();
    peers[2].sync().unwrap();
    let cids = |path: &str| -> Vec<u64> {
        let answer = json(&server, path);
        let connections = answer["connections"].as_array().unwrap();
        assert_eq!(answer["num_connections"], connections.len());
        connections
            .iter()
            .map(|connection| connection["cid"].as_u64().unwrap())
            .collect()
    };
    let all = cids("/connz");
    let [first, second, third] = all[..] else {
        panic!("{all:?}")
    };
    assert!(first < second && second < third);
    assert_eq!(cids("/connz?sort=subs"), [second, third, first]);
    assert_eq!(cids("/connz?sort=msgs_to&limit=1"), [second]);
    assert_eq!(cids("/connz?offset=1&limit=1"), [second]);
    assert!(cids("/connz?offset=9").is_empty());
    assert_eq!(cids(&format!("/connz?cid={third}")), [third]);
    assert!(json(&server, "/connz?acc=nope")["connections"].is_null());
    assert_eq!(cids("/connz?acc=%24G").len(), 3);
    let listed = json(&server, &format!("/connz?cid={second}&subs=1"));
    let mut subjects: Vec<_> = at(&listed, ".connections[].subscriptions_list")
        .unwrap()
        .as_array()
        .unwrap()
        .clone();
    subjects.sort_by_key(Value::to_string);
    assert_eq!(subjects, ["a", "b"]);

    drop(peers.remove(1));
    await_closed(&server, 1);
    assert_eq!(cids("/connz?state=closed&sort=stop"), [second]);
    assert_eq!(cids("/connz?state=all"), [first, second, third]);
    let closed = json(&server, "/connz?state=closed");
    let closed = at(&closed, ".connections[]").unwrap();
    assert_eq!(
        (&closed["reason"], &closed["subscriptions"]),
        (&"Client Closed".into(), &2.into())
    );
    assert_eq!(
        (&closed["in_msgs"], &closed["out_msgs"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn refused_connections_are_counted_and_shown() {
    let server = monitored(|options| options.max_connections = Some(1));
    let _first = server.ready();
    let mut second = server.connect();
    second.expect("-ERR 'maximum connections exceeded'\r\n");
    await_closed(&server, 1);
    let closed = json(&server, "/connz?state=closed");
    let closed = at(&closed, ".connections[]").unwrap();
    assert_eq!(closed["reason"], "Maximum Connections Exceeded");
    let varz = json(&server, "/varz");
    assert_eq!(
        (&varz["connections"], &varz["total_connections"]),
        (&1.into(), &2.into())
    );
}

#[test]
fn counts_survive_the_connection_that_made_them() {
    let server = monitored(|_| {});
    let mut peer = server.ready();
    peer.send("SUB a 1\r\nPUB a 5\r\nhello\r\n").unwrap();
    peer.sync().unwrap();
    let check = |connections: u64| {
        let varz = json(&server, "/varz");
        let counted: Vec<_> = [
            "connections",
            "total_connections",
            "in_msgs",
            "in_bytes",
            "out_msgs",
            "out_bytes",
        ]
        .map(|key| varz[key].as_u64())
        .into();
        assert_eq!(counted, [connections, 1, 1, 5, 1, 5].map(Some));
        let stat = &json(&server, "/accstatz?unused=1")["account_statz"][0];
        assert_eq!(
            (&stat["acc"], &stat["conns"]),
            (&"$G".into(), &connections.into())
        );
        assert_eq!(
            (&stat["sent"]["msgs"], &stat["received"]["bytes"]),
            (&1.into(), &5.into())
        );
    };
    check(1);
    drop(peer);
    await_closed(&server, 1);
    check(0);
    assert!(json(&server, "/varz")["http_req_stats"]["/varz"].as_u64() > Some(2));
}

#[test]
fn a_subject_can_be_tested_against_all_subscriptions() {
    let server = monitored(|_| {});
    let mut peer = server.ready();
    peer.send("SUB foo.* 1\r\nSUB foo.> q 2\r\nSUB bar 3\r\n")
        .unwrap();
    peer.sync().unwrap();
    let found = json(&server, "/subsz?subs=1&acc=%24G&test=foo.x");
    let sids: Vec<_> = found["subscriptions_list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sub| &sub["sid"])
        .collect();
    assert_eq!(sids, ["1", "2"]);
    assert_eq!(json(&server, "/subsz")["total"], 0);
}

#[test]
fn health_tells_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let server = monitored(|options| {
        options.jetstream.enabled = true;
        options.jetstream.configured_store_dir = Some(directory.path().into());
    });
    for (query, status, body) in [
        ("", 200, r#"{"status":"ok"}"#),
        ("js-enabled-only=true", 200, r#"{"status":"ok"}"#),
        ("js-server-only=true", 200, r#"{"status":"ok"}"#),
        ("account=%24G", 200, r#"{"status":"ok"}"#),
        (
            "account=X",
            404,
            r#"{"status":"unavailable","error":"JetStream account \"X\" not found"}"#,
        ),
        (
            "account=%24G&stream=X&details=1",
            404,
            r#"{"status":"error","errors":[{"type":"STREAM","account":"$G","stream":"X","error":"JetStream stream \"X\" not found on account \"$G\""}]}"#,
        ),
        (
            "stream=X",
            400,
            r#"{"status":"error","error":"\"account\" must not be empty when checking stream health"}"#,
        ),
        (
            "account=A&consumer=C",
            400,
            r#"{"status":"error","error":"\"stream\" must not be empty when checking consumer health"}"#,
        ),
    ] {
        let answer = get(server.monitor(), &format!("/healthz?{query}"));
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, body),
            "{query}"
        );
    }
}

#[test]
fn a_base_path_stands_before_every_path() {
    let server = monitored(|options| options.monitor.base_path = "/nats".into());
    assert_eq!(json(&server, "/nats/varz")["http_base_path"], "/nats");
    assert_eq!(get(server.monitor(), "/varz").status, 404);
    let index = get(server.monitor(), "/nats");
    assert_eq!(
        (index.status, index.content_type.as_str()),
        (200, "text/html; charset=utf-8")
    );
}

#[test]
fn closed_connections_are_forgotten_in_their_order() {
    let server = monitored(|options| options.max_closed_clients = 2);
    let mut cids = Vec::new();
    for count in 1..=4 {
        drop(server.ready());
        await_closed(&server, std::cmp::min(count, 2));
        while cids.last() == last_closed(&server).as_ref() {
            std::thread::yield_now();
        }
        cids.extend(last_closed(&server));
    }
    let closed = json(&server, "/connz?state=closed");
    let kept: Vec<_> = closed["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["cid"].as_u64().unwrap())
        .collect();
    assert_eq!(kept, cids[2..]);
}

fn last_closed(server: &TestServer) -> Option<u64> {
    json(server, "/connz?state=closed")["connections"]
        .as_array()?
        .last()?["cid"]
        .as_u64()
}
