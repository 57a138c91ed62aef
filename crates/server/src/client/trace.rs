//! The protocol trace (`-V`): what goes in and out of connections, in nats-server's form.

use std::fmt;

use jetsled_auth::REDACTED;
use jetsled_protocol::{ClientOp, GoQuoted, HPub, Pub};
use tracing::level_filters::LevelFilter;

use super::Client;
use crate::routing::Message;

/// CONNECT fields whose values are shown. Any other may hold a secret, under a name that its client made up.
const SHOWN: [&str; 14] = [
    "verbose",
    "pedantic",
    "echo",
    "tls_required",
    "headers",
    "no_responders",
    "new_account",
    "protocol",
    "name",
    "lang",
    "version",
    "user",
    "nkey",
    "account",
];

/// Whether anything is traced: one load, so that the answer may be asked for per message.
#[inline]
pub(crate) fn is_on() -> bool {
    LevelFilter::current() == LevelFilter::TRACE
}

impl Client {
    /// The system account is traced only with `trace_verbose`.
    fn is_traced(&self) -> bool {
        self.server.options().log.trace_verbose || !self.server.is_system(&self.login().account)
    }

    /// Traces an operation that has come in.
    pub(super) fn trace_in(&self, op: &ClientOp<'_>) {
        if !self.is_traced() {
            return;
        }
        tracing::trace!("{} - <<- [{}]", self.log_name(), OpText(op));
        match op {
            ClientOp::Pub(publish) => self.trace_payload("<<-", &[], publish.payload),
            ClientOp::HPub(publish) => {
                self.trace_payload("<<-", publish.headers, publish.payload);
            }
            _ => {}
        }
    }

    /// Traces a line that goes out.
    pub(super) fn trace_out(&self, line: impl fmt::Display) {
        if self.is_traced() {
            tracing::trace!("{} - ->> [{line}]", self.log_name());
        }
    }

    /// Traces a message that goes out.
    pub(crate) fn trace_message(&self, message: &Message<'_>, sid: &[u8], with_headers: bool) {
        if !self.is_traced() {
            return;
        }
        let headers = if with_headers { message.headers } else { &[] };
        let line = MessageText {
            message,
            sid,
            headers,
        };
        tracing::trace!("{} - ->> [{line}]", self.log_name());
        self.trace_payload("->>", headers, &message.payload);
    }

    fn trace_payload(&self, direction: &str, headers: &[u8], payload: &[u8]) {
        let options = self.server.options();
        let body = if options.log.trace_headers {
            headers.to_vec()
        } else {
            [headers, payload].concat()
        };
        if body.is_empty() {
            return;
        }
        let shown = options.log.max_traced_msg_len.unwrap_or(usize::MAX);
        match body.get(..shown).filter(|shown| !shown.is_empty()) {
            Some(start) if start.len() < body.len() => {
                let quoted = GoQuoted(start).to_string();
                let quoted = quoted.trim_end_matches('"');
                tracing::trace!(
                    "{} - {direction} MSG_PAYLOAD: [{quoted}...\"]",
                    self.log_name()
                );
            }
            _ => {
                let quoted = GoQuoted(&body);
                tracing::trace!("{} - {direction} MSG_PAYLOAD: [{quoted}]", self.log_name());
            }
        }
    }
}

/// An operation's control line.
struct OpText<'a>(&'a ClientOp<'a>);

impl fmt::Display for OpText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy;
        match self.0 {
            ClientOp::Connect(json) => write!(f, "CONNECT {}", redacted(json)),
            ClientOp::Pub(Pub {
                subject,
                reply,
                size_text,
                ..
            }) => {
                write!(
                    f,
                    "PUB {}{} {}",
                    text(subject),
                    Optional(*reply),
                    text(size_text)
                )
            }
            ClientOp::HPub(HPub {
                subject,
                reply,
                header_size_text,
                total_size_text,
                ..
            }) => {
                let (subject, reply) = (text(subject), Optional(*reply));
                let (header, total) = (text(header_size_text), text(total_size_text));
                write!(f, "HPUB {subject}{reply} {header} {total}")
            }
            ClientOp::Sub(sub) => {
                write!(
                    f,
                    "SUB {}{} {}",
                    text(sub.subject),
                    Optional(sub.queue),
                    text(sub.sid)
                )
            }
            ClientOp::Unsub(unsub) => match unsub.max {
                None => write!(f, "UNSUB {}", text(unsub.sid)),
                Some(max) => write!(f, "UNSUB {} {max}", text(unsub.sid)),
            },
            ClientOp::Ping => f.write_str("PING"),
            ClientOp::Pong => f.write_str("PONG"),
            ClientOp::Ok => f.write_str("+OK"),
            ClientOp::Err(error) => write!(f, "-ERR {}", text(error)),
            ClientOp::Info(json) => write!(f, "INFO {}", text(json)),
        }
    }
}

/// An argument that may be missing, with its blank.
struct Optional<'a>(Option<&'a [u8]>);

impl fmt::Display for Optional<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |text| {
            write!(f, " {}", String::from_utf8_lossy(text))
        })
    }
}

/// `MSG <subject> <sid> [reply] <size>` or its HMSG form.
struct MessageText<'a> {
    message: &'a Message<'a>,
    sid: &'a [u8],
    headers: &'a [u8],
}

impl fmt::Display for MessageText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message;
        let subject = String::from_utf8_lossy(message.subject);
        let sid = String::from_utf8_lossy(self.sid);
        let reply = Optional((!message.reply.is_empty()).then_some(message.reply));
        let size = message.payload.len();
        match self.headers.len() {
            0 => write!(f, "MSG {subject} {sid}{reply} {size}"),
            headers => write!(
                f,
                "HMSG {subject} {sid}{reply} {headers} {}",
                headers + size
            ),
        }
    }
}

/// CONNECT's JSON without secrets. What is no JSON is not shown at all: a secret may be anywhere in it.
fn redacted(json: &[u8]) -> String {
    let Ok(mut fields) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(json)
    else {
        return REDACTED.to_owned();
    };
    for (field, value) in &mut fields {
        let is_shown = SHOWN.iter().any(|shown| field.eq_ignore_ascii_case(shown));
        if !is_shown || value.is_object() || value.is_array() {
            *value = REDACTED.into();
        }
    }
    serde_json::Value::Object(fields).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_traced_whatever_their_case() {
        let text = redacted(
            br#"{"User":"u","PASS":"secret","sig":"secret","password":"secret","name":["secret"]}"#,
        );
        assert!(
            text.contains(r#""User":"u""#) && !text.contains("secret"),
            "{text}"
        );
        assert_eq!(redacted(br#"{"pass":"secret""#), "[REDACTED]");
    }
}
