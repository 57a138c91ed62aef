//! Who uses the server: each a thread with a connection, at a steady pace, which connects again when the server was away.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jetsled_testkit::Peer;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::sample::Timed;
use crate::jetstream::{expect, publish};

/// One use of the server; the number says which time it is.
type Step = fn(&mut Use<'_>) -> io::Result<()>;

/// Name, subscriptions of the connection, how often a second, what is done. What waits for messages has no pace of its own.
const ACTORS: [(&str, &str, u32, Step); 13] = [
    (
        "core messages received",
        "SUB soak.core.* 1\r\n",
        0,
        receive,
    ),
    (
        "core messages received in a queue group",
        "SUB soak.core.* workers 1\r\n",
        0,
        receive,
    ),
    ("core messages published, by twenty", "", 50, publish_core),
    ("requests served", "SUB service 1\r\n", 0, serve),
    ("requests answered", "", 200, request),
    (
        "messages published to a stream, one by one",
        "",
        200,
        publish_one,
    ),
    (
        "messages published to a stream, by sixteen",
        "SUB acks 1\r\n",
        5,
        publish_many,
    ),
    (
        "messages pulled and acknowledged, by up to a hundred",
        "SUB pulled 1\r\n",
        10,
        pull,
    ),
    ("keys put", "", 100, put),
    ("keys read", "", 200, get),
    ("connections made and closed", "", 20, connect),
    ("subscriptions made and ended, by twenty", "", 20, subscribe),
    ("consumers and streams made and deleted", "", 5, change),
];
const STREAM: &str = "SOAK";
const STREAM_BYTES: u64 = 64 << 20;
const KEYS: u32 = 1000;

/// What the actors share with who watches.
#[derive(Debug)]
pub(super) struct Shared {
    address: SocketAddr,
    is_up: AtomicBool,
    /// How often it went down.
    downs: AtomicU64,
    is_over: AtomicBool,
    done: [AtomicU64; ACTORS.len()],
    latencies: Mutex<[Vec<u32>; Timed::ALL.len()]>,
    failures: Mutex<Vec<String>>,
}

/// A moment of an actor.
struct Use<'a> {
    peer: &'a mut Peer,
    random: &'a mut SmallRng,
    shared: &'a Shared,
    number: u64,
}

impl Shared {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            is_up: AtomicBool::new(true),
            downs: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            done: std::array::from_fn(|_| AtomicU64::new(0)),
            latencies: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// From now on failing is nobody's fault.
    pub(super) fn going_down(&self) {
        self.downs.fetch_add(1, Ordering::SeqCst);
        self.is_up.store(false, Ordering::SeqCst);
    }

    pub(super) fn is_up(&self) {
        self.is_up.store(true, Ordering::SeqCst);
    }

    pub(super) fn finish(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub(super) fn take_latencies(&self) -> [Vec<u32>; Timed::ALL.len()] {
        std::mem::take(&mut self.latencies.lock())
    }

    pub(super) fn done(&self) -> Vec<(&'static str, u64)> {
        let names = ACTORS.iter().map(|actor| actor.0);
        let counts = self.done.iter().map(|count| count.load(Ordering::SeqCst));
        names.zip(counts).collect()
    }

    pub(super) fn failures(&self) -> Vec<String> {
        self.failures.lock().clone()
    }

    fn fail(&self, what: String) {
        const MOST: usize = 20;
        let mut failures = self.failures.lock();
        if failures.len() < MOST {
            failures.push(what);
        }
    }

    fn act(&self, which: usize, mut random: SmallRng) {
        let (name, subscriptions, a_second, step) = ACTORS[which];
        let mut number = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            let downs = self.downs.load(Ordering::SeqCst);
            if !self.is_up.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            }
            let ended = self.connected(|peer| {
                peer.send(subscriptions)?;
                let mut next = Instant::now();
                loop {
                    number += 1;
                    step(&mut Use {
                        peer,
                        random: &mut random,
                        shared: self,
                        number,
                    })?;
                    self.done[which].fetch_add(1, Ordering::Relaxed);
                    if a_second > 0 {
                        // Never hurrying to make up for what was late.
                        next = (next + Duration::from_secs(1) / a_second).max(Instant::now());
                        std::thread::sleep(next.saturating_duration_since(Instant::now()));
                    }
                }
            });
            if let Err(error) = ended
                && self.downs.load(Ordering::SeqCst) == downs
            {
                self.fail(format!("{name}: {error}"));
            }
        }
    }

    fn connected(&self, work: impl FnOnce(&mut Peer) -> io::Result<()>) -> io::Result<()> {
        let (mut peer, _info) = Peer::ready(self.address)?;
        work(&mut peer)
    }

    fn timed<T>(&self, what: Timed, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let began = Instant::now();
        let done = work()?;
        let micros = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
        if let Some(times) = self.latencies.lock().get_mut(what as usize) {
            times.push(micros);
        }
        Ok(done)
    }
}

