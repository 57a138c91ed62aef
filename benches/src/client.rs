//! The load generator's client: a blocking socket, frames built ahead, a reader that looks no closer than it must.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use serde_json::Value;

use crate::Error;

/// A server that has nothing to say for this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of one read from the socket.
const READ_BYTES: usize = 256 * 1024;

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The part of `buffer` that has not been consumed.
    start: usize,
    end: usize,
}

/// A delivered message, header block included in `body`.
pub(crate) struct Message<'a> {
    pub(crate) reply: Option<&'a [u8]>,
    /// The status line if the header block starts with one, such as `100 FlowControl Request`.
    pub(crate) status: Option<&'a [u8]>,
    pub(crate) body: &'a [u8],
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Self {
            stream,
            buffer: vec![0; READ_BYTES],
            start: 0,
            end: 0,
        };
        let info = client.line()?;
        if !info.starts_with(b"INFO ") {
            return Err(Error::Protocol(String::from_utf8_lossy(&info).into_owned()));
        }
        client.send(
            b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"echo\":true}\r\n",
        )?;
        client.sync()?;
        Ok(client)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub(crate) fn subscribe(&mut self, subject: &str, group: Option<&str>) -> Result<(), Error> {
        let group = group.map(|group| format!(" {group}")).unwrap_or_default();
        self.send(format!("SUB {subject}{group} 1\r\n").as_bytes())?;
        self.sync()
    }

    /// PING and its PONG: the server has seen everything that was sent before. Other lines are dropped.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.send(b"PING\r\n")?;
        loop {
            let line = self.line()?;
            if line == b"PONG" {
                return Ok(());
            }
            if line.starts_with(b"-ERR") {
                return Err(Error::Protocol(String::from_utf8_lossy(&line).into_owned()));
            }
        }
    }

    /// A request to the JetStream API (or any service that answers with JSON) and its answer.
    pub(crate) fn request(&mut self, subject: &str, body: &Value) -> Result<Value, Error> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let inbox = "_INBOX.bench.request";
        self.send(
            format!(
                "SUB {inbox} 9\r\nUNSUB 9 1\r\nPUB {subject} {inbox} {}\r\n{body}\r\n",
                body.len()
            )
            .as_bytes(),
        )?;
        let message = self.message()?;
        if let Some(status) = message.status {
            let answer = String::from_utf8_lossy(status).into_owned();
            return Err(Error::Refused {
                subject: subject.to_owned(),
                answer,
            });
        }
        let answer: Value = serde_json::from_slice(message.body)?;
        match answer.get("error") {
            Some(error) => Err(Error::Refused {
                subject: subject.to_owned(),
                answer: error.to_string(),
            }),
            None => Ok(answer),
        }
    }

    /// The next line without its end.
    pub(crate) fn line(&mut self) -> Result<Vec<u8>, Error> {
        loop {
            if let Some(len) = memchr::memchr(b'\n', &self.buffer[self.start..self.end]) {
                let line = self.buffer[self.start..self.start + len]
                    .trim_ascii_end()
                    .to_vec();
                self.start += len + 1;
                return Ok(line);
            }
            self.fill()?;
        }
    }

    /// The next message. PING is answered and the rest of the protocol skipped on the way.
    pub(crate) fn message(&mut self) -> Result<Message<'_>, Error> {
        loop {
            let Some(len) = memchr::memchr(b'\n', &self.buffer[self.start..self.end]) else {
                self.fill()?;
                continue;
            };
            let line = self.buffer[self.start..self.start + len].trim_ascii_end();
            let Some(header) = MessageLine::parse(line) else {
                self.skip_line()?;
                continue;
            };
            let body = len + 1;
            let total = body + header.total_bytes + 2;
            if self.end - self.start < total {
                self.fill()?;
                continue;
            }
            let frame = &self.buffer[self.start..self.start + total];
            self.start += total;
            let body = &frame[body..body + header.total_bytes];
            let status = (header.header_bytes > 0)
                .then(|| body[..header.header_bytes].strip_prefix(b"NATS/1.0 "))
                .flatten()
                .and_then(|block| block.split(|&byte| byte == b'\r').next());
            return Ok(Message {
                reply: header.reply.map(|(from, to)| &frame[from..to]),
                status,
                body,
            });
        }
    }

    /// The next message, known to be `len` bytes long from its MSG on. PING is answered and the rest of the protocol skipped on
    /// the way.
    pub(crate) fn frame(&mut self, len: usize) -> Result<&[u8], Error> {
        loop {
            match &self.buffer[self.start..self.end] {
                [b'M', ..] if self.end - self.start >= len => return self.exactly(len),
                [] | [b'M', ..] => self.fill()?,
                _ => self.skip_line()?,
            }
        }
    }

    /// Takes a line that is no message: answers PING, fails at an error, and drops what else there may be.
    fn skip_line(&mut self) -> Result<(), Error> {
        let line = self.line()?;
        match &line[..] {
            b"PING" => self.send(b"PONG\r\n")?,
            [b'-', b'E', ..] | [b'H', b'M', ..] => {
                return Err(Error::Protocol(String::from_utf8_lossy(&line).into_owned()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts line ends in whatever comes next: for answers of unknown length without line ends of their own, two a message.
    pub(crate) fn count_line_ends(&mut self) -> Result<u64, Error> {
        if self.start == self.end {
            self.fill()?;
        }
        let count = memchr::memchr_iter(b'\n', &self.buffer[self.start..self.end]).count();
        self.start = self.end;
        Ok(count as u64)
    }

    /// Counts the bytes that come next, without a copy of them: for messages of one known length. `Ok(0)` at the end of the
    /// connection.
    pub(crate) fn count_bytes(&mut self) -> io::Result<u64> {
        if self.start < self.end {
            let count = self.end - self.start;
            self.start = self.end;
            return Ok(count as u64);
        }
        // The kernel drops what it would have copied.
        let (_, len) = recv(&self.stream, &mut self.buffer[..], RecvFlags::TRUNC)?;
        Ok(len as u64)
    }

    /// The next `len` bytes.
    pub(crate) fn exactly(&mut self, len: usize) -> Result<&[u8], Error> {
        while self.end - self.start < len {
            self.fill()?;
        }
        self.start += len;
        Ok(&self.buffer[self.start - len..self.start])
    }

    /// Whether bytes that have been read from the socket are still to be looked at.
    pub(crate) fn has_more(&self) -> bool {
        self.start < self.end
    }

    /// A second handle that can end the connection from another thread.
    pub(crate) fn handle(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    fn fill(&mut self) -> Result<(), Error> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        match self.stream.read(&mut self.buffer[self.end..])? {
            0 => Err(Error::Protocol("the end of the connection".to_owned())),
            len => {
                self.end += len;
                Ok(())
            }
        }
    }
}

/// `MSG subject sid [reply] bytes` or `HMSG subject sid [reply] header-bytes bytes`.
struct MessageLine {
    reply: Option<(usize, usize)>,
    header_bytes: usize,
    total_bytes: usize,
}

impl MessageLine {
    fn parse(line: &[u8]) -> Option<Self> {
        let with_headers = line.starts_with(b"HMSG ");
        if !with_headers && !line.starts_with(b"MSG ") {
            return None;
        }
        let mut ends = memchr::memchr_iter(b' ', line);
        let mut spaces = [0; 6];
        let mut count = 0;
        for space in ends.by_ref().take(spaces.len()) {
            spaces[count] = space;
            count += 1;
        }
        let numbers = if with_headers { 2 } else { 1 };
        let reply = (count == 3 + numbers).then(|| (spaces[2] + 1, spaces[3]));
        let header_bytes = if with_headers {
            number(&line[spaces[count - 2] + 1..spaces[count - 1]])?
        } else {
            0
        };
        let total_bytes = number(&line[spaces[count - 1] + 1..])?;
        Some(Self {
            reply,
            header_bytes,
            total_bytes,
        })
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0_usize, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + usize::from(digit - b'0'))
    })
}
