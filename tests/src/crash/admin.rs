//! Who changes things: one connection that makes, changes, empties and deletes, one request after the other.
//!
//! Only its last request can be without an answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jetsled_testkit::Peer;
use rand::RngExt;
use rand::rngs::SmallRng;
use serde_json::{Value, json};

use super::changes::{Changes, Name, Version};
use super::journal::{Done, Fate, NEVER, Publish, Removal, Removed, Round, StreamKey};
use super::load::Shared;
use super::message::Message;
use super::plan::{self, CONSUMERS, STREAMS, StreamPlan};
use super::publishers::fate;

/// The number of this publisher.
const NUMBER: u64 = 60;
/// Streams that come and go.
const TEMPORARY: [&str; 4] = ["TEMP0", "TEMP1", "TEMP2", "TEMP3"];

/// The admin of one round.
#[derive(Debug)]
pub(super) struct Admin<'a> {
    peer: Peer,
    pub(super) changes: Changes,
    pub(super) round: Round,
    number: u64,
    random: SmallRng,
    shared: &'a Shared,
}

/// Why the admin ends.
enum Ended {
    /// The connection broke.
    Broken,
    /// Something was answered that may not be.
    Wrong(String),
}

impl<'a> Admin<'a> {
    pub(super) fn new(
        peer: Peer,
        changes: Changes,
        round: u64,
        random: SmallRng,
        shared: &'a Shared,
    ) -> Self {
        Self {
            peer,
            changes,
            round: Round::default(),
            number: round << 32 | NUMBER << 24,
            random,
            shared,
        }
    }

    /// Makes what is always there.
    ///
    /// # Errors
    ///
    /// When something is refused, or the connection breaks.
    pub(super) fn set_up(mut self) -> io::Result<Changes> {
        for plan in STREAMS {
            self.put_stream(plan.name)?;
        }
        for plan in CONSUMERS {
            self.put_consumer(&Name::consumer(plan.stream, plan.name))?;
        }
        Ok(self.changes)
    }

    /// Changes things until the connection breaks.
    ///
    /// # Errors
    ///
    /// When something was refused that must be possible.
    pub(super) fn run(mut self) -> io::Result<(Changes, Round)> {
        loop {
            match self.step() {
                Ok(()) => std::thread::sleep(Duration::from_micros(500)),
                Err(_) if self.shared.is_ending() => return Ok((self.changes, self.round)),
                Err(Ended::Broken) => return Ok((self.changes, self.round)),
                Err(Ended::Wrong(what)) => return Err(io::Error::other(what)),
            }
        }
    }