/// Starts all of them.
pub(super) fn start(shared: &Arc<Shared>, seed: u64) -> Vec<JoinHandle<()>> {
    (0..ACTORS.len())
        .map(|which| {
            let shared = Arc::clone(shared);
            let random = SmallRng::seed_from_u64(seed ^ (which as u64) << 32);
            std::thread::spawn(move || shared.act(which, random))
        })
        .collect()
}

/// Makes the streams and the consumer that the actors need, if they are not there.
pub(super) fn set_up(peer: &mut Peer) -> io::Result<()> {
    let stream = json!({
        "name": STREAM,
        "subjects": [format!("{STREAM}.*")],
        "storage": "file",
        "max_bytes": STREAM_BYTES,
        "allow_direct": true,
    });
    expect(peer, &format!("STREAM.CREATE.{STREAM}"), &stream)?;
    let bucket = json!({
        "name": "KV_soak",
        "subjects": ["$KV.soak.>"],
        "storage": "file",
        "max_msgs_per_subject": 3,
        "allow_rollup_hdrs": true,
        "deny_delete": true,
        "allow_direct": true,
    });
    expect(peer, "STREAM.CREATE.KV_soak", &bucket)?;
    let consumer = json!({"stream_name": STREAM, "config": {
        "durable_name": "puller",
        "ack_policy": "explicit",
        "max_ack_pending": 5000,
    }});
    expect(peer, &format!("CONSUMER.CREATE.{STREAM}.puller"), &consumer)?;
    // So that no key is read before it is put.
    for key in 0..KEYS {
        let subject = format!("$KV.soak.k{key}");
        peer.send(format!("PUB {subject} 5\r\nfirst\r\n"))?;
    }
    publish(peer, "$KV.soak.last", b"put")?;
    Ok(())
}

/// A message comes: within ten seconds, since somebody publishes all the time.
fn receive(on: &mut Use<'_>) -> io::Result<()> {
    on.peer.message().map(|_| ())
}

fn publish_core(on: &mut Use<'_>) -> io::Result<()> {
    let mut lines = String::new();
    for subject in 0..20 {
        let payload = "x".repeat(on.random.random_range(10..500));
        lines += &format!("PUB soak.core.{subject} {}\r\n{payload}\r\n", payload.len());
    }
    on.peer.send(lines)?;
    catch_up(on.peer)
}

/// Waits until the server has done all that was sent, and answers its pings.
fn catch_up(peer: &mut Peer) -> io::Result<()> {
    let before = peer.sync()?;
    if before.starts_with(b"PING") {
        peer.send("PONG\r\n")?;
    }
    Ok(())
}

fn serve(on: &mut Use<'_>) -> io::Result<()> {
    let request = on.peer.message()?;
    let reply = request.reply.unwrap_or_default();
    let len = request.payload.len();
    on.peer.send(format!("PUB {reply} {len}\r\n"))?;
    on.peer.send(&request.payload)?;
    on.peer.send("\r\n")
}

fn request(on: &mut Use<'_>) -> io::Result<()> {
    let payload = vec![b'r'; on.random.random_range(10..500)];
    let peer = &mut *on.peer;
    let answer = on
        .shared
        .timed(Timed::Request, || peer.request("service", &payload))?;
    // After a start who serves may not be there yet; nobody else may take the request then, or it would not be refused.
    if answer.status().is_none() && answer.payload != payload {
        return Err(io::Error::other("another answer than was sent"));
    }
    Ok(())
}

fn publish_one(on: &mut Use<'_>) -> io::Result<()> {
    let payload = vec![b'm'; on.random.random_range(10..2000)];
    let subject = format!("{STREAM}.{}", on.random.random_range(0..100));
    let peer = &mut *on.peer;
    let ack = on
        .shared
        .timed(Timed::Publish, || publish(peer, &subject, &payload))?;
    match ack["seq"].as_u64() {
        Some(_) => Ok(()),
        None => Err(io::Error::other(format!("{ack}"))),
    }
}

