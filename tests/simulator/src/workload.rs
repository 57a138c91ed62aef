//! What clients ask of streams.

use jetsled_jetstream_api::Timestamp;
use rand::RngExt;

use crate::model::{Attempt, Batch, Expected, Fate, Publish, Removal, Removed, Rollup, Schedule};
use crate::payload::{increment, payload};
use crate::plan::{Kind, TARGET};
use crate::world::{Change, Waiting, World};

impl World {
    /// Sends a request; its answer is for `waiting`.
    pub(crate) fn request(&mut self, client: usize, subject: &str, body: &[u8], waiting: Waiting) {
        let token = self.next_token;
        self.next_token += 1;
        let reply = self.clients[client].inbox(token);
        self.history.note(format_args!(
            "{client} {token} {subject} {}",
            String::from_utf8_lossy(body)
        ));
        self.clients[client].publish(subject, &reply, &[], body);
        self.clients[client].waiting.insert(token, waiting);
    }

    pub(crate) fn any_client(&mut self) -> usize {
        self.random.random_range(0..self.clients.len())
    }

    /// One more request of some client.
    pub(crate) fn issue(&mut self) -> Result<(), String> {
        let stream = self.random.random_range(0..self.streams.len());
        match self.random.random_range(0..100) {
            0..52 => self.publish(stream),
            52..58 => self.remove(stream),
            58..76 => self.acknowledge(),
            76..92 => self.pull(),
            92..94 => self.put_stream(stream),
            94..98 => self.change_consumer()?,
            98 => self.delete_stream(stream)?,
            _ => {}
        }
        Ok(())
    }

    fn publish(&mut self, stream: usize) {
        if self.streams[stream].plan.kind == Kind::Batches && self.random.random_bool(0.4) {
            return self.publish_batch(stream);
        }
        if self.random.random_bool(0.12) {
            return self.publish_again(stream);
        }
        let subject = self.streams[stream].plan.subject(&mut self.random);
        let id = self.next_id;
        self.next_id += 1;
        let len = match self.random.random_range(0..20) {
            0 => 20_000,
            1..4 => 2000,
            _ => self.random.random_range(8..300),
        };
        let kind = self.streams[stream].plan.kind;
        let schedule = match self.random.random_range(0..6) {
            _ if kind != Kind::Scheduled => None,
            0 | 1 => {
                let later = self.random.random_range(0..6_000_000_000);
                Some(Schedule::At(self.time + later))
            }
            2 => {
                let seconds = self.random.random_range(1..4);
                Some(Schedule::Every(seconds * 1_000_000_000))
            }
            _ => None,
        };
        let rollup = match self.random.random_range(0..20) {
            // It takes the place of what its subject has.
            _ if schedule.is_some() => Rollup::Subject,
            0 if kind == Kind::KeyValue => Rollup::All,
            1..4 if kind == Kind::KeyValue => Rollup::Subject,
            _ => Rollup::Nothing,
        };
        let ttl = (kind == Kind::Aging && self.random.random_bool(0.3))
            .then(|| self.random.random_range(1..6));
        let publish = Publish {
            subject,
            len,
            has_id: self.random.random_bool(0.5),
            rollup,
            schedule,
            ttl: ttl.map(|seconds: i64| seconds * 1_000_000_000),
            in_batch: false,
            attempts: Vec::new(),
        };
        self.streams[stream].model.publishes.insert(id, publish);
        self.send_message(stream, id);
    }

    /// Sends a message again, of which it may not be known whether it was stored.
    fn publish_again(&mut self, stream: usize) {
        let model = &self.streams[stream].model;
        let again: Vec<u32> = model
            .publishes
            .iter()
            .rev()
            .take(30)
            .filter(|(_, publish)| {
                publish.has_id
                    && !publish.in_batch
                    && publish.attempts.len() < 4
                    && publish
                        .attempts
                        .iter()
                        .all(|attempt| attempt.settled.is_some())
            })
            .map(|(id, _)| *id)
            .collect();
        if !again.is_empty() {
            let id = again[self.random.random_range(0..again.len())];
            self.send_message(stream, id);
        }
    }

