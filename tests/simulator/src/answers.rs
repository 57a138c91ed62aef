//! What clients make of what the server sends.

use serde_json::Value;

use crate::client::Message;
use crate::model::{Fate, Pause, Removed, StreamModel};
use crate::plan::Priority;
use crate::world::{Change, Unacked, Waiting, World};

/// An answer of the API or to a publish.
enum Answer {
    Done(Value),
    /// It is not done, and will not be.
    Refused(String),
    /// It may be done.
    Unsure,
}

impl World {
    /// A client reads at most so many bytes.
    pub(crate) fn read(&mut self, client: usize, max: usize) -> Result<(), String> {
        for message in self.clients[client].read(max) {
            self.take(client, &message)?;
        }
        Ok(())
    }

    pub(crate) fn take(&mut self, client: usize, message: &Message) -> Result<(), String> {
        self.history.mix(&message.payload);
        if message.reply.starts_with("$JS.ACK.") {
            return self.take_delivery(client, message);
        }
        if message.status() == 100 {
            // Flow control, or a heartbeat that tells of one that was not answered.
            let stalled = message.header("Nats-Consumer-Stalled").unwrap_or_default();
            for subject in [&message.reply, &stalled] {
                if !subject.is_empty() {
                    self.history
                        .note(format_args!("{client} answers {subject}"));
                    self.clients[client].publish(subject, "", &[], b"");
                }
            }
            return Ok(());
        }
        let token = message.subject.rsplit('.').next();
        let Some(token) = token.and_then(|token| token.parse().ok()) else {
            return Ok(());
        };
        let Some(waiting) = self.clients[client].waiting.remove(&token) else {
            return Ok(());
        };
        if let (Waiting::Pull { consumer }, 423) = (&waiting, message.status()) {
            self.consumers[*consumer].model.forget_pins_of(client);
        }
        let answer = Answer::of(message);
        self.history.note(format_args!(
            "{client} {token} <- {} {}",
            message.status(),
            String::from_utf8_lossy(&message.payload[..message.payload.len().min(160)])
        ));
        self.settle_request(waiting, answer)
    }

    fn take_delivery(&mut self, client: usize, message: &Message) -> Result<(), String> {
        let mut tokens = message.reply.split('.').skip(2);
        let (Some(stream), Some(name)) = (tokens.next(), tokens.next()) else {
            return Err(format!("{} is no ack subject", message.reply));
        };
        let mut number = || tokens.next().and_then(|token| token.parse::<u64>().ok());
        let (Some(times), Some(seq), Some(at)) = (number(), number(), number()) else {
            return Err(format!("{} is no ack subject", message.reply));
        };
        let left = number().and_then(|_| number());
        let Some(consumer) = self.consumers.iter().position(|run| run.plan.name == name) else {
            return Err(format!("{name} of {stream} is nobody's consumer"));
        };
        self.history
            .note(format_args!("{name} has {seq}, the {times}th time"));
        self.figures.delivered += 1;
        let run = &mut self.consumers[consumer];
        let stream = &mut self.streams[run.plan.stream];
        let knows = |model: &StreamModel| {
            let (subject, headers) = (&message.subject, &message.headers);
            let recognized = model.recognize(seq, subject, headers, &message.payload);
            recognized.is_ok()
        };
        if self.damaged && !knows(&stream.model) {
            stream.bring_back(knows);
        }
        let model = &mut stream.model;
        let (subject, headers) = (&message.subject, &message.headers);
        let told = model.recognize(seq, subject, headers, &message.payload)?;
        model.learn_told(seq, told)?;
        if !run.model.matches(&message.subject) {
            return Err(format!(
                "{name} has {}, its filter is {}",
                message.subject, run.plan.filter
            ));
        }
        let stored = model.stored_before(seq, told);
        run.model
            .deliver(seq, times, stored, self.time, self.damaged)?;
        // While the disk fails, what was delivered may be void: its numbers come again.
        if run.plan.priority == Priority::Pinned && self.ailing.is_none() {
            let pin = message.header("Nats-Pin-Id").unwrap_or_default();
            run.model.note_pin(&pin, client, at)?;
        }
        let min_pending = run.plan.min_pending(client);
        if times == 1 && left.is_some_and(|left| left + 1 < min_pending) {
            return Err(format!(
                "client {client} has {seq} of {name} with {left:?} behind it, asks at {min_pending} only"
            ));
        }
        self.unacked.push(Unacked {
            consumer,
            seq,
            subject: message.reply.clone(),
        });
        Ok(())
    }

