//! A confirmed acknowledgement (one that the server has answered) survives SIGKILL: its message never comes again, and
//! every other message still comes.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jetsled_testkit::{Launch, Peer};
use jetsled_tests::jetstream::{expect, publish};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

const ROUNDS: u64 = 8;
const MESSAGES_A_ROUND: u64 = 2_000;
const BATCH: usize = 64;
const WITHIN: Duration = Duration::from_secs(30);

/// What one worker knows of its acknowledgements, by stream sequence.
#[derive(Debug, Default)]
struct Worked {
    /// The server has answered.
    confirmed: BTreeSet<u64>,
    /// Sent and not answered: may count or not.
    unknown: BTreeSet<u64>,
}

/// Fetches and acknowledges until there is nothing more or the connection breaks.
fn work(address: SocketAddr, worked: &mut Worked, seen: &mut BTreeSet<u64>) -> io::Result<()> {
    let (mut peer, _info) = Peer::ready(address)?;
    peer.send("SUB fetched 1\r\nSUB confirmed.* 2\r\n")?;
    let request = json!({"batch": BATCH, "no_wait": true}).to_string();
    loop {
        peer.send(format!(
            "PUB $JS.API.CONSUMER.MSG.NEXT.WORK.worker fetched {}\r\n{request}\r\n",
            request.len()
        ))?;
        let mut acks = String::new();
        let mut fetched = 0;
        // A full batch ends without a status, a short one with 404 or 408.
        while fetched < BATCH {
            let message = peer.message()?;
            if message.status().is_some() {
                break;
            }
            let reply = message.reply.unwrap_or_default();
            let seq = reply
                .split('.')
                .nth(5)
                .and_then(|seq| seq.parse::<u64>().ok());
            let seq = seq.ok_or_else(|| io::Error::other(format!("an ack subject {reply:?}")))?;
            acks += &format!("PUB {reply} confirmed.{seq} 4\r\n+ACK\r\n");
            seen.insert(seq);
            worked.unknown.insert(seq);
            fetched += 1;
        }
        if fetched == 0 {
            return Ok(());
        }
        peer.send(acks)?;
        for _ in 0..fetched {
            let subject = peer.message()?.subject;
            let seq = subject
                .strip_prefix("confirmed.")
                .and_then(|seq| seq.parse().ok());
            let seq = seq.ok_or_else(|| io::Error::other(format!("a message to {subject}")))?;
            worked.unknown.remove(&seq);
            worked.confirmed.insert(seq);
        }
    }
}

#[test]
fn a_confirmed_ack_survives_a_kill_and_everything_else_is_delivered() {
    let seed: u64 = std::env::var("JETSLED_SEED").map_or_else(
        |_| rand::random(),
        |seed| seed.parse().expect("JETSLED_SEED is a number"),
    );
    println!("JETSLED_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let store = tempfile::tempdir().expect("a temporary directory");
    let mut server = Launch::new()
        .jetstream(store.path())
        .start()
        .expect("the server starts");
    let (mut peer, _info) = Peer::ready(server.address()).expect("a connection");
    let stream = json!({"name": "WORK", "subjects": ["work"], "storage": "file"});
    expect(&mut peer, "STREAM.CREATE.WORK", &stream).expect("a stream");
    let consumer = json!({"stream_name": "WORK", "config": {
        "durable_name": "worker", "ack_policy": "explicit", "deliver_policy": "all",
        "ack_wait": 500_000_000, "max_ack_pending": 10_000,
    }});
    expect(&mut peer, "CONSUMER.CREATE.WORK.worker", &consumer).expect("a consumer");

    let mut confirmed_before = 0;
    for round in 1..=ROUNDS {
        let (mut peer, _info) = Peer::ready(server.address()).expect("a connection");
        for _ in 0..MESSAGES_A_ROUND - 1 {
            peer.send("PUB work 7\r\npayload\r\n").expect("sent");
        }
        let ack = publish(&mut peer, "work", b"the last one").expect("answered");
        assert_eq!(ack["seq"], round * MESSAGES_A_ROUND, "{ack}");

        let address = server.address();
        let worker = std::thread::spawn(move || {
            let mut worked = Worked::default();
            // Ends with the connection, or with nothing left to do.
            let ended = work(address, &mut worked, &mut BTreeSet::new());
            (worked, ended)
        });
        std::thread::sleep(Duration::from_micros(random.random_range(1_000..60_000)));
        server.kill();
        let (worked, ended) = worker.join().expect("the worker does not panic");
        server
            .start_again()
            .unwrap_or_else(|error| panic!("round {round}: {error}"));

        let mut seen = BTreeSet::new();
        let mut rest = Worked::default();
        let deadline = Instant::now() + WITHIN;
        loop {
            work(server.address(), &mut rest, &mut seen).expect("the server stays");
            let (mut peer, _info) = Peer::ready(server.address()).expect("a connection");
            let info = expect(&mut peer, "CONSUMER.INFO.WORK.worker", &Value::Null).expect("info");
            if info["num_pending"] == 0 && info["num_ack_pending"] == 0 {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "JETSLED_SEED={seed}, round {round}: {info}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        println!(
            "round {round}: {} confirmed before the kill ({ended:?}), {} unknown, {} seen after it",
            worked.confirmed.len(),
            worked.unknown.len(),
            seen.len()
        );
        confirmed_before += worked.confirmed.len();
        let again: Vec<_> = seen.intersection(&worked.confirmed).collect();
        assert!(
            again.is_empty(),
            "JETSLED_SEED={seed}, round {round}: delivered again {again:?}"
        );
        let first = (round - 1) * MESSAGES_A_ROUND + 1;
        let never: Vec<_> = (first..first + MESSAGES_A_ROUND)
            .filter(|seq| !seen.contains(seq) && !worked.confirmed.contains(seq))
            .filter(|seq| !worked.unknown.contains(seq))
            .collect();
        assert!(
            never.is_empty(),
            "JETSLED_SEED={seed}, round {round}: never delivered {never:?}"
        );
    }
    assert!(
        confirmed_before > 0,
        "no acknowledgement was confirmed before a kill"
    );
}
