//! Schedules and counters over SIGKILL: a schedule that was due several times meanwhile fires once at the start, and a counter goes on from the
//! value that was acknowledged.

use std::io;
use std::time::{Duration, Instant};

use jetsled_testkit::{Delivered, Launch, Peer};
use jetsled_tests::jetstream::expect;
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(30);

/// Publishes with headers and answers the ack.
fn publish(
    peer: &mut Peer,
    subject: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Value> {
    let lines: String = headers
        .iter()
        .map(|(key, value)| format!("{key}: {value}\r\n"))
        .collect();
    let block = format!("NATS/1.0\r\n{lines}\r\n");
    let (len, total) = (block.len(), block.len() + body.len());
    peer.send(format!(
        "SUB ack.{subject} ack\r\nUNSUB ack 1\r\nHPUB {subject} ack.{subject} {len} {total}\r\n{block}{body}\r\n"
    ))?;
    Ok(serde_json::from_slice(
        &until(peer, |message| message.sid == "ack")?.payload,
    )?)
}

fn until(peer: &mut Peer, wanted: impl Fn(&Delivered) -> bool) -> io::Result<Delivered> {
    loop {
        let message = peer.message()?;
        if wanted(&message) {
            return Ok(message);
        }
    }
}

#[test]
fn schedules_and_counters_go_on_after_a_kill() {
    let store = tempfile::tempdir().expect("a temporary directory");
    let mut server = Launch::new()
        .jetstream(store.path())
        .start()
        .expect("the server starts");
    let (mut peer, _info) = Peer::ready(server.address()).expect("a connection");
    let jobs = json!({"name": "JOBS", "subjects": ["job.>"], "allow_msg_schedules": true});
    expect(&mut peer, "STREAM.CREATE.JOBS", &jobs).expect("a stream");
    let hits = json!({"name": "HITS", "subjects": ["hits.>"], "allow_msg_counter": true});
    expect(&mut peer, "STREAM.CREATE.HITS", &hits).expect("a stream");

    let often = [
        ("Nats-Schedule", "@every 1s"),
        ("Nats-Schedule-Target", "job.run.often"),
    ];
    publish(&mut peer, "job.often", &often, "often").expect("accepted");
    let info = expect(&mut peer, "STREAM.INFO.JOBS", &Value::Null).expect("info");
    assert!(info["state"]["messages"].as_u64() >= Some(1), "{info}");
    let big = "100000000000000000000";
    let ack = publish(&mut peer, "hits.a", &[("Nats-Incr", big)], "").expect("counted");
    assert_eq!(ack["val"], big, "{ack}");

    server.kill();
    std::thread::sleep(Duration::from_millis(4500));
    server.start_again().expect("the server starts again");

    let (mut peer, _info) = Peer::ready(server.address()).expect("a connection");
    let ack = publish(&mut peer, "hits.a", &[("Nats-Incr", "-1")], "").expect("counted");
    assert_eq!(ack["val"], "99999999999999999999", "{ack}");
    let deadline = Instant::now() + WITHIN;
    let mut fired: Vec<f64> = Vec::new();
    let mut from = 1;
    while fired.len() < 4 {
        assert!(Instant::now() < deadline, "fired at {fired:?}");
        let next = json!({"seq": from, "next_by_subj": "job.run.often"});
        match expect(&mut peer, "STREAM.MSG.GET.JOBS", &next) {
            Ok(found) => {
                let message = &found["message"];
                from = message["seq"].as_u64().expect("a sequence") + 1;
                fired.push(second_of_day(message["time"].as_str().expect("a time")));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    // Four were missed, and only one of them came: seconds lie between the others, or nearly so on a machine that is busy.
    let apart = (fired[3] - fired[0]).rem_euclid(86_400.0);
    assert!(apart > 0.9, "fired at {fired:?}");
}

/// The second of the day of `2026-01-01T00:00:00.5Z`.
fn second_of_day(time: &str) -> f64 {
    let clock = time.split_once('T').map_or(time, |(_, clock)| clock);
    let numbers = clock.trim_end_matches('Z').split(':');
    numbers.fold(0.0, |sum, number| {
        sum * 60.0 + number.parse::<f64>().expect("a number")
    })
}
