//! Streams as archives: one that nats-server 2.15.1 has written is restored, snapshots carry everything, and a restore leaves all or
//! nothing. `clients/python/archives.py` does the same between two servers.

use std::io;
use std::net::SocketAddr;

use jetsled_testkit::{Launch, Peer, Server};
use jetsled_tests::jetstream::{call, expect, publish};
use serde_json::{Value, json};

/// A snapshot of a stream with gaps, headers, TTLs and two consumers, one of them in the middle of its work.
const ARCHIVE: &[u8] = include_bytes!("archives/orders.natsarc");
/// What nats-server says of that stream.
const DESCRIPTION: &str = include_str!("archives/orders.json");
/// The same of nats-server 2.14.9, as a tar.
const LEGACY_ARCHIVE: &[u8] = include_bytes!("archives/orders-2.14.tar.s2");
const LEGACY_DESCRIPTION: &str = include_str!("archives/orders-2.14.json");

struct Snapshot {
    archive: Vec<u8>,
    reply: Value,
    /// The status of the end.
    status: Option<String>,
}

fn start() -> (tempfile::TempDir, Server) {
    let store = tempfile::tempdir().expect("a temporary directory");
    let server = Launch::new()
        .jetstream(store.path())
        .start()
        .expect("the server starts");
    (store, server)
}

fn ready(address: SocketAddr) -> Peer {
    Peer::ready(address).expect("a connection").0
}

/// Takes a snapshot; with `acknowledge` off, no chunk is answered.
fn snapshot(
    address: SocketAddr,
    stream: &str,
    options: &Value,
    acknowledge: bool,
) -> io::Result<Snapshot> {
    let mut peer = ready(address);
    let mut chunks = ready(address);
    chunks.send("SUB chunks 1\r\n")?;
    chunks.sync()?;
    let mut request = options.clone();
    request["deliver_subject"] = json!("chunks");
    let reply = expect(&mut peer, &format!("STREAM.SNAPSHOT.{stream}"), &request)?;
    let mut archive = Vec::new();
    loop {
        let chunk = chunks.message()?;
        if chunk.payload.is_empty() {
            let status = chunk.status().map(str::to_owned);
            return Ok(Snapshot {
                archive,
                reply,
                status,
            });
        }
        archive.extend_from_slice(&chunk.payload);
        if let Some(reply) = chunk.reply.filter(|_| acknowledge) {
            chunks.send(format!("PUB {reply} 0\r\n\r\n"))?;
        }
    }
}

/// Asks for a restore; answers where the chunks go.
fn begin(peer: &mut Peer, config: &Value, state: &Value) -> String {
    let name = config["name"].as_str().expect("a name");
    let request = json!({"config": config, "state": state});
    let reply = expect(peer, &format!("STREAM.RESTORE.{name}"), &request).expect("it begins");
    let subject = reply["deliver_subject"].as_str().expect("a subject");
    subject.to_owned()
}

fn restore(peer: &mut Peer, config: &Value, state: &Value, archive: &[u8]) -> Value {
    let subject = begin(peer, config, state);
    for chunk in archive.chunks(1000) {
        let ack = peer.request(&subject, chunk).expect("answered");
        assert_eq!(ack.payload, b"");
    }
    let end = peer.request(&subject, b"").expect("answered");
    serde_json::from_slice(&end.payload).expect("JSON")
}

/// All messages of a stream as the API shows them.
fn messages(peer: &mut Peer, stream: &str, state: &Value) -> Value {
    let number = |key: &str| state[key].as_u64().expect("a number");
    let mut found = serde_json::Map::new();
    for seq in number("first_seq")..=number("last_seq") {
        let answer = call(
            peer,
            &format!("STREAM.MSG.GET.{stream}"),
            &json!({ "seq": seq }),
        )
        .expect("answered");
        let Some(message) = answer.get("message") else {
            continue;
        };
        let shown =
            ["subject", "time", "hdrs", "data"].map(|key| (key.to_owned(), message[key].clone()));
        found.insert(seq.to_string(), Value::Object(shown.into_iter().collect()));
    }
    Value::Object(found)
}

