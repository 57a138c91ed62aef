//! Requests read from a connection until one of them becomes a WebSocket.

use std::io;
use std::net::SocketAddr;

use jetsled_config::WebsocketOptions;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::handshake::{Agreed, Granted, Request};
use super::refusal;

/// Bytes of a request's head at most. A token in a cookie fits; nothing else of a connection is held yet.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Headers of a request at most.
const MAX_HEADERS: usize = 100;

/// Why a connection did not become a WebSocket. What there was to say to the client was said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("closed before a websocket handshake")]
    Closed,
    #[error("websocket handshake error: {0}")]
    NotHttp(&'static str),
    #[error("websocket handshake error: client sent data before handshake is complete")]
    EarlyData,
    #[error("Not configured to accept leaf node connections")]
    LeafNode,
}

/// What a request leads to.
enum Outcome {
    /// The head is not complete.
    Incomplete,
    /// This is said, and the next request may come.
    Refused { answer: String, consumed: usize },
    /// This is said, and that is the end.
    Ended {
        answer: String,
        error: HandshakeError,
    },
    Granted {
        answer: String,
        granted: Granted,
        consumed: usize,
    },
}

/// Serves requests until one is granted. Refused requests may be followed by others, as with any HTTP server.
///
/// # Errors
/// When the connection ends first, or sends what is no HTTP.
pub(crate) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    options: &WebsocketOptions,
    remote: SocketAddr,
) -> Result<Box<Agreed>, HandshakeError> {
    let mut head = Vec::new();
    loop {
        match judge(&head, options, remote) {
            Outcome::Incomplete => {
                if stream.read_buf(&mut head).await? == 0 {
                    return Err(HandshakeError::Closed);
                }
            }
            Outcome::Refused { answer, consumed } => {
                head.drain(..consumed);
                say(stream, &answer).await?;
            }
            Outcome::Ended { answer, error } => {
                say(stream, &answer).await?;
                stream.shutdown().await?;
                return Err(error);
            }
            Outcome::Granted { consumed, .. } if consumed < head.len() => {
                return Err(HandshakeError::EarlyData);
            }
            Outcome::Granted {
                answer, granted, ..
            } => {
                say(stream, &answer).await?;
                match granted {
                    Granted::Client(agreed) => return Ok(agreed),
                    Granted::LeafNode => {
                        stream.shutdown().await?;
                        return Err(HandshakeError::LeafNode);
                    }
                }
            }
        }
    }
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, answer: &str) -> io::Result<()> {
    stream.write_all(answer.as_bytes()).await?;
    stream.flush().await
}