    fn settle_request(&mut self, waiting: Waiting, answer: Answer) -> Result<(), String> {
        let (event, time) = (self.event(), self.time);
        match (waiting, answer) {
            (Waiting::Pull { .. }, _) => {}
            (
                Waiting::Publish {
                    stream,
                    id,
                    expected,
                },
                answer,
            ) => {
                let model = &mut self.streams[stream].model;
                let Some(publish) = model.publishes.get_mut(&id) else {
                    return Ok(());
                };
                // The oldest without an answer: they have no ids of their own, and all ask for the same.
                let mut open = publish.attempts.iter_mut().filter(|a| a.settled.is_none());
                let Some(attempt) = open.next() else {
                    return Ok(());
                };
                attempt.settled = Some(event);
                attempt.settled_at = time;
                match answer {
                    Answer::Done(value) => {
                        let seq = value["seq"].as_u64().unwrap_or(0);
                        attempt.fate = Fate::Stored(seq);
                        self.figures.acknowledged += 1;
                        model.learn(seq, id)?;
                        if let Some(total) = value["val"].as_str().and_then(|val| val.parse().ok())
                        {
                            model.learn_total(seq, total)?;
                        }
                        if let Some((expected, _)) = expected
                            && value["duplicate"] != true
                        {
                            model.learn_expected(expected, seq)?;
                        }
                    }
                    Answer::Refused(why) => {
                        attempt.fate = Fate::Refused;
                        let last = why.strip_prefix("wrong last sequence: ");
                        if let Some((expected, issued)) = expected
                            && let Some(last) = last.and_then(|last| last.parse().ok())
                        {
                            model.learn_unexpected(expected, last, issued)?;
                        }
                    }
                    Answer::Unsure => {}
                }
            }
            (Waiting::Batch { stream, batch }, answer) => {
                self.settle_batch(stream, batch, &answer)?;
            }
            (Waiting::Removal { stream, at }, answer) => {
                let model = &mut self.streams[stream].model;
                let Some(removal) = model.removals.get_mut(at) else {
                    return Ok(());
                };
                removal.settled = Some(event);
                match answer {
                    Answer::Done(_) => removal.is_confirmed = true,
                    Answer::Refused(_) => {
                        // "No message found" does not say that it was never there.
                        removal.is_refused = !matches!(removal.what, Removed::Message(_));
                    }
                    Answer::Unsure => {}
                }
            }
            (
                Waiting::PutStream {
                    stream, version, ..
                },
                answer,
            ) => {
                let run = &mut self.streams[stream];
                match answer {
                    Answer::Done(value) => {
                        run.exists = true;
                        run.maybe = None;
                        run.model.version = version;
                        run.model.maybe_version = None;
                        run.model.created = value["created"].as_str().map(str::to_owned);
                        self.figures.changes += 1;
                    }
                    Answer::Refused(why) => {
                        if run.maybe == Some(Change::Create) {
                            return Err(format!("{}: creation refused: {why}", run.plan.name));
                        }
                        run.maybe = None;
                        run.model.maybe_version = None;
                    }
                    Answer::Unsure => {}
                }
            }
            (Waiting::DeleteStream { stream }, Answer::Done(_)) => {
                self.forget_stream(stream);
                self.figures.changes += 1;
            }
            (Waiting::DeleteStream { stream }, Answer::Refused(why)) => {
                let name = &self.streams[stream].plan.name;
                return Err(format!("{name}: deletion refused: {why}"));
            }
            (Waiting::PutConsumer { consumer, version }, answer) => {
                let run = &mut self.consumers[consumer];
                match answer {
                    Answer::Done(value) => {
                        run.exists = true;
                        run.maybe = None;
                        run.model.version = version;
                        run.model.maybe_version = None;
                        run.model.created = value["created"].as_str().map(str::to_owned);
                        run.model.born.get_or_insert(event);
                        self.figures.changes += 1;
                    }
                    Answer::Refused(_) => {
                        run.maybe = None;
                        run.model.maybe_version = None;
                    }
                    Answer::Unsure => {}
                }
            }
            (Waiting::DeleteConsumer { consumer }, Answer::Done(_)) => {
                self.consumers[consumer].begin_anew();
                self.unacked.retain(|unacked| unacked.consumer != consumer);
                self.figures.changes += 1;
            }
            (Waiting::Reset, Answer::Done(_)) => self.figures.changes += 1,
            (Waiting::Pause { consumer, until }, answer) => {
                let model = &mut self.consumers[consumer].model;
                model.is_pausing = false;
                if let Answer::Done(_) = answer {
                    let has_begun = false;
                    model.pause = until.map(|until| Pause { until, has_begun });
                    self.figures.changes += 1;
                }
            }
            (Waiting::Ack { consumer, seq }, Answer::Done(_)) => {
                self.consumers[consumer].confirmed.push(seq);
                self.figures.confirmed += 1;
            }
            (
                Waiting::DeleteStream { .. }
                | Waiting::DeleteConsumer { .. }
                | Waiting::Reset
                | Waiting::Ack { .. },
                Answer::Refused(_) | Answer::Unsure,
            ) => {}
        }
        Ok(())
    }

