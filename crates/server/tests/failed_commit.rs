//! A disk that fails under a server: what a failed commit takes back, it takes back from consumers as well; what cannot be read is not served.

use std::io::ErrorKind;
use std::sync::Arc;

use jetsled_config::Options;
use jetsled_jetstream_api::Timestamp;
use jetsled_server::{ServerByHand, SessionByHand};
use jetsled_store::StoreOptions;
use jetsled_testkit::{Call, Fault, FaultyStorage, jetstream_options, one_shard};
use tempfile::TempDir;

/// A server and one client of it, driven by hand.
struct World {
    server: ServerByHand,
    client: SessionByHand,
    disk: FaultyStorage,
    dir: TempDir,
    segment_bytes: u32,
    now: i64,
    /// What the client got last.
    delivered: String,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self::on(FaultyStorage::new(), dir, 64 << 20)
    }

    /// Its log fills a segment soon.
    fn with_small_segments() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self::on(FaultyStorage::new(), dir, 64 << 10)
    }

    fn on(disk: FaultyStorage, dir: TempDir, segment_bytes: u32) -> Self {
        let now = 1_750_000_000_000_000_000;
        ServerByHand::set_time(Timestamp(now));
        let options = Options {
            jetstream: jetstream_options(),
            ..Options::default()
        };
        let store = StoreOptions {
            segment_bytes,
            ..one_shard(dir.path())
        };
        let server = ServerByHand::start(options, &store, Arc::new(disk.clone()));
        let server = server.expect("a server");
        let mut client = server.connect();
        let options = r#"CONNECT {"verbose":false,"headers":true,"no_responders":true}"#;
        client.receive(format!("{options}\r\nPING\r\nSUB in.> 1\r\n").as_bytes());
        Self {
            server,
            client,
            disk,
            dir,
            segment_bytes,
            now,
            delivered: String::new(),
        }
    }

    /// Kills the server and starts it anew.
    fn restart(self) -> Self {
        drop(self.client);
        self.server.abandon();
        Self::on(self.disk.after_kill(), self.dir, self.segment_bytes)
    }

    /// Publishes, lets the server do what is due, and answers with what the client gets.
    fn publish(&mut self, subject: &str, body: &str) -> String {
        let line = format!("PUB {subject} in.reply {}\r\n{body}\r\n", body.len());
        assert!(self.client.receive(line.as_bytes()));
        self.rest()
    }

    /// Publishes what never becomes durable: the disk does not sync it, and after that nothing is written.
    fn fence(&mut self, subject: &str, body: &str) {
        let fault = Fault::Error(ErrorKind::Other);
        self.disk.fail(Call::SyncData, 0, fault);
        self.publish(subject, body);
        assert!(self.server.is_fenced());
    }

    fn rest(&mut self) -> String {
        while self.server.step(0).is_some_and(|due| due.0 <= self.now) {}
        let mut out = Vec::new();
        self.client.take_output(usize::MAX, &mut out);
        self.delivered = String::from_utf8(out).expect("text");
        self.delivered.clone()
    }

    /// Leaves room for nothing in the log, on a disk that gives it no further segment.
    fn fill(&mut self) {
        let filler = r#"{"name":"F","subjects":["f"],"storage":"file"}"#;
        self.publish("$JS.API.STREAM.CREATE.F", filler);
        let consumer =
            r#"{"stream_name":"F","config":{"durable_name":"FC","ack_policy":"explicit"}}"#;
        self.publish("$JS.API.CONSUMER.CREATE.F.FC", consumer);
        for _ in 0..100 {
            self.publish("f", "");
        }
        let got = self.pull("F.FC", 100);
        self.disk.limit(Some(0));
        for len in [2000, 200, 0] {
            while !self.publish("f", &"x".repeat(len)).contains("no space") {}
        }
        // Nothing is smaller than what tells of an ack.
        let mut acks = acks(&got).into_iter();
        assert!(acks.any(|ack| self.publish(&ack, "").is_empty()), "room");
    }

    fn pull(&mut self, consumer: &str, batch: usize) -> String {
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{consumer}");
        self.publish(&next, &format!(r#"{{"batch":{batch},"no_wait":true}}"#))
    }

    fn pass(&mut self, seconds: i64) {
        self.now += seconds * 1_000_000_000;
        ServerByHand::set_time(Timestamp(self.now));
        self.rest();
    }
}

/// The subjects on which the messages in what a client got are acknowledged.
fn acks(got: &str) -> Vec<String> {
    let words = got.split_ascii_whitespace();
    let acks = words.filter(|word| word.starts_with("$JS.ACK."));
    acks.map(str::to_owned).collect()
}

#[test]
fn a_message_whose_removal_is_void_comes_again() {
    let mut world = World::new();
    let stream = r#"{"name":"S","subjects":["s.*"],"storage":"file","max_msgs_per_subject":1}"#;
    world.publish("$JS.API.STREAM.CREATE.S", stream);
    let consumer = r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit","ack_wait":1000000000}}"#;
    world.publish("$JS.API.CONSUMER.CREATE.S.C", consumer);
    assert!(world.publish("s.key", "first").contains(r#""seq":1"#));
    let next = "$JS.API.CONSUMER.MSG.NEXT.S.C";
    let pull = r#"{"batch":1,"no_wait":true}"#;
    assert!(world.publish(next, pull).contains("first"));

    // The second message would take the first one's place.
    world
        .disk
        .fail(Call::Write, 0, Fault::Error(ErrorKind::StorageFull));
    assert!(
        world
            .publish("s.key", "second")
            .contains("no storage space")
    );

    world.pass(2);
    let again = world.publish(next, pull);
    assert!(again.contains("first"), "{again}");
    assert!(world.publish("s.key", "third").contains(r#""seq":2"#));
    world.pass(2);
    let anew = world.publish(next, pull);
    assert!(
        anew.contains("third"),
        "the consumer is told of removals: {anew}"
    );
    let info = world.publish("$JS.API.CONSUMER.INFO.S.C", "");
    assert!(info.contains(r#""num_ack_pending":1"#), "{info}");
}

#[test]
fn changes_that_were_not_written_are_not_served() {
    let mut world = World::new();
    let stream =
        |subject: &str| format!(r#"{{"name":"S","subjects":["{subject}"],"storage":"file"}}"#);
    world.publish("$JS.API.STREAM.CREATE.S", &stream("s.*"));
    let consumer = r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#;
    world.publish("$JS.API.CONSUMER.CREATE.S.C", consumer);
    let fault = Fault::Error(ErrorKind::StorageFull);
    let void = "the change could not be written to disk";

    world.disk.fail(Call::Write, 0, fault);
    let updated = world.publish("$JS.API.STREAM.UPDATE.S", &stream("other.*"));
    assert!(updated.contains(void), "{updated}");
    let info = world.publish("$JS.API.STREAM.INFO.S", "");
    assert!(info.contains(r#""subjects":["s.*"]"#), "{info}");
    assert!(world.publish("s.1", "x").contains(r#""seq":1"#));
    assert!(world.publish("other.1", "x").contains("503"));

    for (delete, info) in [
        ("$JS.API.CONSUMER.DELETE.S.C", "$JS.API.CONSUMER.INFO.S.C"),
        ("$JS.API.STREAM.DELETE.S", "$JS.API.STREAM.INFO.S"),
    ] {
        world.disk.fail(Call::Write, 0, fault);
        let deleted = world.publish(delete, "");
        assert!(deleted.contains(void), "{deleted}");
        let info = world.publish(info, "");
        assert!(info.contains(r#""created""#), "{info}");
    }
    let info = world.publish("$JS.API.CONSUMER.INFO.S.C", "");
    assert!(info.contains(r#""num_pending":1"#), "{info}");
    assert!(world.publish("s.2", "x").contains(r#""seq":2"#));
}

#[test]
fn what_a_stream_follows_is_what_the_log_says() {
    let mut world = World::new();
    for name in ["A", "B", "C"] {
        let origin = format!(r#"{{"name":"{name}","retention":"interest"}}"#);
        world.publish(&format!("$JS.API.STREAM.CREATE.{name}"), &origin);
    }
    let sources = |names: &[&str]| {
        let sources: Vec<_> = names
            .iter()
            .map(|n| format!(r#"{{"name":"{n}"}}"#))
            .collect();
        format!(r#"{{"name":"S","sources":[{}]}}"#, sources.join(","))
    };
    world.publish("$JS.API.STREAM.CREATE.S", &sources(&["A", "B"]));
    world.pass(5);
    for name in ["A", "B"] {
        world.publish(name, "before");
    }
    world.pass(5);
    let info = world.publish("$JS.API.STREAM.INFO.S", "");
    assert!(info.contains(r#""messages":2"#), "{info}");

    let fault = Fault::Error(ErrorKind::StorageFull);
    let void = "the change could not be written to disk";
    let mut copies = 2;
    for (change, body) in [
        ("$JS.API.STREAM.UPDATE.S", sources(&["A", "C"])),
        ("$JS.API.STREAM.DELETE.S", String::new()),
    ] {
        world.disk.fail(Call::Write, 0, fault);
        let changed = world.publish(change, &body);
        assert!(changed.contains(void), "{change}: {changed}");
        // Of the origins' consumers none was deleted, which keep these.
        for name in ["A", "B"] {
            world.publish(name, change);
        }
        for _ in 0..20 {
            world.pass(2);
        }
        copies += 2;
        let info = world.publish("$JS.API.STREAM.INFO.S", "");
        let all = format!(r#""messages":{copies}"#);
        assert!(info.contains(&all), "{change}: {info}");
    }
    let info = world.publish("$JS.API.STREAM.INFO.C", "");
    assert!(info.contains(r#""consumer_count":0"#), "{info}");

    let updated = world.publish("$JS.API.STREAM.UPDATE.S", &sources(&["A"]));
    assert!(updated.contains(r#""created""#), "{updated}");
    world.pass(5);
    let info = world.publish("$JS.API.STREAM.INFO.B", "");
    assert!(info.contains(r#""consumer_count":0"#), "{info}");
}

#[test]
fn a_consumer_of_a_memory_stream_outlives_a_failed_commit_and_delivers() {
    let mut world = World::new();
    let file = r#"{"name":"F","subjects":["f"],"storage":"file"}"#;
    world.publish("$JS.API.STREAM.CREATE.F", file);
    let memory = r#"{"name":"M","subjects":["m"],"storage":"memory"}"#;
    world.publish("$JS.API.STREAM.CREATE.M", memory);
    world
        .disk
        .fail(Call::Write, 0, Fault::Error(ErrorKind::StorageFull));
    world.client.receive(b"SUB pushed 2\r\n");
    let create = "$JS.API.CONSUMER.CREATE.M.C";
    let consumer = r#"{"stream_name":"M","config":{"durable_name":"C","deliver_subject":"pushed","ack_policy":"none"}}"#;
    let in_one_commit = format!("f 1\r\nx\r\nPUB {create}");
    let created = world.publish(&in_one_commit, consumer);
    assert!(created.contains(r#""created""#), "{created}");
    let delivered = world.publish("m", "hello");
    assert!(delivered.contains("MSG m 2 "), "{delivered}");
}

#[test]
fn a_fenced_shard_confirms_nothing_that_is_not_durable() {
    let mut world = World::new();
    let stream = r#"{"name":"S","subjects":["s.*"],"storage":"file"}"#;
    world.publish("$JS.API.STREAM.CREATE.S", stream);
    let publish = "HPUB s.1 in.reply 28 29\r\nNATS/1.0\r\nNats-Msg-Id: 7\r\n\r\nx\r\n";
    world
        .disk
        .fail(Call::SyncData, 0, Fault::Error(ErrorKind::Other));
    for attempt in 0..3 {
        assert!(world.client.receive(publish.as_bytes()));
        let answer = world.rest();
        assert!(answer.contains("fenced"), "attempt {attempt}: {answer}");
    }
    let info = world.publish("$JS.API.STREAM.INFO.S", "");
    assert!(info.contains(r#""created""#), "reads go on: {info}");
}

#[test]
fn a_fenced_shard_confirms_no_change_and_shows_what_is_durable() {
    let mut world = World::new();
    let stream = r#"{"name":"S","subjects":["s.*"],"storage":"file","allow_direct":true}"#;
    world.publish("$JS.API.STREAM.CREATE.S", stream);
    world.publish("s.1", "durable");
    world.fence("s.2", "in doubt");
    let void = "the change could not be written to disk";
    for change in [
        ("$JS.API.STREAM.CREATE.S", stream),
        ("$JS.API.STREAM.MSG.GET.S", r#"{"seq":2}"#),
    ] {
        let answer = world.publish(change.0, change.1);
        assert!(answer.contains(void), "{change:?}: {answer}");
    }
    let get = "$JS.API.DIRECT.GET.S";
    let got = world.publish(get, r#"{"seq":1}"#);
    assert!(got.contains("durable"), "{got}");
    let got = world.publish(get, r#"{"last_by_subj":"s.2"}"#);
    assert!(got.contains("500 Stored Message Unreadable"), "{got}");
    for batch in [
        r#"{"batch":5,"seq":1}"#,
        r#"{"multi_last":["s.*"],"up_to_seq":2}"#,
    ] {
        let got = world.publish(get, batch);
        assert!(got.contains("durable"), "{batch}: {got}");
        assert!(got.contains("204 EOB"), "{batch}: {got}");
        assert!(!got.contains("in doubt"), "{batch}: {got}");
    }
}

#[test]
fn memory_streams_go_on_while_their_shard_is_fenced() {
    let mut world = World::new();
    world.publish("$JS.API.STREAM.CREATE.F", r#"{"name":"F"}"#);
    world.fence("F", "in doubt");
    let stream = r#"{"name":"M","subjects":["m.*"],"storage":"memory"}"#;
    let consumer = r#"{"stream_name":"M","config":{"durable_name":"C","ack_policy":"explicit"}}"#;
    for (ask, body, answer) in [
        ("$JS.API.STREAM.CREATE.M", stream, r#""created""#),
        ("$JS.API.STREAM.UPDATE.M", stream, r#""created""#),
        ("$JS.API.CONSUMER.CREATE.M.C", consumer, r#""created""#),
        ("m.1", "hello", r#""seq":1"#),
        (
            "$JS.API.CONSUMER.MSG.NEXT.M.C",
            r#"{"batch":1,"no_wait":true}"#,
            "hello",
        ),
        (
            "$JS.API.STREAM.MSG.DELETE.M",
            r#"{"seq":1}"#,
            r#""success":true"#,
        ),
        ("$JS.API.STREAM.PURGE.M", "", r#""success":true"#),
        ("$JS.API.CONSUMER.DELETE.M.C", "", r#""success":true"#),
        ("$JS.API.STREAM.DELETE.M", "", r#""success":true"#),
    ] {
        let answered = world.publish(ask, body);
        assert!(answered.contains(answer), "{ask}: {answered}");
    }
}

/// The origin deletes what its mirror confirms.
#[test]
fn a_mirror_on_a_fenced_shard_confirms_no_copies() {
    let mut world = World::new();
    let origin = r#"{"name":"W","subjects":["w"],"retention":"workqueue","storage":"memory"}"#;
    world.publish("$JS.API.STREAM.CREATE.W", origin);
    let mirror = r#"{"name":"M","mirror":{"name":"W"}}"#;
    world.publish("$JS.API.STREAM.CREATE.M", mirror);
    world.pass(5);
    world.publish("w", "copied");
    for _ in 0..60 {
        world.pass(1);
    }
    let info = world.publish("$JS.API.STREAM.INFO.W", "");
    assert!(info.contains(r#""messages":0"#), "{info}");
    world.fence("w", "in doubt");
    for _ in 0..120 {
        world.pass(1);
    }
    let info = world.publish("$JS.API.STREAM.INFO.W", "");
    assert!(info.contains(r#""messages":1"#), "{info}");
}

#[test]
fn a_disk_that_takes_no_writes_refuses_publishes_serves_reads_and_may_recover() {
    let mut world = World::new();
    let stream = r#"{"name":"S","subjects":["s.*"],"storage":"file","allow_direct":true}"#;
    world.publish("$JS.API.STREAM.CREATE.S", stream);
    assert!(world.publish("s.1", "kept").contains(r#""seq":1"#));
    for kind in [ErrorKind::ReadOnlyFilesystem, ErrorKind::Other] {
        for _ in 0..5 {
            world.disk.fail(Call::Write, 0, Fault::Error(kind));
            let refused = world.publish("s.1", "refused");
            assert!(refused.contains(r#""err_code":"#), "{refused}");
            // The mark that says so is written at once, or with the next commit.
            world.disk.heal();
        }
        let got = world.publish("$JS.API.DIRECT.GET.S", r#"{"seq":1}"#);
        assert!(got.contains("kept"), "{got}");
    }
    assert!(world.publish("s.1", "again").contains(r#""seq":2"#));
}

#[test]
fn a_message_that_cannot_be_read_is_an_error_and_there_when_it_can_be() {
    let mut world = World::new();
    let stream = r#"{"name":"S","subjects":["s.*"],"storage":"file","allow_direct":true}"#;
    world.publish("$JS.API.STREAM.CREATE.S", stream);
    let consumer = r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#;
    world.publish("$JS.API.CONSUMER.CREATE.S.C", consumer);
    for seq in 1..=3 {
        world.publish("s.1", &format!("message {seq}"));
    }
    let mut world = world.restart();
    let get = "$JS.API.STREAM.MSG.GET.S";
    let direct_get = "$JS.API.DIRECT.GET.S";
    let next = "$JS.API.CONSUMER.MSG.NEXT.S.C";
    for (ask, body, refusal) in [
        (get, r#"{"seq":2}"#, r#""err_code":10051"#),
        (direct_get, r#"{"seq":2}"#, "500 Stored Message Unreadable"),
        (next, r#"{"batch":3,"no_wait":true}"#, ""),
    ] {
        world
            .disk
            .fail(Call::Read, 0, Fault::Error(ErrorKind::Other));
        let failed = world.publish(ask, body);
        assert!(failed.contains(refusal), "{ask}: {failed}");
        assert!(!failed.contains("message 2"), "{ask}: {failed}");
        assert!(!failed.contains("404"), "it is there: {ask}: {failed}");
        world.disk.heal();
    }
    world.pass(2);
    let mut client = world.delivered.clone();
    for seq in 1..=3 {
        let at = client.find(&format!("message {seq}"));
        let at = at.unwrap_or_else(|| panic!("{seq} is not in {client}"));
        client = client.split_off(at);
    }
    let again = world.publish(direct_get, r#"{"seq":2}"#);
    assert!(again.contains("message 2"), "{again}");
}

#[test]
fn messages_whose_delivery_the_log_refused_come_again_after_a_kill() {
    let mut world = World::with_small_segments();
    let stream = r#"{"name":"S","subjects":["s.*"],"storage":"file"}"#;
    world.publish("$JS.API.STREAM.CREATE.S", stream);
    let consumer = r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#;
    world.publish("$JS.API.CONSUMER.CREATE.S.C", consumer);
    for _ in 0..20 {
        world.publish("s.1", "x");
    }
    world.fill();
    assert_eq!(acks(&world.pull("S.C", 10)).len(), 10);
    world.disk.heal();
    world.pass(2);
    assert_eq!(acks(&world.pull("S.C", 10)).len(), 10);
    world.pass(1);

    let mut world = world.restart();
    world.pass(60);
    assert_eq!(acks(&world.pull("S.C", 20)).len(), 20);
}

#[test]
fn an_ack_that_the_log_refused_is_not_confirmed_until_it_is_recorded() {
    let mut world = World::with_small_segments();
    let stream = r#"{"name":"S","subjects":["s.*"],"storage":"file"}"#;
    world.publish("$JS.API.STREAM.CREATE.S", stream);
    let consumer = r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#;
    world.publish("$JS.API.CONSUMER.CREATE.S.C", consumer);
    world.publish("s.1", "x");
    let ack = acks(&world.pull("S.C", 1)).remove(0);
    world.fill();
    for attempt in 0..3 {
        assert_eq!(world.publish(&ack, ""), "", "attempt {attempt}");
        world.pass(2);
    }
    let reset = world.publish("$JS.API.CONSUMER.RESET.S.C", "");
    assert!(reset.contains("could not be written"), "{reset}");
    world.disk.heal();
    world.pass(2);
    let confirmed = world.publish(&ack, "");
    assert!(confirmed.starts_with("MSG in.reply 1 0\r\n"), "{confirmed}");

    let mut world = world.restart();
    world.pass(60);
    assert_eq!(acks(&world.pull("S.C", 1)), [""; 0]);
}

#[test]
fn an_acked_message_leaves_a_work_queue_when_the_log_takes_its_removal() {
    let mut world = World::with_small_segments();
    let stream = r#"{"name":"W","subjects":["w.*"],"storage":"file","retention":"workqueue"}"#;
    world.publish("$JS.API.STREAM.CREATE.W", stream);
    let consumer = r#"{"stream_name":"W","config":{"durable_name":"C","ack_policy":"explicit"}}"#;
    world.publish("$JS.API.CONSUMER.CREATE.W.C", consumer);
    for _ in 0..5 {
        world.publish("w.1", "x");
    }
    let got = acks(&world.pull("W.C", 5));
    world.fill();
    for ack in [&got[1], &got[2], &got[4]] {
        world.publish(ack, "");
    }
    world.pass(2);
    let info = world.publish("$JS.API.STREAM.INFO.W", "");
    assert!(info.contains(r#""messages":5"#), "{info}");
    world.disk.heal();
    world.pass(2);
    let info = world.publish("$JS.API.STREAM.INFO.W", "");
    assert!(info.contains(r#""messages":2"#), "{info}");
    // Nobody waits for the commit.
    world.pass(1);

    let mut world = world.restart();
    world.pass(60);
    let info = world.publish("$JS.API.STREAM.INFO.W", "");
    assert!(info.contains(r#""messages":2"#), "{info}");
    assert_eq!(acks(&world.pull("W.C", 5)).len(), 2);
}

#[test]
fn what_the_log_does_not_delete_stays_in_service() {
    let mut world = World::with_small_segments();
    let stream = r#"{"name":"S","subjects":["s.*"],"storage":"file"}"#;
    world.publish("$JS.API.STREAM.CREATE.S", stream);
    let consumer = r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#;
    world.publish("$JS.API.CONSUMER.CREATE.S.C", consumer);
    world.publish("s.1", "first");
    world.publish("s.1", "second");
    let ack = acks(&world.pull("S.C", 1)).remove(0);
    world.publish(&ack, "");
    world.fill();
    let deletions = ["$JS.API.CONSUMER.DELETE.S.C", "$JS.API.STREAM.DELETE.S"];
    for delete in deletions {
        let refused = world.publish(delete, "");
        assert!(refused.contains("no space"), "{refused}");
    }
    assert!(world.pull("S.C", 1).contains("second"));
    world.disk.heal();
    world.pass(2);
    assert!(world.publish("s.1", "third").contains(r#""seq":3"#));

    let mut world = world.restart();
    let got = world.pull("S.C", 1);
    assert!(got.contains("third"), "{got}");
    for delete in deletions {
        let deleted = world.publish(delete, "");
        assert!(deleted.contains(r#""success":true"#), "{deleted}");
    }
}

#[test]
fn an_unused_consumer_that_the_log_does_not_delete_goes_later() {
    let mut world = World::with_small_segments();
    let stream = r#"{"name":"S","subjects":["s.*"],"storage":"file"}"#;
    world.publish("$JS.API.STREAM.CREATE.S", stream);
    let consumer = r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit","inactive_threshold":5000000000}}"#;
    world.publish("$JS.API.CONSUMER.CREATE.S.C", consumer);
    world.fill();
    world.pass(10);
    let info = "$JS.API.CONSUMER.INFO.S.C";
    let there = world.publish(info, "");
    assert!(there.contains(r#""created""#), "{there}");
    world.disk.heal();
    world.pass(10);
    let gone = world.publish(info, "");
    assert!(gone.contains("consumer not found"), "{gone}");
}
