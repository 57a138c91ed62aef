//! Counters: each message of a subject holds the sum of all up to it.

use std::collections::BTreeMap;

use jetsled_protocol::headers;

use super::Content;
use super::stream::StreamModel;
use crate::payload::increment;

/// Which message of a counter this is, and what the counter is with it.
pub(super) fn read(block: &[u8], payload: &[u8]) -> Option<(u32, i128)> {
    let text = |name: &[u8]| std::str::from_utf8(headers::get(block, name)?).ok();
    let id: u32 = text(b"Message")?.parse().ok()?;
    let told: i128 = text(b"Nats-Incr")?.parse().ok()?;
    let body: serde_json::Value = serde_json::from_slice(payload).ok()?;
    let total = body["val"].as_str()?.parse().ok()?;
    (told == increment(id)).then_some((id, total))
}

impl StreamModel {
    /// What the server has told of a counter's value.
    pub(crate) fn learn_total(&mut self, seq: u64, total: i128) -> Result<(), String> {
        match self.totals.insert(seq, total) {
            Some(before) if before != total && !self.damaged => {
                let name = &self.name;
                Err(format!(
                    "{name}: the counter at {seq} is {total}, was {before}"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Nothing removes anything of it, unless damage does.
    pub(super) fn check_totals(&mut self, content: &Content) -> Result<(), String> {
        if !self.counts {
            return Ok(());
        }
        let mut sums: BTreeMap<&str, i128> = BTreeMap::new();
        for (seq, message) in &content.messages {
            let Some((id, total)) = read(&message.headers, &message.payload) else {
                return Err(format!("{}: {seq} is no counter", self.name));
            };
            let sum = sums.entry(&message.subject).or_default();
            *sum += increment(id);
            if *sum != total && !self.damaged {
                let name = &self.name;
                return Err(format!("{name}: {seq} is {total}, the sum is {sum}"));
            }
            self.learn_total(*seq, total)?;
        }
        Ok(())
    }
}