    fn send_message(&mut self, stream: usize, id: u32) {
        let (event, at) = (self.event(), self.time);
        let client = self.any_client();
        let expects = self.random.random_range(0..100);
        let prefix = self.streams[stream].plan.prefix();
        let model = &mut self.streams[stream].model;
        let Some(publish) = model.publishes.get(&id) else {
            return;
        };
        let subject = publish.subject.clone();
        let expected = match expects {
            0..4 => Some(Expected {
                subject: None,
                last: model.last_known,
            }),
            4..16 => Some(Expected {
                last: model.last_known_of(&subject),
                subject: Some(subject.clone()),
            }),
            _ => None,
        };
        let Some(publish) = model.publishes.get_mut(&id) else {
            return;
        };
        publish.attempts.push(Attempt {
            issued: event,
            settled: None,
            at,
            settled_at: at,
            fate: Fate::Unknown,
        });
        let mut headers = Vec::new();
        if publish.has_id {
            headers.push(format!("Nats-Msg-Id: id-{id}"));
        }
        match publish.rollup {
            _ if publish.schedule.is_some() => {}
            Rollup::Nothing => {}
            Rollup::Subject => headers.push("Nats-Rollup: sub".to_owned()),
            Rollup::All => headers.push("Nats-Rollup: all".to_owned()),
        }
        if let Some(ttl) = publish.ttl {
            headers.push(format!("Nats-TTL: {}s", ttl / 1_000_000_000));
        }
        if let Some(schedule) = publish.schedule {
            headers.push(match schedule {
                Schedule::At(at) => format!("Nats-Schedule: @at {}", Timestamp(at)),
                Schedule::Every(span) => {
                    format!("Nats-Schedule: @every {}s", span / 1_000_000_000)
                }
            });
            headers.push(format!("Nats-Schedule-Target: {prefix}{TARGET}"));
        }
        if model.counts {
            headers.push(format!("Nats-Incr: {}", increment(id)));
            headers.push(format!("Message: {id}"));
        }
        match &expected {
            None => {}
            Some(Expected {
                subject: None,
                last,
            }) => headers.push(format!("Nats-Expected-Last-Sequence: {last}")),
            Some(Expected { last, .. }) => {
                headers.push(format!("Nats-Expected-Last-Subject-Sequence: {last}"));
            }
        }
        let body = if model.counts {
            Vec::new()
        } else {
            payload(id, publish.len)
        };
        let token = self.next_token;
        self.next_token += 1;
        self.history.note(format_args!(
            "{client} {token} PUB {subject} message {id} {headers:?}"
        ));
        let client = &mut self.clients[client];
        let reply = client.inbox(token);
        client.publish(&subject, &reply, &headers, &body);
        let expected = expected.map(|expected| (expected, event));
        let waiting = Waiting::Publish {
            stream,
            id,
            expected,
        };
        client.waiting.insert(token, waiting);
    }

    fn publish_batch(&mut self, stream: usize) {
        let client = self.any_client();
        let count = self.random.random_range(1..7);
        let is_committed = self.random.random_bool(0.9);
        let number = self.next_id;
        let mut members = Vec::new();
        let token = self.next_token;
        self.next_token += 1;
        let commit_reply = self.clients[client].inbox(token);
        for at in 0..count {
            let id = self.next_id;
            self.next_id += 1;
            members.push(id);
            let subject = self.streams[stream].plan.subject(&mut self.random);
            let len = self.random.random_range(8..1500);
            let is_last = is_committed && at + 1 == count;
            let mut headers = vec![
                format!("Nats-Batch-Id: batch-{number}"),
                format!("Nats-Batch-Sequence: {}", at + 1),
            ];
            if is_last {
                headers.push("Nats-Batch-Commit: 1".to_owned());
            }
            let reply = if is_last { &*commit_reply } else { "" };
            self.clients[client].publish(&subject, reply, &headers, &payload(id, len));
            let publish = Publish {
                subject,
                len,
                has_id: true,
                rollup: Rollup::Nothing,
                schedule: None,
                ttl: None,
                in_batch: true,
                attempts: vec![Attempt {
                    issued: self.event(),
                    settled: None,
                    at: self.time,
                    settled_at: self.time,
                    fate: Fate::Unknown,
                }],
            };
            self.streams[stream].model.publishes.insert(id, publish);
        }
        self.history.note(format_args!(
            "{client} {token} batch {number} of {members:?}, committed: {is_committed}"
        ));
        let batch = Batch {
            members,
            is_refused: !is_committed,
        };
        self.streams[stream].model.batches.insert(number, batch);
        if is_committed {
            let batch = number;
            let waiting = Waiting::Batch { stream, batch };
            self.clients[client].waiting.insert(token, waiting);
        }
    }