/// What must be the same of consumers on any server.
fn shown(consumers: &Value) -> Vec<Value> {
    let place =
        |info: &Value, key: &str| json!([info[key]["consumer_seq"], info[key]["stream_seq"]]);
    let consumers = consumers.as_array().expect("consumers");
    consumers
        .iter()
        .map(|info| {
            let mut config = info["config"].clone();
            config.as_object_mut().expect("a configuration").remove("metadata");
            json!({
                "name": info["name"], "config": config, "delivered": place(info, "delivered"), "ack_floor": place(info, "ack_floor"),
                "pending": info["num_pending"], "waiting": info["num_ack_pending"], "again": info["num_redelivered"],
            })
        })
        .collect()
}

fn check_is_as_described(peer: &mut Peer, want: &Value) {
    let info = expect(
        peer,
        "STREAM.INFO.ORDERS",
        &json!({"deleted_details": true}),
    )
    .expect("info");
    let (mut state, mut want_state) = (info["state"].clone(), want["state"].clone());
    for state in [&mut state, &mut want_state] {
        // The last message is gone, and an archive does not have its time.
        state.as_object_mut().expect("a state").remove("last_ts");
    }
    assert_eq!(state, want_state);
    assert_eq!(messages(peer, "ORDERS", &state), want["messages"]);
    let list = expect(peer, "CONSUMER.LIST.ORDERS", &Value::Null).expect("consumers");
    assert_eq!(shown(&list["consumers"]), shown(&want["consumers"]));
}

#[test]
fn an_archive_of_nats_server_is_restored_survives_a_restart_and_is_written_again() {
    let want: Value = serde_json::from_str(DESCRIPTION).expect("JSON");
    let (_store, mut server) = start();
    let mut peer = ready(server.address());
    let answer = restore(&mut peer, &want["config"], &want["state"], ARCHIVE);
    assert_eq!(answer.get("error"), None, "{answer}");
    assert_eq!(
        answer["type"],
        "io.nats.jetstream.api.v1.stream_create_response"
    );
    assert_eq!(answer["state"]["messages"], want["state"]["messages"]);
    // The answer says that it is on the disk.
    server.kill();
    server.start_again().expect("the server starts again");
    let mut peer = ready(server.address());
    check_is_as_described(&mut peer, &want);

    let Snapshot {
        archive,
        reply,
        status,
    } = snapshot(
        server.address(),
        "ORDERS",
        &json!({"chunk_size": 1024}),
        true,
    )
    .expect("a snapshot");
    assert_eq!(status.as_deref(), Some("204"));
    assert_eq!(reply["state"]["consumer_count"], 2);
    let refused = call(
        &mut peer,
        "STREAM.RESTORE.ORDERS",
        &json!({"config": reply["config"]}),
    )
    .expect("answered");
    assert_eq!(refused["error"]["err_code"], 10130);
    expect(&mut peer, "STREAM.DELETE.ORDERS", &Value::Null).expect("deleted");
    let answer = restore(&mut peer, &reply["config"], &reply["state"], &archive);
    assert_eq!(answer.get("error"), None, "{answer}");
    check_is_as_described(&mut peer, &want);
    let ack = publish(&mut peer, "ORDERS.new", b"").expect("stored");
    assert_eq!(ack["seq"], 50);

    let without = snapshot(
        server.address(),
        "ORDERS",
        &json!({"no_consumers": true}),
        true,
    )
    .expect("a snapshot");
    assert_eq!(
        without.status, None,
        "one partial chunk needs no acknowledgement"
    );
    expect(&mut peer, "STREAM.DELETE.ORDERS", &Value::Null).expect("deleted");
    restore(
        &mut peer,
        &reply["config"],
        &reply["state"],
        &without.archive,
    );
    let list = expect(&mut peer, "CONSUMER.LIST.ORDERS", &Value::Null).expect("consumers");
    assert_eq!(list["consumers"], json!([]));
}

#[test]
fn an_archive_from_before_2_15_is_restored() {
    let want: Value = serde_json::from_str(LEGACY_DESCRIPTION).expect("JSON");
    let (_store, mut server) = start();
    let mut peer = ready(server.address());
    let answer = restore(&mut peer, &want["config"], &want["state"], LEGACY_ARCHIVE);
    assert_eq!(answer.get("error"), None, "{answer}");
    check_is_as_described(&mut peer, &want);
    server.kill();
    server.start_again().expect("the server starts again");
    let mut peer = ready(server.address());
    check_is_as_described(&mut peer, &want);
    let info = expect(&mut peer, "STREAM.INFO.ORDERS", &Value::Null).expect("info");
    assert_eq!(info["created"], answer["created"]);
    let mut config = want["config"].clone();
    config["name"] = json!("OTHER");
    config["subjects"] = json!(["other"]);
    let refused = restore(&mut peer, &config, &want["state"], LEGACY_ARCHIVE);
    assert_eq!(
        refused["error"]["description"],
        "restore failed: stream names do not match"
    );
}

