//! Message schedules: what they have sent, and what they should have.

use std::collections::BTreeMap;

use jetsled_jetstream_api::Timestamp;
use jetsled_protocol::headers;

use super::Content;
use super::publish::Publish;
use super::stream::{Removed, SLACK, StreamModel};

/// When a message that is a schedule sends its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// Once, at this time.
    At(i64),
    /// Again and again, so many nanoseconds apart.
    Every(i64),
}

/// What a message says that a schedule has sent.
pub(super) struct Sent<'m> {
    /// The subject of the schedule.
    pub(super) by: &'m [u8],
    /// When it sends the next one, unless this was the last.
    pub(super) next: Option<i64>,
}

const SECOND: i64 = 1_000_000_000;

impl<'m> Sent<'m> {
    /// `None`: a client has published it.
    pub(super) fn read(block: &'m [u8]) -> Option<Self> {
        let by = headers::get(block, b"Nats-Scheduler")?;
        let next = std::str::from_utf8(headers::get(block, b"Nats-Schedule-Next")?).ok()?;
        let next: Option<Timestamp> = next.parse().ok();
        Some(Self {
            by,
            next: next.map(|next| next.0),
        })
    }
}

impl StreamModel {
    /// Compares what schedules have sent, of what is there and of what was seen before, with what they say.
    pub(super) fn check_schedules(&self, content: &Content, now: i64) -> Result<(), String> {
        let name = &self.name;
        let mut sent_at: BTreeMap<u32, i64> = BTreeMap::new();
        let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
        for (seq, message) in &content.messages {
            newest.insert(&message.subject, *seq);
            if let Some(id) = self.sent.get(seq).map(|(id, _)| *id) {
                if let Some(Schedule::At(at)) = self.publishes[&id].schedule
                    && message.time < at
                {
                    return Err(format!("{name}: schedule {id} has sent {seq} early"));
                }
                sent_at.insert(id, message.time);
            }
        }
        if self.damaged {
            return Ok(());
        }
        for (id, publish) in &self.publishes {
            let Some(schedule) = publish.schedule else {
                continue;
            };
            let sent = self.sent.iter().filter(|(_, (by, _))| by == id);
            let next: Vec<Option<i64>> = sent.map(|(_, (_, next))| *next).collect();
            self.check_sent(*id, publish, schedule, &next)?;
            let there = content.messages.iter().find(|(seq, message)| {
                self.known.get(seq) == Some(id) && message.subject == publish.subject
            });
            let Some((seq, _)) = there else { continue };
            let once = publish.attempts.len() == 1;
            if once && matches!(schedule, Schedule::At(_)) && !next.is_empty() {
                return Err(format!("{name}: schedule {id} ({seq}) is there still"));
            }
            // A message behind it on its subject has ended it.
            if newest.get(&*publish.subject) != Some(seq) || self.may_be_ended(*id, publish) {
                continue;
            }
            // It may have been under way for long.
            let arrived = publish
                .attempts
                .iter()
                .map(|attempt| match attempt.settled {
                    Some(_) => attempt.settled_at,
                    None => now,
                });
            let arrived = arrived.max().unwrap_or(now);
            let due = match schedule {
                Schedule::At(at) => at.max(arrived),
                Schedule::Every(_) if !self.is_final => continue,
                Schedule::Every(span) => {
                    let last = sent_at.get(id).copied();
                    last.unwrap_or(arrived) + span + SECOND
                }
            };
            if now > due.max(self.awake_since) + SLACK {
                return Err(format!("{name}: schedule {id} ({seq}) has not sent"));
            }
        }
        Ok(())
    }

    /// `next`: of what it has sent, in order.
    fn check_sent(
        &self,
        id: u32,
        publish: &Publish,
        schedule: Schedule,
        next: &[Option<i64>],
    ) -> Result<(), String> {
        let name = &self.name;
        match schedule {
            Schedule::At(_) => {
                if next.len() > publish.attempts.len() || next.iter().any(Option::is_some) {
                    return Err(format!("{name}: schedule {id} has sent {next:?}"));
                }
            }
            Schedule::Every(span) => {
                let apart = |pair: &[Option<i64>]| match pair {
                    [Some(before), Some(then)] => then - before >= span,
                    _ => false,
                };
                let together = next.windows(2).find(|pair| !apart(pair));
                if let Some(pair) = together.filter(|_| publish.attempts.len() == 1) {
                    return Err(format!("{name}: schedule {id} sends at {pair:?}"));
                }
            }
        }
        Ok(())
    }

    /// Whether another message may have taken its place, and may be gone since.
    fn may_be_ended(&self, id: u32, publish: &Publish) -> bool {
        self.publishes.iter().any(|(other, by)| {
            let later = by
                .last_chance()
                .is_none_or(|chance| chance > publish.issued());
            *other != id && by.subject == publish.subject && by.may_be_stored() && later
        })
    }

    /// Whether a message is gone that sends once, since it has: what it sent was seen, or has been removed.
    pub(super) fn has_sent(&self, id: u32, publish: &Publish, now: i64) -> bool {
        let Some(Schedule::At(at)) = publish.schedule else {
            return false;
        };
        let issued = publish.issued();
        let removed = self.removals.iter().any(|removal| {
            !removal.is_refused
                && removal.settled.is_none_or(|settled| settled > issued)
                && !matches!(removal.what, Removed::Subject(_))
        });
        now >= at && (removed || self.sent.values().any(|(by, _)| *by == id))
    }
}
