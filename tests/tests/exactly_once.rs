//! Exactly once, end to end, through random kills of the server and of clients: producers name their messages and repeat
//! what was not acknowledged, workers let an effect take place when its ack is confirmed. See docs/guarantees.md.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use jetsled_testkit::{Delivered, Launch, Peer};
use jetsled_tests::jetstream::expect;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Kills, unless `JETSLED_ROUNDS` says otherwise.
const ROUNDS: usize = 6;
const PRODUCERS: usize = 2;
const GROUPS: [&str; 2] = ["billing", "mail"];
const WORKERS_A_GROUP: usize = 2;
const CLIENTS: usize = PRODUCERS + GROUPS.len() * WORKERS_A_GROUP;
/// Events that a producer has under way.
const WINDOW: usize = 16;
const BATCH: usize = 16;
/// Redelivery comes this late; with it, what a killed worker had.
const ACK_WAIT: Duration = Duration::from_secs(1);
/// How long a client waits for an answer before it asks again.
const PATIENCE: Duration = Duration::from_millis(250);
const WITHIN: Duration = Duration::from_secs(60);

/// What the outside world keeps, whatever is killed.
#[derive(Default)]
struct Outside {
    address: Mutex<Option<SocketAddr>>,
    sockets: Mutex<[Option<TcpStream>; CLIENTS]>,
    producing: AtomicBool,
    working: AtomicBool,
    /// Events whose publish was acknowledged, and their sequence.
    stored: Mutex<BTreeMap<String, u64>>,
    /// The effects of each group, by stream sequence: a second one under the same key is none.
    effects: Mutex<[BTreeMap<u64, Effect>; GROUPS.len()]>,
    problems: Mutex<Vec<String>>,
}

struct Effect {
    event: String,
    at: Instant,
}

impl Outside {
    /// Connects client number `client`, so that [`Outside::kill_client`] can cut it off.
    fn connect(&self, client: usize) -> io::Result<Peer> {
        let address = self
            .address
            .lock()
            .unwrap()
            .ok_or(io::ErrorKind::NotConnected)?;
        let (peer, _info) = Peer::ready(address)?;
        peer.stream().set_read_timeout(Some(PATIENCE))?;
        self.sockets.lock().unwrap()[client] = Some(peer.stream().try_clone()?);
        Ok(peer)
    }

    fn kill_client(&self, client: usize) {
        if let Some(socket) = self.sockets.lock().unwrap()[client].take() {
            socket.shutdown(Shutdown::Both).ok();
        }
    }

    fn problem(&self, what: String) {
        self.problems.lock().unwrap().push(what);
    }
}

