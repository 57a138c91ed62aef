//! A key-value bucket as clients drive it: one operation at a time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Case, Sample, Target, Unit};
use crate::Error;
use crate::client::Client;

const KEYS: usize = 1000;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("KV put, 128 B, p50", Unit::Microseconds, put).prepared(bucket),
        Case::new("KV get (direct), 128 B, p50", Unit::Microseconds, get).prepared(full_bucket),
        Case::new(
            "KV get (message get by last subject), 128 B, p50",
            Unit::Microseconds,
            get_by_api,
        )
        .prepared(full_bucket),
    ]
}

fn full_bucket(target: &Target) -> Result<(), Error> {
    bucket(target)?;
    let mut client = Client::connect(target.address)?;
    client.subscribe("_INBOX.kv", None)?;
    for key in 0..KEYS {
        client.send(put_frame(key).as_bytes())?;
        client.message()?;
    }
    Ok(())
}

fn bucket(target: &Target) -> Result<(), Error> {
    let mut client = Client::connect(target.address)?;
    let config = json!({
        "name": "KV_bench",
        "subjects": ["$KV.bench.>"],
        "max_msgs_per_subject": 1,
        "discard": "new",
        "allow_rollup_hdrs": true,
        "deny_delete": true,
        "allow_direct": true,
        "storage": "file",
        "num_replicas": 1,
    });
    client.request("$JS.API.STREAM.CREATE.KV_bench", &config)?;
    Ok(())
}

fn put_frame(key: usize) -> String {
    format!(
        "PUB $KV.bench.key{key:04} _INBOX.kv 128\r\n{}\r\n",
        "v".repeat(128)
    )
}

fn put(target: &Target, duration: Duration) -> Result<Sample, Error> {
    timed(target, duration, put_frame, |body| {
        let ack: Value = serde_json::from_slice(body)?;
        Ok(ack.get("error").is_none() && ack["seq"].is_u64())
    })
}

fn get(target: &Target, duration: Duration) -> Result<Sample, Error> {
    let frame =
        |key| format!("PUB $JS.API.DIRECT.GET.KV_bench.$KV.bench.key{key:04} _INBOX.kv 0\r\n\r\n");
    timed(target, duration, frame, |body| Ok(body.ends_with(b"vvvv")))
}

fn get_by_api(target: &Target, duration: Duration) -> Result<Sample, Error> {
    let frame = |key| {
        let body = json!({"last_by_subj": format!("$KV.bench.key{key:04}")}).to_string();
        format!(
            "PUB $JS.API.STREAM.MSG.GET.KV_bench _INBOX.kv {}\r\n{body}\r\n",
            body.len()
        )
    };
    timed(target, duration, frame, |body| {
        let answer: Value = serde_json::from_slice(body)?;
        Ok(answer["message"]["data"].is_string())
    })
}

fn timed(
    target: &Target,
    duration: Duration,
    frame: impl Fn(usize) -> String,
    right: impl Fn(&[u8]) -> Result<bool, Error>,
) -> Result<Sample, Error> {
    let mut client = Client::connect(target.address)?;
    client.subscribe("_INBOX.kv", None)?;
    let frames: Vec<String> = (0..KEYS).map(frame).collect();
    let mut times = Vec::new();
    let start = Instant::now();
    for frame in frames.iter().cycle() {
        let asked = Instant::now();
        client.send(frame.as_bytes())?;
        let message = client.message()?;
        times.push(asked.elapsed());
        if !right(message.body)? {
            return Err(Error::Protocol(
                String::from_utf8_lossy(message.body).into_owned(),
            ));
        }
        if start.elapsed() >= duration {
            break;
        }
    }
    Ok(Sample::latency(times))
}
