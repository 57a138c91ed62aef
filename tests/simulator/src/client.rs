//! A scripted client: bytes on their way to the server, and what comes back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use jetsled_protocol::{Limits, Parse, ServerOp, headers, parse_server_op};
use jetsled_server::{ServerByHand, SessionByHand};

/// A connection's two directions. The disk may deliver for a connection while another one waits for it.
#[derive(Debug)]
pub(crate) struct Wire {
    session: Option<SessionByHand>,
    to_server: Vec<u8>,
}

impl Wire {
    /// Lets the first `max` bytes that are under way arrive.
    pub(crate) fn deliver(&mut self, max: usize) {
        let Some(session) = &mut self.session else {
            return;
        };
        let bytes: Vec<u8> = self
            .to_server
            .drain(..max.min(self.to_server.len()))
            .collect();
        session.receive(&bytes);
    }

    pub(crate) fn under_way(&self) -> usize {
        self.to_server.len()
    }
}

/// A message from the server.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) reply: String,
    pub(crate) headers: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Message {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let value = headers::get(&self.headers, name.as_bytes())?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// The code of a status message; 0 for any other.
    pub(crate) fn status(&self) -> u16 {
        let line = self.headers.strip_prefix(b"NATS/1.0 ").unwrap_or_default();
        let code = line
            .get(..3)
            .and_then(|code| std::str::from_utf8(code).ok());
        code.and_then(|code| code.parse().ok()).unwrap_or(0)
    }
}

/// A client. `W` is what it remembers of a request that was not answered.
#[derive(Debug)]
pub(crate) struct Client<W> {
    pub(crate) number: usize,
    pub(crate) wire: Rc<RefCell<Wire>>,
    from_server: Vec<u8>,
    pub(crate) waiting: BTreeMap<u64, W>,
}

impl<W> Client<W> {
    /// Connects, listens on its inbox and on `deliveries` of push consumers.
    pub(crate) fn connect(server: &ServerByHand, number: usize, deliveries: &[String]) -> Self {
        let client = Self {
            number,
            wire: Rc::new(RefCell::new(Wire {
                session: Some(server.connect()),
                to_server: Vec::new(),
            })),
            from_server: Vec::new(),
            waiting: BTreeMap::new(),
        };
        let options = r#"{"verbose":false,"headers":true,"no_responders":true,"protocol":1}"#;
        client.send(format!("CONNECT {options}\r\nPING\r\nSUB _INBOX.{number}.> 1\r\n").as_bytes());
        for (at, subject) in deliveries.iter().enumerate() {
            client.send(format!("SUB {subject} {}\r\n", at + 2).as_bytes());
        }
        client
    }

    pub(crate) fn send(&self, bytes: &[u8]) {
        self.wire.borrow_mut().to_server.extend_from_slice(bytes);
    }

    /// The subject on which the answer with this number comes.
    pub(crate) fn inbox(&self, token: u64) -> String {
        format!("_INBOX.{}.{token}", self.number)
    }

    /// Publishes; `headers` is a list of lines `Name: value`.
    pub(crate) fn publish(&self, subject: &str, reply: &str, headers: &[String], payload: &[u8]) {
        let mut out = Vec::with_capacity(payload.len() + 256);
        if headers.is_empty() {
            let len = payload.len();
            out.extend_from_slice(format!("PUB {subject} {reply} {len}\r\n").as_bytes());
        } else {
            let block = format!("NATS/1.0\r\n{}\r\n\r\n", headers.join("\r\n"));
            let (head, all) = (block.len(), block.len() + payload.len());
            let line = format!("HPUB {subject} {reply} {head} {all}\r\n{block}");
            out.extend_from_slice(line.as_bytes());
        }
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
        self.send(&out);
    }

    /// Takes at most `max` bytes that the server has for this client, and gives back the complete messages.
    pub(crate) fn read(&mut self, max: usize) -> Vec<Message> {
        {
            let wire = self.wire.borrow();
            if let Some(session) = &wire.session {
                session.take_output(max, &mut self.from_server);
            }
        }
        let limits = Limits::default();
        let mut messages = Vec::new();
        let mut at = 0;
        while let Parse::Op { op, consumed } = parse_server_op(&self.from_server[at..], &limits) {
            at += consumed;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            match op {
                ServerOp::Msg(msg) => messages.push(Message {
                    subject: text(msg.subject),
                    reply: text(msg.reply.unwrap_or_default()),
                    headers: Vec::new(),
                    payload: msg.payload.to_vec(),
                }),
                ServerOp::HMsg(msg) => messages.push(Message {
                    subject: text(msg.subject),
                    reply: text(msg.reply.unwrap_or_default()),
                    headers: msg.headers.to_vec(),
                    payload: msg.payload.to_vec(),
                }),
                _ => {}
            }
            if self.from_server.len() == at {
                break;
            }
        }
        self.from_server.drain(..at);
        messages
    }

    /// Whether the server has ended the connection.
    pub(crate) fn is_closed(&self) -> bool {
        let wire = self.wire.borrow();
        wire.session.as_ref().is_none_or(SessionByHand::is_closing)
    }

    /// Ends the connection; what was under way is lost.
    pub(crate) fn disconnect(&self) {
        let mut wire = self.wire.borrow_mut();
        wire.session = None;
        wire.to_server.clear();
    }
}
