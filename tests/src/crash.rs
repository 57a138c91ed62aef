//! Publishing until the server dies, and the question what it still has.
//!
//! Four connections publish to three streams, each with up to 64 messages without an acknowledgement, until their
//! connection breaks. A [`Journal`] keeps what was acknowledged; after a restart each of those messages must be in its
//! stream, under its sequence, with its subject and payload. What was sent but not acknowledged may be there or not.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeBounds;
use std::thread::JoinHandle;

use jetsled_testkit::Peer;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::jetstream;

/// The streams; stream `X` takes the subjects `X.*`.
pub const STREAMS: [&str; 3] = ["ORDERS", "EVENTS", "AUDIT"];
const CONNECTIONS: u64 = 4;
const IN_FLIGHT: usize = 64;
/// Payloads are up to this long, so that records end anywhere in a page.
const PAYLOAD_BYTES: usize = 1500;

/// Makes the streams; a stream that exists already with this configuration is left as it is.
///
/// # Errors
///
/// When the server refuses one.
pub fn create_streams(address: SocketAddr) -> io::Result<()> {
    let (mut peer, _info) = Peer::ready(address)?;
    for stream in STREAMS {
        let config = json!({
            "name": stream,
            "subjects": [format!("{stream}.*")],
            "storage": "file",
            "retention": "limits",
            "allow_direct": true,
            "max_msgs": -1,
            "max_bytes": -1,
            "num_replicas": 1,
        });
        jetstream::expect(&mut peer, &format!("STREAM.CREATE.{stream}"), &config)?;
    }
    Ok(())
}

/// One published message; its subject and payload follow from this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    stream: &'static str,
    round: u64,
    connection: u64,
    number: u64,
}

impl Published {
    fn subject(&self) -> String {
        format!("{}.{}", self.stream, self.connection)
    }

    fn payload(&self) -> Vec<u8> {
        let Self {
            stream,
            round,
            connection,
            number,
        } = self;
        let mut payload = format!("{stream} {round} {connection} {number} ").into_bytes();
        let mut random = SmallRng::seed_from_u64(round << 40 | connection << 32 | number);
        let filler = random.random_range(0..PAYLOAD_BYTES);
        payload.extend((0..filler).map(|_| random.random::<u8>()));
        payload
    }
}

/// Publishers that run until their connections break.
#[derive(Debug)]
pub struct Load {
    publishers: Vec<JoinHandle<io::Result<Acknowledged>>>,
}

/// Messages with the sequences that they were given.
pub type Acknowledged = Vec<(Published, u64)>;

