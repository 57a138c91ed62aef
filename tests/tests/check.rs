//! `jetsled check`, and that a server tells the same of a damaged store: in its log, `/healthz` and `/jsz`.

use std::fs;
use std::num::NonZeroU8;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use jetsled_jetstream_api::{StreamConfig, Timestamp};
use jetsled_store::storage::FsStorage;
use jetsled_store::{Publish, Sender, StoreOptions};
use jetsled_testkit::{Launch, Peer, Server, program};
use jetsled_tests::jetstream::{expect, publish};
use jetsled_tests::observed::http;
use serde_json::{Value, json};

const MESSAGES: u64 = 120;
const WITHIN: Duration = Duration::from_secs(30);

fn check(store: &Path, flags: &[&str]) -> Output {
    Command::new(program())
        .arg("check")
        .args(flags)
        .arg(store)
        .output()
        .expect("the program runs")
}

fn report(store: &Path) -> (Option<i32>, Value) {
    let output = check(store, &["--json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (output.status.code(), report)
}

fn filled(store: &Path) -> Server {
    filled_with(store, "")
}

fn filled_with(store: &Path, config: &str) -> Server {
    let server = Launch::new()
        .jetstream(store)
        .config(format!("http: 127.0.0.1:-1\n{config}"))
        .start()
        .expect("the server starts");
    let (mut peer, _info) = Peer::ready(server.address()).expect("a connection");
    for name in ["ONE", "TWO"] {
        let config = json!({"name": name, "subjects": [format!("{name}.*")], "allow_direct": true});
        expect(&mut peer, &format!("STREAM.CREATE.{name}"), &config).expect("a stream");
        for number in 1..=MESSAGES {
            let payload = format!("message {number} of {name}.");
            publish(&mut peer, &format!("{name}.a"), payload.as_bytes()).expect("published");
        }
    }
    server
}

/// Changes a byte of a message where it lies; it must be there once.
fn damage(store: &Path, payload: &str) {
    let mut found = 0;
    for shard in fs::read_dir(store.join("jetstream")).expect("the store") {
        let shard = shard.expect("an entry").path();
        if !shard.is_dir() || shard.ends_with("catalog") {
            continue;
        }
        for file in fs::read_dir(shard).expect("a shard") {
            let path = file.expect("an entry").path();
            let mut bytes = fs::read(&path).expect("a segment");
            let at = bytes
                .windows(payload.len())
                .position(|window| window == payload.as_bytes());
            if let Some(at) = at {
                bytes[at + 2] ^= 4;
                fs::write(&path, bytes).expect("written");
                found += 1;
            }
        }
    }
    assert_eq!(found, 1, "{payload:?}");
}

#[test]
fn check_and_server_tell_the_same_sequences() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = dir.path();
    let mut server = filled(store);
    let in_use = check(store, &[]);
    assert_eq!(in_use.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&in_use.stderr).contains("in use"));
    server.stop();

    let (code, clean) = report(store);
    assert_eq!((code, &clean["clean"]), (Some(0), &json!(true)), "{clean}");
    assert_eq!(clean["streams"][1]["messages"], MESSAGES);
    assert_eq!(clean["superfluous"], json!([]));

    for number in [7, 8, 9, 40] {
        damage(store, &format!("message {number} of ONE."));
    }
    let told = json!([[7, 9], [40, 40]]);
    let before = report(store);
    assert_eq!(before.0, Some(1));
    assert_eq!(before.1["streams"][0]["lost"], told);
    assert_eq!(before.1["streams"][1]["lost"], json!([]));
    assert_eq!(report(store), before, "a check changes nothing");
    let text = check(store, &[]);
    let text = String::from_utf8_lossy(&text.stdout);
    assert!(text.contains("4 MISSING: 7-9, 40"), "{text}");

    server.start_again().expect("a damaged store starts");
    let line = server.wait_for_log("misses 4 messages that damage took: 7-9, 40", WITHIN);
    let line = line.unwrap_or_else(|| panic!("not in the log: {}", server.log()));
    assert!(line.contains("$G > ONE"), "{line}");
    let monitor = server.monitor_address().expect("monitoring");
    let healthz = http::get(monitor, "/healthz").expect("an answer");
    assert_eq!(healthz.status, 200);
    let healthz: Value = serde_json::from_str(&healthz.body).expect("JSON");
    assert_eq!(
        healthz["damage"],
        json!([{"account": "$G", "stream": "ONE", "lost_messages": 4, "lost": "7-9, 40"}])
    );
    let jsz = http::get(monitor, "/jsz?streams=1").expect("an answer");
    let jsz: Value = serde_json::from_str(&jsz.body).expect("JSON");
    let details = jsz["account_details"][0]["stream_detail"].as_array();
    let one = details
        .into_iter()
        .flatten()
        .find(|stream| stream["name"] == "ONE");
    let state = &one.expect("the stream")["state"];
    assert_eq!(state["lost"]["msgs"], json!([7, 8, 9, 40]), "{state}");
    assert_eq!(state["messages"], MESSAGES - 4);

    let (mut peer, _info) = Peer::ready(server.address()).expect("a connection");
    for name in ["ONE", "TWO"] {
        for number in 1..=MESSAGES {
            let body = json!({"seq": number}).to_string();
            let got = peer
                .request(&format!("$JS.API.DIRECT.GET.{name}"), body.as_bytes())
                .expect("an answer");
            if name == "ONE" && [7, 8, 9, 40].contains(&number) {
                let status = got.status().unwrap_or_default();
                assert!(status.starts_with("404"), "{name} {number}: {status}");
            } else {
                let payload = format!("message {number} of {name}.");
                assert_eq!(got.payload, payload.as_bytes());
            }
        }
    }
    server.stop();
    assert_eq!(report(store).1["streams"][0]["lost"], told);
}

