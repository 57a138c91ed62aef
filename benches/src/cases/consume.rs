//! JetStream consumers.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::publish::{Subjects, fill, stream_messages};
use super::{Case, Sample, Target, Unit};
use crate::Error;
use crate::client::Client;

/// Messages of one pull request.
const BATCH: u64 = 500;

pub(super) fn cases() -> Vec<Case> {
    let filled = |target: &Target| {
        let count = target.scale.pick(5_000, 5_000_000);
        fill(&mut Client::connect(target.address)?, count, Subjects::One)
    };
    vec![
        Case::new(
            "pull, batches of 500, explicit acks, 128 B, 5 M messages",
            Unit::MessagesPerSecond,
            pull,
        )
        .prepared(filled),
        Case::new(
            "ordered replay, 128 B, 5 M messages",
            Unit::MessagesPerSecond,
            push,
        )
        .prepared(filled),
    ]
}

/// Fetches batch after batch and acknowledges each message; the acks travel with the next request.
fn pull(target: &Target, duration: Duration) -> Result<Sample, Error> {
    let mut client = Client::connect(target.address)?;
    let stored = stream_messages(&mut client, "BENCH")?;
    replace_consumer(
        &mut client,
        &json!({"durable_name": "bench", "ack_policy": "explicit", "deliver_policy": "all", "max_ack_pending": 20_000}),
    )?;
    client.subscribe("_INBOX.pull", None)?;
    let body = json!({"batch": BATCH, "expires": 5_000_000_000_u64}).to_string();
    let request = format!(
        "PUB $JS.API.CONSUMER.MSG.NEXT.BENCH.bench _INBOX.pull {}\r\n{body}\r\n",
        body.len()
    );
    let mut out = request.clone().into_bytes();
    let mut received = 0_u64;
    let start = Instant::now();
    while start.elapsed() < duration && received < stored {
        client.send(&out)?;
        out.clear();
        for _ in 0..BATCH.min(stored - received) {
            let message = client.message()?;
            let reply = match (message.status, message.reply) {
                (None, Some(reply)) => reply,
                (status, _) => {
                    let status = status.unwrap_or(b"a message without an ack subject");
                    return Err(Error::Protocol(
                        String::from_utf8_lossy(status).into_owned(),
                    ));
                }
            };
            out.extend_from_slice(b"PUB ");
            out.extend_from_slice(reply);
            out.extend_from_slice(b" 4\r\n+ACK\r\n");
            received += 1;
        }
        out.extend_from_slice(request.as_bytes());
    }
    out.truncate(out.len() - request.len());
    client.send(&out)?;
    client.sync()?;
    let elapsed = start.elapsed();
    // Acks are taken asynchronously, but they must be taken.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let info = client.request("$JS.API.CONSUMER.INFO.BENCH.bench", &Value::Null)?;
        let acked = info["ack_floor"]["stream_seq"].as_u64().unwrap_or_default();
        if acked == received {
            return Ok(Sample::rate(received, elapsed));
        }
        if Instant::now() > deadline {
            return Err(Error::Missing {
                got: acked,
                wanted: received,
                seconds: 30,
            });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What official clients ask for to read a stream in order.
fn ordered() -> Value {
    json!({
        "name": "bench",
        "ack_policy": "none",
        "deliver_policy": "all",
        "deliver_subject": "_INBOX.push",
        "flow_control": true,
        "idle_heartbeat": 5_000_000_000_u64,
        "max_deliver": 1,
        "mem_storage": true,
        "inactive_threshold": 300_000_000_000_u64,
    })
}

/// Reads the whole stream as an ordered consumer of the official clients does: flow control and heartbeats, no acks.
fn push(target: &Target, duration: Duration) -> Result<Sample, Error> {
    let mut client = Client::connect(target.address)?;
    let stored = stream_messages(&mut client, "BENCH")?;
    replace_consumer(&mut client, &ordered())?;
    let start = Instant::now();
    // Interest starts the delivery; without waiting for an answer, which would come amid messages.
    client.send(b"SUB _INBOX.push 1\r\n")?;
    let received = receive(&mut client, stored, start + duration)?;
    Ok(Sample::rate(received, start.elapsed()))
}

/// Reads the whole stream `BENCH` once.
pub(super) fn replay_all(target: &Target) -> Result<(), Error> {
    let mut client = Client::connect(target.address)?;
    let stored = stream_messages(&mut client, "BENCH")?;
    replace_consumer(&mut client, &ordered())?;
    client.send(b"SUB _INBOX.push 1\r\n")?;
    let patience = Duration::from_secs(120);
    let received = receive(&mut client, stored, Instant::now() + patience)?;
    if received == stored {
        Ok(())
    } else {
        Err(Error::Missing {
            got: received,
            wanted: stored,
            seconds: patience.as_secs(),
        })
    }
}

/// Receives up to `wanted` messages and answers flow control.
fn receive(client: &mut Client, wanted: u64, deadline: Instant) -> Result<u64, Error> {
    let mut received = 0;
    let mut out = Vec::new();
    while received < wanted && Instant::now() < deadline {
        let message = client.message()?;
        match (message.status, message.reply) {
            (None, _) => received += 1,
            (Some(_flow_control), Some(reply)) => {
                out.clear();
                out.extend_from_slice(b"PUB ");
                out.extend_from_slice(reply);
                write!(out, " 0\r\n\r\n")?;
                client.send(&out)?;
            }
            (Some(_heartbeat), None) => {}
        }
    }
    Ok(received)
}

pub(super) fn replace_consumer(client: &mut Client, config: &Value) -> Result<(), Error> {
    match client.request("$JS.API.CONSUMER.DELETE.BENCH.bench", &Value::Null) {
        Ok(_) | Err(Error::Refused { .. }) => {}
        Err(error) => return Err(error),
    }
    let request = json!({"stream_name": "BENCH", "config": config});
    client.request("$JS.API.CONSUMER.CREATE.BENCH.bench", &request)?;
    Ok(())
}
