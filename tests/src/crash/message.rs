//! A message, known from its number alone.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// What a publisher made up. Its payload follows from number and length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// No other message has it, of any round.
    pub(super) number: u64,
    pub(super) subject: String,
    /// Header lines, each with its CR LF.
    pub(super) headers: String,
    /// Whether it has a `Nats-Msg-Id`, so that it may be sent again.
    pub(super) has_id: bool,
    /// Whether it takes the place of everything on its subject.
    pub(super) is_rollup: bool,
    len: usize,
}

impl Message {
    /// A message with no headers and a payload of at least `len` bytes.
    pub(super) fn new(number: u64, subject: String, len: usize) -> Self {
        Self {
            number,
            subject,
            headers: String::new(),
            has_id: false,
            is_rollup: false,
            len,
        }
    }

    pub(super) fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }

    pub(super) fn id(self) -> Self {
        let id = self.number;
        Self {
            has_id: true,
            ..self.header("Nats-Msg-Id", id)
        }
    }

    pub(super) fn rollup(self) -> Self {
        Self {
            is_rollup: true,
            ..self.header("Nats-Rollup", "sub")
        }
    }

    /// What it counts for at most.
    pub(super) fn size(&self) -> u64 {
        (self.subject.len() + self.headers.len() + self.len + 100) as u64
    }

    pub(super) fn payload(&self) -> Vec<u8> {
        let mut payload = format!("{} ", self.number).into_bytes();
        let mut random = SmallRng::seed_from_u64(self.number);
        let start = payload.len();
        payload.resize(start + self.len, 0);
        random.fill(&mut payload[start..]);
        payload
    }

    /// Whether a stored message is this one, with all that a server keeps of it.
    pub(super) fn is(&self, subject: &str, headers: &str, payload: &[u8]) -> bool {
        let is_kept =
            |line: &&str| !line.starts_with("Nats-Batch-") && !line.starts_with("Nats-Expected-");
        let has = |line: &str| headers.lines().any(|other| other == line);
        self.subject == subject
            && self.payload() == payload
            && self.headers.lines().filter(is_kept).all(has)
    }

    /// The number that a payload begins with.
    pub(super) fn number_of(payload: &[u8]) -> Option<u64> {
        let end = payload.iter().take(24).position(|byte| *byte == b' ')?;
        std::str::from_utf8(payload.get(..end)?).ok()?.parse().ok()
    }

    /// The line and bytes that publish it. `reply` may be empty.
    pub(super) fn encode(&self, reply: &str, into: &mut Vec<u8>) {
        let payload = self.payload();
        let to = format!("{} {reply}", self.subject);
        let to = to.trim_end();
        if self.headers.is_empty() {
            let line = format!("PUB {to} {}\r\n", payload.len());
            into.extend_from_slice(line.as_bytes());
        } else {
            let headers = format!("NATS/1.0\r\n{}\r\n", self.headers);
            let total = headers.len() + payload.len();
            let line = format!("HPUB {to} {} {total}\r\n", headers.len());
            into.extend_from_slice(line.as_bytes());
            into.extend_from_slice(headers.as_bytes());
        }
        into.extend_from_slice(&payload);
        into.extend_from_slice(b"\r\n");
    }
}
