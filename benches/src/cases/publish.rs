//! JetStream publishing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Case, Sample, Target, Unit, count_up};
use crate::Error;
use crate::client::Client;

const INBOX: &str = "_INBOX.acks";

/// The subject of one in ten thousand messages of [`Subjects::OneRare`].
pub(super) const RARE: &str = "bench.rare";

pub(super) fn cases() -> Vec<Case> {
    let file = FILE;
    let rate = |name, publish: Publish| {
        Case::new(name, Unit::MessagesPerSecond, move |target, duration| {
            publish.run(target, duration)
        })
    };
    vec![
        rate("JetStream file publish, 1000 in flight, 128 B", file),
        rate(
            "JetStream file publish, 1000 in flight, 1 KiB",
            Publish {
                payload: 1024,
                ..file
            },
        ),
        rate(
            "JetStream file publish, 1000 in flight, 128 B, message ids",
            Publish {
                message_ids: true,
                ..file
            },
        ),
        rate(
            "JetStream file publish, 1000 in flight, 128 B, over 100 k subjects",
            Publish {
                subjects: Subjects::HundredThousand,
                ..file
            },
        ),
        rate(
            "JetStream file publish, 1000 in flight, 128 B, 100 streams in turn",
            Publish {
                subjects: Subjects::HundredStreams,
                ..file
            },
        ),
        rate(
            "JetStream memory publish, 1000 in flight, 128 B",
            Publish {
                storage: "memory",
                ..file
            },
        ),
        Case::new(
            "JetStream file publish, one at a time, 128 B, p50",
            Unit::Microseconds,
            {
                let one = Publish {
                    in_flight: 1,
                    ..file
                };
                move |target, duration| one.run_one_at_a_time(target, duration)
            },
        ),
    ]
}

#[derive(Clone, Copy)]
pub(super) enum Subjects {
    One,
    HundredThousand,
    /// One in ten thousand messages has the subject [`RARE`].
    OneRare,
    /// One subject each.
    HundredStreams,
}

impl Subjects {
    /// After how many frames they begin anew: a multiple of the subjects that are not counted up.
    fn round(self) -> usize {
        match self {
            Self::One | Self::HundredThousand | Self::HundredStreams => 1000,
            Self::OneRare => 100_000,
        }
    }

    fn subject(self, index: usize) -> String {
        match self {
            Self::One => "bench.orders".to_owned(),
            Self::OneRare if index.is_multiple_of(10_000) => RARE.to_owned(),
            Self::HundredThousand => format!("bench.orders.0{:0SUBJECT_DIGITS$}", 0),
            Self::OneRare => format!("bench.orders.{index:06}"),
            Self::HundredStreams => format!("bench.{:02}", index % 100),
        }
    }

    fn streams(self) -> Vec<(String, String)> {
        match self {
            Self::One | Self::HundredThousand | Self::OneRare => {
                vec![("BENCH".to_owned(), "bench.>".to_owned())]
            }
            Self::HundredStreams => (0..100)
                .map(|index| (format!("BENCH{index:02}"), format!("bench.{index:02}")))
                .collect(),
        }
    }
}

/// Messages of 128 B to a file stream.
const FILE: Publish = Publish {
    storage: "file",
    payload: 128,
    in_flight: 1000,
    subjects: Subjects::One,
    message_ids: false,
};

#[derive(Clone, Copy)]
struct Publish {
    storage: &'static str,
    payload: usize,
    in_flight: usize,
    subjects: Subjects,
    message_ids: bool,
}

impl Publish {
    fn create_streams(&self, client: &mut Client) -> Result<(), Error> {
        for (name, subject) in self.subjects.streams() {
            fresh_stream(client, &name, &subject, self.storage)?;
        }
        Ok(())
    }

    fn run(&self, target: &Target, duration: Duration) -> Result<Sample, Error> {
        let mut client = Client::connect(target.address)?;
        self.create_streams(&mut client)?;
        client.subscribe(INBOX, None)?;
        let mut frames = Frames::new(self);
        let mut sent = 0_u64;
        let mut line_ends = 0_u64;
        let start = Instant::now();
        loop {
            // An ack has two line ends. A PING on the way counts as half an ack too many.
            let outstanding = sent.saturating_sub(line_ends / 2);
            if start.elapsed() >= duration {
                if outstanding == 0 {
                    break;
                }
            } else {
                let free = (self.in_flight as u64).saturating_sub(outstanding);
                frames.send(&mut client, free as usize)?;
                sent += free;
            }
            line_ends += client.count_line_ends()?;
        }
        let elapsed = start.elapsed();
        client.sync()?;
        self.verify(&mut client, sent)?;
        Ok(Sample::rate(sent, elapsed))
    }

    fn run_one_at_a_time(&self, target: &Target, duration: Duration) -> Result<Sample, Error> {
        let mut client = Client::connect(target.address)?;
        self.create_streams(&mut client)?;
        let times = self.time_each(&mut client, duration)?;
        self.verify(&mut client, times.len() as u64)?;
        Ok(Sample::latency(times))
    }

    fn time_each(&self, client: &mut Client, duration: Duration) -> Result<Vec<Duration>, Error> {
        client.subscribe(INBOX, None)?;
        let mut frames = Frames::new(self);
        let mut times = Vec::new();
        let start = Instant::now();
        while start.elapsed() < duration {
            let asked = Instant::now();
            frames.send(client, 1)?;
            client.message()?;
            times.push(asked.elapsed());
        }
        Ok(times)
    }

