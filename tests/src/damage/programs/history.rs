//! A store with a past, made by clients of a program.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jetsled_testkit::{Launch, Peer, Server};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::damage::inflict::copy_tree;
use crate::jetstream::{call, expect, publish};

pub(super) const STREAMS: [&str; 5] = ["EVENTS", "KV", "WORK", "INTEREST", "CAPPED"];
const STEPS: usize = 90;

/// Subject and payload.
pub(super) type Content = (String, Vec<u8>);

/// A stream as it was when the program ended.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) last: u64,
    pub(super) live: BTreeMap<u64, Content>,
    /// Whatever it ever held.
    pub(super) ever: BTreeMap<u64, Content>,
}

/// The store of a program that has ended.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) server: Server,
    pub(super) streams: BTreeMap<&'static str, Kept>,
    /// Whether it was stopped, not killed.
    pub(super) orderly: bool,
    /// Copies of all its files at an earlier time.
    pub(super) older: PathBuf,
}

pub(super) fn build(seed: u64, program: &Path, dir: &Path) -> Result<Built, String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut server = Launch::of(program)
        .jetstream(dir)
        .config("http: 127.0.0.1:-1")
        .start()
        .map_err(|error| error.to_string())?;
    let older = dir.with_extension("older");
    let mut streams: BTreeMap<&str, Kept> = STREAMS
        .map(|name| (name, Kept::default()))
        .into_iter()
        .collect();
    let failed = |error: io::Error| format!("building: {error}");
    let mut peer = connect(&server).map_err(failed)?;
    create(&mut peer, &mut random).map_err(failed)?;
    let copy_at = random.random_range(STEPS / 4..STEPS);
    let mut number = 0;
    for at in 0..STEPS {
        step(&mut peer, &mut random, &mut streams, &mut number).map_err(failed)?;
        if at == copy_at {
            server.stop();
            copy_tree(dir, &older).map_err(failed)?;
            server.start_again().map_err(|error| error.to_string())?;
            peer = connect(&server).map_err(failed)?;
        }
    }
    for (name, kept) in &mut streams {
        let info = expect(&mut peer, &format!("STREAM.INFO.{name}"), &Value::Null);
        kept.last = info.map_err(failed)?["state"]["last_seq"]
            .as_u64()
            .unwrap_or(0);
        kept.live = read_all(&mut peer, name, kept.last).map_err(failed)?;
    }
    let orderly = random.random_bool(0.6);
    if orderly {
        server.stop();
    } else {
        server.kill();
    }
    Ok(Built {
        server,
        streams,
        orderly,
        older,
    })
}

pub(super) fn connect(server: &Server) -> io::Result<Peer> {
    Ok(Peer::ready(server.address())?.0)
}

fn create(peer: &mut Peer, random: &mut SmallRng) -> io::Result<()> {
    for name in STREAMS {
        let mut config =
            json!({"name": name, "subjects": [format!("{name}.>")], "allow_direct": true});
        match name {
            "KV" => config["max_msgs_per_subject"] = random.random_range(1..4).into(),
            "WORK" => config["retention"] = "workqueue".into(),
            "INTEREST" => config["retention"] = "interest".into(),
            "CAPPED" => config["max_msgs"] = random.random_range(10..60).into(),
            _ => {}
        }
        expect(peer, &format!("STREAM.CREATE.{name}"), &config)?;
        let consumer = json!({"stream_name": name, "config": {"durable_name": "worker", "ack_policy": "explicit"}});
        let create = format!("CONSUMER.DURABLE.CREATE.{name}.worker");
        expect(peer, &create, &consumer)?;
    }
    Ok(())
}

fn step(
    peer: &mut Peer,
    random: &mut SmallRng,
    streams: &mut BTreeMap<&'static str, Kept>,
    number: &mut u64,
) -> io::Result<()> {
    let name = STREAMS[random.random_range(0..STREAMS.len())];
    let last = streams[name].ever.last_key_value();
    let last = last.map_or(1, |(seq, _)| *seq);
    let any = random.random_range(1..=last);
    match random.random_range(0..100) {
        0..66 => {
            for _ in 0..random.random_range(1..8) {
                *number += 1;
                let subject = format!("{name}.{}", random.random_range(0..9));
                let mut payload = format!("{number} in {name}").into_bytes();
                let len = match random.random_range(0..10) {
                    0..6 => random.random_range(0..200),
                    _ => random.random_range(200..4000),
                };
                payload.extend((0..len).map(|_| random.random::<u8>()));
                let ack = publish(peer, &subject, &payload)?;
                let seq = ack["seq"].as_u64().unwrap_or(0);
                if let Some(kept) = streams.get_mut(name) {
                    kept.ever.insert(seq, (subject, payload));
                }
            }
        }
        66..75 => {
            // One that is not there is refused.
            let body = json!({"seq": any, "no_erase": random.random_bool(0.5)});
            call(peer, &format!("STREAM.MSG.DELETE.{name}"), &body)?;
        }
        75..78 => {
            let body = json!({"seq": any});
            call(peer, &format!("STREAM.PURGE.{name}"), &body)?;
        }
        78..81 => {
            let filter = format!("{name}.{}", random.random_range(0..9));
            call(
                peer,
                &format!("STREAM.PURGE.{name}"),
                &json!({"filter": filter}),
            )?;
        }
        _ => consume(peer, name, random.random_range(1..12))?,
    }
    Ok(())
}

/// Gets and acknowledges, for certain.
fn consume(peer: &mut Peer, name: &str, count: u64) -> io::Result<()> {
    for _ in 0..count {
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{name}.worker");
        let message = peer.request(&next, br#"{"batch":1,"no_wait":true}"#)?;
        let Some(ack) = message.reply else { break };
        peer.request(&ack, b"+ACK")?;
    }
    Ok(())
}

/// Every message of a stream, of which a server says that it ends at `last`.
pub(super) fn read_all(
    peer: &mut Peer,
    name: &str,
    last: u64,
) -> io::Result<BTreeMap<u64, Content>> {
    let mut found = BTreeMap::new();
    let mut from = 1;
    while from <= last {
        // The next one that can be read.
        let body = json!({"seq": from, "next_by_subj": ">"}).to_string();
        let get = format!("$JS.API.DIRECT.GET.{name}");
        let message = peer.request(&get, body.as_bytes())?;
        let seq = message.header("Nats-Sequence");
        let Some(seq) = seq.and_then(|seq| seq.parse::<u64>().ok()) else {
            // None is left, or the server fails at this one.
            if message
                .status()
                .is_none_or(|status| status.starts_with("404"))
            {
                break;
            }
            from += 1;
            continue;
        };
        let subject = message
            .header("Nats-Subject")
            .unwrap_or_default()
            .to_owned();
        found.insert(seq, (subject, message.payload));
        from = seq + 1;
    }
    Ok(found)
}
