//! A store that the configuration gives a key, with the program: nothing on the disk tells, keys change, and no key is shown.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use jetsled_testkit::{Launch, Peer, Server, program};
use jetsled_tests::jetstream::expect;
use jetsled_tests::observed::http;
use serde_json::{Value, json};

const KEY: &str = "s3cr3t-of-the-store";
const OTHER: &str = "an0ther-secret";

/// None of them is part of anything else that a store writes.
const HIDDEN: [&str; 5] = [
    "DROMEDAR",
    "kaenguru",
    "pelikan.rot",
    "Xylophon",
    "zwieback",
];

fn launch(dir: &Path, settings: &str) -> Launch {
    Launch::new()
        .config(format!("http: 127.0.0.1:-1\njetstream {{ {settings} }}\n"))
        .variable("STORE_KEY", KEY)
        .jetstream(dir)
}

fn start(dir: &Path, settings: &str) -> Server {
    launch(dir, settings).start().expect("the server starts")
}

fn refused(dir: &Path, settings: &str) -> String {
    let Output { status, stderr, .. } = launch(dir, settings).run_to_end().expect("it ends");
    assert_eq!(status.code(), Some(1));
    String::from_utf8_lossy(&stderr).into_owned()
}

fn fill(server: &Server) {
    let (mut peer, _) = Peer::ready(server.address()).expect("a connection");
    let config = json!({"name": HIDDEN[0], "subjects": [HIDDEN[2]]});
    expect(&mut peer, "STREAM.CREATE.DROMEDAR", &config).expect("a stream");
    let config = json!({"stream_name": HIDDEN[0], "config": {"durable_name": HIDDEN[1], "ack_policy": "explicit"}});
    let create = "CONSUMER.CREATE.DROMEDAR.kaenguru";
    expect(&mut peer, create, &config).expect("a consumer");
    for number in 0..50 {
        let headers = format!("NATS/1.0\r\nXylophon: {number}\r\n\r\n");
        let payload = format!("zwieback {number} ").repeat(40);
        let (first, all) = (headers.len(), headers.len() + payload.len());
        let line = format!("HPUB {} _INBOX.none {first} {all}\r\n", HIDDEN[2]);
        peer.send(format!("{line}{headers}{payload}\r\n"))
            .expect("sent");
    }
    peer.sync().expect("published");
    check(server);
}

