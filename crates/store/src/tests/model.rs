//! The plainest stream: a `Vec` of messages and the rules as the reference words them.

use jetsled_jetstream_api::{DiscardPolicy, StorageType, StreamConfig};
use jetsled_protocol::subject;

use super::SECOND;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelMessage {
    pub(super) seq: u64,
    pub(super) time: i64,
    pub(super) subject: String,
    pub(super) headers: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) due: Option<i64>,
    pub(super) never: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) config: StreamConfig,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) messages: Vec<ModelMessage>,
    dedup: Vec<(String, u64, i64)>,
}

/// What a publish asks for beside its subject and payload.
#[derive(Debug, Clone, Default)]
pub(super) struct Steering {
    pub(super) msg_id: Option<String>,
    pub(super) rollup: Option<&'static str>,
    pub(super) ttl: Option<&'static str>,
    pub(super) expected_last: Option<u64>,
    pub(super) expected_last_subject: Option<u64>,
}

impl Steering {
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        headers.extend(self.msg_id.clone().map(|id| ("Nats-Msg-Id", id)));
        headers.extend(self.rollup.map(|value| ("Nats-Rollup", value.to_owned())));
        headers.extend(self.ttl.map(|value| ("Nats-TTL", value.to_owned())));
        headers.extend(
            self.expected_last
                .map(|seq| ("Nats-Expected-Last-Sequence", seq.to_string())),
        );
        headers.extend(
            self.expected_last_subject
                .map(|seq| ("Nats-Expected-Last-Subject-Sequence", seq.to_string())),
        );
        headers
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Stored(u64),
    Duplicate(u64),
    Refused(u16),
}

impl Model {
    pub(super) fn new(config: StreamConfig) -> Self {
        let first = config.first_seq.0.max(1);
        Self {
            config,
            first,
            last: first - 1,
            messages: Vec::new(),
            dedup: Vec::new(),
        }
    }

