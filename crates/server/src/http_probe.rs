//! Asking a server by HTTP whether it is well, without a runtime: the first line of the answer is all that is wanted.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long the other side may take to answer.
const WITHIN: Duration = Duration::from_secs(5);

/// Bytes of an answer that are looked at.
const MAX_ANSWER: u64 = 1 << 12;

/// The status line of an answer.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) line: String,
}

impl Status {
    pub(crate) fn is_ok(&self) -> bool {
        self.line.starts_with("HTTP/1.1 200")
    }
}

/// Gets `path` from `address` (`host:port`).
pub(crate) fn status(address: &str, path: &str) -> io::Result<Status> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let line = answer.lines().next().unwrap_or_default().to_owned();
    Ok(Status { line })
}
