//! What clients ask of consumers.

use jetsled_jetstream_api::Timestamp;
use rand::RngExt;

use crate::model::Sent;
use crate::plan::Priority;
use crate::world::{Change, Waiting, World};

impl World {
    pub(crate) fn acknowledge(&mut self) {
        if self.unacked.is_empty() {
            return;
        }
        let at = self.random.random_range(0..self.unacked.len());
        let unacked = self.unacked.swap_remove(at);
        let body: &[u8] = match self.random.random_range(0..20) {
            0 => b"-NAK",
            1 => b"-NAK {\"delay\": 700000000}",
            2 => b"+WPI",
            3 => b"+TERM",
            _ => b"+ACK",
        };
        let settles = matches!(body, b"+ACK" | b"+TERM");
        let client = self.any_client();
        let consumer = unacked.consumer;
        if settles {
            self.note_ack(consumer, unacked.seq);
            if self.random.random_bool(0.7) {
                let seq = unacked.seq;
                let waiting = Waiting::Ack { consumer, seq };
                return self.request(client, &unacked.subject, body, waiting);
            }
        }
        self.history.note(format_args!(
            "{client} {} {}",
            unacked.subject,
            String::from_utf8_lossy(body)
        ));
        self.clients[client].publish(&unacked.subject, "", &[], body);
    }

    /// An ack is about to be sent.
    pub(crate) fn note_ack(&mut self, consumer: usize, seq: u64) {
        let run = &mut self.consumers[consumer];
        run.model.acks.entry(seq).or_insert(Sent::Unconfirmed);
        self.streams[run.plan.stream].acked.insert(seq);
    }

