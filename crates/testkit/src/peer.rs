//! A scripted peer: a plain socket that sends what a test says and checks what comes back, byte for byte.

mod websocket;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use websocket::Frames;

/// How long a peer waits for bytes that a test says must come.
const WITHIN: Duration = Duration::from_secs(10);

/// The `CONNECT` that [`Peer::ready`] sends.
pub const CONNECT: &str = r#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"protocol":1}"#;

/// A message as it was delivered: `MSG` or `HMSG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The subject that it was published to.
    pub subject: String,
    /// The sid of the subscription.
    pub sid: String,
    /// The reply subject.
    pub reply: Option<String>,
    /// The header block with its version line and its closing empty line; empty for `MSG`.
    pub headers: String,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Delivered {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key == name).then(|| value.trim())
        })
    }

    /// The status in the header block's first line, such as `404 Message Not Found`.
    pub fn status(&self) -> Option<&str> {
        self.headers.lines().next()?.strip_prefix("NATS/1.0 ")
    }
}

/// What a peer speaks over: the bytes of the client protocol in both directions, however they are carried.
pub trait Transport: Read + Write + Send + fmt::Debug {}

impl<T: Read + Write + Send + fmt::Debug> Transport for T {}

/// One client connection under a test's control. Every read has a limit of ten seconds.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    transport: Box<dyn Transport>,
    /// Over WebSocket.
    frames: Option<Frames>,
    pending: Vec<u8>,
    requests: u64,
}

