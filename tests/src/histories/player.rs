//! Plays a history over one connection and writes down what comes back.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::connection::{Connection, Message};
use super::mask;
use super::step::{History, Step};

/// Everything that came back, in canonical form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Of every step, a line a message; sorted by where they were delivered to, because only there is an order.
    pub steps: Vec<Vec<String>>,
    /// What came under `log-` labels, by label.
    pub log: Vec<String>,
}

/// How long to wait for answers.
#[derive(Clone, Copy, Debug)]
pub enum Pace<'a> {
    /// Nobody knows what will come: until the answer, or until all has been quiet for a while.
    Record,
    /// Until as much has come as was recorded.
    Compare(&'a Answers),
}

/// Plays `history` as `user`.
///
/// # Errors
///
/// When the connection fails or the server ends it.
pub(super) fn play(
    history: &History,
    address: SocketAddr,
    user: &str,
    pace: Pace<'_>,
) -> io::Result<Answers> {
    let connection = Connection::open(address, user, "p")?;
    let mut player = Player {
        connection,
        deliveries: history.deliveries,
        pace,
        labels: HashMap::new(),
        next_sid: 2,
        ackable: Vec::new(),
        names: Vec::new(),
        later: Vec::new(),
        account: format!("\"account\":\"{}\"", user.to_uppercase()),
        step: 0,
        came: Vec::new(),
        log: Vec::new(),
        missed: false,
    };
    if !history.deliveries {
        player.connection.send("SUB _R.> 1\r\n");
    }
    player.run(&history.steps)
}

/// How long an answer may take when it is expected.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// The same once an answer of this history did not come.
const AFTER_A_MISS: Duration = Duration::from_millis(150);
/// Recording: how long no answer means that there is none.
const NO_ANSWER: Duration = Duration::from_millis(3000);
/// Recording: how long a silence means that a step's deliveries are complete.
const QUIET: Duration = Duration::from_millis(120);

/// In a request's body: a time two to three seconds from now.
pub(super) const LATER: &str = "<later>";

/// What a step brings for sure.
#[derive(Clone, Copy)]
enum Wanted {
    Answers(usize),
    /// Messages until one that is a status.
    UntilStatus,
}

struct Player<'a> {
    connection: Connection,
    deliveries: bool,
    pace: Pace<'a>,
    labels: HashMap<u64, String>,
    next_sid: u64,
    /// Ack subjects of all deliveries.
    ackable: Vec<String>,
    /// Names that the server made up.
    names: Vec<String>,
    /// Times that were put in for [`LATER`].
    later: Vec<String>,
    /// How advisories name the account, which another selection of histories plays in another one.
    account: String,
    step: usize,
    came: Vec<(String, Message)>,
    log: Vec<(String, String)>,
    missed: bool,
}