    /// Deletes a message or purges.
    fn remove(&mut self, stream: usize) {
        if self.streams[stream].plan.kind == Kind::Counter {
            // What a counter is then would depend on what was last.
            return;
        }
        let subject = self.streams[stream].plan.subject(&mut self.random);
        let run = &mut self.streams[stream];
        let last = run.model.last_known.max(1);
        let what = match self.random.random_range(0..12) {
            0 => Removed::Everything,
            1 | 2 => Removed::Subject(subject),
            3 => Removed::Below(self.random.random_range(1..=last)),
            4 => Removed::Keep(self.random.random_range(1..10)),
            _ => Removed::Message(self.random.random_range(1..=last)),
        };
        self.ask_to_remove(stream, what);
    }

    pub(crate) fn ask_to_remove(&mut self, stream: usize, what: Removed) {
        let client = self.any_client();
        let name = self.streams[stream].plan.name.clone();
        let (endpoint, body) = match &what {
            Removed::Everything => ("PURGE", "{}".to_owned()),
            Removed::Subject(subject) => ("PURGE", format!(r#"{{"filter":"{subject}"}}"#)),
            Removed::Below(seq) => ("PURGE", format!(r#"{{"seq":{seq}}}"#)),
            Removed::Keep(keep) => ("PURGE", format!(r#"{{"keep":{keep}}}"#)),
            Removed::Message(seq) => {
                let no_erase = self.random.random_bool(0.5);
                let body = format!(r#"{{"seq":{seq},"no_erase":{no_erase}}}"#);
                ("MSG.DELETE", body)
            }
        };
        let issued = self.event();
        let model = &mut self.streams[stream].model;
        let at = model.removals.len();
        model.removals.push(Removal {
            what,
            issued,
            settled: None,
            is_confirmed: false,
            is_refused: false,
        });
        let subject = format!("$JS.API.STREAM.{endpoint}.{name}");
        let waiting = Waiting::Removal { stream, at };
        self.request(client, &subject, body.as_bytes(), waiting);
    }

    /// Creates a stream, or changes its limits.
    pub(crate) fn put_stream(&mut self, stream: usize) {
        let client = self.any_client();
        let run = &mut self.streams[stream];
        if run.maybe.is_some() {
            return;
        }
        let limits = run.plan.draw_limits(&mut self.random);
        run.versions.push(limits);
        let version = run.versions.len() as u64;
        run.model.limits.push(limits);
        let (endpoint, change) = if run.exists {
            run.model.maybe_version = Some(version);
            ("UPDATE", Change::Update)
        } else {
            run.model.version = version;
            ("CREATE", Change::Create)
        };
        run.maybe = Some(change);
        let subject = format!("$JS.API.STREAM.{endpoint}.{}", run.plan.name);
        let body = run.plan.config(&limits, version);
        let waiting = Waiting::PutStream { stream, version };
        self.request(client, &subject, body.as_bytes(), waiting);
    }

    fn delete_stream(&mut self, stream: usize) -> Result<(), String> {
        // What is under way for the old stream must not be taken for the new one's.
        self.settle()?;
        let client = self.any_client();
        let run = &mut self.streams[stream];
        if self.ailing.is_some() || !run.exists || run.maybe.is_some() {
            return Ok(());
        }
        run.maybe = Some(Change::Delete);
        let subject = format!("$JS.API.STREAM.DELETE.{}", run.plan.name);
        self.request(client, &subject, b"", Waiting::DeleteStream { stream });
        self.settle_soon()
    }

    /// Some steps of the server, then rest: a machine that ends meanwhile ends here.
    pub(crate) fn settle_soon(&mut self) -> Result<(), String> {
        if self.random.random_bool(0.3) {
            let kill = self.random.random_bool(0.3);
            self.disk_events.borrow_mut().end_soon(kill);
        }
        self.settle()
    }
}