impl Peer {
    /// Connects and sends nothing.
    ///
    /// # Errors
    ///
    /// When the connection is refused.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = Self::socket(address)?;
        let transport = stream.try_clone()?;
        Ok(Self::over(stream, transport))
    }

    /// A socket as peers use it.
    ///
    /// # Errors
    ///
    /// When the connection is refused.
    pub fn socket(address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(WITHIN))?;
        stream.set_write_timeout(Some(WITHIN))?;
        Ok(stream)
    }

    /// Speaks over a transport that uses `stream`, one of [`Peer::socket`].
    pub fn over(stream: TcpStream, transport: impl Transport + 'static) -> Self {
        Self {
            stream,
            transport: Box::new(transport),
            frames: None,
            pending: Vec::new(),
            requests: 0,
        }
    }

    /// Connects to a WebSocket listener, with these header lines (each with its CR LF) beside those that it needs. From then on
    /// it is a peer as any other: what it sends is put into frames, one a call, and what comes is taken out of them.
    ///
    /// # Errors
    ///
    /// When the connection is refused; `InvalidData` with the answer if that is not the switch to WebSocket.
    pub fn websocket(address: SocketAddr, headers: &str) -> io::Result<Self> {
        let mut peer = Self::connect(address)?;
        peer.send(websocket::request(headers))?;
        let answer = peer.head()?;
        if !answer.starts_with("HTTP/1.1 101 ") {
            return Err(io::Error::new(io::ErrorKind::InvalidData, answer));
        }
        let mut frames = Frames::default();
        let early = std::mem::take(&mut peer.pending);
        frames.take(&early, &mut peer.pending);
        peer.frames = Some(frames);
        Ok(peer)
    }

    /// Connects, reads INFO, sends [`CONNECT`] and a PING, and waits for the PONG: an ordinary client. Returns the INFO line too.
    ///
    /// # Errors
    ///
    /// When the connection fails or ends in between.
    pub fn ready(address: SocketAddr) -> io::Result<(Self, String)> {
        let mut peer = Self::connect(address)?;
        let info = peer.line()?;
        peer.send(CONNECT)?;
        peer.send("\r\n")?;
        peer.sync()?;
        Ok((peer, info))
    }

    /// Sends bytes.
    ///
    /// # Errors
    ///
    /// When the socket does not take them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match &self.frames {
            None => self.transport.write_all(bytes.as_ref())?,
            Some(_) => self
                .transport
                .write_all(&websocket::frame(bytes.as_ref()))?,
        }
        self.transport.flush()
    }

    /// Sends PING and returns everything that came before its PONG: what the server had to say until now.
    /// The INFO that a server sends of its own accord after a client's first PING is left out.
    ///
    /// # Errors
    ///
    /// When the connection ends before the PONG.
    pub fn sync(&mut self) -> io::Result<Vec<u8>> {
        self.send("PING\r\n")?;
        let mut before = Vec::new();
        loop {
            let line = self.raw_line()?;
            if line == b"PONG\r\n" {
                return Ok(before);
            }
            if !line.starts_with(b"INFO ") {
                before.extend_from_slice(&line);
            }
        }
    }

    /// The next line without its CR LF.
    ///
    /// # Errors
    ///
    /// When none comes within ten seconds or the connection ends.
    pub fn line(&mut self) -> io::Result<String> {
        let line = self.raw_line()?;
        Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
    }

    /// The next message. Other lines on the way are skipped, a PING is answered.
    ///
    /// # Errors
    ///
    /// As [`Peer::line`]; `InvalidData` for an `-ERR`, with its text, and for a message line that cannot be read.
    pub fn message(&mut self) -> io::Result<Delivered> {
        loop {
            let line = self.line()?;
            let mut words = line.split_ascii_whitespace();
            let invalid = || io::Error::new(io::ErrorKind::InvalidData, line.clone());
            let has_headers = match words.next() {
                Some("MSG") => false,
                Some("HMSG") => true,
                Some("PING") => {
                    self.send("PONG\r\n")?;
                    continue;
                }
                Some("-ERR") => return Err(invalid()),
                _ => continue,
            };
            let (subject, sid) = words.next().zip(words.next()).ok_or_else(invalid)?;
            let mut rest: Vec<&str> = words.collect();
            let mut size = || rest.pop()?.parse::<usize>().ok();
            let total = size().ok_or_else(invalid)?;
            let header_bytes = if has_headers {
                size().ok_or_else(invalid)?
            } else {
                0
            };
            let mut headers = self.bytes(total)?;
            let payload = headers.split_off(header_bytes.min(total));
            self.bytes(2)?;
            return Ok(Delivered {
                subject: subject.to_owned(),
                sid: sid.to_owned(),
                reply: rest.pop().map(str::to_owned),
                headers: String::from_utf8_lossy(&headers).into_owned(),
                payload,
            });
        }
    }

    /// A request with an inbox of its own, and the first answer to it.
    ///
    /// # Errors
    ///
    /// As [`Peer::message`].
    pub fn request(&mut self, subject: &str, payload: &[u8]) -> io::Result<Delivered> {
        self.requests += 1;
        // Not one for all: a no responders status does not count for UNSUB's maximum, so the old sid would live on.
        let sid = format!("testkit-request-{}", self.requests);
        let inbox = format!(
            "_INBOX.testkit.{:x}.{}",
            self.stream.local_addr()?.port(),
            self.requests
        );
        self.send(format!(
            "SUB {inbox} {sid}\r\nUNSUB {sid} 1\r\nPUB {subject} {inbox} {}\r\n",
            payload.len()
        ))?;
        self.send(payload)?;
        self.send("\r\n")?;
        loop {
            let message = self.message()?;
            if message.sid == sid {
                return Ok(message);
            }
        }
    }

    /// An HTTP answer up to its empty line.
    fn head(&mut self) -> io::Result<String> {
        let mut head = String::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(head);
            }
            head += &line;
            head += "\n";
        }
    }

    fn raw_line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.pending.windows(2).position(|pair| pair == b"\r\n") {
                return Ok(self.pending.drain(..end + 2).collect());
            }
            self.fill()?;
        }
    }

    /// Exactly the next `len` bytes.
    ///
    /// # Errors
    ///
    /// As [`Peer::line`].
    pub fn bytes(&mut self, len: usize) -> io::Result<Vec<u8>> {
        while self.pending.len() < len {
            self.fill()?;
        }
        Ok(self.pending.drain(..len).collect())
    }

    /// Checks that the next bytes are these.
    ///
    /// # Panics
    ///
    /// When they are not, or do not come.
    #[track_caller]
    pub fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let wanted = bytes.as_ref();
        while self.pending.len() < wanted.len() {
            if let Err(error) = self.fill() {
                panic!(
                    "expected {:?}, got {:?} and then {error}",
                    String::from_utf8_lossy(wanted),
                    String::from_utf8_lossy(&self.pending)
                );
            }
        }
        let got: Vec<u8> = self.pending.drain(..wanted.len()).collect();
        assert_eq!(
            String::from_utf8_lossy(wanted),
            String::from_utf8_lossy(&got)
        );
    }

    /// Everything until the server closes the connection.
    ///
    /// # Errors
    ///
    /// When it stays open for ten seconds.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => return Err(error),
            }
        }
        Ok(std::mem::take(&mut self.pending))
    }

    /// The socket, for options and half-closes.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        match self.transport.read(&mut chunk)? {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection was closed",
            )),
            len => {
                match &mut self.frames {
                    None => self.pending.extend_from_slice(&chunk[..len]),
                    Some(frames) => frames.take(&chunk[..len], &mut self.pending),
                }
                Ok(())
            }
        }
    }
}
