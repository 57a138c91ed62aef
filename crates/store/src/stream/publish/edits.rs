//! What of a message is stored otherwise than it came.

use jetsled_protocol::headers;

use crate::stream::Publish;
use crate::stream::counter::Counted;
use crate::stream::publish_headers::PublishHeaders;

/// The changed headers and body of the message published last. Most messages have none.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    headers: Vec<u8>,
    payload: Vec<u8>,
    headers_changed: bool,
    payload_changed: bool,
}

/// A header block of no lines.
const EMPTY_BLOCK: &[u8] = b"NATS/1.0\r\n\r\n";

/// What a block begins with, before a status.
const VERSION: &[u8] = b"NATS/1.0";

impl Edits {
    /// Forgets the message before, and drops from a new one what no stream keeps: a status and `Nats-Request-Info`.
    pub(in crate::stream) fn begin(
        &mut self,
        message: &Publish<'_>,
        steering: &PublishHeaders<'_>,
    ) {
        (self.headers_changed, self.payload_changed) = (false, false);
        if !steering.status && !steering.request_info {
            return;
        }
        let block = self.headers(message);
        if steering.status {
            drop_status(block);
        }
        headers::remove(block, b"Nats-Request-Info");
    }

    pub(in crate::stream) fn set_header(
        &mut self,
        message: &Publish<'_>,
        key: &[u8],
        value: &[u8],
    ) {
        headers::set(self.headers(message), key, value);
    }

    /// Puts a counter's new value into the body, and what it says of its origins into the headers.
    pub(in crate::stream) fn count(&mut self, message: &Publish<'_>, counted: &Counted) {
        self.payload.clear();
        counted.write_body(&mut self.payload);
        self.payload_changed = true;
        if let Some(increment) = &counted.increment {
            headers::replace(self.headers(message), b"Nats-Incr", increment.as_bytes());
        }
        if let Some(sources) = &counted.sources {
            headers::replace(self.headers(message), b"Nats-Counter-Sources", sources);
        }
    }

    /// The message as it is stored.
    pub(crate) fn apply<'a>(&'a self, message: &Publish<'a>) -> Publish<'a> {
        let mut edited = *message;
        if self.headers_changed {
            edited.headers = &self.headers;
        }
        if self.payload_changed {
            edited.payload = &self.payload;
        }
        edited
    }

    pub(in crate::stream) fn any(&self) -> bool {
        self.headers_changed || self.payload_changed
    }

    fn headers(&mut self, message: &Publish<'_>) -> &mut Vec<u8> {
        if !self.headers_changed {
            self.headers_changed = true;
            self.headers.clear();
            self.headers.extend_from_slice(message.headers);
        }
        &mut self.headers
    }
}

/// Takes away what is between the version and the first CR, and all of a block that is empty then; without a CR, nothing
/// (observed nats-server 2.15.1).
fn drop_status(block: &mut Vec<u8>) {
    let tail = block.strip_prefix(VERSION).unwrap_or_default();
    if let Some(status_len) = memchr::memchr(b'\r', tail) {
        block.drain(VERSION.len()..VERSION.len() + status_len);
        if block == EMPTY_BLOCK {
            block.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_ends_at_the_first_carriage_return() {
        for (block, want) in [
            ("NATS/1.0 503 x\r\nA: b\r\n\r\n", "NATS/1.0\r\nA: b\r\n\r\n"),
            ("NATS/1.0 100\r\n\r\n", ""),
            ("NATS/1.0\nA: b\n\n", "NATS/1.0\nA: b\n\n"),
            ("NATS/1.0 5\nA: b\r\nC: d\n\n", "NATS/1.0\r\nC: d\n\n"),
            ("NATS/1.0 7\rA: b\r\n\r\n", "NATS/1.0\rA: b\r\n\r\n"),
            ("NATS/1.0 7\r", "NATS/1.0\r"),
            ("NATS/1.0 7", "NATS/1.0 7"),
        ] {
            let mut edited = block.as_bytes().to_vec();
            drop_status(&mut edited);
            assert_eq!(
                edited.escape_ascii().to_string(),
                want.as_bytes().escape_ascii().to_string(),
                "{block:?}"
            );
        }
    }
}