    fn step(&mut self) -> Result<(), Ended> {
        match self.random.random_range(0..100) {
            0..3 => self.purge(),
            3..30 => self.delete_message(),
            30..40 => {
                let plan = self.pick(&STREAMS);
                self.put_stream(plan.name)
            }
            40..50 => {
                let plan = self.pick(&CONSUMERS);
                self.put_consumer(&Name::consumer(plan.stream, plan.name))
            }
            50..60 => self.change_consumer(plan::EVENTS),
            _ => {
                let name = self.pick(&TEMPORARY);
                if self.changes.now(&Name::stream(name)).is_none() {
                    return self.put_stream(name);
                }
                match self.random.random_range(0..10) {
                    0..5 => self.publish(name),
                    5 => self.put_stream(name),
                    6..8 => self.change_consumer(name),
                    _ => self.delete(&Name::stream(name)),
                }
            }
        }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.random_range(0..from.len())]
    }

    /// Makes a stream, or gives it another description.
    fn put_stream(&mut self, stream: &str) -> Result<(), Ended> {
        let name = Name::stream(stream);
        let verb = match self.changes.now(&name) {
            None => "CREATE",
            Some(_) => "UPDATE",
        };
        let version = self.changes.next(&name);
        let description = version.describe();
        let config = match StreamPlan::of(stream) {
            Some(plan) => plan.config(&description),
            None => json!({
                "name": stream,
                "description": description,
                "subjects": [format!("{stream}.>")],
                "storage": "file",
                "num_replicas": 1,
                "allow_direct": true,
            }),
        };
        self.change(
            &name,
            Some(version),
            &format!("STREAM.{verb}.{stream}"),
            &config,
        )
    }

    /// Makes a consumer, or gives it another description and another number of messages without an ack.
    fn put_consumer(&mut self, name: &Name) -> Result<(), Ended> {
        let Name { stream, consumer } = name;
        let consumer = consumer.as_deref().unwrap_or_default();
        let action = match self.changes.now(name) {
            None => "create",
            Some(_) => "update",
        };
        let version = self.changes.next(name);
        let description = version.describe();
        let planned = CONSUMERS
            .iter()
            .find(|plan| plan.stream == stream && plan.name == consumer);
        let mut config = match planned {
            Some(plan) => plan.config(&description),
            None => json!({
                "durable_name": consumer,
                "name": consumer,
                "description": description,
                "deliver_policy": "all",
                "ack_policy": "explicit",
                "ack_wait": 1_000_000_000,
                "replay_policy": "instant",
            }),
        };
        config["max_ack_pending"] = json!(200 + version.change % 50);
        let body = json!({"stream_name": stream, "config": config, "action": action});
        let call = format!("CONSUMER.CREATE.{stream}.{consumer}");
        self.change(name, Some(version), &call, &body)
    }

    /// Makes, changes, uses or deletes a consumer that nobody else uses.
    fn change_consumer(&mut self, stream: &str) -> Result<(), Ended> {
        let consumer = self.pick(&["c0", "c1", "c2"]);
        let name = Name::consumer(stream, consumer);
        if self.changes.now(&name).is_none() {
            return self.put_consumer(&name);
        }
        match self.random.random_range(0..10) {
            0..3 => self.put_consumer(&name),
            // One message is delivered, or a status comes.
            3..7 => {
                let call = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
                let request = json!({"batch": 1, "no_wait": true}).to_string();
                self.request(&call, request.as_bytes()).map(|_| ())
            }
            _ => self.delete(&name),
        }
    }

    fn delete(&mut self, name: &Name) -> Result<(), Ended> {
        let call = match &name.consumer {
            None => format!("STREAM.DELETE.{}", name.stream),
            Some(consumer) => format!("CONSUMER.DELETE.{}.{consumer}", name.stream),
        };
        self.change(name, None, &call, &Value::Null)
    }

    /// A few messages to a stream that comes and goes.
    fn publish(&mut self, stream: &str) -> Result<(), Ended> {
        let key = self.key(stream);
        for _ in 0..self.random.random_range(1..5) {
            self.number += 1;
            let subject = format!("{stream}.{}", self.number % 5);
            let len = self.random.random_range(0..200);
            let message = Arc::new(Message::new(self.number, subject, len));
            let at = self.round.publishes.len();
            self.round.publishes.push(Publish {
                stream: key.clone(),
                message: Arc::clone(&message),
                issued: self.shared.clock.tick(),
                settled: NEVER,
                fate: Fate::Unknown,
                batch: None,
            });
            let answer = self.request(&message.subject, &message.payload())?;
            let fate = fate(answer.as_bytes(), stream).map_err(Ended::Wrong)?;
            if let Some(publish) = self.round.publishes.get_mut(at) {
                publish.fate = fate;
                publish.settled = self.shared.clock.tick();
            }
        }
        Ok(())
    }

    fn delete_message(&mut self) -> Result<(), Ended> {
        let stream = self.pick(&[
            plan::EVENTS,
            plan::CHAIN,
            plan::BULK,
            plan::BATCHES,
            plan::WORK,
        ]);
        let last = self.shared.last(stream);
        let seq = last.saturating_sub(self.random.random_range(0..400)).max(1);
        let body = json!({"seq": seq, "no_erase": self.random.random_bool(0.5)});
        let call = format!("STREAM.MSG.DELETE.{stream}");
        self.remove(stream, Removed::Message(seq), &call, &body)
    }

    fn purge(&mut self) -> Result<(), Ended> {
        let plan = self.pick(&STREAMS);
        let stream = plan.name;
        let last = self.shared.last(stream);
        let (what, body) = match self.random.random_range(0..100) {
            0..40 => {
                let below = last.saturating_sub(self.random.random_range(0..500)).max(1);
                (Removed::Below(below), json!({"seq": below}))
            }
            40..75 => {
                let subject = match stream {
                    plan::STATE => format!("$KV.state.k{}", self.random.random_range(0..40)),
                    _ => format!("{stream}.{}", self.random.random_range(0..10)),
                };
                (
                    Removed::Subject(subject.clone()),
                    json!({"filter": subject}),
                )
            }
            75..95 => {
                let keep = self.random.random_range(100..500);
                (Removed::Keep, json!({"keep": keep}))
            }
            _ => (Removed::Everything, json!({})),
        };
        self.remove(stream, what, &format!("STREAM.PURGE.{stream}"), &body)
    }

    fn remove(
        &mut self,
        stream: &str,
        what: Removed,
        call: &str,
        body: &Value,
    ) -> Result<(), Ended> {
        let at = self.round.removals.len();
        self.round.removals.push(Removal {
            stream: self.key(stream),
            what,
            issued: self.shared.clock.tick(),
            settled: NEVER,
            fate: Done::Unknown,
        });
        let answer = self.call(call, body)?;
        // Only that a message is not there may be said.
        let fate = if answer.get("error").is_none() {
            self.changes.answered += 1;
            Done::Confirmed
        } else if call.contains("MSG.DELETE") {
            Done::Refused
        } else {
            return Err(Ended::Wrong(format!("{call} {body}: {answer}")));
        };
        if let Some(removal) = self.round.removals.get_mut(at) {
            removal.fate = fate;
            removal.settled = self.shared.clock.tick();
        }
        Ok(())
    }

    fn change(
        &mut self,
        name: &Name,
        version: Option<Version>,
        call: &str,
        body: &Value,
    ) -> Result<(), Ended> {
        self.changes.send(name, version);
        let answer = self.call(call, body)?;
        if answer.get("error").is_some() {
            return Err(Ended::Wrong(format!("{call} {body}: {answer}")));
        }
        self.changes.confirm(name, version);
        Ok(())
    }

    fn call(&mut self, call: &str, body: &Value) -> Result<Value, Ended> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = self.request(&format!("$JS.API.{call}"), body.as_bytes())?;
        serde_json::from_str(&answer).map_err(|_| Ended::Wrong(format!("{call}: {answer}")))
    }

    fn request(&mut self, subject: &str, body: &[u8]) -> Result<String, Ended> {
        let answer = self
            .peer
            .request(subject, body)
            .map_err(|_| Ended::Broken)?;
        Ok(String::from_utf8_lossy(&answer.payload).into_owned())
    }

    fn key(&self, stream: &str) -> StreamKey {
        let now = self.changes.now(&Name::stream(stream));
        (stream.to_owned(), now.map_or(0, |version| version.creation))
    }
}

impl From<Ended> for io::Error {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Broken => Self::new(io::ErrorKind::UnexpectedEof, "the connection broke"),
            Ended::Wrong(what) => Self::other(what),
        }
    }
}
