//! Publishes to a stream that follow each other in one read, as clients send them that wait for their acks together.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod support;

use jetsled_testkit::Peer;
use serde_json::Value;
use support::TestServer;

struct World {
    _server: TestServer,
    peer: Peer,
    _directory: tempfile::TempDir,
}

impl World {
    /// A server with the stream `S`.
    fn new(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store_dir = directory.path().display();
        let server = TestServer::configured(&format!("jetstream {{ store_dir: '{store_dir}' }}"));
        let mut world = Self {
            peer: server.ready(),
            _server: server,
            _directory: directory,
        };
        let config = format!(r#"{{"name":"S","subjects":["s","t","f.*"],{config}}}"#);
        world.api("STREAM.CREATE.S", &config);
        world.peer.send("SUB in.> 7\r\n").unwrap();
        world
    }

    fn api(&mut self, subject: &str, body: &str) -> Value {
        let subject = format!("$JS.API.{subject}");
        let reply = self.peer.request(&subject, body.as_bytes()).unwrap();
        let reply: Value = serde_json::from_slice(&reply.payload).unwrap();
        assert!(reply.get("error").is_none(), "{subject}: {reply}");
        reply
    }

    /// Publishes all these lines and bodies in one write, and answers with so many answers: subject and body, in order of subjects.
    fn publish(&mut self, publishes: &[(&str, &str)], answers: usize) -> Vec<(String, String)> {
        let all = publishes
            .iter()
            .map(|(line, body)| format!("{line} {}\r\n{body}\r\n", body.len()));
        self.peer.send(all.collect::<String>()).unwrap();
        let answers = self.answers(answers);
        let rest = self.peer.sync().unwrap();
        assert_eq!(rest, b"", "more answers");
        answers
    }

    /// The next so many answers: subject and body, in order of subjects.
    fn answers(&mut self, count: usize) -> Vec<(String, String)> {
        let answers = (0..count).map(|_| self.peer.message().unwrap());
        let answers = answers.map(|answer| {
            let body = String::from_utf8(answer.payload.to_vec()).unwrap();
            (answer.subject, body)
        });
        let mut answers: Vec<_> = answers.collect();
        answers.sort();
        answers
    }

    fn body(&mut self, seq: u64) -> String {
        let message = self.api("STREAM.MSG.GET.S", &format!(r#"{{"seq":{seq}}}"#));
        let data = message["message"]["data"].as_str().unwrap_or_default();
        let data = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, data);
        String::from_utf8(data.unwrap()).unwrap()
    }

    fn messages(&mut self) -> u64 {
        let info = self.api("STREAM.INFO.S", "");
        info["state"]["messages"].as_u64().unwrap()
    }
}

fn stored(reply: &str, seq: u64) -> (String, String) {
    (reply.to_owned(), format!(r#"{{"stream":"S","seq":{seq}}}"#))
}

fn each_is_stored_and_answered(storage: &str) {
    let mut world = World::new(&format!(r#""storage":"{storage}""#));
    let lines: Vec<String> = (1..=1500).map(|n| format!("PUB s in.{n:04}")).collect();
    let bodies: Vec<String> = (1..=1500).map(|n| format!("{n:05}")).collect();
    let publishes = lines
        .iter()
        .zip(&bodies)
        .map(|(line, body)| (line.as_str(), body.as_str()));
    let publishes: Vec<_> = publishes.collect();
    let answers = world.publish(&publishes, 1500);
    let expected = (1..=1500).map(|seq| stored(&format!("in.{seq:04}"), seq));
    assert_eq!(answers, expected.collect::<Vec<_>>());
    for seq in [1, 2, 999, 1500] {
        assert_eq!(world.body(seq), format!("{seq:05}"));
    }
}

#[test]
fn each_is_stored_and_answered_in_a_file() {
    each_is_stored_and_answered("file");
}

#[test]
fn each_is_stored_and_answered_in_memory() {
    each_is_stored_and_answered("memory");
}

#[test]
fn without_a_reply_they_are_stored_all_the_same() {
    let mut world = World::new(r#""storage":"file""#);
    world.publish(&[("PUB s", "a"), ("PUB s", "b"), ("PUB s", "c")], 0);
    assert_eq!(world.messages(), 3);
    assert_eq!(world.body(3), "c");
}

#[test]
fn a_stream_that_is_full_refuses_those_that_it_has_no_room_for() {
    let mut world = World::new(r#""storage":"file","discard":"new","max_msgs":2"#);
    let answers = world.publish(
        &[
            ("PUB s in.1", "a"),
            ("PUB s in.2", "b"),
            ("PUB s in.3", "c"),
            ("PUB s in.4", "d"),
        ],
        4,
    );
    let refused = |reply: &str| {
        let error = r#"{"code":503,"err_code":10077,"description":"maximum messages exceeded"}"#;
        (
            reply.to_owned(),
            format!(r#"{{"error":{error},"stream":"S","seq":0}}"#),
        )
    };
    assert_eq!(
        answers,
        [
            stored("in.1", 1),
            stored("in.2", 2),
            refused("in.3"),
            refused("in.4")
        ]
    );
    assert_eq!(world.messages(), 2);
}

#[test]
fn those_with_headers_keep_them_and_ids_hold_among_them() {
    let mut world = World::new(r#""storage":"file""#);
    let publish = |reply: &str, id: &str, body: &str| {
        let headers = format!("NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n");
        let len = headers.len();
        format!(
            "HPUB s {reply} {len} {}\r\n{headers}{body}\r\n",
            len + body.len()
        )
    };
    let all = [("in.1", "x", "a"), ("in.2", "y", "b"), ("in.3", "x", "c")];
    let all = all.map(|(reply, id, body)| publish(reply, id, body));
    world.peer.send(all.concat()).unwrap();
    let mut answers: Vec<String> = (0..3)
        .map(|_| String::from_utf8(world.peer.message().unwrap().payload.to_vec()).unwrap())
        .collect();
    answers.sort();
    let duplicate = r#"{"stream":"S","seq":1,"duplicate": true}"#;
    assert_eq!(
        answers,
        [
            duplicate,
            r#"{"stream":"S","seq":1}"#,
            r#"{"stream":"S","seq":2}"#
        ]
    );
    assert_eq!(world.body(2), "b");
}

#[test]
fn one_of_a_fast_ingest_batch_among_them_is_part_of_its_batch() {
    let mut world = World::new(r#""storage":"file","allow_batched":true"#);
    // The replies are of the same length.
    let answers = world.publish(
        &[
            ("PUB s in.0123456789abcd", "a"),
            ("PUB s in.B.1.fail.1.2.$FI", "b"),
            ("PUB s in.0123456789abce", "c"),
        ],
        3,
    );
    let batch = r#"{"stream":"S","seq":2,"batch":"B","count":1}"#;
    assert_eq!(
        answers,
        [
            stored("in.0123456789abcd", 1),
            stored("in.0123456789abce", 3),
            ("in.B.1.fail.1.2.$FI".to_owned(), batch.to_owned()),
        ]
    );
}

#[test]
fn runs_of_two_streams_subjects_and_lengths_may_follow_each_other() {
    let mut world = World::new(r#""storage":"file""#);
    world.api(
        "STREAM.CREATE.T",
        r#"{"name":"T","subjects":["u"],"storage":"memory"}"#,
    );
    let answers = world.publish(
        &[
            ("PUB s in.1", "a"),
            ("PUB s in.2", "b"),
            ("PUB u in.3", "c"),
            ("PUB u in.4", "d"),
            ("PUB t in.5", "e"),
            ("PUB t in.66", "f"),
        ],
        6,
    );
    let in_memory =
        |reply: &str, seq| (reply.to_owned(), format!(r#"{{"stream":"T","seq":{seq}}}"#));
    assert_eq!(
        answers,
        [
            stored("in.1", 1),
            stored("in.2", 2),
            in_memory("in.3", 1),
            in_memory("in.4", 2),
            stored("in.5", 3),
            stored("in.66", 4),
        ]
    );
}

fn those_of_other_subjects_without_replies_and_duplicates_among_them(storage: &str) {
    let mut world = World::new(&format!(r#""storage":"{storage}""#));
    let plain = |line: &str| format!("PUB {line} 1\r\n-\r\n");
    let with_id = |line: &str, id: &str| {
        let headers = format!("NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n");
        let len = headers.len();
        format!("HPUB {line} {len} {}\r\n{headers}-\r\n", len + 1)
    };
    let all = [
        plain("s in.1"),
        plain("t in.2"),
        with_id("s in.3", "x"),
        plain("t"),
        with_id("t in.55", "y"),
        with_id("s in.6", "y"),
        with_id("t in.7", "x"),
        with_id("t in.8", "z"),
        plain("s in.9"),
    ];
    world.peer.send(all.concat()).unwrap();
    let answers = world.answers(8);
    let duplicate = |reply: &str, seq: u64| {
        let body = format!(r#"{{"stream":"S","seq":{seq},"duplicate": true}}"#);
        (reply.to_owned(), body)
    };
    assert_eq!(
        answers,
        [
            stored("in.1", 1),
            stored("in.2", 2),
            stored("in.3", 3),
            stored("in.55", 5),
            duplicate("in.6", 5),
            duplicate("in.7", 3),
            stored("in.8", 6),
            stored("in.9", 7),
        ]
    );
    assert_eq!(world.messages(), 7);
    let rest = world.peer.sync().unwrap();
    assert_eq!(rest, b"", "more answers");
}

#[test]
fn those_of_other_subjects_without_replies_and_duplicates_among_them_in_a_file() {
    those_of_other_subjects_without_replies_and_duplicates_among_them("file");
}

#[test]
fn those_of_other_subjects_without_replies_and_duplicates_among_them_in_memory() {
    those_of_other_subjects_without_replies_and_duplicates_among_them("memory");
}

#[test]
fn one_of_an_atomic_batch_among_those_with_ids_is_part_of_its_batch() {
    let mut world = World::new(r#""storage":"file","allow_atomic":true"#);
    let publish = |reply: &str, headers: &str| {
        let headers = format!("NATS/1.0\r\n{headers}\r\n\r\n");
        let len = headers.len();
        format!("HPUB s {reply} {len} {}\r\n{headers}-\r\n", len + 1)
    };
    let all = [
        publish("in.1", "Nats-Msg-Id: x"),
        publish(
            "in.2",
            "Nats-Batch-Id: B\r\nNats-Batch-Sequence: 1\r\nNats-Batch-Commit: 1",
        ),
        publish("in.3", "Nats-Msg-Id: y"),
    ];
    world.peer.send(all.concat()).unwrap();
    let answers = world.answers(3);
    let batch = r#"{"stream":"S","seq":2,"batch":"B","count":1}"#;
    assert_eq!(
        answers,
        [
            stored("in.1", 1),
            ("in.2".to_owned(), batch.to_owned()),
            stored("in.3", 3),
        ]
    );
}

#[test]
fn subjects_of_one_length_of_which_one_is_not_the_streams() {
    let mut world = World::new(r#""storage":"file""#);
    world.peer.send("SUB f.*.* 8\r\n").unwrap();
    let answers = world.publish(
        &[
            ("PUB f.001 in.1", "a"),
            ("PUB f.002 in.2", "b"),
            ("PUB f.003 in.3", "c"),
            ("PUB f.1.3 in.4", "d"),
            ("PUB f.002 in.5", "e"),
            ("PUB f.005 in.6", "f"),
        ],
        6,
    );
    assert_eq!(
        answers,
        [
            ("f.1.3".to_owned(), "d".to_owned()),
            stored("in.1", 1),
            stored("in.2", 2),
            stored("in.3", 3),
            stored("in.5", 4),
            stored("in.6", 5),
        ]
    );
    let last = world.api("STREAM.MSG.GET.S", r#"{"last_by_subj":"f.002"}"#);
    assert_eq!(last["message"]["seq"], 4);
}