    pub(crate) fn pull(&mut self) {
        if self.consumers.is_empty() {
            return;
        }
        let consumer = self.random.random_range(0..self.consumers.len());
        if self.consumers[consumer].plan.push.is_some() {
            return;
        }
        let client = self.any_client();
        let batch = self.random.random_range(1..30);
        let mut body = format!(r#"{{"batch":{batch}"#);
        body.push_str(match self.random.random_range(0..3) {
            0 => r#","no_wait":true"#,
            1 => r#","expires":2000000000"#,
            _ => r#","expires":30000000000"#,
        });
        self.ask_for_messages(client, consumer, body);
    }

    /// Asks for messages; the rest of the request is `body`, without its end.
    pub(crate) fn ask_for_messages(&mut self, client: usize, consumer: usize, mut body: String) {
        let run = &self.consumers[consumer];
        let min_pending = run.plan.min_pending(client);
        match run.plan.priority {
            Priority::None => {}
            Priority::Overflow if min_pending > 0 => {
                body.push_str(&format!(r#","group":"g","min_pending":{min_pending}"#));
            }
            Priority::Overflow => body.push_str(r#","group":"g""#),
            Priority::Pinned => {
                let pin = run.model.pin_of(client).unwrap_or_default();
                body.push_str(&format!(r#","group":"g","id":"{pin}""#));
            }
        }
        body.push('}');
        let stream = &self.streams[run.plan.stream].plan.name;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{}", run.plan.name);
        let waiting = Waiting::Pull { consumer };
        self.request(client, &subject, body.as_bytes(), waiting);
    }

    pub(crate) fn change_consumer(&mut self) -> Result<(), String> {
        if self.consumers.is_empty() {
            return Ok(());
        }
        let consumer = self.random.random_range(0..self.consumers.len());
        if self.consumers[consumer].exists && self.random.random_bool(0.3) {
            return self.delete_consumer(consumer);
        }
        if self.consumers[consumer].exists && self.random.random_bool(0.4) {
            self.pause_consumer(consumer);
            return Ok(());
        }
        if self.consumers[consumer].exists && self.random.random_bool(0.3) {
            return self.reset_consumer(consumer);
        }
        self.put_consumer(consumer);
        Ok(())
    }

    /// Creates a consumer, or changes it.
    pub(crate) fn put_consumer(&mut self, consumer: usize) {
        let client = self.any_client();
        let run = &mut self.consumers[consumer];
        let stream = &self.streams[run.plan.stream];
        if run.maybe.is_some() || stream.maybe.is_some() || !stream.exists {
            return;
        }
        run.next_version += 1;
        let version = run.next_version;
        if run.exists {
            run.model.maybe_version = Some(version);
            run.maybe = Some(Change::Update);
        } else {
            run.model.version = version;
            run.model.asked = self.event;
            run.maybe = Some(Change::Create);
        }
        let (stream_name, name) = (&stream.plan.name, &run.plan.name);
        let filter = match &*run.plan.filter {
            literal if !literal.is_empty() && !literal.ends_with('>') => format!(".{literal}"),
            _ => String::new(),
        };
        let subject = format!("$JS.API.CONSUMER.CREATE.{stream_name}.{name}{filter}");
        let body = run.plan.config(&stream.plan.name, version);
        let waiting = Waiting::PutConsumer { consumer, version };
        self.request(client, &subject, body.as_bytes(), waiting);
    }

    /// Lets a consumer begin again, with its floor or any sequence.
    fn reset_consumer(&mut self, consumer: usize) -> Result<(), String> {
        // An ack of what was delivered before is not answered afterwards.
        self.settle()?;
        let client = self.any_client();
        let run = &mut self.consumers[consumer];
        let stream = &self.streams[run.plan.stream];
        let is_free = run.plan.priority != Priority::Pinned && !stream.model.by_interest;
        if self.ailing.is_some() || !run.exists || run.maybe.is_some() || !is_free {
            return Ok(());
        }
        let last = stream.model.last_known;
        let seq = match self.random.random_range(0..3) {
            0 => 0,
            _ => self.random.random_range(1..last + 3),
        };
        run.model.reset(seq);
        self.unacked.retain(|unacked| unacked.consumer != consumer);
        let (stream, name) = (&stream.plan.name, &run.plan.name);
        let subject = format!("$JS.API.CONSUMER.RESET.{stream}.{name}");
        let body = format!(r#"{{"seq":{seq}}}"#);
        self.request(client, &subject, body.as_bytes(), Waiting::Reset);
        self.settle_soon()
    }

    /// Pauses a consumer for some time, or lets it go on.
    fn pause_consumer(&mut self, consumer: usize) {
        let client = self.any_client();
        let until = match self.random.random_range(0..4) {
            0 => None,
            _ => Some(self.time + self.random.random_range(0..4_000_000_000)),
        };
        let run = &mut self.consumers[consumer];
        let stream = &self.streams[run.plan.stream];
        if run.maybe.is_some() || stream.maybe.is_some() || run.model.is_pausing {
            return;
        }
        run.model.is_pausing = true;
        run.model.pause = None;
        let (stream, name) = (&stream.plan.name, &run.plan.name);
        let subject = format!("$JS.API.CONSUMER.PAUSE.{stream}.{name}");
        let body = match until {
            None => String::new(),
            Some(until) => format!(r#"{{"pause_until":"{}"}}"#, Timestamp(until)),
        };
        let waiting = Waiting::Pause { consumer, until };
        self.request(client, &subject, body.as_bytes(), waiting);
    }

    fn delete_consumer(&mut self, consumer: usize) -> Result<(), String> {
        self.settle()?;
        let client = self.any_client();
        let run = &mut self.consumers[consumer];
        let stream = &self.streams[run.plan.stream];
        if self.ailing.is_some() || !run.exists || run.maybe.is_some() || stream.maybe.is_some() {
            return Ok(());
        }
        run.maybe = Some(Change::Delete);
        let (stream, name) = (&stream.plan.name, &run.plan.name);
        let subject = format!("$JS.API.CONSUMER.DELETE.{stream}.{name}");
        let waiting = Waiting::DeleteConsumer { consumer };
        self.request(client, &subject, b"", waiting);
        self.settle_soon()
    }
}