impl Player<'_> {
    fn run(mut self, steps: &[Step]) -> io::Result<Answers> {
        let mut answers = Answers::default();
        for (index, step) in steps.iter().enumerate() {
            self.step = index;
            let outcome = self.act(step);
            let lines = self.take_lines(step);
            answers.steps.push(lines);
            if let Err(error) = outcome {
                let text = format!("at step {index} ({step}): {error}");
                return Err(io::Error::new(error.kind(), text));
            }
        }
        self.collect_log()?;
        // The advisories of nats-server have no certain order.
        let order = |(label, line): &(String, String)| match line.starts_with("$JS.EVENT.") {
            true => (label.clone(), line.clone()),
            false => (label.clone(), String::new()),
        };
        self.log.sort_by_key(order);
        answers.log = self
            .log
            .into_iter()
            .map(|(label, line)| format!("{label}: {line}"))
            .collect();
        Ok(answers)
    }

    fn act(&mut self, step: &Step) -> io::Result<()> {
        let inbox = format!("_R.{}", self.step);
        match step {
            Step::Request {
                subject,
                headers,
                body,
            } => {
                let subject = self.with_names(subject);
                let body = &self.with_times(body);
                self.listen(&inbox);
                self.connection.publish(&subject, &inbox, headers, body);
                // Such messages have no headers that tell that more will come.
                let bare_batch = subject.starts_with("$JS.API.DIRECT.GET.")
                    && body.contains("\"no_hdr\":true")
                    && (body.contains("\"batch\"") || body.contains("\"multi_last\""));
                self.wait_for(if bare_batch {
                    Wanted::UntilStatus
                } else {
                    Wanted::Answers(1)
                })
            }
            Step::Publish {
                subject,
                headers,
                body,
            } => {
                let subject = self.with_names(subject);
                self.connection.publish(&subject, "", headers, body);
                self.wait_for(Wanted::Answers(0))
            }
            Step::Subscribe {
                label,
                subject,
                queue,
            } => {
                let sid = self.next_sid;
                self.next_sid += 1;
                self.labels.insert(sid, label.clone());
                let queue = queue.as_deref().unwrap_or_default();
                self.connection
                    .send(&format!("SUB {subject} {queue} {sid}\r\n"));
                self.wait_for(Wanted::Answers(0))
            }
            Step::Unsubscribe { label } => {
                for (sid, _) in self.labels.iter().filter(|(_, l)| *l == label) {
                    self.connection.send(&format!("UNSUB {sid}\r\n"));
                }
                self.wait_for(Wanted::Answers(0))
            }
            Step::Ack {
                back,
                body,
                confirm,
            } => {
                let index = self.ackable.len().checked_sub(back + 1);
                let Some(subject) = index.map(|index| self.ackable[index].clone()) else {
                    return self.wait_for(Wanted::Answers(0));
                };
                if *confirm {
                    self.listen(&inbox);
                }
                let reply = if *confirm { &*inbox } else { "" };
                self.connection.publish(&subject, reply, &[], body);
                self.wait_for(Wanted::Answers(usize::from(*confirm)))
            }
            Step::Wait { millis } => {
                let end = Instant::now() + Duration::from_millis(*millis);
                while let Some(message) = self.connection.message(end)? {
                    self.note(message);
                }
                self.wait_for(Wanted::Answers(0))
            }
            Step::Nudge { consumer } => {
                self.nudge(consumer)?;
                self.wait_for(Wanted::Answers(0))
            }
            Step::Together(steps) => {
                for (index, step) in steps.iter().enumerate() {
                    self.act_without_waiting(step, &format!("{inbox}.{index}"))?;
                }
                self.wait_for(Wanted::Answers(0))
            }
        }
    }

    /// One of several steps that are looked at as one: only its own answer is waited for.
    fn act_without_waiting(&mut self, step: &Step, inbox: &str) -> io::Result<()> {
        match step {
            Step::Request {
                subject,
                headers,
                body,
            } => {
                let body = &self.with_times(body);
                self.listen(inbox);
                self.connection.publish(subject, inbox, headers, body);
                let deadline = Instant::now() + ANSWER_WITHIN;
                while !self.came.iter().any(|(label, _)| label == inbox)
                    && let Some(message) = self.connection.message(deadline)?
                {
                    self.note(message);
                }
            }
            Step::Nudge { consumer } => self.nudge(consumer)?,
            _ => {
                let text = format!("{step} together with others");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        }
        Ok(())
    }

    /// A pull request whose reply nobody hears gets nothing. Only beside others: alone, nats-server may lose count of the
    /// message that it then takes up for nobody.
    fn nudge(&mut self, consumer: &str) -> io::Result<()> {
        let inbox = format!("_N.{}", self.step);
        let sid = self.next_sid;
        self.next_sid += 1;
        self.connection.send(&format!("SUB {inbox} {sid}\r\n"));
        let info = format!("$JS.API.CONSUMER.INFO.S.{consumer}");
        self.connection.publish(&info, &inbox, &[], "");
        let deadline = Instant::now() + ANSWER_WITHIN;
        while let Some(message) = self.connection.message(deadline)? {
            if message.sid != sid {
                self.note(message);
                continue;
            }
            let info = String::from_utf8_lossy(&message.payload);
            if info.contains("\"num_waiting\":") && !info.contains("\"num_waiting\":0,") {
                let next = format!("$JS.API.CONSUMER.MSG.NEXT.S.{consumer}");
                self.connection.publish(&next, "_NOBODY.listens", &[], "");
            }
            break;
        }
        self.connection.send(&format!("UNSUB {sid}\r\n"));
        Ok(())
    }

    /// Where deliveries come, each inbox has a subscription of its own: they bear the stored subject, so that only the sid
    /// tells which request they answer.
    fn listen(&mut self, inbox: &str) {
        if self.deliveries {
            let sid = self.next_sid;
            self.next_sid += 1;
            self.labels.insert(sid, inbox.to_owned());
            self.connection.send(&format!("SUB {inbox} {sid}\r\n"));
        }
    }

    /// Waits for a step's messages.
    fn wait_for(&mut self, surely: Wanted) -> io::Result<()> {
        match self.pace {
            Pace::Compare(recorded) => {
                let wanted = recorded.steps.get(self.step).map_or(0, Vec::len);
                self.wait_for_exactly(wanted)
            }
            Pace::Record => self.wait_for_silence(surely),
        }
    }

    fn wait_for_exactly(&mut self, wanted: usize) -> io::Result<()> {
        let within = if self.missed {
            AFTER_A_MISS
        } else {
            ANSWER_WITHIN
        };
        let deadline = Instant::now() + within;
        while self.came.len() < wanted {
            match self.connection.message(deadline)? {
                Some(message) => self.note(message),
                None => {
                    self.missed = true;
                    break;
                }
            }
        }
        if self.deliveries || wanted == 0 {
            self.sweep()?;
        }
        Ok(())
    }

    fn wait_for_silence(&mut self, surely: Wanted) -> io::Result<()> {
        let deadline = Instant::now() + NO_ANSWER;
        let (answers, until_status) = match surely {
            Wanted::Answers(answers) => (answers, false),
            Wanted::UntilStatus => (1, true),
        };
        let mut more_of_a_batch = false;
        while self.came.len() < answers || more_of_a_batch {
            let Some(message) = self.connection.message(deadline)? else {
                break;
            };
            let headers = String::from_utf8_lossy(&message.headers).into_owned();
            self.note(message);
            let is_status = headers.starts_with("NATS/1.0 ");
            more_of_a_batch =
                !is_status && (until_status || headers.contains("\r\nNats-Num-Pending: "));
        }
        if self.deliveries {
            while let Some(message) = self.connection.message(Instant::now() + QUIET)? {
                self.note(message);
            }
        }
        if answers == 0 {
            self.sweep()?;
        }
        Ok(())
    }

    /// Takes what is on its way already.
    fn sweep(&mut self) -> io::Result<()> {
        for message in self.connection.sync()? {
            self.note(message);
        }
        Ok(())
    }

    fn note(&mut self, message: Message) {
        let label = match self.labels.get(&message.sid) {
            Some(label) => label.clone(),
            None => message.subject.clone(),
        };
        if label.starts_with("log-") {
            let line = self.line(&label, &message);
            self.log.push((label, line));
        } else {
            self.came.push((label, message));
        }
    }

    fn take_lines(&mut self, step: &Step) -> Vec<String> {
        let mut came = std::mem::take(&mut self.came);
        came.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.learn_name(step, &came);
        let own = format!("_R.{}", self.step);
        came.iter()
            .map(|(label, message)| {
                if let Some(reply) = &message.reply
                    && reply.starts_with("$JS.ACK.")
                {
                    self.ackable.push(reply.clone());
                }
                let line = self.line(label, message);
                if *label == own {
                    line
                } else {
                    format!("{label}: {line}")
                }
            })
            .collect()
    }

    fn line(&self, label: &str, message: &Message) -> String {
        let mut parts = Vec::new();
        if message.subject != label && !message.subject.starts_with("_R.") {
            parts.push(message.subject.clone());
        }
        if let Some(subject) = &message.reply {
            parts.push(format!("({})", mask::reply(subject)));
        }
        if !message.headers.is_empty() {
            parts.push(format!("[{}]", mask::headers(&message.headers)));
        }
        if !message.payload.is_empty() || parts.is_empty() {
            parts.push(mask::payload(&message.payload));
        }
        let mut line = parts.join(" ");
        for (index, name) in self.names.iter().enumerate() {
            line = line.replace(name, &format!("<name{}>", index + 1));
        }
        for later in &self.later {
            line = line.replace(later, LATER);
        }
        line = line.replace(&self.account, "\"account\":\"<account>\"");
        line.replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('\r', "\\r")
    }

    /// A consumer without a name gets one of eight random characters.
    fn learn_name(&mut self, step: &Step, came: &[(String, Message)]) {
        let Step::Request { subject, body, .. } = step else {
            return;
        };
        if !subject.starts_with("$JS.API.CONSUMER.CREATE.") || subject.split('.').count() != 5 {
            return;
        }
        for (_, message) in came {
            let text = String::from_utf8_lossy(&message.payload);
            let name = text.split("\"name\":\"").nth(1);
            let name = name.and_then(|rest| rest.split('"').next());
            if let Some(name) = name.filter(|name| name.len() == 8 && !body.contains(*name))
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
                && !self.names.iter().any(|known| known == name)
            {
                self.names.push(name.to_owned());
            }
        }
    }

    fn with_times(&mut self, body: &str) -> String {
        if !body.contains(LATER) {
            return body.to_owned();
        }
        let now = jiff::Timestamp::now().as_second();
        // The last one that can be told, if this one can not.
        let later = jiff::Timestamp::from_second(now + 3).unwrap_or(jiff::Timestamp::MAX);
        let later = later.to_string();
        let body = body.replace(LATER, &later);
        self.later.push(later);
        body
    }

    fn with_names(&self, subject: &str) -> String {
        let mut subject = subject.to_owned();
        for (index, name) in self.names.iter().enumerate() {
            subject = subject.replace(&format!("<name{}>", index + 1), name);
        }
        subject
    }

    /// Waits for the last of what the server sends of its own accord.
    fn collect_log(&mut self) -> io::Result<()> {
        if !self.labels.values().any(|label| label.starts_with("log-")) {
            return Ok(());
        }
        self.step = usize::MAX;
        match self.pace {
            Pace::Record => thread::sleep(Duration::from_millis(500)),
            Pace::Compare(recorded) => {
                let deadline = Instant::now() + ANSWER_WITHIN;
                while self.log.len() < recorded.log.len() {
                    match self.connection.message(deadline)? {
                        Some(message) => self.note(message),
                        None => break,
                    }
                }
            }
        }
        self.sweep()
    }
}