impl Load {
    /// Connects and starts to publish. `round` makes the messages of this load different from those of others.
    ///
    /// # Errors
    ///
    /// When a connection cannot be made.
    pub fn start(address: SocketAddr, round: u64) -> io::Result<Self> {
        let publishers = (0..CONNECTIONS)
            .map(|connection| {
                let (mut peer, _info) = Peer::ready(address)?;
                peer.send(format!("SUB acks.{connection}.* 1\r\n"))?;
                peer.sync()?;
                Ok(std::thread::spawn(move || publish(peer, round, connection)))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { publishers })
    }

    /// What was acknowledged, once the connections have broken, with the sequences.
    ///
    /// # Errors
    ///
    /// When a publish was refused: the load expects a server that takes everything.
    ///
    /// # Panics
    ///
    /// If a publisher panicked.
    pub fn finish(self) -> io::Result<Acknowledged> {
        let mut acknowledged = Vec::new();
        for publisher in self.publishers {
            acknowledged.extend(publisher.join().expect("a publisher does not panic")?);
        }
        Ok(acknowledged)
    }
}

fn publish(mut peer: Peer, round: u64, connection: u64) -> io::Result<Acknowledged> {
    let mut acknowledged = Vec::new();
    let mut sent = Vec::new();
    loop {
        let mut batch = Vec::new();
        while sent.len() < acknowledged.len() + IN_FLIGHT {
            let number = sent.len() as u64;
            let message = Published {
                stream: STREAMS[sent.len() % STREAMS.len()],
                round,
                connection,
                number,
            };
            let (subject, payload) = (message.subject(), message.payload());
            batch.extend_from_slice(
                format!(
                    "PUB {subject} acks.{connection}.{number} {}\r\n",
                    payload.len()
                )
                .as_bytes(),
            );
            batch.extend_from_slice(&payload);
            batch.extend_from_slice(b"\r\n");
            sent.push(message);
        }
        let answer = peer.send(&batch).and_then(|()| peer.message());
        let Ok(answer) = answer else {
            return Ok(acknowledged);
        };
        let ack: Value = serde_json::from_slice(&answer.payload)?;
        let number = answer
            .subject
            .rsplit('.')
            .next()
            .and_then(|text| text.parse::<usize>().ok());
        match (
            number.and_then(|number| sent.get(number)),
            ack["seq"].as_u64(),
        ) {
            (Some(message), Some(seq)) if ack["stream"] == message.stream => {
                acknowledged.push((*message, seq));
            }
            _ => return Err(io::Error::other(format!("{}: {ack}", answer.subject))),
        }
    }
}

/// Everything that was ever acknowledged.
#[derive(Debug, Default)]
pub struct Journal {
    acknowledged: BTreeMap<(&'static str, u64), Published>,
}

/// An acknowledged message that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What was acknowledged.
    pub message: Published,
    /// With this sequence.
    pub seq: u64,
    /// What the server has there.
    pub found: String,
}

impl Journal {
    /// Adds acknowledged messages.
    ///
    /// # Errors
    ///
    /// When a sequence was given twice.
    pub fn record(&mut self, acknowledged: Acknowledged) -> io::Result<()> {
        for (message, seq) in acknowledged {
            if let Some(other) = self.acknowledged.insert((message.stream, seq), message) {
                return Err(io::Error::other(format!(
                    "sequence {seq} was given to {other:?} and to {message:?}"
                )));
            }
        }
        Ok(())
    }

    /// How many messages were acknowledged.
    pub fn len(&self) -> usize {
        self.acknowledged.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.acknowledged.is_empty()
    }

    /// Asks the server for each message of these rounds and compares.
    ///
    /// # Errors
    ///
    /// When the connection fails.
    pub fn losses(
        &self,
        address: SocketAddr,
        rounds: impl RangeBounds<u64>,
    ) -> io::Result<Vec<Loss>> {
        const PIPELINE: usize = 128;
        let (mut peer, _info) = Peer::ready(address)?;
        peer.send("SUB got.* 1\r\n")?;
        let mut losses = Vec::new();
        let entries: Vec<_> = self
            .acknowledged
            .iter()
            .filter(|(_, message)| rounds.contains(&message.round))
            .collect();
        for chunk in entries.chunks(PIPELINE) {
            let mut requests = String::new();
            for (index, ((stream, seq), _)) in chunk.iter().enumerate() {
                let body = format!("{{\"seq\":{seq}}}");
                requests += &format!(
                    "PUB $JS.API.DIRECT.GET.{stream} got.{index} {}\r\n{body}\r\n",
                    body.len()
                );
            }
            peer.send(&requests)?;
            for _ in chunk {
                let answer = peer.message()?;
                let index = answer
                    .subject
                    .strip_prefix("got.")
                    .and_then(|text| text.parse().ok());
                let Some((key, message)) = index.and_then(|index: usize| chunk.get(index)) else {
                    return Err(io::Error::other(format!("an answer to {}", answer.subject)));
                };
                let right = answer.status().is_none_or(str::is_empty)
                    && answer.header("Nats-Subject") == Some(&message.subject())
                    && answer.header("Nats-Sequence") == Some(&key.1.to_string())
                    && answer.payload == message.payload();
                if !right {
                    let found = format!(
                        "{:?}, payload of {} B",
                        answer.headers,
                        answer.payload.len()
                    );
                    losses.push(Loss {
                        message: **message,
                        seq: key.1,
                        found,
                    });
                }
            }
        }
        Ok(losses)
    }
}
