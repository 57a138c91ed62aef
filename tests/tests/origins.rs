//! Mirrors and sources of the whole program: whatever is killed when, a copy has every message of its origin exactly once.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jetsled_testkit::{Launch, Peer, Server};
use jetsled_tests::jetstream::{call, expect, publish};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// How long copies may take to catch up, on a loaded machine and after a kill.
const WITHIN: Duration = Duration::from_secs(60);

/// A stored message without its time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    seq: u64,
    subject: String,
    payload: String,
    time: String,
    headers: String,
}

fn start(store: &std::path::Path) -> (Server, Peer) {
    let server = Launch::new()
        .jetstream(store)
        .start()
        .expect("the server starts");
    let (peer, _) = Peer::ready(server.address()).expect("a connection");
    (server, peer)
}

fn state(peer: &mut Peer, stream: &str) -> io::Result<Value> {
    expect(peer, &format!("STREAM.INFO.{stream}"), &Value::Null)
}

/// Waits until a stream's last sequence, and number of messages, are these.
fn wait_for(peer: &mut Peer, stream: &str, what: &dyn Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + WITHIN;
    loop {
        let info = state(peer, stream).expect("stream info");
        if what(&info) {
            return info;
        }
        assert!(Instant::now() < until, "{stream} does not catch up: {info}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn number(info: &Value, key: &str) -> u64 {
    info["state"][key].as_u64().expect("a number")
}

/// All messages, by a pull consumer of their own.
fn messages(peer: &mut Peer, stream: &str) -> io::Result<Vec<Message>> {
    let info = state(peer, stream)?;
    let mut found = Vec::new();
    for seq in number(&info, "first_seq")..=number(&info, "last_seq") {
        let got = call(
            peer,
            &format!("STREAM.MSG.GET.{stream}"),
            &json!({"seq": seq}),
        )?;
        let message = &got["message"];
        if message.is_null() {
            continue;
        }
        let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
        found.push(Message {
            seq,
            subject: text("subject"),
            payload: text("data"),
            time: text("time"),
            headers: text("hdrs"),
        });
    }
    Ok(found)
}

/// Publishes numbered messages until the connection breaks or all are out; answers how many were acknowledged.
fn fill(address: SocketAddr, subject: &str, from: u64, count: u64) -> u64 {
    let Ok((mut peer, _)) = Peer::ready(address) else {
        return 0;
    };
    let mut acknowledged = 0;
    for n in from..from + count {
        let subject = format!("{subject}.{}", n % 5);
        if publish(&mut peer, &subject, n.to_string().as_bytes()).is_err() {
            break;
        }
        acknowledged += 1;
    }
    acknowledged
}

#[test]
fn copies_have_every_message_once_after_kills_at_any_moment() {
    let seed: u64 = std::env::var("JETSLED_SEED").map_or_else(
        |_| rand::random(),
        |seed| seed.parse().expect("JETSLED_SEED is a number"),
    );
    println!("JETSLED_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let store = tempfile::tempdir().expect("a temporary directory");
    let (mut server, mut peer) = start(store.path());
    let source = |name: &str| json!({"name": name});
    for config in [
        json!({"name": "A", "subjects": ["a.>"]}),
        json!({"name": "W", "subjects": ["w.>"], "retention": "workqueue"}),
        json!({"name": "MIRROR", "mirror": source("A")}),
        json!({"name": "BOTH", "sources": [source("A"), source("W")]}),
        // One origin twice: what one filter lets through comes under another name as well.
        json!({"name": "TWICE", "sources": [
            {"name": "A", "filter_subject": "a.1"},
            {"name": "A", "subject_transforms": [{"src": "a.*", "dest": "copy.$1"}]},
        ]}),
        json!({"name": "CHAIN", "sources": [source("MIRROR")]}),
    ] {
        let name = config["name"].as_str().expect("a name").to_owned();
        expect(&mut peer, &format!("STREAM.CREATE.{name}"), &config).expect("a stream");
    }
    let mut published = 0;
    for round in 0..4 {
        let address = server.address();
        let publishers = ["a", "w"].map(|subject| {
            let from = published;
            std::thread::spawn(move || fill(address, subject, from, 400))
        });
        std::thread::sleep(Duration::from_millis(random.random_range(100..900)));
        if round % 2 == 0 {
            server.kill();
        }
        for publisher in publishers {
            publisher.join().expect("a publisher ends");
        }
        published += 400;
        if round % 2 == 1 {
            server.stop();
        }
        server
            .start_again()
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    let (mut peer, _) = Peer::ready(server.address()).expect("a connection");
    let origin = messages(&mut peer, "A").expect("the origin's messages");
    let last = number(&state(&mut peer, "A").expect("info"), "last_seq");
    let queued = number(&state(&mut peer, "W").expect("info"), "last_seq");
    let ones = origin.iter().filter(|m| m.subject == "a.1").count() as u64;
    let count = origin.len() as u64;
    assert!(count > 100 && queued > 100, "{count} {queued}");

    wait_for(&mut peer, "MIRROR", &|info| {
        number(info, "last_seq") == last
    });
    assert_eq!(
        messages(&mut peer, "MIRROR").expect("its messages"),
        origin,
        "JETSLED_SEED={seed}"
    );
    for (stream, wanted) in [
        ("BOTH", count + queued),
        ("TWICE", count + ones),
        ("CHAIN", count),
    ] {
        wait_for(&mut peer, stream, &|info| {
            number(info, "messages") >= wanted
        });
        let mut times = BTreeMap::new();
        for message in messages(&mut peer, stream).expect("its messages") {
            let base = message.subject.replace("copy.", "a.");
            *times
                .entry((base, message.payload, message.subject))
                .or_insert(0) += 1;
        }
        let total: u64 = times.values().sum();
        assert_eq!(total, wanted, "{stream}, JETSLED_SEED={seed}");
        let doubled: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
        assert!(
            doubled.is_empty(),
            "{stream}: {doubled:?}, JETSLED_SEED={seed}"
        );
        if stream != "BOTH" {
            for message in &origin {
                let name = message.subject.replace("a.", "copy.");
                let name = if stream == "TWICE" {
                    name
                } else {
                    message.subject.clone()
                };
                let key = (message.subject.clone(), message.payload.clone(), name);
                assert!(times.contains_key(&key), "{stream} lacks {key:?}");
            }
        }
    }
    // Everything was copied and acknowledged by flow control, so nothing is left in the work queue.
    wait_for(&mut peer, "W", &|info| number(info, "messages") == 0);
}

#[test]
fn a_mirror_follows_gaps_answers_for_its_origin_and_can_be_promoted() {
    let store = tempfile::tempdir().expect("a temporary directory");
    let (_server, mut peer) = start(store.path());
    let peer = &mut peer;
    let origin = json!({"name": "O", "subjects": ["o.>"], "allow_direct": true});
    expect(peer, "STREAM.CREATE.O", &origin).expect("a stream");
    for n in 1..=20 {
        publish(peer, &format!("o.{n}"), b"x").expect("an ack");
    }
    expect(peer, "STREAM.PURGE.O", &json!({"seq": 11})).expect("a purge");
    expect(peer, "STREAM.MSG.DELETE.O", &json!({"seq": 15})).expect("a delete");
    let mirror = json!({"name": "M", "mirror": {"name": "O"}});
    let created = expect(peer, "STREAM.CREATE.M", &mirror).expect("a mirror");
    assert_eq!(created["config"]["mirror_direct"], json!(true));
    let info = wait_for(peer, "M", &|info| number(info, "last_seq") == 20);
    assert_eq!(
        (
            number(&info, "first_seq"),
            number(&info, "messages"),
            number(&info, "num_deleted")
        ),
        (11, 9, 1)
    );
    assert_eq!(info["mirror"]["name"], json!("O"));
    assert_eq!(info["mirror"]["lag"], json!(0));
    assert_eq!(
        messages(peer, "M").expect("messages"),
        messages(peer, "O").expect("messages")
    );
    // One of both answers, and only one.
    let mut who = BTreeMap::new();
    for _ in 0..100 {
        let answer = peer
            .request("$JS.API.DIRECT.GET.O.o.12", b"")
            .expect("an answer");
        let stream = answer.header("Nats-Stream").expect("a header").to_owned();
        assert_eq!(answer.header("Nats-Sequence"), Some("12"));
        *who.entry(stream).or_insert(0) += 1;
    }
    assert_eq!(who.keys().collect::<Vec<_>>(), ["M", "O"], "{who:?}");

    let refused = call(
        peer,
        "STREAM.UPDATE.M",
        &json!({"name": "M", "mirror": {"name": "X"}}),
    );
    let refused = refused.expect("an answer");
    assert_eq!(refused["error"]["err_code"], json!(10055));
    let promoted = json!({"name": "M", "subjects": ["m.>"]});
    expect(peer, "STREAM.UPDATE.M", &promoted).expect("a promotion");
    publish(peer, "o.21", b"x").expect("an ack");
    let ack = publish(peer, "m.1", b"x").expect("an ack");
    assert_eq!(ack["seq"], json!(21));
    for _ in 0..20 {
        let answer = peer
            .request("$JS.API.DIRECT.GET.O.o.12", b"")
            .expect("an answer");
        assert_eq!(answer.header("Nats-Stream"), Some("O"));
    }
    let info = state(peer, "M").expect("info");
    assert_eq!(number(&info, "last_seq"), 21);
    assert!(info["mirror"].is_null());
}

#[test]
fn the_account_counts_the_consumer_of_a_mirror_and_shows_it_to_nobody() {
    let store = tempfile::tempdir().expect("a temporary directory");
    let (_server, mut peer) = start(store.path());
    let peer = &mut peer;
    let origin = json!({"name": "O", "subjects": ["o"]});
    expect(peer, "STREAM.CREATE.O", &origin).expect("a stream");
    publish(peer, "o", b"x").expect("an ack");
    let mirror = json!({"name": "M", "mirror": {"name": "O"}});
    expect(peer, "STREAM.CREATE.M", &mirror).expect("a mirror");
    wait_for(peer, "M", &|info| number(info, "last_seq") == 1);
    let account = expect(peer, "INFO", &Value::Null).expect("account info");
    assert_eq!(account["consumers"], 1);
    let names = expect(peer, "CONSUMER.NAMES.O", &Value::Null).expect("names");
    assert_eq!(names["total"], 0);
    let info = state(peer, "O").expect("stream info");
    assert_eq!(number(&info, "consumer_count"), 0);
}

#[test]
fn an_origin_made_anew_is_copied_from_its_start_and_sources_change_by_update() {
    let store = tempfile::tempdir().expect("a temporary directory");
    let (_server, mut peer) = start(store.path());
    let peer = &mut peer;
    for name in ["O", "P"] {
        let config = json!({"name": name, "subjects": [format!("{}.>", name.to_lowercase())]});
        expect(peer, &format!("STREAM.CREATE.{name}"), &config).expect("a stream");
        for n in 0..3 {
            publish(peer, &format!("{}.{n}", name.to_lowercase()), b"1").expect("an ack");
        }
    }
    let with = |sources: Value| json!({"name": "S", "sources": sources});
    let one = with(json!([{"name": "O"}]));
    expect(peer, "STREAM.CREATE.S", &one).expect("a stream");
    wait_for(peer, "S", &|info| number(info, "messages") == 3);
    let two = with(json!([{"name": "O"}, {"name": "P"}]));
    expect(peer, "STREAM.UPDATE.S", &two).expect("an update");
    let info = wait_for(peer, "S", &|info| number(info, "messages") == 6);
    assert_eq!(info["sources"].as_array().map(Vec::len), Some(2));
    // Away and back: it goes on where it was.
    expect(peer, "STREAM.UPDATE.S", &one).expect("an update");
    publish(peer, "p.9", b"1").expect("an ack");
    publish(peer, "o.9", b"1").expect("an ack");
    wait_for(peer, "S", &|info| number(info, "messages") == 7);
    expect(peer, "STREAM.UPDATE.S", &two).expect("an update");
    wait_for(peer, "S", &|info| number(info, "messages") == 8);

    expect(peer, "STREAM.DELETE.O", &Value::Null).expect("a deletion");
    let again = json!({"name": "O", "subjects": ["o.>"]});
    expect(peer, "STREAM.CREATE.O", &again).expect("a stream");
    publish(peer, "o.new", b"1").expect("an ack");
    wait_for(peer, "S", &|info| number(info, "messages") == 9);
    let copied = messages(peer, "S").expect("messages");
    assert_eq!(copied.last().map(|m| m.subject.as_str()), Some("o.new"));
}

/// Two accounts with JetStream: `orders` lets `copies` make consumers of its streams and hear their deliveries.
const TWO_ACCOUNTS: &str = r#"
accounts {
  orders {
    jetstream: enabled
    users: [ { user: orders, password: orders } ]
    exports: [
      { service: "$JS.API.CONSUMER.>" }
      { service: "$JS.FC.>" }
      { stream: "deliver.>" }
    ]
  }
  copies {
    jetstream: enabled
    users: [ { user: copies, password: copies } ]
    imports: [
      { service: { account: orders, subject: "$JS.API.CONSUMER.>" }, to: "js.orders.CONSUMER.>" }
      { service: { account: orders, subject: "$JS.FC.>" } }
      { stream: { account: orders, subject: "deliver.>" } }
    ]
  }
}
"#;

fn login(server: &Server, user: &str) -> Peer {
    let mut peer = Peer::connect(server.address()).expect("a connection");
    peer.line().expect("INFO");
    peer.send(format!(
        "CONNECT {{\"verbose\":false,\"headers\":true,\"no_responders\":true,\"user\":\"{user}\",\"pass\":\"{user}\"}}\r\n"
    ))
    .and_then(|()| peer.sync())
    .expect("a login");
    peer
}

#[test]
fn an_origin_in_another_account_is_reached_by_the_prefix_of_an_import() {
    let store = tempfile::tempdir().expect("a temporary directory");
    let mut server = Launch::new()
        .jetstream(store.path())
        .config(TWO_ACCOUNTS)
        .start()
        .expect("the server starts");
    let mut orders = login(&server, "orders");
    let origin = json!({"name": "O", "subjects": ["o.>"]});
    expect(&mut orders, "STREAM.CREATE.O", &origin).expect("a stream");
    for n in 0..50 {
        publish(&mut orders, &format!("o.{n}"), b"before").expect("an ack");
    }
    let mut copies = login(&server, "copies");
    let origin =
        json!({"name": "O", "external": {"api": "js.orders", "deliver": "deliver.copies"}});
    let mirror = json!({"name": "M", "mirror": origin});
    expect(&mut copies, "STREAM.CREATE.M", &mirror).expect("a mirror");
    let source = json!({"name": "S", "sources": [origin]});
    expect(&mut copies, "STREAM.CREATE.S", &source).expect("a stream with a source");
    for copy in ["M", "S"] {
        let info = wait_for(&mut copies, copy, &|info| number(info, "messages") == 50);
        let shown = match copy {
            "M" => &info["mirror"],
            _ => &info["sources"][0],
        };
        assert_eq!(shown["external"], origin["external"], "{copy}");
        assert_eq!(shown["error"], Value::Null, "{copy}");
    }

    server.kill();
    server.start_again().expect("the server starts again");
    let mut orders = login(&server, "orders");
    let mut copies = login(&server, "copies");
    for n in 50..80 {
        publish(&mut orders, &format!("o.{n}"), b"behind").expect("an ack");
    }
    for copy in ["M", "S"] {
        wait_for(&mut copies, copy, &|info| number(info, "messages") == 80);
    }
    let originals = messages(&mut orders, "O").expect("messages");
    let copied = messages(&mut copies, "M").expect("messages");
    assert!(copied == originals, "{copied:?}");
    let sourced = messages(&mut copies, "S").expect("messages");
    let subjects = |messages: &[Message]| -> Vec<String> {
        messages
            .iter()
            .map(|message| message.subject.clone())
            .collect()
    };
    assert_eq!(subjects(&sourced), subjects(&originals));
}

#[test]
fn a_counter_with_sources_is_the_sum_of_their_counters() {
    let store = tempfile::tempdir().expect("a temporary directory");
    let (mut server, mut peer) = start(store.path());
    let counter = |name: &str, sources: Value| json!({"name": name, "allow_msg_counter": true, "allow_direct": true, "sources": sources});
    for name in ["EAST", "WEST"] {
        let mut config = counter(name, Value::Null);
        config["subjects"] = json!([format!("{}.>", name.to_lowercase())]);
        expect(&mut peer, &format!("STREAM.CREATE.{name}"), &config).expect("a counter");
    }
    let source = |name: &str| {
        let from = format!("{}.>", name.to_lowercase());
        json!({"name": name, "subject_transforms": [{"src": from, "dest": "world.>"}]})
    };
    let world = counter("WORLD", json!([source("EAST"), source("WEST")]));
    expect(&mut peer, "STREAM.CREATE.WORLD", &world).expect("a counter with sources");

    let add = |peer: &mut Peer, subject: &str, by: i64| {
        let headers = format!("NATS/1.0\r\nNats-Incr: {by}\r\n\r\n");
        peer.send(format!(
            "SUB _A a\r\nUNSUB a 1\r\nHPUB {subject} _A {0} {0}\r\n{headers}\r\n",
            headers.len()
        ))
        .expect("a publish");
        let ack = peer.message().expect("an ack");
        serde_json::from_slice::<Value>(&ack.payload).expect("an ack in JSON")["val"].clone()
    };
    let sum = |peer: &mut Peer, copied: u64| {
        wait_for(peer, "WORLD", &|info| number(info, "last_seq") == copied);
        let last = peer
            .request("$JS.API.DIRECT.GET.WORLD.world.hits", b"")
            .expect("an answer");
        let sources = last.header("Nats-Counter-Sources").expect("the sources");
        let sources: Value = serde_json::from_str(sources).expect("sources in JSON");
        let value: Value = serde_json::from_slice(&last.payload).expect("a value in JSON");
        (value["val"].clone(), sources)
    };
    assert_eq!(add(&mut peer, "east.hits", 5), json!("5"));
    assert_eq!(add(&mut peer, "west.hits", 7), json!("7"));
    assert_eq!(add(&mut peer, "east.hits", -2), json!("3"));
    let sources = json!({"EAST": {"east.hits": "3"}, "WEST": {"west.hits": "7"}});
    assert_eq!(sum(&mut peer, 3), (json!("10"), sources));

    server.kill();
    server.start_again().expect("the server starts again");
    let (mut peer, _) = Peer::ready(server.address()).expect("a connection");
    assert_eq!(add(&mut peer, "west.hits", 100), json!("107"));
    let sources = json!({"EAST": {"east.hits": "3"}, "WEST": {"west.hits": "107"}});
    assert_eq!(sum(&mut peer, 4), (json!("110"), sources));
}