#[test]
fn a_broken_archive_or_a_kill_in_the_middle_leaves_no_stream() {
    let want: Value = serde_json::from_str(DESCRIPTION).expect("JSON");
    let (config, state) = (&want["config"], &want["state"]);
    let (_store, mut server) = start();
    let mut peer = ready(server.address());
    let mut damaged = ARCHIVE.to_vec();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    for (archive, reason) in [
        (&b"no archive at all"[..], "s2: corrupt input"),
        (&ARCHIVE[..ARCHIVE.len() - 20], "s2: corrupt input"),
        (&damaged, "s2: corrupt input, crc mismatch"),
        (b"", "EOF"),
    ] {
        let answer = restore(&mut peer, config, state, archive);
        assert_eq!(answer["error"]["err_code"], 10062, "{answer}");
        assert_eq!(
            answer["error"]["description"],
            format!("restore failed: {reason}")
        );
        let info = call(&mut peer, "STREAM.INFO.ORDERS", &Value::Null).expect("answered");
        assert_eq!(info["error"]["err_code"], 10059);
    }

    // Large enough that much of it is in the log when the server dies.
    expect(
        &mut peer,
        "STREAM.CREATE.BIG",
        &json!({"name": "BIG", "subjects": ["big.*"]}),
    )
    .expect("a stream");
    let mut random: u64 = 7;
    for n in 0..2000 {
        let payload: Vec<u8> = (0..1000)
            .map(|_| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (random >> 56) as u8
            })
            .collect();
        peer.send(
            [
                format!("PUB big.{n} 1000\r\n").as_bytes(),
                &payload,
                b"\r\n",
            ]
            .concat(),
        )
        .expect("sent");
    }
    publish(&mut peer, "big.last", b"").expect("stored");
    let big = snapshot(server.address(), "BIG", &json!({}), true).expect("a snapshot");
    assert!(big.archive.len() > 1_500_000, "{}", big.archive.len());
    expect(&mut peer, "STREAM.DELETE.BIG", &Value::Null).expect("deleted");
    let subject = begin(&mut peer, &big.reply["config"], &big.reply["state"]);
    for chunk in big.archive[..1_500_000].chunks(100_000) {
        peer.request(&subject, chunk).expect("answered");
    }
    server.kill();
    server.start_again().expect("the server starts again");
    let mut peer = ready(server.address());
    let names = expect(&mut peer, "STREAM.NAMES", &Value::Null).expect("names");
    assert_eq!(names["streams"], Value::Null);
    assert!(
        !server.log().contains("configuration is lost"),
        "{}",
        server.log()
    );
    let answer = restore(
        &mut peer,
        &big.reply["config"],
        &big.reply["state"],
        &big.archive,
    );
    assert_eq!(answer["state"]["messages"], 2001, "{answer}");
}

#[test]
fn a_snapshot_that_nobody_acknowledges_ends() {
    let (_store, server) = start();
    let mut peer = ready(server.address());
    expect(
        &mut peer,
        "STREAM.CREATE.S",
        &json!({"name": "S", "subjects": ["s"]}),
    )
    .expect("a stream");
    for n in 0..100_u8 {
        publish(
            &mut peer,
            "s",
            &std::array::from_fn::<u8, 200, _>(|i| n ^ (i * i) as u8),
        )
        .expect("stored");
    }
    peer.send("SUB $JS.EVENT.ADVISORY.STREAM.SNAPSHOT_COMPLETE.S 9\r\n")
        .expect("sent");
    peer.sync().expect("subscribed");
    let options = json!({"chunk_size": 1024, "window_size": 2048});
    let ended = snapshot(server.address(), "S", &options, false).expect("an end");
    assert_eq!(
        ended.archive.len(),
        2048,
        "as many chunks as the window has"
    );
    assert_eq!(ended.status.as_deref(), Some("408 No Flow Response"));
    let advisory = peer.message().expect("an advisory");
    let advisory: Value = serde_json::from_slice(&advisory.payload).expect("JSON");
    assert_eq!(advisory["error"], "no flow response");
    assert_eq!(advisory["client"]["kind"], "Client");
}
