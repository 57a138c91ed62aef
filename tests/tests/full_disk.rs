//! A full disk: publishes are refused, reads go on, publishing resumes when space returns, and nothing that was
//! acknowledged is lost. Needs root for a small file system of its own; says so where that is missing.

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jetsled_testkit::{Launch, Peer};
use jetsled_tests::jetstream::{expect, publish};
use jetsled_tests::small_disk::SmallDisk;
use serde_json::{Value, json};

const DISK_BYTES: usize = 400 << 20;
const BALLAST_BYTES: usize = 150 << 20;
const PAYLOAD_BYTES: usize = 256 << 10;
const SPACE_RETURNS_WITHIN: Duration = Duration::from_secs(30);

fn payload(number: u64) -> Vec<u8> {
    let mut payload = format!("message {number} ").into_bytes();
    payload.resize(PAYLOAD_BYTES, b'a' + (number % 26) as u8);
    payload
}

/// Publishes one message: its sequence, or the error it was refused with.
fn try_publish(peer: &mut Peer, number: u64) -> Result<u64, Value> {
    let answer = publish(peer, "full.disk", &payload(number)).expect("publishes are answered");
    match answer["seq"].as_u64() {
        Some(seq) if answer.get("error").is_none() => Ok(seq),
        _ => Err(answer["error"].clone()),
    }
}

/// Every acknowledged message is there.
fn verify(address: SocketAddr, acknowledged: &[(u64, u64)]) {
    let (mut peer, _info) = Peer::ready(address).expect("connections are taken");
    for (number, seq) in acknowledged {
        let body = json!({"seq": seq}).to_string();
        let found = peer
            .request("$JS.API.DIRECT.GET.FULL", body.as_bytes())
            .expect("answered");
        assert_eq!(
            found.header("Nats-Sequence"),
            Some(&*seq.to_string()),
            "{}",
            found.headers
        );
        assert!(
            found.payload == payload(*number),
            "the payload of sequence {seq} is another"
        );
    }
}

#[test]
fn a_full_disk_refuses_publishes_until_space_returns_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk = match SmallDisk::mount(dir.path(), DISK_BYTES) {
        Ok(disk) => disk,
        Err(error) => return println!("skipped: a small file system cannot be mounted: {error}"),
    };
    let ballast = disk.path().join("ballast");
    let mut file = File::create(&ballast).expect("a file");
    file.write_all(&vec![0; BALLAST_BYTES])
        .expect("the ballast fits");
    drop(file);
    let mut server = Launch::new()
        .jetstream(disk.path().join("store"))
        // More than the disk has, so that the disk is what ends first.
        .config("jetstream { max_file_store: 100G }")
        .start()
        .expect("the server starts");
    let (mut peer, _info) = Peer::ready(server.address()).expect("a connection");
    let config =
        json!({"name": "FULL", "subjects": ["full.*"], "storage": "file", "allow_direct": true});
    expect(&mut peer, "STREAM.CREATE.FULL", &config).expect("a stream");

    let mut acknowledged = Vec::new();
    let most = (DISK_BYTES / PAYLOAD_BYTES) as u64;
    let mut number = 0;
    let error = loop {
        assert!(
            number < most,
            "{number} messages on a disk that holds fewer"
        );
        match try_publish(&mut peer, number) {
            Ok(seq) => acknowledged.push((number, seq)),
            Err(error) => break error,
        }
        number += 1;
    };
    println!("refused after {number} messages: {error}");
    assert!(number > 0, "the first message is refused already: {error}");
    assert!(error["code"].as_u64() >= Some(500), "{error}");
    assert!(
        error["description"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "{error}"
    );
    for _ in 0..20 {
        number += 1;
        if let Ok(seq) = try_publish(&mut peer, number) {
            acknowledged.push((number, seq));
        }
    }
    verify(server.address(), &acknowledged);

    fs::remove_file(&ballast).expect("removed");
    let deadline = Instant::now() + SPACE_RETURNS_WITHIN;
    loop {
        number += 1;
        match try_publish(&mut peer, number) {
            Ok(seq) => break acknowledged.push((number, seq)),
            Err(error) => {
                assert!(Instant::now() < deadline, "still refused: {error}");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
    for _ in 0..20 {
        number += 1;
        let seq = try_publish(&mut peer, number).expect("there is space again");
        acknowledged.push((number, seq));
    }
    verify(server.address(), &acknowledged);
    server.kill();
    server.start_again().expect("the server starts again");
    verify(server.address(), &acknowledged);
    // Before the file system that they are on.
    drop(peer);
    drop(server);
    drop(disk);
}