/// Changes a byte in each of some pages of the segment that has most in it.
fn damage_sealed(store: &Path) {
    let segments = (0..64).map(|shard| store.join(format!("jetstream/shard-{shard:02}")));
    let segments = segments.map(|shard| shard.join("0000000001.seg"));
    let used = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    let fullest = segments
        .filter_map(|path| Some((fs::read(&path).ok()?, path)))
        .max_by_key(|(bytes, _)| used(bytes));
    let (mut bytes, path) = fullest.expect("a segment");
    let end = used(&bytes);
    assert!(end > 8000, "{end}");
    for at in [end / 2, end / 2 + 600, end / 3] {
        bytes[at] ^= 1;
    }
    fs::write(path, bytes).expect("written");
}

#[test]
fn an_encrypted_store_is_checked_with_its_key_and_a_server_tells_the_same() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = dir.path();
    let config = |text: &str| {
        let file = store.join("config");
        fs::write(&file, text).expect("written");
        file.display().to_string()
    };
    let key = "jetstream { key: \"the first\", cipher: aes }";
    let mut server = filled_with(store, key);
    server.stop();
    let without = check(store, &[]);
    assert_eq!(without.status.code(), Some(2));
    let error = String::from_utf8_lossy(&without.stderr);
    assert!(error.contains("there is no key for it"), "{error}");
    let file = config("jetstream { key: \"another\" }");
    let wrong = check(store, &["-c", &file]);
    assert_eq!(wrong.status.code(), Some(2));
    let error = String::from_utf8_lossy(&wrong.stderr);
    assert!(error.contains("with another key"), "{error}");
    assert!(!error.contains("\"another\""), "{error}");

    let report = |file: &str| {
        let output = check(store, &["-json", "-c", file]);
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), report)
    };
    let file = config(key);
    let (code, clean) = report(&file);
    assert_eq!((code, &clean["clean"]), (Some(0), &json!(true)), "{clean}");
    assert_eq!(clean["streams"][1]["messages"], MESSAGES);
    assert_eq!(clean["superfluous"], json!([]));
    // A server that starts with a new key changes the store; a check does not.
    let next = config("jetstream { key: \"the next\", prev_key: \"the first\" }");
    assert_eq!(report(&next), (code, clean.clone()));
    let file = config(key);
    assert_eq!(report(&file), (code, clean));

    damage_sealed(store);
    let (code, found) = report(&file);
    assert_eq!(code, Some(1));
    let streams = found["streams"].as_array().expect("streams");
    let lost: u64 = streams
        .iter()
        .filter_map(|stream| stream["lost_messages"].as_u64())
        .sum();
    assert!((1..=3).contains(&lost), "{found}");
    server.start_again().expect("a damaged store starts");
    for stream in streams.iter().filter(|stream| stream["lost_messages"] != 0) {
        let name = stream["name"].as_str().expect("a name");
        let runs: Vec<String> = stream["lost"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|run| match (&run[0], &run[1]) {
                (first, last) if first == last => first.to_string(),
                (first, last) => format!("{first}-{last}"),
            })
            .collect();
        let line = format!(
            "'$G > {name}' misses {} messages that damage took: {}",
            stream["lost_messages"],
            runs.join(", ")
        );
        let told = server.wait_for_log(&line, WITHIN);
        assert!(told.is_some(), "no {line:?} in {}", server.log());
    }
}