    pub(super) fn size(&self, message: &ModelMessage) -> u64 {
        let len = (message.subject.len() + message.headers.len() + message.payload.len()) as u64;
        match self.config.storage {
            StorageType::Memory => len + 16,
            StorageType::File if message.headers.is_empty() => len + 30,
            StorageType::File => len + 34,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.messages.iter().map(|message| self.size(message)).sum()
    }

    pub(super) fn last_of(&self, name: &str) -> Option<u64> {
        self.messages
            .iter()
            .rev()
            .find(|message| message.subject == name)
            .map(|message| message.seq)
    }

    pub(super) fn publish(
        &mut self,
        name: &str,
        headers: &[u8],
        payload: &[u8],
        steering: &Steering,
        now: i64,
    ) -> Outcome {
        if let Some(expected) = steering.expected_last_subject
            && self.last_of(name).unwrap_or(0) != expected
        {
            return Outcome::Refused(10071);
        }
        if steering
            .expected_last
            .is_some_and(|expected| expected != self.last)
        {
            return Outcome::Refused(10071);
        }
        let window = self.config.duplicate_window.0;
        self.dedup.retain(|(_, _, time)| *time >= now - window);
        if let Some(id) = steering.msg_id.as_ref().filter(|_| window > 0)
            && let Some((_, seq, _)) = self.dedup.iter().find(|(other, ..)| other == id)
        {
            return Outcome::Duplicate(*seq);
        }
        let message = self.message(name, headers, payload, steering, now);
        if self.config.discard == DiscardPolicy::New {
            let limit = self.config.max_msgs_per_subject;
            let count = self.count_on(name);
            let replaces = limit > 0 && count >= limit;
            if replaces && self.config.discard_new_per_subject && steering.rollup.is_none() {
                return Outcome::Refused(10077);
            }
            let (messages, bytes) = (
                self.messages.len() as i64,
                self.bytes() + self.size(&message),
            );
            let mut on_subject = self.messages.iter().filter(|m| m.subject == name);
            let old = on_subject.next().filter(|_| replaces);
            let makes_room = old.is_some_and(|old| self.size(old) >= self.size(&message));
            if (self.config.max_msgs > 0 && messages >= self.config.max_msgs && !replaces)
                || (self.config.max_bytes > 0
                    && bytes as i64 > self.config.max_bytes
                    && !makes_room)
            {
                return Outcome::Refused(10077);
            }
        }
        Outcome::Stored(self.store(message, steering))
    }

    /// What an atomic batch does: all of it, or the code of the first message that is refused.
    pub(super) fn publish_batch(
        &mut self,
        messages: &[(&str, Vec<u8>, Vec<u8>, Steering)],
        now: i64,
    ) -> Result<u64, u16> {
        let window = self.config.duplicate_window.0;
        self.dedup.retain(|(_, _, time)| *time >= now - window);
        let mut bytes = self.bytes();
        for (at, (name, headers, payload, steering)) in messages.iter().enumerate() {
            let before = &messages[..at];
            let on_subject = before.iter().filter(|(other, ..)| other == name).count();
            if let Some(id) = &steering.msg_id
                && (before
                    .iter()
                    .any(|(.., other)| other.msg_id.as_ref() == Some(id))
                    || window > 0 && self.dedup.iter().any(|(other, ..)| other == id))
            {
                return Err(10201);
            }
            match steering.expected_last {
                Some(expected) if expected != self.last + at as u64 => return Err(10071),
                Some(_) if at > 0 => return Err(10164),
                _ => {}
            }
            match steering.expected_last_subject {
                Some(_) if on_subject > 0 => return Err(10164),
                Some(expected) if expected != self.last_of(name).unwrap_or(0) => {
                    return Err(10071);
                }
                _ => {}
            }
            match steering.rollup {
                Some("sub") if on_subject > 0 => return Err(10111),
                Some("all") if at > 0 => return Err(10111),
                _ => {}
            }
            if self.config.discard == DiscardPolicy::New {
                let over = |limit: i64, count: usize| limit > 0 && count as i64 > limit;
                bytes += self.size(&self.message(name, headers, payload, steering, now));
                let count = self.count_on(name) as usize + on_subject + 1;
                if over(self.config.max_msgs, self.messages.len() + at + 1)
                    || over(self.config.max_bytes, bytes as usize)
                    || (self.config.discard_new_per_subject
                        && steering.rollup.is_none()
                        && over(self.config.max_msgs_per_subject, count))
                {
                    return Err(10077);
                }
            }
        }
        for (name, headers, payload, steering) in messages {
            let message = self.message(name, headers, payload, steering, now);
            self.store(message, steering);
        }
        Ok(self.last)
    }

    fn count_on(&self, name: &str) -> i64 {
        let on_subject = |other: &&ModelMessage| other.subject == name;
        self.messages.iter().filter(on_subject).count() as i64
    }

    fn message(
        &self,
        name: &str,
        headers: &[u8],
        payload: &[u8],
        steering: &Steering,
        now: i64,
    ) -> ModelMessage {
        let seconds = steering.ttl.and_then(|ttl| ttl.parse::<i64>().ok());
        ModelMessage {
            seq: self.last + 1,
            time: now,
            subject: name.to_owned(),
            headers: headers.to_vec(),
            payload: payload.to_vec(),
            due: seconds.map(|seconds| now + seconds * SECOND),
            never: steering.ttl == Some("never"),
        }
    }

    /// Stores a message that nothing speaks against.
    fn store(&mut self, message: ModelMessage, steering: &Steering) -> u64 {
        let window = self.config.duplicate_window.0;
        let (seq, now, name) = (message.seq, message.time, message.subject.clone());
        self.last = seq;
        self.messages.push(message);
        self.enforce_subjects();
        self.enforce_stream();
        if let Some(id) = steering.msg_id.as_ref().filter(|_| window > 0) {
            self.dedup.push((id.clone(), seq, now));
        }
        match steering.rollup {
            Some("sub") => self.purge(Some(&name), 0, 1),
            Some(_) if self.messages.last().is_some_and(|last| last.seq == seq) => {
                self.purge(None, seq, 0)
            }
            _ => 0,
        };
        self.settle();
        seq
    }

    /// What an update does.
    pub(super) fn enforce(&mut self) {
        self.enforce_stream();
        self.enforce_subjects();
    }

    fn enforce_subjects(&mut self) {
        let limit = self.config.max_msgs_per_subject;
        if limit > 0 {
            let mut at = self.messages.len();
            let mut counts = std::collections::HashMap::<String, i64>::new();
            while at > 0 {
                at -= 1;
                let count = counts.entry(self.messages[at].subject.clone()).or_default();
                *count += 1;
                if *count > limit {
                    self.messages.remove(at);
                }
            }
        }
        self.settle();
    }

    fn enforce_stream(&mut self) {
        while self.config.discard == DiscardPolicy::Old
            && ((self.config.max_msgs > 0 && self.messages.len() as i64 > self.config.max_msgs)
                || (self.config.max_bytes > 0 && self.bytes() as i64 > self.config.max_bytes))
        {
            self.messages.remove(0);
        }
        self.settle();
    }

    pub(super) fn purge(&mut self, filter: Option<&str>, below: u64, keep: usize) -> u64 {
        let before = self.messages.len();
        if below == 1 {
            return 0;
        }
        let matches = |message: &ModelMessage| {
            filter.is_none_or(|filter| {
                subject::matches(message.subject.as_bytes(), filter.as_bytes())
            }) && (below == 0 || message.seq < below)
        };
        let matching = self
            .messages
            .iter()
            .filter(|message| matches(message))
            .count();
        let mut remove = matching.saturating_sub(keep);
        self.messages.retain(|message| {
            let goes = remove > 0 && matches(message);
            remove -= usize::from(goes);
            !goes
        });
        if filter.is_none() && keep == 0 && below > self.last + 1 {
            self.last = below - 1;
        }
        self.settle();
        (before - self.messages.len()) as u64
    }

    pub(super) fn delete(&mut self, seq: u64) -> bool {
        let before = self.messages.len();
        self.messages.retain(|message| message.seq != seq);
        self.settle();
        before != self.messages.len()
    }

    pub(super) fn expire(&mut self, now: i64) {
        let age = self.config.max_age.0;
        self.messages.retain(|message| {
            let aged = age > 0 && !message.never && message.time + age <= now;
            !aged && message.due.is_none_or(|due| due > now)
        });
        self.settle();
    }

    fn settle(&mut self) {
        self.first = self
            .messages
            .first()
            .map_or(self.last + 1, |message| message.seq);
    }
}
