//! Without JetStream: publish, subscribe, queue groups, request-reply.

use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Case, Sample, Target, Unit, count_up};
use crate::Error;
use crate::client::Client;

/// A publisher hands the socket about this much at once, as clients with a write buffer do.
const BATCH_BYTES: usize = 32 * 1024;
/// How long the last message may take after the last publish.
const DRAIN: Duration = Duration::from_secs(60);

pub(super) fn cases() -> Vec<Case> {
    use Unit::{MessagesPerSecond, Microseconds};
    let flow = |name, flow: Flow| {
        Case::new(name, MessagesPerSecond, move |target, duration| {
            flow.run(target, duration)
        })
    };
    vec![
        flow("core 1 to 1, 16 B", Flow::pairs(1, 16)),
        flow("core 1 to 1, 128 B", Flow::pairs(1, 128)),
        flow("core 1 to 1, 1 KiB", Flow::pairs(1, 1024)),
        flow(
            "core fan-out 1 to 4, 128 B",
            Flow {
                subscribers: 4,
                ..Flow::pairs(1, 128)
            },
        ),
        flow("core 4 pairs, 128 B", Flow::pairs(4, 128)),
        flow(
            "core queue group of 4, 128 B",
            Flow {
                subscribers: 4,
                group: Some("workers"),
                ..Flow::pairs(1, 128)
            },
        ),
        flow("core publish only, 16 B", Flow::publish_only(16)),
        flow("core publish only, 128 B", Flow::publish_only(128)),
        flow("core publish only, 8 KiB", Flow::publish_only(8192)),
        Case::new(
            "request-reply, 64 in flight, 128 B",
            MessagesPerSecond,
            |target, duration| {
                let (times, elapsed) = request_reply(target, duration, 64)?;
                Ok(Sample::rate(times.len() as u64, elapsed))
            },
        ),
        Case::new(
            "request-reply, one at a time, p50",
            Microseconds,
            |target, duration| {
                let (times, _elapsed) = request_reply(target, duration, 1)?;
                Ok(Sample::latency(times))
            },
        ),
    ]
}

/// Publishers that send as fast as the server takes it.
struct Flow {
    /// Each has a subject of its own.
    publishers: usize,
    /// Subscribers of each subject.
    subscribers: usize,
    group: Option<&'static str>,
    payload: usize,
}

impl Flow {
    fn pairs(publishers: usize, payload: usize) -> Self {
        Self {
            publishers,
            subscribers: 1,
            group: None,
            payload,
        }
    }

    fn publish_only(payload: usize) -> Self {
        Self {
            subscribers: 0,
            ..Self::pairs(1, payload)
        }
    }

    fn run(&self, target: &Target, duration: Duration) -> Result<Sample, Error> {
        let received = AtomicU64::new(0);
        let frame_bytes = self.delivered_frame(0).len() as u64;
        let mut connections = Vec::new();
        for publisher in 0..self.publishers {
            for _ in 0..self.subscribers {
                let mut client = Client::connect(target.address)?;
                client.subscribe(&subject(publisher), self.group)?;
                connections.push((client, self.delivered_frame(publisher)));
            }
        }
        let mut publishers = Vec::new();
        for publisher in 0..self.publishers {
            publishers.push((
                Client::connect(target.address)?,
                self.published_frame(publisher),
            ));
        }
        let ends: Vec<_> = connections
            .iter()
            .map(|(client, _)| client.handle())
            .collect::<Result<_, _>>()?;
        std::thread::scope(|scope| {
            let received = &received;
            let readers: Vec<_> = connections
                .into_iter()
                .map(|(client, frame)| scope.spawn(move || count(client, &frame, received)))
                .collect();
            let start = Instant::now();
            let writers: Vec<_> = publishers
                .into_iter()
                .map(|(client, frame)| scope.spawn(move || publish(client, &frame, duration)))
                .collect();
            let published: Result<u64, Error> = writers
                .into_iter()
                .map(|writer| writer.join().expect("a publisher does not panic"))
                .sum();
            let outcome = published.and_then(|published| {
                let copies = if self.group.is_some() {
                    1
                } else {
                    self.subscribers as u64
                };
                let wanted = published * copies;
                let deadline = Instant::now() + DRAIN;
                while received.load(Ordering::Relaxed) < wanted * frame_bytes {
                    if Instant::now() > deadline
                        || readers.iter().any(|reader| reader.is_finished())
                    {
                        let got = received.load(Ordering::Relaxed) / frame_bytes;
                        return Err(Error::Missing {
                            got,
                            wanted,
                            seconds: DRAIN.as_secs(),
                        });
                    }
                    std::thread::sleep(Duration::from_micros(100));
                }
                Ok(Sample::rate(published, start.elapsed()))
            });
            for end in ends {
                // A connection that the server has closed cannot be shut down, and need not be.
                let _closed = end.shutdown(Shutdown::Both);
            }
            for reader in readers {
                let read = reader.join().expect("a subscriber does not panic");
                if outcome.is_ok() {
                    read?;
                }
            }
            outcome
        })
    }

    fn published_frame(&self, publisher: usize) -> Vec<u8> {
        let mut frame = format!("PUB {} {}\r\n", subject(publisher), self.payload).into_bytes();
        frame.resize(frame.len() + self.payload, b'x');
        frame.extend_from_slice(b"\r\n");
        frame
    }

    fn delivered_frame(&self, publisher: usize) -> Vec<u8> {
        let mut frame = format!("MSG {} 1 {}\r\n", subject(publisher), self.payload).into_bytes();
        frame.resize(frame.len() + self.payload, b'x');
        frame.extend_from_slice(b"\r\n");
        frame
    }
}