fn judge(head: &[u8], options: &WebsocketOptions, remote: SocketAddr) -> Outcome {
    let end = |status_line: &str, reason| Outcome::Ended {
        answer: refusal::not_http(status_line),
        error: HandshakeError::NotHttp(reason),
    };
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let consumed = match parsed.parse(head) {
        Ok(httparse::Status::Complete(consumed)) => consumed,
        Ok(httparse::Status::Partial) if head.len() < MAX_HEAD_BYTES => return Outcome::Incomplete,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            let status_line = "431 Request Header Fields Too Large";
            return end(status_line, "the request's head is too large");
        }
        Err(httparse::Error::Version) => {
            let status_line = "505 HTTP Version Not Supported: unsupported protocol version";
            return end(status_line, "unsupported protocol version");
        }
        Err(_) => return end("400 Bad Request", "malformed HTTP request"),
    };
    let is_old = parsed.version == Some(0);
    let request = Request {
        method: parsed.method.unwrap_or_default(),
        target: parsed.path.unwrap_or_default(),
        headers: parsed.headers,
    };
    let has = |name: &str| {
        let mut headers = request.headers.iter();
        headers.any(|header| header.name.eq_ignore_ascii_case(name))
    };
    if !is_old && !has("Host") {
        let status_line = "400 Bad Request: missing required Host header";
        return end(status_line, "missing required Host header");
    }
    match request.grant(options) {
        Ok((granted, answer)) => Outcome::Granted {
            answer,
            granted,
            consumed,
        },
        Err(refused) => {
            tracing::error!("{remote} - {refused}");
            // The body of a request is not read, so nothing can follow it.
            let has_body = has("Content-Length") || has("Transfer-Encoding");
            let closes = is_old || has_body || request.has_word("Connection", "close");
            let answer = refusal::answer(
                refused.status,
                closes,
                request.method != "HEAD",
                Timestamp::now(),
            );
            if closes {
                let error = HandshakeError::Closed;
                Outcome::Ended { answer, error }
            } else {
                Outcome::Refused { answer, consumed }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jetsled_config::Port;

    use super::*;

    const GRANTED: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

    /// Plays a client that sends `input` and closes; returns what it gets, the date masked, and how it went.
    async fn play(input: &str, piece: usize) -> (String, Result<Box<Agreed>, HandshakeError>) {
        let (mut client, mut server) = tokio::io::duplex(1 << 20);
        let input = input.as_bytes().to_vec();
        let client = tokio::spawn(async move {
            for bytes in input.chunks(piece) {
                // The server may have ended the connection.
                if client.write_all(bytes).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            client.shutdown().await.ok();
            let mut got = String::new();
            client.read_to_string(&mut got).await.unwrap();
            got
        });
        let remote = "127.0.0.1:1".parse().unwrap();
        let options = WebsocketOptions::new(Port::Random);
        let result = shake_hands(&mut server, &options, remote).await;
        drop(server);
        let got = client.await.unwrap();
        let masked = got
            .split("\r\n")
            .map(|line| match line.starts_with("Date: ") {
                true => "Date: D",
                false => line,
            });
        (masked.collect::<Vec<_>>().join("\r\n"), result)
    }

    #[tokio::test]
    async fn a_request_becomes_a_websocket_whatever_pieces_it_comes_in() {
        for piece in [1, 7, 1000] {
            let (got, result) = play(GRANTED, piece).await;
            assert!(got.starts_with("HTTP/1.1 101 ") && got.ends_with("\r\n\r\n"));
            assert!(result.is_ok());
        }
    }

    #[tokio::test]
    async fn a_refused_request_may_be_followed_by_another() {
        let input = format!("GET / HTTP/1.1\r\nHost: h\r\n\r\n{GRANTED}");
        let (got, result) = play(&input, 1000).await;
        let refused = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Sec-Websocket-Version: 13\r\nX-Content-Type-Options: nosniff\r\nDate: D\r\nContent-Length: 12\r\n\r\n\
            Bad Request\n";
        let rest = got.strip_prefix(refused).unwrap();
        assert!(rest.starts_with("HTTP/1.1 101 "));
        assert!(result.is_ok());
    }

    #[tokio::test]
    async fn what_is_no_request_ends_the_connection() {
        for (input, status_line) in [
            ("PING\r\n\r\n", "400 Bad Request"),
            (
                "GET / HTTP/2.0\r\n\r\n",
                "505 HTTP Version Not Supported: unsupported protocol version",
            ),
            (
                "GET / HTTP/1.1\r\n\r\n",
                "400 Bad Request: missing required Host header",
            ),
        ] {
            let (got, result) = play(input, 1000).await;
            assert_eq!(got, refusal::not_http(status_line));
            assert!(matches!(result, Err(HandshakeError::NotHttp(_))), "{input}");
        }
        let endless = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}", "x".repeat(100_000));
        let (got, _) = play(&endless, 4096).await;
        assert!(got.starts_with("HTTP/1.1 431 "));
        let (got, result) = play("GET / HT", 1).await;
        assert_eq!(got, "");
        assert!(matches!(result, Err(HandshakeError::Closed)));
    }

    #[tokio::test]
    async fn nothing_may_follow_before_the_answer() {
        let (got, result) = play(&format!("{GRANTED}x"), 1000).await;
        assert_eq!(got, "");
        assert!(matches!(result, Err(HandshakeError::EarlyData)));
    }
}
