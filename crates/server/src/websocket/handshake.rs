//! The opening handshake (RFC 6455, 4.2): what a request must have, and the answer.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use httparse::Header;
use jetsled_config::WebsocketOptions;
use sha1_smol::Sha1;

use super::cookies::Cookies;
use super::origin;
use super::refusal::Status;

/// What every server appends to a key (RFC 6455, 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const COMPRESSION: &str = "permessage-deflate";

/// The head of an HTTP request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) headers: &'a [Header<'a>],
}

/// What server and client have agreed on.
#[derive(Debug, Default)]
pub(crate) struct Agreed {
    /// The client's payloads are masked.
    pub(crate) is_masked: bool,
    /// Either may compress.
    pub(crate) compression: bool,
    /// A browser, which is served smaller frames.
    pub(crate) is_browser: bool,
    /// Compressed messages must not come in pieces (Safari).
    pub(crate) whole_compressed: bool,
    /// Who connected to a proxy in between.
    pub(crate) forwarded_for: Option<IpAddr>,
    pub(crate) cookies: Option<Box<Cookies>>,
}

/// What a request that may be granted wants.
#[derive(Debug)]
pub(super) enum Granted {
    Client(Box<Agreed>),
    LeafNode,
}

/// A request that is not granted, and why; the client gets the status only.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("websocket handshake error: {reason}")]
pub(super) struct Refused {
    pub(super) status: Status,
    pub(super) reason: String,
}

impl<'a> Request<'a> {
    fn values(&self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let headers = self.headers.iter();
        headers
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    }

    /// The first header of this name.
    pub(super) fn text(&self, name: &'a str) -> &'a str {
        let first = self.values(name).next().unwrap_or_default();
        str::from_utf8(first).unwrap_or_default()
    }

    /// Whether one of the comma-separated words of a header is this one.
    pub(super) fn has_word(&self, name: &'a str, word: &str) -> bool {
        self.values(name)
            .filter_map(|value| str::from_utf8(value).ok())
            .flat_map(|value| value.split(','))
            .any(|entry| entry.trim_matches([' ', '\t']).eq_ignore_ascii_case(word))
    }

    fn offers_compression(&self) -> bool {
        self.values("Sec-WebSocket-Extensions")
            .filter_map(|value| str::from_utf8(value).ok())
            .flat_map(|value| value.split([',', ';']))
            .any(|entry| {
                entry
                    .trim_matches([' ', '\t'])
                    .eq_ignore_ascii_case(COMPRESSION)
            })
    }

    /// Checks the request; returns what was agreed on and the answer.
    pub(super) fn grant(&self, options: &WebsocketOptions) -> Result<(Granted, String), Refused> {
        let refuse = |status, reason: &str| {
            Err(Refused {
                status,
                reason: reason.to_owned(),
            })
        };
        let path = self.target.split(['?', '#']).next().unwrap_or_default();
        if path.ends_with("/mqtt") {
            return refuse(Status::NotFound, "mqtt websocket endpoint not enabled");
        }
        if self.method != "GET" {
            return refuse(Status::MethodNotAllowed, "request method must be GET");
        }
        let host = self.text("Host");
        if host.is_empty() {
            return refuse(Status::BadRequest, "'Host' missing in request");
        }
        if !self.has_word("Upgrade", "websocket") {
            return refuse(Status::BadRequest, "invalid value for header 'Upgrade'");
        }
        if !self.has_word("Connection", "Upgrade") {
            return refuse(Status::BadRequest, "invalid value for header 'Connection'");
        }
        let key = self.text("Sec-WebSocket-Key");
        if key.is_empty() {
            return refuse(Status::BadRequest, "key missing");
        }
        if STANDARD.decode(key).ok().is_none_or(|key| key.len() != 16) {
            return refuse(Status::BadRequest, "invalid websocket key");
        }
        if !self.has_word("Sec-WebSocket-Version", "13") {
            return refuse(Status::BadRequest, "invalid version");
        }
        let origin = [self.text("Origin"), self.text("Sec-WebSocket-Origin")];
        let origin = origin.into_iter().find(|origin| !origin.is_empty());
        if let Err(error) = origin::check(options, origin, host) {
            let reason = format!("origin not allowed: {error}");
            return refuse(Status::Forbidden, &reason);
        }
        let agreed = self.agree(options);
        let answer = answer(key, &agreed, options);
        let granted = if path.ends_with("/leafnode") {
            Granted::LeafNode
        } else {
            Granted::Client(Box::new(agreed))
        };
        Ok((granted, answer))
    }

    fn agree(&self, options: &WebsocketOptions) -> Agreed {
        let agent = self.text("User-Agent");
        let is_browser = agent.starts_with("Mozilla/");
        Agreed {
            is_masked: self.text("Nats-No-Masking") != "true",
            compression: options.compression && self.offers_compression(),
            is_browser,
            whole_compressed: is_browser && agent.contains("Version/") && agent.contains("Safari/"),
            forwarded_for: self.text("X-Forwarded-For").parse().ok(),
            cookies: Cookies::find(&options.cookies, self.values("Cookie")).filled(),
        }
    }
}

/// In nats-server's order, which clients that look for exact bytes rely on.
fn answer(key: &str, agreed: &Agreed, options: &WebsocketOptions) -> String {
    let digest = Sha1::from(format!("{key}{GUID}")).digest().bytes();
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
        STANDARD.encode(digest)
    );
    if agreed.compression {
        answer.push_str("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n");
    }
    if !agreed.is_masked {
        answer.push_str("Nats-No-Masking: true\r\n");
    }
    for (name, value) in &options.headers {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    answer.push_str("\r\n");
    answer
}

#[cfg(test)]
mod tests {
    use jetsled_config::Port;