fn subject(publisher: usize) -> String {
    format!("bench.{publisher:02}")
}

/// Publishes for a while; the server has read everything when it returns.
fn publish(mut client: Client, frame: &[u8], duration: Duration) -> Result<u64, Error> {
    let per_batch = (BATCH_BYTES / frame.len()).max(1);
    let batch = frame.repeat(per_batch);
    let start = Instant::now();
    let mut published = 0;
    while start.elapsed() < duration {
        client.send(&batch)?;
        published += per_batch as u64;
    }
    client.sync()?;
    Ok(published)
}

/// Looks at the first message and counts the bytes of the others until the connection is shut down.
fn count(mut client: Client, frame: &[u8], received: &AtomicU64) -> Result<(), Error> {
    match client.exactly(frame.len()) {
        Ok(first) if first == frame => {}
        Ok(first) => return Err(Error::Protocol(String::from_utf8_lossy(first).into_owned())),
        // A member of a queue group may get none before the end.
        Err(_) => return Ok(()),
    }
    received.fetch_add(frame.len() as u64, Ordering::Relaxed);
    loop {
        match client.count_bytes()? {
            0 => return Ok(()),
            bytes => received.fetch_add(bytes, Ordering::Relaxed),
        };
    }
}

/// Of a request and of a reply.
const REQUEST_BYTES: usize = 128;
/// Digits of the number that ends each reply subject.
const NUMBER_BYTES: usize = 10;
const INBOX: &str = "_INBOX.bench.";

/// Requests with a reply subject of their own each, as clients make them, and a responder on another connection. Both sides
/// have their frames ready and fill in nothing but that number.
fn request_reply(
    target: &Target,
    duration: Duration,
    in_flight: usize,
) -> Result<(Vec<Duration>, Duration), Error> {
    let mut responder = Client::connect(target.address)?;
    responder.subscribe("bench.service", None)?;
    let responder_end = responder.handle()?;
    let mut requester = Client::connect(target.address)?;
    requester.subscribe("_INBOX.bench.*", None)?;
    std::thread::scope(|scope| {
        let responder = scope.spawn(move || respond(responder, in_flight));
        let result = requests(&mut requester, duration, in_flight);
        let _closed = responder_end.shutdown(Shutdown::Both);
        let responded = responder.join().expect("the responder does not panic");
        let result = result?;
        responded?;
        Ok(result)
    })
}

/// Frames of one size that differ by a number.
struct Numbered {
    frames: Vec<u8>,
    frame_bytes: usize,
    number_at: usize,
    used: usize,
}

impl Numbered {
    /// Room for `count` frames of `PUB <before><number> <size>` and their payload.
    fn new(before: &str, count: usize, payload: u8) -> Self {
        let mut frame = format!("PUB {before}");
        let number_at = frame.len();
        frame.push_str(&"0".repeat(NUMBER_BYTES));
        let mut frame = format!("{frame} {REQUEST_BYTES}\r\n").into_bytes();
        frame.resize(frame.len() + REQUEST_BYTES, payload);
        frame.extend_from_slice(b"\r\n");
        Self {
            frames: frame.repeat(count),
            frame_bytes: frame.len(),
            number_at,
            used: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.used == self.frames.len()
    }

    fn add(&mut self, number: &[u8]) {
        let at = self.used + self.number_at;
        self.frames[at..at + NUMBER_BYTES].copy_from_slice(number);
        self.used += self.frame_bytes;
    }

    fn send(&mut self, client: &mut Client) -> Result<(), Error> {
        let used = std::mem::take(&mut self.used);
        Ok(client.send(&self.frames[..used])?)
    }
}

fn respond(mut client: Client, in_flight: usize) -> Result<(), Error> {
    let mut replies = Numbered::new(INBOX, in_flight, b'y');
    let line = format!("MSG bench.service 1 {INBOX}");
    let number = line.len()..line.len() + NUMBER_BYTES;
    let size = format!(" {REQUEST_BYTES}\r\n").len();
    let frame_bytes = number.end + size + REQUEST_BYTES + 2;
    loop {
        let Ok(frame) = client.frame(frame_bytes) else {
            return Ok(());
        };
        replies.add(&frame[number.clone()]);
        if !client.has_more() || replies.is_full() {
            replies.send(&mut client)?;
        }
    }
}

fn requests(
    client: &mut Client,
    duration: Duration,
    in_flight: usize,
) -> Result<(Vec<Duration>, Duration), Error> {
    let mut requests = Numbered::new(&format!("bench.service {INBOX}"), in_flight, b'x');
    let line = format!("MSG {INBOX}{:0NUMBER_BYTES$} 1 {REQUEST_BYTES}\r\n", 0);
    let frame_bytes = line.len() + REQUEST_BYTES + 2;
    let mut number = [b'0'; NUMBER_BYTES];
    let mut sent = 0;
    let mut times = Vec::new();
    let start = Instant::now();
    let mut ask = in_flight;
    while start.elapsed() < duration {
        for _ in 0..ask {
            requests.add(&number);
            count_up(&mut number);
        }
        sent += std::mem::take(&mut ask);
        let asked = Instant::now();
        requests.send(client)?;
        while ask == 0 || client.has_more() {
            client.frame(frame_bytes)?;
            ask += 1;
            // With more than one in flight only their number counts.
            times.push(if in_flight == 1 {
                asked.elapsed()
            } else {
                Duration::ZERO
            });
        }
    }
    while times.len() < sent {
        client.frame(frame_bytes)?;
        times.push(Duration::ZERO);
    }
    Ok((times, start.elapsed()))
}