#[test]
fn what_is_no_store_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (store, text) in [
        (dir.path().to_owned(), "not a store"),
        (dir.path().join("none"), "not a directory"),
    ] {
        let output = check(&store, &[]);
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(text), "{error}");
    }
    assert_eq!(fs::read_dir(dir.path()).expect("it").count(), 0);
}

/// A store with a stream of this name in each of two shards, one second apart, a message in each.
fn two_of_a_name(store: &Path) {
    let options = StoreOptions {
        shards: NonZeroU8::new(2),
        ..StoreOptions::new(store.join("jetstream"), 5)
    };
    let start = Timestamp(1_700_000_000_000_000_000);
    let opened = jetsled_store::open(&options, Arc::new(FsStorage), start);
    for (number, mut shard) in (0..).zip(opened.expect("a new store").shards) {
        let config = StreamConfig {
            name: "S".to_owned(),
            subjects: vec!["s.*".to_owned()],
            max_msgs: -1,
            max_msgs_per_subject: -1,
            max_bytes: -1,
            max_msg_size: -1,
            max_consumers: -1,
            num_replicas: 1,
            ..StreamConfig::default()
        };
        let created = Timestamp(start.0 + number * 1_000_000_000);
        let stream = shard.create_stream("$G", config, created);
        let stream = stream.expect("a stream");
        let message = Publish {
            subject: b"s.a",
            headers: b"",
            payload: b"kept",
            has_interest: true,
            sender: Sender::Client,
        };
        let published = shard.publish(stream, &message, created);
        published.expect("a publish");
        let commit = shard.take_commit().expect("a commit");
        shard.finish_commit(commit.run()).expect("it is written");
    }
    // sled gives its lock back some time after its last handle has dropped.
    let database = fs::File::open(store.join("jetstream/catalog/db")).expect("the catalog");
    while database.try_lock().is_err() {
        std::thread::yield_now();
    }
}

#[test]
fn of_two_streams_of_a_name_the_newer_one_is_served_and_the_other_is_told_of() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = dir.path();
    two_of_a_name(store);
    let told = json!([{"account": "$G", "name": "S", "shard": 0, "created": "2023-11-14T22:13:20Z", "messages": 1}]);
    let (code, found) = report(store);
    assert_eq!((code, &found["set_aside_streams"]), (Some(1), &told));
    let mut server = Launch::new()
        .jetstream(store)
        .config("http: 127.0.0.1:-1")
        .start()
        .expect("the server starts");
    let healthz = |server: &Server| {
        let monitor = server.monitor_address().expect("monitoring");
        let answer = http::get(monitor, "/healthz").expect("an answer");
        assert_eq!(answer.status, 200);
        serde_json::from_str::<Value>(&answer.body).expect("JSON")
    };
    let damage = json!([{"account": "$G", "stream": "S", "set_aside_messages": 1, "created": "2023-11-14T22:13:20Z"}]);
    assert_eq!(healthz(&server)["damage"], damage);
    let log = "'$G > S' of 2023-11-14T22:13:20Z with 1 messages is set aside and not served";
    assert!(server.wait_for_log(log, WITHIN).is_some());
    let created = |server: &Server| {
        let (mut peer, _info) = Peer::ready(server.address()).expect("a connection");
        let ack = publish(&mut peer, "s.a", b"more").expect("one stream takes it");
        assert_eq!(ack["stream"], "S");
        let info = expect(&mut peer, "STREAM.INFO.S", &Value::Null).expect("the stream");
        (info["created"].clone(), info["state"]["messages"].clone())
    };
    assert_eq!(created(&server), (json!("2023-11-14T22:13:21Z"), json!(2)));

    // A third one of the name is not put where a start would take it for the successor of the first one.
    let (mut peer, _info) = Peer::ready(server.address()).expect("a connection");
    expect(&mut peer, "STREAM.DELETE.S", &Value::Null).expect("deleted");
    let config = json!({"name": "S", "subjects": ["s.*"]});
    expect(&mut peer, "STREAM.CREATE.S", &config).expect("made anew");
    server.kill();
    server.start_again().expect("the server starts");
    assert_eq!(healthz(&server)["damage"], damage);
    assert_eq!(created(&server).1, 1);
    expect(
        &mut Peer::ready(server.address()).expect("a connection").0,
        "STREAM.DELETE.S",
        &Value::Null,
    )
    .expect("deleted");
    server.kill();
    server.start_again().expect("the server starts");
    assert!(healthz(&server).get("damage").is_none());
    assert_eq!(created(&server), (json!("2023-11-14T22:13:20Z"), json!(2)));
}
