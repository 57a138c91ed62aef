//! A client connection that can wait for messages as long as a caller wants.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use jetsled_protocol::{Limits, Parse, ServerOp, parse_server_op};

/// A message as delivered.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) subject: String,
    pub(super) sid: u64,
    pub(super) reply: Option<String>,
    pub(super) headers: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

pub(super) struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    parsed: usize,
    output: Vec<u8>,
}

enum Event {
    Message(Message),
    Pong,
}

impl Connection {
    pub(super) fn open(address: SocketAddr, user: &str, password: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut connection = Self {
            stream,
            input: Vec::new(),
            parsed: 0,
            output: Vec::new(),
        };
        connection.send(&format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\
             \"protocol\":1,\"lang\":\"histories\",\"user\":\"{user}\",\"pass\":\"{password}\"}}\r\n"
        ));
        connection.sync()?;
        Ok(connection)
    }

    /// Queues a line or more.
    pub(super) fn send(&mut self, bytes: &str) {
        self.output.extend_from_slice(bytes.as_bytes());
    }

    /// Queues a message.
    pub(super) fn publish(
        &mut self,
        subject: &str,
        reply: &str,
        headers: &[(String, String)],
        body: &str,
    ) {
        let blank = if reply.is_empty() { "" } else { " " };
        if headers.is_empty() {
            self.send(&format!(
                "PUB {subject}{blank}{reply} {}\r\n{body}\r\n",
                body.len()
            ));
            return;
        }
        let mut block = String::from("NATS/1.0\r\n");
        for (name, value) in headers {
            block += &format!("{name}: {value}\r\n");
        }
        block += "\r\n";
        let total = block.len() + body.len();
        self.send(&format!(
            "HPUB {subject}{blank}{reply} {} {total}\r\n{block}{body}\r\n",
            block.len()
        ));
    }

    /// The next message, if one comes until `deadline`.
    pub(super) fn message(&mut self, deadline: Instant) -> io::Result<Option<Message>> {
        loop {
            match self.event(deadline)? {
                Some(Event::Message(message)) => return Ok(Some(message)),
                Some(Event::Pong) => {}
                None => return Ok(None),
            }
        }
    }

    /// PING, PONG, and the messages that came before it.
    pub(super) fn sync(&mut self) -> io::Result<Vec<Message>> {
        self.send("PING\r\n");
        let mut before = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match self.event(deadline)? {
                Some(Event::Message(message)) => before.push(message),
                Some(Event::Pong) => return Ok(before),
                None => return Err(io::Error::new(io::ErrorKind::TimedOut, "no PONG in 30 s")),
            }
        }
    }

    fn event(&mut self, deadline: Instant) -> io::Result<Option<Event>> {
        self.flush()?;
        loop {
            if let Some(event) = self.parse()? {
                return Ok(Some(event));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let left = left.max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left))?;
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server closed the connection",
                    ));
                }
                Ok(len) => self.input.extend_from_slice(&chunk[..len]),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    if Instant::now() >= deadline {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output)?;
            self.output.clear();
        }
        Ok(())
    }

    /// The next message or PONG of what was read; the server's PINGs are answered.
    fn parse(&mut self) -> io::Result<Option<Event>> {
        let limits = Limits {
            max_control_line: 1 << 20,
            max_payload: usize::MAX,
            headers: true,
        };
        loop {
            let (event, consumed) = match parse_server_op(&self.input[self.parsed..], &limits) {
                Parse::Op { op, consumed } => (event(&op)?, consumed),
                Parse::Incomplete { .. } => {
                    self.input.drain(..self.parsed);
                    self.parsed = 0;
                    return Ok(None);
                }
                Parse::Error(error) => {
                    let text = format!("the server sent what is no operation: {error:?}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            };
            self.parsed += consumed;
            match event {
                Seen::Event(event) => return Ok(Some(event)),
                Seen::Ping => {
                    self.send("PONG\r\n");
                    self.flush()?;
                }
                Seen::Nothing => {}
            }
        }
    }
}

enum Seen {
    Event(Event),
    Ping,
    Nothing,
}

fn event(op: &ServerOp<'_>) -> io::Result<Seen> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let message = |subject, sid: &[u8], reply: Option<&[u8]>, headers: &[u8], payload: &[u8]| {
        Event::Message(Message {
            subject: text(subject),
            sid: text(sid).parse().unwrap_or(0),
            reply: reply.map(text),
            headers: headers.to_vec(),
            payload: payload.to_vec(),
        })
    };
    Ok(match op {
        ServerOp::Msg(m) => Seen::Event(message(m.subject, m.sid, m.reply, b"", m.payload)),
        ServerOp::HMsg(m) => Seen::Event(message(m.subject, m.sid, m.reply, m.headers, m.payload)),
        ServerOp::Pong => Seen::Event(Event::Pong),
        ServerOp::Ping => Seen::Ping,
        ServerOp::Info(_) | ServerOp::Ok => Seen::Nothing,
        ServerOp::Err(error) => return Err(io::Error::other(text(error))),
    })
}
