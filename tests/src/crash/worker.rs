//! Workers: each a connection that takes what one consumer delivers, and acknowledges most of it.

use jetsled_testkit::Peer;
use rand::RngExt;
use rand::rngs::SmallRng;
use serde_json::json;

use super::consumers::Consumer;

const BATCH: usize = 32;
/// How long a pull request waits, in nanoseconds.
const EXPIRES: u64 = 100_000_000;

/// How a worker acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acks {
    /// Most confirmed; some unconfirmed, some naks, some terms, some not at all.
    Mixed,
    /// Each, confirmed.
    All,
}

/// Works until the connection breaks.
pub(super) fn run(
    mut peer: Peer,
    mut consumer: Consumer,
    acks: Acks,
    mut random: SmallRng,
) -> Consumer {
    let plan = consumer.plan;
    let inbox = format!("confirmed.{}.{}", plan.stream, plan.name);
    let fetched = plan.deliver_subject();
    if peer
        .send(format!("SUB {inbox}.* 2\r\nSUB {fetched} 1\r\n"))
        .is_err()
    {
        return consumer;
    }
    let request = json!({"batch": BATCH, "expires": EXPIRES}).to_string();
    let request = format!(
        "PUB $JS.API.CONSUMER.MSG.NEXT.{}.{} {fetched} {}\r\n{request}\r\n",
        plan.stream,
        plan.name,
        request.len()
    );
    let mut wanted = 0;
    loop {
        if wanted == 0 && !plan.is_push {
            if peer.send(&request).is_err() {
                return consumer;
            }
            wanted = BATCH;
        }
        let Ok(message) = peer.message() else {
            return consumer;
        };
        let last_token = |text: &str| text.rsplit('.').next().and_then(|seq| seq.parse().ok());
        if message.sid == "2" {
            if let Some(seq) = last_token(&message.subject) {
                consumer.confirm(seq);
            }
            continue;
        }
        let reply = message.reply.as_deref().unwrap_or_default();
        let seq = reply.split('.').nth(5).and_then(|seq| seq.parse().ok());
        let Some(seq) = seq.filter(|_| message.status().is_none()) else {
            // The request is over.
            wanted = 0;
            continue;
        };
        wanted = wanted.saturating_sub(1);
        consumer.deliver(seq);
        let (kind, is_confirmed) = match (acks, random.random_range(0..100)) {
            (Acks::All, _) => ("+ACK", true),
            // Naks and terms are for single messages.
            (Acks::Mixed, chance) if plan.ack_all => match chance {
                0..20 => ("+ACK", true),
                20..25 => ("+ACK", false),
                _ => continue,
            },
            (Acks::Mixed, 0..85) => ("+ACK", true),
            (Acks::Mixed, 85..90) => ("+ACK", false),
            (Acks::Mixed, 90..93) => ("+TERM", true),
            (Acks::Mixed, 93..96) => ("-NAK", false),
            (Acks::Mixed, _) => continue,
        };
        if kind != "-NAK" {
            consumer.send_ack(seq);
        }
        let answer = if is_confirmed {
            format!(" {inbox}.{seq}")
        } else {
            String::new()
        };
        let line = format!("PUB {reply}{answer} {}\r\n{kind}\r\n", kind.len());
        if peer.send(line).is_err() {
            return consumer;
        }
    }
}