    use super::*;

    const WELL_FORMED: [(&str, &str); 5] = [
        ("host", "h"),
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
    ];

    fn grant(
        options: &WebsocketOptions,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<(Granted, String), Refused> {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        Request {
            method,
            target,
            headers: &headers,
        }
        .grant(options)
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Vec<(&str, &str)>), expected: Result<(), &str>) {
        let mut headers = WELL_FORMED.to_vec();
        change(&mut headers);
        let granted = grant(&WebsocketOptions::new(Port::Random), "GET", "/", &headers);
        let reason = granted.map(drop).map_err(|refused| refused.reason);
        assert_eq!(reason.as_ref().map_err(String::as_str).copied(), expected);
    }

    #[test]
    fn a_request_must_have_all_that_the_protocol_asks_for() {
        check(|_| {}, Ok(()));
        check(|h| h[0].0 = "x", Err("'Host' missing in request"));
        check(|h| h[1].0 = "x", Err("invalid value for header 'Upgrade'"));
        check(
            |h| h[2].1 = "close",
            Err("invalid value for header 'Connection'"),
        );
        check(|h| h[3].0 = "x", Err("key missing"));
        check(|h| h[3].1 = "abc", Err("invalid websocket key"));
        check(|h| h[4].1 = "8, 13", Ok(()));
        check(|h| h[4].1 = "12", Err("invalid version"));
    }

    #[test]
    fn what_is_agreed_on_is_answered() {
        let mut options = WebsocketOptions::new(Port::Random);
        options.headers.insert("X-A".to_owned(), "1".to_owned());
        let mut headers = WELL_FORMED.to_vec();
        headers.push((
            "sec-websocket-extensions",
            "x, permessage-deflate; client_max_window_bits",
        ));
        headers.push(("nats-no-masking", "true"));
        headers.push(("x-forwarded-for", "::1"));
        let (granted, answer) = grant(&options, "GET", "/any?x=1", &headers).unwrap();
        let Granted::Client(agreed) = granted else {
            panic!("a client");
        };
        assert!(!agreed.compression && !agreed.is_masked && !agreed.is_browser);
        assert_eq!(agreed.forwarded_for, Some("::1".parse().unwrap()));
        assert_eq!(
            answer,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nNats-No-Masking: true\r\nX-A: 1\r\n\r\n"
        );
        options.compression = true;
        let (_, answer) = grant(&options, "GET", "/", &headers).unwrap();
        assert!(answer.contains("\r\nSec-WebSocket-Extensions: permessage-deflate; server_no"));
    }

    #[test]
    fn other_endpoints_and_methods_are_told_apart() {
        let options = WebsocketOptions::new(Port::Random);
        let status = |method, target| {
            grant(&options, method, target, &WELL_FORMED).map_err(|refused| refused.status)
        };
        assert!(matches!(
            status("GET", "/leafnode"),
            Ok((Granted::LeafNode, _))
        ));
        assert_eq!(status("GET", "/a/mqtt?x").err(), Some(Status::NotFound));
        assert_eq!(status("POST", "/").err(), Some(Status::MethodNotAllowed));
    }

    #[test]
    fn browsers_are_known_by_their_name() {
        let agree = |agent: &str| {
            let mut headers = WELL_FORMED.to_vec();
            headers.push(("user-agent", agent));
            match grant(&WebsocketOptions::new(Port::Random), "GET", "/", &headers) {
                Ok((Granted::Client(agreed), _)) => (agreed.is_browser, agreed.whole_compressed),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(agree("node"), (false, false));
        assert_eq!(agree("Mozilla/5.0 Chrome/1 Safari/1"), (true, false));
        assert_eq!(agree("Mozilla/5.0 Version/1 Safari/1"), (true, true));
    }
}
