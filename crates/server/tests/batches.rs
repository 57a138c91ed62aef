//! Batches, message by message, against what nats-server 2.15.1 answered.
//!
//! `observed_batches.tsv` holds the conversation: subject, reply subject, headers, payload, and the answers in order, `-` for an empty one.
//! What is asked of the API has `*` in their place.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod support;

use jetsled_testkit::Peer;
use support::TestServer;

fn start(directory: &std::path::Path, limits: &str) -> TestServer {
    let store_dir = directory.display();
    TestServer::configured(&format!(
        "jetstream {{ store_dir: '{store_dir}', max_file_store: 1G, {limits} }}"
    ))
}

fn publish(peer: &mut Peer, subject: &str, reply: &str, headers: &[&str], payload: &str) {
    let block = format!(
        "NATS/1.0\r\n{}\r\n",
        headers
            .iter()
            .map(|line| format!("{line}\r\n"))
            .collect::<String>()
    );
    let message = if headers.is_empty() {
        format!("PUB {subject} {reply} {}\r\n{payload}\r\n", payload.len())
    } else {
        let (lines, all) = (block.len(), block.len() + payload.len());
        format!("HPUB {subject} {reply} {lines} {all}\r\n{block}{payload}\r\n")
    };
    peer.send(message).unwrap();
}

fn create(peer: &mut Peer, name: &str, settings: &str) {
    let config = format!(
        r#"{{"name":"{name}","subjects":["{name}.>"],"allow_atomic":true,"allow_batched":true{settings}}}"#
    );
    let reply = peer
        .request(&format!("$JS.API.STREAM.CREATE.{name}"), config.as_bytes())
        .unwrap();
    let reply = String::from_utf8(reply.payload).unwrap();
    assert!(reply.contains("\"did_create\":true"), "{reply}");
}

#[test]
fn batches_are_answered_as_nats_server_does() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(
        directory.path(),
        "max_mem_store: 100M, limits { batch { timeout: '10m' } }",
    );
    let mut api = server.ready();
    let mut peer = server.ready();
    peer.send("SUB R.> 1\r\n").unwrap();
    for line in include_str!("observed_batches.tsv").lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [subject, reply, headers, payload, ref answers @ ..] = columns[..] else {
            panic!("too few columns: {line}")
        };
        if *answers == ["*"] {
            // What was published before comes first.
            peer.sync().unwrap();
            api.request(subject, payload.as_bytes()).unwrap();
            continue;
        }
        let headers: Vec<&str> = headers.split('|').filter(|line| !line.is_empty()).collect();
        publish(&mut peer, subject, reply, &headers, payload);
        for want in answers {
            let got = peer
                .message()
                .unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(got.subject, reply, "{line}");
            let got = String::from_utf8(got.payload).unwrap();
            assert_eq!(if got.is_empty() { "-" } else { &got }, *want, "{line}");
        }
    }
}

#[test]
fn an_idle_batch_is_dropped_and_an_atomic_one_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), "limits { batch { timeout: '100ms' } }");
    let mut peer = server.ready();
    create(&mut peer, "A", "");
    peer.send("SUB $JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.* 1\r\nSUB R.> 2\r\n")
        .unwrap();
    publish(&mut peer, "A.x", "R.f.id.10.ok.1.0.$FI", &[], "1");
    assert_eq!(
        peer.message().unwrap().payload,
        br#"{"type":"ack","seq":0,"msgs":10}"#
    );
    publish(
        &mut peer,
        "A.x",
        "",
        &["Nats-Batch-Id: b", "Nats-Batch-Sequence: 1"],
        "1",
    );
    let advisory = peer.message().unwrap();
    assert_eq!(
        advisory.subject,
        "$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.A"
    );
    let advisory = String::from_utf8(advisory.payload).unwrap();
    assert!(
        advisory.ends_with(r#""stream":"A","batch":"b","reason":"timeout"}"#),
        "{advisory}"
    );
    publish(
        &mut peer,
        "A.x",
        "R.a",
        &["Nats-Batch-Id: b", "Nats-Batch-Sequence: 2"],
        "1",
    );
    let refused = String::from_utf8(peer.message().unwrap().payload).unwrap();
    assert!(refused.contains("10176"), "{refused}");
    publish(&mut peer, "A.x", "R.f.id.10.ok.2.1.$FI", &[], "1");
    let refused = String::from_utf8(peer.message().unwrap().payload).unwrap();
    assert!(refused.contains("10208"), "{refused}");
}

#[test]
fn batches_cross_accounts() {
    let directory = tempfile::tempdir().unwrap();
    let store_dir = directory.path().display();
    let server = TestServer::configured(&format!(
        r#"jetstream {{ store_dir: '{store_dir}' }}, system_account: S
        accounts {{
          A {{ jetstream: enabled, users: [{{user: a, password: x}}]
              exports: [{{service: "F.>", response_type: stream}}] }}
          B {{ users: [{{user: b, password: x}}], imports: [{{service: {{account: A, subject: "F.>"}}}}] }}
          S {{ users: [{{user: s, password: x}}] }}
        }}"#
    ));
    let login = |user: &str| {
        let fields = format!(r#","user":"{user}","pass":"x""#);
        server.connected(&fields, "PONG\r\n")
    };
    let mut owner = login("a");
    create(&mut owner, "F", "");
    let mut system = login("s");
    system
        .send("SUB $JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.* 1\r\n")
        .unwrap();
    system.sync().unwrap();
    let mut peer = login("b");
    peer.send("SUB R.> 1\r\n").unwrap();
    // The stream sees replies of the import; the publisher's own stand in a header.
    for (seq, operation, want) in [
        (1, 0, r#"{"type":"ack","seq":0,"msgs":2}"#),
        (2, 1, r#"{"type":"ack","seq":2,"msgs":2}"#),
        (3, 2, r#"{"stream":"F","seq":3,"batch":"id","count":3}"#),
    ] {
        let reply = format!("R.f.id.2.fail.{seq}.{operation}.$FI");
        publish(&mut peer, "F.x", &reply, &[], "1");
        let got = peer.message().unwrap();
        assert_eq!(got.subject, reply);
        assert_eq!(String::from_utf8(got.payload).unwrap(), want);
    }
    let eob = [
        "Nats-Batch-Id: b",
        "Nats-Batch-Sequence: 1",
        "Nats-Batch-Commit: eob",
    ];
    publish(&mut peer, "F.x", "R.a", &eob, "");
    let advisory = String::from_utf8(system.message().unwrap().payload).unwrap();
    let want = r#""account":"A","stream":"F","batch":"b","reason":"incomplete"}"#;
    assert!(advisory.ends_with(want), "{advisory}");
}