/// All 50 messages are there, and the consumer.
fn check(server: &Server) {
    let (mut peer, _) = Peer::ready(server.address()).expect("a connection");
    let info = expect(&mut peer, "STREAM.INFO.DROMEDAR", &Value::Null).expect("the stream");
    assert_eq!(info["state"]["messages"], 50);
    assert_eq!(info["state"]["consumer_count"], 1);
    for seq in [1, 25, 50] {
        let body = json!({ "seq": seq });
        let found = expect(&mut peer, "STREAM.MSG.GET.DROMEDAR", &body).expect("a message");
        assert_eq!(found["message"]["subject"], HIDDEN[2]);
    }
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// What of these texts stands in a file of the directory.
fn found_in(dir: &Path, texts: &[&str]) -> Vec<String> {
    let mut paths = Vec::new();
    files(dir, &mut paths);
    let mut found = Vec::new();
    for path in paths {
        let bytes = std::fs::read(&path).expect("a file");
        for text in texts {
            if bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
            {
                found.push(format!("{text} in {}", path.display()));
            }
        }
    }
    found
}

#[test]
fn nothing_is_found_on_the_disk_and_only_the_key_opens_it() {
    let scratch = tempfile::tempdir().expect("a directory");
    let dir = scratch.path();
    let mut server = start(dir, "key: $STORE_KEY");
    assert!(
        server
            .log()
            .contains("  Encryption:      ChaCha20-Poly1305")
    );
    fill(&server);
    server.stop();
    assert_eq!(found_in(dir, &HIDDEN), [""; 0]);
    assert_eq!(found_in(dir, &[KEY]), [""; 0]);
    let store = dir.join("jetstream").display().to_string();
    for (settings, reason) in [
        ("cipher: aes", "is encrypted and there is no key for it"),
        ("key: \"an0ther-secret\"", "is encrypted with another key"),
        (
            "key: \"an0ther-secret\", prev_key: \"a third\"",
            "is encrypted with another key",
        ),
    ] {
        let log = refused(dir, settings);
        let expected = format!("Can't start JetStream: store {store} {reason}");
        assert!(log.contains(&expected), "{log}");
        assert!(!log.contains(OTHER), "{log}");
    }
    let mut server = start(dir, "ek: $STORE_KEY, cipher: AES");
    assert!(server.log().contains("  Encryption:      AES-GCM"));
    check(&server);
    server.kill();
    // A new key, with the old one beside it as long as it is needed.
    let settings = "encryption_key: \"an0ther-secret\", prev_encryption_key: $STORE_KEY";
    let mut server = start(dir, settings);
    check(&server);
    server.stop();
    let mut server = start(dir, "encryption_key: \"an0ther-secret\"");
    check(&server);
    server.stop();
    let log = refused(dir, "key: $STORE_KEY");
    assert!(log.contains("is encrypted with another key"), "{log}");
    assert_eq!(found_in(dir, &HIDDEN), [""; 0]);
}

/// What was there before the key came is written anew, while the server serves.
#[test]
fn a_plain_store_that_gets_a_key_is_encrypted() {
    let scratch = tempfile::tempdir().expect("a directory");
    let dir = scratch.path();
    let mut server = start(dir, "");
    fill(&server);
    server.stop();
    assert!(!found_in(dir, &HIDDEN).is_empty());
    let mut server = start(dir, "key: $STORE_KEY");
    let log = server.log();
    assert!(log.contains("Encrypting the store"), "{log}");
    check(&server);
    let patience = Instant::now() + Duration::from_secs(60);
    while !found_in(dir, &HIDDEN).is_empty() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(found_in(dir, &HIDDEN), [""; 0]);
    check(&server);
    server.kill();
    let server = start(dir, "key: $STORE_KEY");
    check(&server);
    assert_eq!(found_in(dir, &HIDDEN), [""; 0]);
}

/// An empty key is none, as in nats-server 2.15.1.
#[test]
fn an_empty_key_encrypts_nothing() {
    let scratch = tempfile::tempdir().expect("a directory");
    let mut server = start(scratch.path(), "key: \"\", prev_key: \"abc\"");
    assert!(!server.log().contains("Encryption:"));
    assert!(server.log().contains("prev_encryption_key without"));
    fill(&server);
    server.stop();
    assert!(!found_in(scratch.path(), &HIDDEN).is_empty());
}

#[test]
fn no_key_is_shown() {
    let scratch = tempfile::tempdir().expect("a directory");
    let dir = scratch.path();
    let settings = format!("key: \"{KEY}\", prev_key: \"{OTHER}\"");
    let config = |settings: &str| format!("http: 127.0.0.1:-1\njetstream {{ {settings} }}\n");
    let server = launch(dir, &settings).arg("-DVV").start().expect("a start");
    fill(&server);
    let absent = |text: &str, place: &str| {
        for key in [KEY, OTHER, "a-third-0ne"] {
            assert!(!text.contains(key), "{place}: {text}");
        }
    };
    let monitor = server.monitor_address().expect("monitoring is on");
    for path in [
        "/varz",
        "/jsz?config=1&streams=1",
        "/metrics",
        "/healthz?details=1",
    ] {
        let answer = http::get(monitor, path).expect("an answer");
        absent(&answer.body, path);
    }
    // nats-server shows both keys in the log.
    for (changed, name) in [
        (
            format!("key: \"a-third-0ne\", prev_key: \"{OTHER}\""),
            "JetStreamKey",
        ),
        (
            format!("key: \"{KEY}\", prev_key: \"a-third-0ne\""),
            "JetStreamOldKey",
        ),
        (
            format!("{settings}, cipher: aes"),
            "JetStreamCipher: old=ChaCha20-Poly1305, new=AES-GCM",
        ),
    ] {
        server.write_config(config(&changed));
        server.hang_up();
        let refusal = format!("config reload not supported for {name}");
        let told = server.wait_for_log(&refusal, Duration::from_secs(20));
        assert!(told.is_some(), "{name}: {}", server.log());
    }
    absent(&server.log(), "the log");
    let file = scratch.path().join("explained.conf");
    std::fs::write(&file, config(&settings)).expect("written");
    let explained = std::process::Command::new(program())
        .args(["explain", "-c"])
        .arg(&file)
        .output()
        .expect("the program runs");
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(
        explained.contains("jetstream.encryption_key"),
        "{explained}"
    );
    assert!(explained.contains("ChaCha20-Poly1305"), "{explained}");
    absent(&explained, "explain");
}
