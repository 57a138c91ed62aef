//! Acks that follow each other in one read, as clients send them that acknowledge message after message.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod support;

use jetsled_testkit::Peer;
use serde_json::Value;
use support::TestServer;

const MESSAGES: u64 = 1200;

/// A server with a stream of messages, and a consumer of it.
struct World {
    server: TestServer,
    peer: Peer,
    _directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store_dir = directory.path().display();
        let server = TestServer::configured(&format!("jetstream {{ store_dir: '{store_dir}' }}"));
        let mut world = Self {
            peer: server.ready(),
            server,
            _directory: directory,
        };
        world.api("STREAM.CREATE.S", r#"{"name":"S","subjects":["s"]}"#);
        for _ in 0..MESSAGES {
            world.peer.send("PUB s 1\r\nx\r\n").unwrap();
        }
        world.peer.sync().unwrap();
        world.api(
            "CONSUMER.CREATE.S.C",
            r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit","max_ack_pending":5000}}"#,
        );
        world
    }

    fn api(&mut self, subject: &str, body: &str) -> Value {
        let subject = format!("$JS.API.{subject}");
        let reply = self.peer.request(&subject, body.as_bytes()).unwrap();
        let reply: Value = serde_json::from_slice(&reply.payload).unwrap();
        assert!(reply.get("error").is_none(), "{subject}: {reply}");
        reply
    }

    /// Gets all messages; answers their ack subjects.
    fn pull(&mut self) -> Vec<String> {
        self.peer.send("SUB inbox 5\r\n").unwrap();
        let batch = MESSAGES.to_string();
        let len = batch.len();
        let request = format!("PUB $JS.API.CONSUMER.MSG.NEXT.S.C inbox {len}\r\n{batch}\r\n");
        self.peer.send(request).unwrap();
        let messages = (0..MESSAGES).map(|_| self.peer.message().unwrap());
        messages.map(|message| message.reply.unwrap()).collect()
    }

    /// What of the stream is acknowledged, by the floor and by the number of those above it that are not.
    fn acked(&mut self) -> (u64, u64) {
        let info = self.api("CONSUMER.INFO.S.C", "");
        let number = |value: &Value| value.as_u64().unwrap();
        (
            number(&info["ack_floor"]["stream_seq"]),
            number(&info["num_ack_pending"]),
        )
    }
}

/// Sends acks of these messages, by index, in one piece, each as `ack` writes it; then looks at what is acknowledged.
fn check(
    order: impl IntoIterator<Item = usize>,
    ack: impl Fn(&str) -> String,
    expected: (u64, u64),
) {
    let mut world = World::new();
    let subjects = world.pull();
    let acks: String = order.into_iter().map(|at| ack(&subjects[at])).collect();
    world.peer.send(acks).unwrap();
    assert_eq!(world.acked(), expected);
}

fn plain(subject: &str) -> String {
    format!("PUB {subject} 4\r\n+ACK\r\n")
}

#[test]
fn every_message_of_a_run_is_acknowledged() {
    check(0..1200, plain, (1200, 0));
    check(
        0..1200,
        |subject| format!("pub  {subject}\t0\n\r\n"),
        (1200, 0),
    );
}

#[test]
fn what_a_run_leaves_out_stays_pending() {
    let all_but_one = (0..1200).filter(|at| *at != 700);
    check(all_but_one, plain, (700, 1));
    let backwards = (0..1200).rev().filter(|at| *at != 300);
    check(backwards, plain, (300, 1));
    let of_three = (0..1200).filter(|at| at % 3 != 2);
    check(of_three, plain, (2, 400));
    // The same again changes nothing.
    let twice = (0..600).chain(0..600);
    check(twice, plain, (600, 600));
}

#[test]
fn other_answers_in_a_run_are_what_they_say() {
    let mixed = |subject: &str| {
        let seq: u64 = subject.split('.').nth(5).unwrap().parse().unwrap();
        match seq {
            500 => format!("PUB {subject} 4\r\n+WPI\r\n"),
            600 => format!("PUB {subject} 5\r\n+ACK \r\n"),
            _ => plain(subject),
        }
    };
    check(0..1200, mixed, (499, 2));
}

#[test]
fn who_listens_to_acks_gets_each_of_a_run() {
    let mut world = World::new();
    let subjects = world.pull();
    let mut listener = world.server.ready();
    listener.send("SUB $JS.ACK.> 1\r\n").unwrap();
    listener.sync().unwrap();
    let acks: String = subjects.iter().map(|subject| plain(subject)).collect();
    world.peer.send(acks).unwrap();
    for subject in &subjects {
        assert_eq!(listener.message().unwrap().subject, *subject);
    }
    assert_eq!(world.acked(), (1200, 0));
}

#[test]
fn an_ack_that_wants_an_answer_gets_it_amid_a_run() {
    let mut world = World::new();
    let subjects = world.pull();
    world.peer.send("SUB answer 6\r\n").unwrap();
    let acks: String = subjects
        .iter()
        .enumerate()
        .map(|(at, subject)| match at {
            800 => format!("PUB {subject} answer 4\r\n+ACK\r\n"),
            _ => plain(subject),
        })
        .collect();
    world.peer.send(acks).unwrap();
    assert_eq!(world.peer.message().unwrap().subject, "answer");
    assert_eq!(world.acked(), (1200, 0));
}