    /// Acks that are errors look like others from afar: every message must be in its stream.
    fn verify(&self, client: &mut Client, sent: u64) -> Result<(), Error> {
        let mut stored = 0;
        for (name, _subject) in self.subjects.streams() {
            stored += stream_messages(client, &name)?;
        }
        if stored == sent {
            Ok(())
        } else {
            Err(Error::Missing {
                got: stored,
                wanted: sent,
                seconds: 0,
            })
        }
    }
}

/// Ready-made PUB or HPUB frames, sent in a circle.
struct Frames {
    /// One round, and as much of the next one as may be in flight.
    bytes: Vec<u8>,
    /// Where each frame starts, and the end.
    starts: Vec<usize>,
    /// How many make a round.
    round: usize,
    /// Where each frame's number is, from the frame's start, if they have one: a message id or a part of the subject. With as many
    /// frames as messages the client would read them from memory, not from its processor's caches.
    number_at: Option<usize>,
    next: usize,
    /// The next message's, in decimal digits; it begins anew after its highest.
    number: Vec<u8>,
}

/// Digits of a message id.
const ID_DIGITS: usize = 12;

/// Digits that tell one hundred thousand subjects apart.
const SUBJECT_DIGITS: usize = 5;

impl Frames {
    fn new(publish: &Publish) -> Self {
        let mut bytes = Vec::new();
        let mut starts = vec![0];
        let (mut number_at, mut digits) = (None, 0);
        let round = publish.subjects.round();
        for index in 0..round + publish.in_flight {
            let subject = publish.subjects.subject(index % round);
            let payload = publish.payload;
            if publish.message_ids {
                let headers = format!("NATS/1.0\r\nNats-Msg-Id: {:0ID_DIGITS$}\r\n\r\n", 0);
                let verb = format!(
                    "HPUB {subject} {INBOX} {} {}\r\n",
                    headers.len(),
                    headers.len() + payload
                );
                digits = ID_DIGITS;
                number_at = Some(verb.len() + headers.len() - 4 - digits);
                bytes.extend_from_slice(verb.as_bytes());
                bytes.extend_from_slice(headers.as_bytes());
            } else {
                if matches!(publish.subjects, Subjects::HundredThousand) {
                    digits = SUBJECT_DIGITS;
                    number_at = Some("PUB ".len() + subject.len() - digits);
                }
                bytes.extend_from_slice(format!("PUB {subject} {INBOX} {payload}\r\n").as_bytes());
            }
            bytes.resize(bytes.len() + payload, b'x');
            bytes.extend_from_slice(b"\r\n");
            starts.push(bytes.len());
        }
        Self {
            bytes,
            starts,
            round,
            number_at,
            next: 0,
            number: vec![b'0'; digits],
        }
    }

    /// Sends `count` frames in one write, at most as many as may be in flight.
    fn send(&mut self, client: &mut Client, count: usize) -> Result<(), Error> {
        let last = self.next + count;
        if let Some(number_at) = self.number_at {
            for start in &self.starts[self.next..last] {
                let at = start + number_at;
                self.bytes[at..at + self.number.len()].copy_from_slice(&self.number);
                count_up(&mut self.number);
            }
        }
        client.send(&self.bytes[self.starts[self.next]..self.starts[last]])?;
        self.next = last % self.round;
        Ok(())
    }
}

/// Deletes the stream if there is one and makes it anew.
pub(super) fn fresh_stream(
    client: &mut Client,
    name: &str,
    subject: &str,
    storage: &str,
) -> Result<(), Error> {
    match client.request(&format!("$JS.API.STREAM.DELETE.{name}"), &Value::Null) {
        Ok(_) | Err(Error::Refused { .. }) => {}
        Err(error) => return Err(error),
    }
    let config = json!({
        "name": name,
        "subjects": [subject],
        "storage": storage,
        "retention": "limits",
        "discard": "old",
        "max_msgs": -1,
        "max_bytes": -1,
        "num_replicas": 1,
    });
    client.request(&format!("$JS.API.STREAM.CREATE.{name}"), &config)?;
    Ok(())
}

/// How many messages the stream has.
pub(super) fn stream_messages(client: &mut Client, name: &str) -> Result<u64, Error> {
    let info = client.request(&format!("$JS.API.STREAM.INFO.{name}"), &Value::Null)?;
    Ok(info["state"]["messages"].as_u64().unwrap_or_default())
}

/// Publishes messages of 128 B to the stream `BENCH` as it is, each after the ack of the one before.
pub(super) fn one_at_a_time(target: &Target, duration: Duration) -> Result<Sample, Error> {
    let mut client = Client::connect(target.address)?;
    let before = stream_messages(&mut client, "BENCH")?;
    let times = FILE.time_each(&mut client, duration)?;
    FILE.verify(&mut client, before + times.len() as u64)?;
    Ok(Sample::latency(times))
}

/// Publishes `count` messages of 128 B to a fresh stream `BENCH`.
pub(super) fn fill(client: &mut Client, count: usize, subjects: Subjects) -> Result<(), Error> {
    let count = count as u64;
    let publish = Publish { subjects, ..FILE };
    publish.create_streams(client)?;
    client.subscribe(INBOX, None)?;
    let mut frames = Frames::new(&publish);
    let (mut sent, mut line_ends) = (0, 0);
    while sent < count || line_ends / 2 < sent {
        let outstanding = sent.saturating_sub(line_ends / 2);
        let free = (publish.in_flight as u64)
            .saturating_sub(outstanding)
            .min(count - sent);
        frames.send(client, free as usize)?;
        sent += free;
        line_ends += client.count_line_ends()?;
    }
    client.sync()?;
    publish.verify(client, sent)
}