fn publish_many(on: &mut Use<'_>) -> io::Result<()> {
    const MANY: usize = 16;
    let payload = "b".repeat(on.random.random_range(1..64 << 10));
    let message = format!("PUB {STREAM}.bulk acks {}\r\n{payload}\r\n", payload.len());
    on.peer.send(message.repeat(MANY))?;
    for _ in 0..MANY {
        let ack: Value = serde_json::from_slice(&on.peer.message()?.payload)?;
        if ack["seq"].as_u64().is_none() {
            return Err(io::Error::other(format!("{ack}")));
        }
    }
    Ok(())
}

fn pull(on: &mut Use<'_>) -> io::Result<()> {
    let body = json!({"batch": 100, "expires": 500_000_000}).to_string();
    let call = format!("$JS.API.CONSUMER.MSG.NEXT.{STREAM}.puller");
    on.peer
        .send(format!("PUB {call} pulled {}\r\n{body}\r\n", body.len()))?;
    let mut acks = String::new();
    for _ in 0..100 {
        let message = on.peer.message()?;
        if message.status().is_some() {
            break;
        }
        let reply = message.reply.unwrap_or_default();
        acks += &format!("PUB {reply} 4\r\n+ACK\r\n");
    }
    on.peer.send(acks)
}

fn put(on: &mut Use<'_>) -> io::Result<()> {
    let value = vec![b'v'; on.random.random_range(10..1000)];
    let subject = format!("$KV.soak.k{}", on.random.random_range(0..KEYS));
    let ack = publish(on.peer, &subject, &value)?;
    match ack["seq"].as_u64() {
        Some(_) => Ok(()),
        None => Err(io::Error::other(format!("{ack}"))),
    }
}

fn get(on: &mut Use<'_>) -> io::Result<()> {
    let key = on.random.random_range(0..KEYS);
    let call = format!("$JS.API.DIRECT.GET.KV_soak.$KV.soak.k{key}");
    let peer = &mut *on.peer;
    let answer = on.shared.timed(Timed::Get, || peer.request(&call, b""))?;
    match answer.status() {
        None => Ok(()),
        Some(status) => Err(io::Error::other(format!("k{key}: {status}"))),
    }
}

fn connect(on: &mut Use<'_>) -> io::Result<()> {
    let (mut peer, _info) = Peer::ready(on.shared.address)?;
    peer.send("SUB soak.a 1\r\nSUB soak.b.* 2\r\nSUB soak.> group 3\r\n")?;
    // Some go without waiting for anything.
    if on.random.random_bool(0.5) {
        peer.sync()?;
    }
    Ok(())
}

fn subscribe(on: &mut Use<'_>) -> io::Result<()> {
    let first = on.number * 20;
    let mut lines = String::new();
    for sid in first..first + 20 {
        lines += &format!("SUB soak.sub.{sid}.* {sid}\r\n");
    }
    lines += &format!("PUB soak.sub.{first}.x 2\r\nhi\r\n");
    on.peer.send(lines)?;
    on.peer.message()?;
    let ends = (first..first + 20).map(|sid| format!("UNSUB {sid}\r\n"));
    on.peer.send(ends.collect::<String>())?;
    catch_up(on.peer)
}

fn change(on: &mut Use<'_>) -> io::Result<()> {
    let (peer, name) = (&mut *on.peer, format!("c{}", on.number % 10));
    let mut config =
        json!({"durable_name": name, "ack_policy": "explicit", "deliver_policy": "last"});
    if on.random.random_bool(0.2) {
        // One that goes by itself.
        config = json!({"name": name, "ack_policy": "explicit", "inactive_threshold": 2_000_000_000_u64});
        let name = format!("e{}", on.number);
        config["name"] = json!(name);
        let body = json!({"stream_name": STREAM, "config": config});
        expect(peer, &format!("CONSUMER.CREATE.{STREAM}.{name}"), &body)?;
        return Ok(());
    }
    let body = json!({"stream_name": STREAM, "config": config});
    expect(peer, &format!("CONSUMER.CREATE.{STREAM}.{name}"), &body)?;
    peer.request(
        &format!("$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{name}"),
        br#"{"batch":1,"no_wait":true}"#,
    )?;
    expect(
        peer,
        &format!("CONSUMER.DELETE.{STREAM}.{name}"),
        &Value::Null,
    )?;
    let stream = format!("TEMP{}", on.number % 10);
    let body = json!({"name": stream, "subjects": [format!("{stream}.*")], "storage": "file"});
    expect(peer, &format!("STREAM.CREATE.{stream}"), &body)?;
    for _ in 0..10 {
        publish(peer, &format!("{stream}.a"), b"a message")?;
    }
    expect(peer, &format!("STREAM.DELETE.{stream}"), &Value::Null)?;
    Ok(())
}
