//! Without JetStream: publish, subscribe, queue groups, request-reply.

use std::io::Write;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Case, Sample, Target, Unit};
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

/// Requests with a reply subject of their own each, as clients make them, and a responder on another connection.
fn request_reply(
    target: &Target,
    duration: Duration,
    in_flight: usize,
) -> Result<(Vec<Duration>, Duration), Error> {
    const PAYLOAD: usize = 128;
    let mut responder = Client::connect(target.address)?;
    responder.subscribe("bench.service", None)?;
    let responder_end = responder.handle()?;
    let mut requester = Client::connect(target.address)?;
    requester.subscribe("_INBOX.bench.*", None)?;
    std::thread::scope(|scope| {
        let responder = scope.spawn(move || -> Result<(), Error> {
            let mut out = Vec::new();
            let payload = [b'y'; PAYLOAD];
            loop {
                let Ok(message) = responder.message() else {
                    return Ok(());
                };
                let Some(reply) = message.reply else { continue };
                out.extend_from_slice(b"PUB ");
                out.extend_from_slice(reply);
                write!(out, " {PAYLOAD}\r\n")?;
                out.extend_from_slice(&payload);
                out.extend_from_slice(b"\r\n");
                if !responder.has_more() {
                    responder.send(&out)?;
                    out.clear();
                }
            }
        });
        let result = requests(&mut requester, duration, in_flight, &[b'x'; PAYLOAD]);
        let _closed = responder_end.shutdown(Shutdown::Both);
        let responded = responder.join().expect("the responder does not panic");
        let result = result?;
        responded?;
        Ok(result)
    })
}

fn requests(
    client: &mut Client,
    duration: Duration,
    in_flight: usize,
    payload: &[u8],
) -> Result<(Vec<Duration>, Duration), Error> {
    let mut out = Vec::new();
    let mut sent = 0_u64;
    let mut times = Vec::new();
    let start = Instant::now();
    let mut ask = in_flight;
    loop {
        for _ in 0..ask {
            write!(
                out,
                "PUB bench.service _INBOX.bench.{sent:010} {}\r\n",
                payload.len()
            )?;
            out.extend_from_slice(payload);
            out.extend_from_slice(b"\r\n");
            sent += 1;
        }
        let asked = Instant::now();
        client.send(&out)?;
        out.clear();
        ask = 0;
        loop {
            let message = client.message()?;
            if let Some(status) = message.status {
                return Err(Error::Protocol(
                    String::from_utf8_lossy(status).into_owned(),
                ));
            }
            ask += 1;
            // With more than one in flight only their number counts.
            times.push(if in_flight == 1 {
                asked.elapsed()
            } else {
                Duration::ZERO
            });
            if !client.has_more() {
                break;
            }
        }
        if start.elapsed() >= duration {
            break;
        }
    }
    while (times.len() as u64) < sent {
        client.message()?;
        times.push(Duration::ZERO);
    }
    Ok((times, start.elapsed()))
}
