//! HTTP answers that are no WebSocket, in the bytes of Go's server (observed nats-server 2.15.1).

use jiff::Timestamp;

/// A status of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    BadRequest,
    Forbidden,
    NotFound,
    MethodNotAllowed,
}

impl Status {
    fn code_and_text(self) -> (u16, &'static str) {
        match self {
            Self::BadRequest => (400, "Bad Request"),
            Self::Forbidden => (403, "Forbidden"),
            Self::NotFound => (404, "Not Found"),
            Self::MethodNotAllowed => (405, "Method Not Allowed"),
        }
    }
}

/// The answer to a request that asks for something else.
pub(super) fn answer(status: Status, closes: bool, has_body: bool, now: Timestamp) -> String {
    let (code, text) = status.code_and_text();
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT");
    let length = text.len() + 1;
    let connection = if closes { "Connection: close\r\n" } else { "" };
    let mut answer = format!(
        "HTTP/1.1 {code} {text}\r\nContent-Type: text/plain; charset=utf-8\r\nSec-Websocket-Version: 13\r\n\
         X-Content-Type-Options: nosniff\r\nDate: {date}\r\nContent-Length: {length}\r\n{connection}\r\n"
    );
    if has_body {
        answer.push_str(text);
        answer.push('\n');
    }
    answer
}

/// The answer to what is no request; the connection ends with it.
pub(super) fn not_http(status_line: &str) -> String {
    format!(
        "HTTP/1.1 {status_line}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n{status_line}"
    )
}
