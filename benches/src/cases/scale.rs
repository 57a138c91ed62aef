//! Many consumers, and consumers that want little of much.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::consume::replace_consumer;
use super::publish::{RARE, Subjects, fill, one_at_a_time};
use super::{Case, Sample, Target, Unit};
use crate::Error;
use crate::client::Client;
use crate::measure::{cpu_seconds, resident_kib};

const GROUPS: usize = 36;
const FILTERS: usize = 100;
/// Requests of one kind that are under way at a time.
const WINDOW: usize = 100;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "consumer of 1 in 10,000 of 5 M messages: created and drained",
            Unit::Milliseconds,
            rare,
        )
        .prepared(|target| {
            let count = target.scale.pick(100_000, 5_000_000);
            let mut client = Client::connect(target.address)?;
            fill(&mut client, count, Subjects::OneRare)
        }),
        Case::new(
            "36 consumers with 100 filters each, 1 M messages over 100 k subjects: created and drained",
            Unit::Milliseconds,
            filtered,
        )
        .prepared(|target| {
            let count = target.scale.pick(100_000, 1_000_000);
            let mut client = Client::connect(target.address)?;
            fill(&mut client, count, Subjects::HundredThousand)
        }),
        Case::new(
            "10,000 durable pull consumers, resident memory each",
            Unit::Kibibytes,
            |target, _| {
                let mut client = Client::connect(target.address)?;
                wide_stream(&mut client)?;
                let before = resident_kib(target.pid())?;
                let count = durables(target);
                create_durables(&mut client, count)?;
                let grown = resident_kib(target.pid())? - before;
                Ok(Sample::figure(grown.max(0.0) / count as f64))
            },
        )
        .on_fresh_servers(),
        Case::new(
            "10,000 durable pull consumers, processor time of an idle second",
            Unit::Milliseconds,
            |target, duration| {
                let before = cpu_seconds(target.pid())?;
                // Two measurements' time: processor time is counted in hundredths of a second.
                std::thread::sleep(duration * 2);
                let used = cpu_seconds(target.pid())? - before;
                Ok(Sample::figure(used / (duration * 2).as_secs_f64() * 1e3))
            },
        )
        .prepared(with_durables),
        Case::new(
            "10,000 idle pull consumers, publish beside them, one at a time, p50",
            Unit::Microseconds,
            one_at_a_time,
        )
        .prepared(with_durables),
        Case::new(
            "10,000 durable pull consumers, clean restart",
            Unit::Milliseconds,
            |target, _| {
                target.restart()?;
                Ok(Sample::figure(target.ready_after().as_secs_f64() * 1e3))
            },
        )
        .prepared(with_durables),
    ]
}

fn durables(target: &Target) -> usize {
    target.scale.pick(100, 10_000)
}

fn with_durables(target: &Target) -> Result<(), Error> {
    let mut client = Client::connect(target.address)?;
    wide_stream(&mut client)?;
    create_durables(&mut client, durables(target))
}

/// A stream that may have more consumers than a stream may by default.
fn wide_stream(client: &mut Client) -> Result<(), Error> {
    let config = json!({"name": "BENCH", "subjects": ["bench.>"], "storage": "file", "max_consumers": 20_000});
    client.request("$JS.API.STREAM.CREATE.BENCH", &config)?;
    Ok(())
}

fn create_durables(client: &mut Client, count: usize) -> Result<(), Error> {
    client.subscribe("_INBOX.created", None)?;
    for first in (0..count).step_by(WINDOW) {
        let window = first..(first + WINDOW).min(count);
        let mut out = String::new();
        for number in window.clone() {
            let name = format!("durable-{number:05}");
            let body = json!({
                "stream_name": "BENCH",
                "config": {"durable_name": name, "name": name, "ack_policy": "explicit"},
            })
            .to_string();
            out += &format!(
                "PUB $JS.API.CONSUMER.CREATE.BENCH.{name} _INBOX.created {}\r\n{body}\r\n",
                body.len()
            );
        }
        client.send(out.as_bytes())?;
        for _ in window {
            let message = client.message()?;
            let answer: Value = serde_json::from_slice(message.body)?;
            if let Some(error) = answer.get("error") {
                return Err(Error::Refused {
                    subject: "CONSUMER.CREATE".to_owned(),
                    answer: error.to_string(),
                });
            }
        }
    }
    Ok(())
}

fn rare(target: &Target, _duration: Duration) -> Result<Sample, Error> {
    let mut client = Client::connect(target.address)?;
    let wanted = target.scale.pick(100_000, 5_000_000) / 10_000;
    client.subscribe("_INBOX.pull", None)?;
    let start = Instant::now();
    replace_consumer(
        &mut client,
        &json!({"durable_name": "bench", "ack_policy": "none", "filter_subject": RARE}),
    )?;
    pull_all(&mut client, "bench", wanted)?;
    Ok(Sample::figure(start.elapsed().as_secs_f64() * 1e3))
}

fn filtered(target: &Target, _duration: Duration) -> Result<Sample, Error> {
    let mut client = Client::connect(target.address)?;
    let each = FILTERS * target.scale.pick(1, 10);
    client.subscribe("_INBOX.pull", None)?;
    for group in 0..GROUPS {
        match client.request(
            &format!("$JS.API.CONSUMER.DELETE.BENCH.group-{group}"),
            &Value::Null,
        ) {
            Ok(_) | Err(Error::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let start = Instant::now();
    for group in 0..GROUPS {
        let name = format!("group-{group}");
        let filters: Vec<String> = (0..FILTERS)
            .map(|filter| format!("bench.orders.{:06}", (filter * GROUPS + group) * 27))
            .collect();
        let config =
            json!({"durable_name": name, "ack_policy": "none", "filter_subjects": filters});
        let request = json!({"stream_name": "BENCH", "config": config});
        client.request(&format!("$JS.API.CONSUMER.CREATE.BENCH.{name}"), &request)?;
        pull_all(&mut client, &name, each)?;
    }
    Ok(Sample::figure(start.elapsed().as_secs_f64() * 1e3))
}

/// Pulls what is there in one request; exactly `wanted` messages must come.
fn pull_all(client: &mut Client, consumer: &str, wanted: usize) -> Result<(), Error> {
    let body = json!({"batch": wanted + 1, "no_wait": true}).to_string();
    let request = format!(
        "PUB $JS.API.CONSUMER.MSG.NEXT.BENCH.{consumer} _INBOX.pull {}\r\n{body}\r\n",
        body.len()
    );
    client.send(request.as_bytes())?;
    let mut received = 0;
    while client.message()?.status.is_none() {
        received += 1;
    }
    if received == wanted {
        Ok(())
    } else {
        Err(Error::Missing {
            got: received as u64,
            wanted: wanted as u64,
            seconds: 0,
        })
    }
}
