//! The server at rest, compared with the model.

use serde_json::Value;

use crate::client::Message;
use crate::model::{ConsumerState, Content, Limits, Stored};
use crate::world::{Change, Waiting, World};

/// Rounds after which a server that is not at rest will never be.
const ROUNDS: u32 = 10_000;

impl World {
    /// Lets everything arrive, and the server do all that is due, until nothing happens any more. Every request must be answered then.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        'rounds: for _ in 0..ROUNDS {
            let mut moved = false;
            for client in 0..self.clients.len() {
                {
                    let mut wire = self.clients[client].wire.borrow_mut();
                    moved |= wire.under_way() > 0;
                    wire.deliver(usize::MAX);
                }
                if self.disk_events.borrow().has_ended() {
                    self.crash()?;
                    continue 'rounds;
                }
            }
            for shard in 0..self.shards() {
                moved |= self.step_shard(shard);
                if self.disk_events.borrow().has_ended() {
                    self.crash()?;
                    continue 'rounds;
                }
            }
            for client in 0..self.clients.len() {
                let before = self.event;
                self.read(client, usize::MAX)?;
                moved |= self.event != before;
                if self.clients[client].is_closed() {
                    self.reconnect(client);
                    moved = true;
                }
            }
            if !moved {
                return self.at_rest();
            }
        }
        Err("the server does not come to rest".to_owned())
    }

    fn at_rest(&mut self) -> Result<(), String> {
        for consumer in &mut self.consumers {
            consumer.count_confirmed();
            if let Some(pause) = &mut consumer.model.pause {
                pause.has_begun = true;
            }
        }
        if self.ailing.is_some() {
            return Ok(());
        }
        for client in &self.clients {
            let open = |waiting: &&Waiting| !matches!(waiting, Waiting::Pull { .. });
            if let Some(waiting) = client.waiting.values().find(open) {
                let number = client.number;
                return Err(format!("client {number} gets no answer: {waiting:?}"));
            }
        }
        Ok(())
    }

    /// Comes to rest and compares everything.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        self.settle()?;
        if self.ailing.is_some() {
            return Ok(());
        }
        self.compare()
    }

    /// Compares everything, at rest.
    pub(crate) fn compare(&mut self) -> Result<(), String> {
        self.disk_events.borrow_mut().hold(true);
        let compared = self.compare_streams();
        self.disk_events.borrow_mut().hold(false);
        compared
    }

    fn compare_streams(&mut self) -> Result<(), String> {
        self.figures.checks += 1;
        for stream in 0..self.streams.len() {
            let content = self.read_stream(stream)?;
            let Some(content) = self.compare_existence(stream, content)? else {
                continue;
            };
            self.history.note(format_args!(
                "{}: {} messages up to {}",
                self.streams[stream].plan.name, content.count, content.last
            ));
            let (time, by_queue) = (self.time, self.is_work_queue(stream));
            let run = &mut self.streams[stream];
            let (acked, consumers) = (&run.acked, &self.consumers);
            let gone_by = |seq: u64, publish: &crate::model::Publish| {
                if by_queue {
                    return acked.contains(&seq);
                }
                consumers
                    .iter()
                    .filter(|consumer| consumer.plan.stream == stream && consumer.exists)
                    .filter(|consumer| consumer.maybe != Some(Change::Delete))
                    .filter(|c| c.model.born.is_some_and(|born| born < publish.issued()))
                    .filter(|consumer| consumer.model.matches(&publish.subject))
                    .all(|consumer| consumer.model.is_ack_sent(seq))
            };
            run.model.check(&content, time, &gone_by)?;
            self.compare_reads(stream, &content)?;
            for consumer in 0..self.consumers.len() {
                if self.consumers[consumer].plan.stream == stream {
                    self.compare_consumer(consumer, &content)?;
                }
            }
        }
        Ok(())
    }

    fn is_work_queue(&self, stream: usize) -> bool {
        self.streams[stream].plan.kind == crate::plan::Kind::WorkQueue
    }

    /// Whether a stream is there as it should be. `None`: it is rightly not there.
    fn compare_existence(
        &mut self,
        stream: usize,
        content: Option<Content>,
    ) -> Result<Option<Content>, String> {
        let damaged = self.damaged;
        let run = &mut self.streams[stream];
        let (exists, maybe, name) = (run.exists, run.maybe.take(), run.plan.name.clone());
        let Some(content) = content else {
            if exists && maybe != Some(Change::Delete) && !damaged {
                return Err(format!("{name}: an acknowledged stream is gone"));
            }
            self.forget_stream(stream);
            return Ok(None);
        };
        if !exists && maybe != Some(Change::Create) && !damaged {
            return Err(format!("{name}: a deleted stream is back"));
        }
        run.exists = true;
        // Of two that were made at the same moment, messages tell which it is.
        let is_newest = maybe == Some(Change::Create) && run.model.knows(&content);
        if damaged && !is_newest && run.model.created.as_ref() != Some(&content.created) {
            run.bring_back(|model| model.created.as_ref() == Some(&content.created));
        }
        let model = &mut run.model;
        if model
            .created
            .as_ref()
            .is_some_and(|created| *created != content.created)
            && !damaged
        {
            return Err(format!("{name}: it is another stream of this name"));
        }
        model.created = Some(content.created.clone());
        let version = content.version;
        let known = version == model.version || model.maybe_version == Some(version);
        let limits = version
            .checked_sub(1)
            .and_then(|at| run.versions.get(at as usize));
        if !damaged && (!known || limits != Some(&content.limits)) {
            return Err(format!(
                "{name}: configuration {version} {:?}, was {} or {:?}",
                content.limits, model.version, model.maybe_version
            ));
        }
        model.version = version;
        model.maybe_version = None;
        Ok(Some(content))
    }

    fn compare_consumer(&mut self, consumer: usize, content: &Content) -> Result<(), String> {
        let damaged = self.damaged;
        let state = self.read_consumer(consumer)?;
        let run = &mut self.consumers[consumer];
        let (exists, maybe, name) = (run.exists, run.maybe.take(), &run.plan.name);
        let Some(state) = state else {
            if exists && maybe != Some(Change::Delete) && !damaged {
                return Err(format!("{name}: an acknowledged consumer is gone"));
            }
            run.begin_anew();
            self.unacked.retain(|unacked| unacked.consumer != consumer);
            return Ok(());
        };
        if !exists && maybe != Some(Change::Create) && !damaged {
            return Err(format!("{name}: a deleted consumer is back"));
        }
        run.exists = true;
        let model = &mut run.model;
        model.born.get_or_insert(self.event);
        if model
            .created
            .as_ref()
            .is_some_and(|created| *created != state.created)
            && !damaged
        {
            return Err(format!("{name}: it is another consumer of this name"));
        }
        model.created = Some(state.created.clone());
        let version = state.version;
        if version != model.version && model.maybe_version != Some(version) && !damaged {
            return Err(format!(
                "{name}: configuration {version}, was {} or {:?}",
                model.version, model.maybe_version
            ));
        }
        model.version = version;
        model.maybe_version = None;
        self.history.note(format_args!("{name}: {state:?}"));
        let (stream, born) = (&self.streams[run.plan.stream].model, run.model.born);
        let is_later = |seq| stream.was_sent_after(seq, born);
        run.model
            .check(&state, content, &is_later, self.time, damaged)
    }

    // --- reading

    pub(crate) fn ask(&mut self, subject: &str, body: &str) -> Result<Vec<Message>, String> {
        let token = self.next_token;
        self.next_token += 1;
        let reply = self.clients[0].inbox(token);
        self.clients[0].publish(subject, &reply, &[], body.as_bytes());
        let mut answers = Vec::new();
        for _ in 0..ROUNDS {
            self.clients[0].wire.borrow_mut().deliver(usize::MAX);
            for shard in 0..self.shards() {
                self.step_shard(shard);
            }
            for message in self.clients[0].read(usize::MAX) {
                if message.subject != reply {
                    self.take(0, &message)?;
                    continue;
                }
                let more = message.header("Nats-Num-Pending").is_some() && message.status() == 0;
                answers.push(message);
                if !more {
                    return Ok(answers);
                }
            }
        }
        Err(format!("{subject} is not answered"))
    }

    fn ask_api(&mut self, subject: &str, body: &str) -> Result<Value, String> {
        let answers = self.ask(subject, body)?;
        let body = answers.last().map(|answer| answer.payload.clone());
        serde_json::from_slice(&body.unwrap_or_default())
            .map_err(|error| format!("{subject}: {error}"))
    }

    /// All of a stream; `None` if there is none.
    pub(crate) fn read_stream(&mut self, stream: usize) -> Result<Option<Content>, String> {
        let name = self.streams[stream].plan.name.clone();
        if self.damaged {
            // Reading finds what damage took, and the state says so from then on, once consumers have dealt with it.
            let subject = format!("$JS.API.DIRECT.GET.{name}");
            self.ask(&subject, r#"{"seq":1,"batch":100000}"#)?;
            for shard in 0..self.shards() {
                (0..ROUNDS).find(|_| !self.step_shard(shard));
            }
        }
        let subject = format!("$JS.API.STREAM.INFO.{name}");
        let info = self.ask_api(
            &subject,
            r#"{"deleted_details":true,"subjects_filter":">"}"#,
        )?;
        if info["error"]["err_code"] == 10059 {
            return Ok(None);
        }
        let (state, config) = (&info["state"], &info["config"]);
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let mut content = Content {
            created: text(&info["created"]),
            version: text(&config["description"]).parse().unwrap_or(0),
            limits: Limits {
                msgs: number(&config["max_msgs"]),
                per_subject: number(&config["max_msgs_per_subject"]),
                bytes: number(&config["max_bytes"]),
                age: config["max_age"].as_i64().unwrap_or(0),
                discard_new: config["discard"] == "new",
            },
            count: number(&state["messages"]),
            bytes: number(&state["bytes"]),
            first: number(&state["first_seq"]),
            last: number(&state["last_seq"]),
            subjects: number(&state["num_subjects"]),
            deleted: number(&state["num_deleted"]),
            by_subject: state["subjects"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(subject, count)| (subject.clone(), number(count)))
                .collect(),
            lost: state["lost"]["msgs"]
                .as_array()
                .map(|lost| lost.iter().map(number).collect())
                .unwrap_or_default(),
            ..Content::default()
        };
        if content.count > 0 {
            let subject = format!("$JS.API.DIRECT.GET.{name}");
            let answers = self.ask(&subject, r#"{"seq":1,"batch":100000}"#)?;
            for message in answers.iter().filter(|message| message.status() == 0) {
                let (seq, stored) =
                    stored(message).ok_or("a direct get's answer makes no sense")?;
                content.messages.insert(seq, stored);
            }
        }
        Ok(Some(content))
    }

    fn read_consumer(&mut self, consumer: usize) -> Result<Option<ConsumerState>, String> {
        let plan = &self.consumers[consumer].plan;
        let stream = &self.streams[plan.stream].plan.name;
        let subject = format!("$JS.API.CONSUMER.INFO.{stream}.{}", plan.name);
        let info = self.ask_api(&subject, "")?;
        if info["error"]["err_code"] == 10014 {
            return Ok(None);
        }
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        Ok(Some(ConsumerState {
            created: text(&info["created"]),
            version: text(&info["config"]["description"]).parse().unwrap_or(0),
            delivered: number(&info["delivered"]["stream_seq"]),
            floor: number(&info["ack_floor"]["stream_seq"]),
            ack_pending: number(&info["num_ack_pending"]),
            pending: number(&info["num_pending"]),
            paused_until: text(&info["config"]["pause_until"])
                .parse()
                .map_or(0, |until: jetsled_jetstream_api::Timestamp| until.0),
        }))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The message in a direct get's answer.
fn stored(message: &Message) -> Option<(u64, Stored)> {
    let seq = message.header("Nats-Sequence")?.parse().ok()?;
    let time: jetsled_jetstream_api::Timestamp = message.header("Nats-Time-Stamp")?.parse().ok()?;
    let added = b"Nats-Stream: ";
    let own = message
        .headers
        .windows(added.len())
        .position(|window| window == added)?;
    let stored = Stored {
        subject: message.header("Nats-Subject")?,
        headers: message.headers.clone(),
        // The line `NATS/1.0` alone is no header block; else a blank line ends it.
        header_len: if own <= 10 { 0 } else { own + 2 },
        payload: message.payload.clone(),
        time: time.0,
    };
    Some((seq, stored))
}
