//! Atomic batches, one after the other; some are never committed.

use std::io;
use std::sync::Arc;

use jetsled_testkit::Peer;
use rand::RngExt;
use rand::rngs::SmallRng;

use super::journal::{Fate, NEVER, Publish, StreamKey};
use super::load::Shared;
use super::message::Message;
use super::publishers::fate;

/// The number of this publisher.
pub(super) const NUMBER: u64 = 50;
/// A server keeps batches that are not committed for a while, and only so many of them.
const MOST_LEFT: u32 = 20;
const MOST: usize = 20_000;

/// Publishes until the connection breaks.
///
/// # Errors
///
/// When a batch was refused.
pub(super) fn run(
    mut peer: Peer,
    stream: &StreamKey,
    round: u64,
    mut random: SmallRng,
    shared: &Shared,
) -> io::Result<Vec<Publish>> {
    let mut sent: Vec<Publish> = Vec::new();
    let mut left = 0;
    if peer.send("SUB batches 1\r\n").is_err() {
        return Ok(sent);
    }
    while sent.len() < MOST {
        let (begin, len) = (sent.len(), random.random_range(2..=12));
        let batch = round << 32 | NUMBER << 24 | begin as u64;
        let leave = left < MOST_LEFT && random.random_bool(0.02);
        let mut bytes = Vec::new();
        let issued = shared.clock.tick();
        for index in 1..=len {
            let number = round << 32 | NUMBER << 24 | sent.len() as u64;
            let subject = format!("{}.{}", stream.0, random.random_range(0..10));
            let message = Message::new(number, subject, random.random_range(0..400))
                .header("Nats-Batch-Id", batch)
                .header("Nats-Batch-Sequence", index);
            let is_last = index == len && !leave;
            let message = if is_last {
                message.header("Nats-Batch-Commit", 1)
            } else {
                message
            };
            message.encode(if is_last { "batches" } else { "" }, &mut bytes);
            sent.push(Publish {
                stream: stream.clone(),
                message: Arc::new(message),
                issued,
                settled: if leave { issued } else { NEVER },
                fate: if leave { Fate::Refused } else { Fate::Unknown },
                batch: Some(batch),
            });
        }
        if peer.send(&bytes).is_err() {
            return Ok(sent);
        }
        if leave {
            left += 1;
            continue;
        }
        let Ok(answer) = peer.message() else {
            return Ok(sent);
        };
        let stored = match fate(&answer.payload, &stream.0) {
            Ok(fate) => fate,
            Err(_) if shared.is_ending() => return Ok(sent),
            Err(what) => return Err(io::Error::other(what)),
        };
        let settled = shared.clock.tick();
        let members = sent.get_mut(begin..).unwrap_or_default();
        for (behind, publish) in (0..).zip(members.iter_mut().rev()) {
            publish.settled = settled;
            publish.fate = match stored {
                Fate::Stored(last) => Fate::Stored(last - behind),
                other => other,
            };
        }
        if let Fate::Stored(last) = stored {
            shared.stored(&stream.0, last);
        }
    }
    // Until the connection breaks.
    while peer.message().is_ok() {}
    Ok(sent)
}