/// The next message, or `None` if there is none for a while.
fn next(peer: &mut Peer) -> io::Result<Option<Delivered>> {
    match peer.message() {
        Ok(message) => Ok(Some(message)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Publishes events until told to stop, and then what is not acknowledged yet. What it has to publish is its durable state.
fn produce(outside: &Outside, producer: usize) {
    let mut count = 0;
    let mut open = BTreeSet::new();
    loop {
        let result = outside
            .connect(producer)
            .and_then(|mut peer| publish(outside, producer, &mut count, &mut open, &mut peer));
        if result.is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn publish(
    outside: &Outside,
    producer: usize,
    count: &mut u64,
    open: &mut BTreeSet<String>,
    peer: &mut Peer,
) -> io::Result<()> {
    peer.send(format!("SUB stored.{producer}.* 1\r\n"))?;
    loop {
        while outside.producing.load(SeqCst) && open.len() < WINDOW {
            *count += 1;
            open.insert(format!("{producer}-{count}"));
        }
        if open.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for event in &*open {
            let headers = format!("NATS/1.0\r\nNats-Msg-Id: {event}\r\n\r\n");
            let (header_len, len) = (headers.len(), headers.len() + event.len());
            lines += &format!(
                "HPUB events.{producer} stored.{producer}.{event} {header_len} {len}\r\n{headers}{event}\r\n"
            );
        }
        peer.send(lines)?;
        for _ in 0..open.len() {
            let Some(answer) = next(peer)? else {
                break;
            };
            let event = answer.subject.rsplit('.').next().unwrap_or_default();
            let ack: Value = serde_json::from_slice(&answer.payload).unwrap_or_default();
            let Some(seq) = ack["seq"].as_u64().filter(|_| ack["error"].is_null()) else {
                continue;
            };
            open.remove(event);
            let before = outside.stored.lock().unwrap().insert(event.to_owned(), seq);
            if before.is_some_and(|before| before != seq) {
                outside.problem(format!("{event} is stored at {before:?} and at {seq}"));
            }
        }
    }
}

/// A message that a worker took on: its effect is prepared, and takes place once the ack is confirmed.
struct Prepared {
    event: String,
    ack: String,
}

/// Works until told to stop. What is prepared is its durable state.
fn work(outside: &Outside, group: usize, client: usize) {
    let mut prepared = BTreeMap::new();
    while outside.working.load(SeqCst) {
        let since = Instant::now();
        let result = outside
            .connect(client)
            .and_then(|mut peer| fetch(outside, group, client, &mut prepared, &mut peer, since));
        if result.is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn fetch(
    outside: &Outside,
    group: usize,
    client: usize,
    prepared: &mut BTreeMap<u64, Prepared>,
    peer: &mut Peer,
    since: Instant,
) -> io::Result<()> {
    let name = GROUPS[group];
    peer.send(format!(
        "SUB fetched.{client} 1\r\nSUB done.{client}.* 2\r\n"
    ))?;
    let request = json!({"batch": BATCH, "expires": 100_000_000}).to_string();
    // Also what an earlier connection left unanswered: an ack that counted already is answered again.
    let mut to_ack: Vec<u64> = prepared.keys().copied().collect();
    let mut unanswered = 0;
    while outside.working.load(SeqCst) {
        unanswered += to_ack.len();
        let acks = to_ack.drain(..).filter_map(|seq| {
            let ack = &prepared.get(&seq)?.ack;
            Some(format!("PUB {ack} done.{client}.{seq} 4\r\n+ACK\r\n"))
        });
        let acks: String = acks.collect();
        peer.send(format!(
            "{acks}PUB $JS.API.CONSUMER.MSG.NEXT.EVENTS.{name} fetched.{client} {}\r\n{request}\r\n",
            request.len()
        ))?;
        for _ in 0..unanswered + BATCH {
            let Some(message) = next(peer)? else {
                break;
            };
            if message.sid == "2" {
                unanswered = unanswered.saturating_sub(1);
                put_into_force(outside, group, prepared, &message.subject);
            } else if message.status().is_none() {
                to_ack.push(prepare(outside, group, prepared, message, since)?);
            } else {
                break;
            }
        }
    }
    Ok(())
}

/// An ack is confirmed, so the effect takes place.
fn put_into_force(
    outside: &Outside,
    group: usize,
    prepared: &mut BTreeMap<u64, Prepared>,
    confirmed: &str,
) {
    let seq = confirmed
        .rsplit('.')
        .next()
        .and_then(|seq| seq.parse().ok());
    if let Some((seq, Prepared { event, .. })) = seq.and_then(|seq| prepared.remove_entry(&seq)) {
        let at = Instant::now();
        outside.effects.lock().unwrap()[group]
            .entry(seq)
            .or_insert(Effect { event, at });
    }
}

/// Takes a message on; answers its sequence. `since`: when the connection that it came on began. Whatever comes on it was delivered
/// later than that, so no ack may have been confirmed before.
fn prepare(
    outside: &Outside,
    group: usize,
    prepared: &mut BTreeMap<u64, Prepared>,
    message: Delivered,
    since: Instant,
) -> io::Result<u64> {
    let ack = message.reply.unwrap_or_default();
    let seq = ack.split('.').nth(5).and_then(|seq| seq.parse().ok());
    let seq: u64 = seq.ok_or_else(|| io::Error::other(format!("an ack subject {ack:?}")))?;
    let event = String::from_utf8_lossy(&message.payload).into_owned();
    if let Some(effect) = outside.effects.lock().unwrap()[group].get(&seq)
        && effect.at < since
    {
        let (name, ago) = (GROUPS[group], since - effect.at);
        outside.problem(format!(
            "{name} got {seq} again, confirmed {ago:?} before the connection began"
        ));
    }
    prepared.insert(seq, Prepared { event, ack });
    Ok(seq)
}

#[test]
fn each_event_takes_effect_once_a_group_whatever_is_killed() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = number("JETSLED_SEED").unwrap_or_else(rand::random);
    let rounds = number("JETSLED_ROUNDS").map_or(ROUNDS, |rounds| rounds as usize);
    println!("JETSLED_SEED={seed} JETSLED_ROUNDS={rounds}");
    let mut random = SmallRng::seed_from_u64(seed);
    let store = tempfile::tempdir().expect("a temporary directory");
    let mut server = Launch::new()
        .jetstream(store.path())
        .start()
        .expect("the server starts");
    let (mut peer, _info) = Peer::ready(server.address()).expect("a connection");
    let stream = json!({"name": "EVENTS", "subjects": ["events.*"], "storage": "file"});
    expect(&mut peer, "STREAM.CREATE.EVENTS", &stream).expect("a stream");
    for group in GROUPS {
        let consumer = json!({"stream_name": "EVENTS", "config": {
            "durable_name": group, "ack_policy": "explicit", "ack_wait": ACK_WAIT.as_nanos() as u64,
        }});
        expect(
            &mut peer,
            &format!("CONSUMER.CREATE.EVENTS.{group}"),
            &consumer,
        )
        .expect("a consumer");
    }

    let outside = Outside::default();
    *outside.address.lock().unwrap() = Some(server.address());
    outside.producing.store(true, SeqCst);
    outside.working.store(true, SeqCst);
    let kills = std::thread::scope(|scope| {
        let outside = &outside;
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| scope.spawn(move || produce(outside, producer)))
            .collect();
        for worker in 0..CLIENTS - PRODUCERS {
            scope.spawn(move || work(outside, worker / WORKERS_A_GROUP, PRODUCERS + worker));
        }
        let mut kills = (0, 0);
        for _ in 0..rounds {
            std::thread::sleep(Duration::from_micros(random.random_range(10_000..250_000)));
            if random.random_bool(0.5) {
                server.kill();
                server.start_again().expect("the server starts again");
                *outside.address.lock().unwrap() = Some(server.address());
                kills.0 += 1;
            } else {
                outside.kill_client(random.random_range(0..CLIENTS));
                kills.1 += 1;
            }
        }
        outside.producing.store(false, SeqCst);
        for producer in producers {
            producer.join().expect("a producer does not panic");
        }
        let all = outside.stored.lock().unwrap().len();
        let deadline = Instant::now() + WITHIN;
        let missing = || {
            let effects = outside.effects.lock().unwrap();
            effects.iter().any(|effects| effects.len() < all)
        };
        while missing() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        outside.working.store(false, SeqCst);
        kills
    });

    let problems = outside.problems.lock().unwrap();
    let shown = &problems[..problems.len().min(20)];
    assert!(
        problems.is_empty(),
        "JETSLED_SEED={seed}: {} such as {shown:#?}",
        problems.len()
    );
    let stored = outside.stored.lock().unwrap();
    let info = expect(
        &mut Peer::ready(server.address()).expect("a connection").0,
        "STREAM.INFO.EVENTS",
        &Value::Null,
    )
    .expect("info");
    assert_eq!(
        info["state"]["messages"],
        stored.len(),
        "JETSLED_SEED={seed}: each event is stored once"
    );
    for (name, effects) in GROUPS.iter().zip(&*outside.effects.lock().unwrap()) {
        let events: BTreeSet<&str> = effects.values().map(|effect| &*effect.event).collect();
        assert_eq!(
            (effects.len(), events.len()),
            (stored.len(), stored.len()),
            "JETSLED_SEED={seed}: each event took effect once in {name}"
        );
    }
    println!(
        "{} events through {} kills of the server and {} of clients",
        stored.len(),
        kills.0,
        kills.1
    );
    assert!(stored.len() > rounds, "something was published");
}