    fn settle_batch(&mut self, stream: usize, number: u32, answer: &Answer) -> Result<(), String> {
        let (event, time) = (self.event(), self.time);
        let model = &mut self.streams[stream].model;
        let Some(batch) = model.batches.get_mut(&number) else {
            return Ok(());
        };
        batch.is_refused = matches!(answer, Answer::Refused(_));
        let members = batch.members.clone();
        let last = match answer {
            Answer::Done(value) => value["seq"].as_u64(),
            _ => None,
        };
        for (behind, id) in members.iter().rev().enumerate() {
            let Some(publish) = model.publishes.get_mut(id) else {
                continue;
            };
            for attempt in &mut publish.attempts {
                attempt.settled = Some(event);
                attempt.settled_at = time;
                match (answer, last) {
                    (Answer::Refused(_), _) => attempt.fate = Fate::Refused,
                    (_, Some(last)) => {
                        let seq = last.saturating_sub(behind as u64);
                        attempt.fate = Fate::Stored(seq);
                    }
                    _ => {}
                }
            }
            if let Some(last) = last {
                self.figures.acknowledged += 1;
                model.learn(last.saturating_sub(behind as u64), *id)?;
            }
        }
        Ok(())
    }

    /// A stream is gone, and its consumers with it.
    pub(crate) fn forget_stream(&mut self, stream: usize) {
        self.streams[stream].begin_anew();
        for consumer in &mut self.consumers {
            if consumer.plan.stream == stream {
                consumer.begin_anew();
            }
        }
        let consumers = &self.consumers;
        self.unacked
            .retain(|unacked| consumers[unacked.consumer].plan.stream != stream);
    }

    /// A client will get no answers any more.
    pub(crate) fn give_up(&mut self, client: usize) {
        let event = self.event();
        for (_, waiting) in std::mem::take(&mut self.clients[client].waiting) {
            match waiting {
                Waiting::Publish { stream, id, .. } => {
                    let model = &mut self.streams[stream].model;
                    let attempts = model.publishes.get_mut(&id).map(|p| &mut p.attempts);
                    let open = |a: &&mut crate::model::Attempt| a.settled.is_none();
                    if let Some(attempt) = attempts.and_then(|all| all.iter_mut().find(open)) {
                        attempt.settled = Some(event);
                        attempt.settled_at = self.time;
                    }
                }
                Waiting::Batch { stream, batch } => {
                    let model = &mut self.streams[stream].model;
                    let members = model.batches.get(&batch).map(|b| b.members.clone());
                    for id in members.unwrap_or_default() {
                        if let Some(publish) = model.publishes.get_mut(&id) {
                            for attempt in &mut publish.attempts {
                                attempt.settled = Some(event);
                                attempt.settled_at = self.time;
                            }
                        }
                    }
                }
                Waiting::Removal { stream, at } => {
                    if let Some(removal) = self.streams[stream].model.removals.get_mut(at) {
                        removal.settled = Some(event);
                    }
                }
                Waiting::Pause { consumer, .. } => {
                    self.consumers[consumer].model.is_pausing = false;
                }
                _ => {}
            }
        }
    }
}

impl Answer {
    fn of(message: &Message) -> Self {
        match message.status() {
            0 => {}
            503 => return Self::Refused("nobody listens".to_owned()),
            _ => return Self::Unsure,
        }
        if message.payload.is_empty() {
            return Self::Done(Value::Null);
        }
        let value: Value = match serde_json::from_slice(&message.payload) {
            Ok(value) => value,
            Err(_) => return Self::Unsure,
        };
        let error = &value["error"];
        if error.is_null() {
            return Self::Done(value);
        }
        let text = error["description"].as_str().unwrap_or_default().to_owned();
        // What the disk refuses comes as a failure to store, create, update or delete.
        let code = error["code"].as_u64().unwrap_or(0);
        if code < 500 || text.starts_with("maximum ") {
            Self::Refused(text)
        } else {
            Self::Unsure
        }
    }
}
