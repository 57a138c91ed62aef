//! Limits of streams: what they keep, and what they may have taken.

use std::collections::BTreeMap;

use super::content::Content;
use super::publish::Publish;
use super::stream::{SLACK, StreamModel};

/// A configuration's limits; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) msgs: u64,
    pub(crate) per_subject: u64,
    pub(crate) bytes: u64,
    pub(crate) age: i64,
    pub(crate) discard_new: bool,
}

impl StreamModel {
    /// Limits in force hold.
    pub(super) fn check_limits(&self, content: &Content, now: i64) -> Result<(), String> {
        let limits = content.limits;
        let mut by_subject: BTreeMap<&str, u64> = BTreeMap::new();
        for (seq, message) in &content.messages {
            *by_subject.entry(&message.subject).or_default() += 1;
            let age = now - message.time;
            if limits.age > 0 && age > limits.age + SLACK {
                let name = &self.name;
                return Err(format!(
                    "{name}: {seq} is {age} ns old, the most is {limits:?}"
                ));
            }
        }
        let most = by_subject.values().max().copied().unwrap_or(0);
        if limits.discard_new || self.damaged {
            // A limit that was lowered takes nothing away; sizes of what is lost count on.
            return Ok(());
        }
        let over = |is: u64, limit: u64| limit > 0 && is > limit;
        if over(content.count, limits.msgs)
            || over(content.bytes, limits.bytes)
            || over(most, limits.per_subject)
        {
            let (name, count, bytes) = (&self.name, content.count, content.bytes);
            return Err(format!(
                "{name}: {count} messages, {bytes} bytes, {most} on a subject, above {limits:?}"
            ));
        }
        Ok(())
    }
    /// Whether a limit may have taken a message of this age.
    pub(super) fn may_be_over(
        &self,
        limits: &Limits,
        seq: u64,
        publish: &Publish,
        content: &Content,
        age: i64,
    ) -> bool {
        if limits.age > 0 && age >= limits.age {
            return true;
        }
        if limits.discard_new && limits.per_subject == 0 {
            return false;
        }
        if limits.msgs > 0 && content.last.saturating_sub(seq) >= limits.msgs {
            return true;
        }
        // Copies that may have been stored behind it: of others, and, sent again after its window, of itself.
        let (mut on_subject, mut bytes) = (0, publish.size());
        for behind in self.publishes.values() {
            let copies = behind.copies_behind(seq);
            on_subject += copies * u64::from(behind.subject == publish.subject);
            bytes += behind.size() * copies;
        }
        limits.per_subject > 0 && on_subject >= limits.per_subject
            || limits.bytes > 0 && bytes > limits.bytes
    }
}

impl Publish {
    /// At least so much does it take.
    fn size(&self) -> u64 {
        (self.subject.len() + self.len + 400) as u64
    }
}
