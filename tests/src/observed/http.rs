//! One HTTP request to a monitoring port.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Such as 200.
    pub status: u16,
    /// As sent.
    pub headers: Vec<(String, String)>,
    /// As sent.
    pub body: String,
}

impl Answer {
    /// What the body is; empty if that is not told.
    pub fn content_type(&self) -> &str {
        let mut headers = self.headers.iter();
        headers
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map_or("", |(_, value)| value)
    }
}

/// Asks for a path. The connection is closed after it.
///
/// # Errors
///
/// When the connection fails, or the response is none.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    request(address, "GET", path)
}

/// The same with any method.
///
/// # Errors
///
/// As [`get`].
pub fn request(address: SocketAddr, method: &str, path: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, text))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let headers = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_owned(), value.to_owned()))
    });
    Some(Answer {
        status: head.split(' ').nth(1)?.parse().ok()?,
        headers: headers.collect(),
        body: body.to_owned(),
    })
}
