//! `/dashboard/message`: a look at a stored message.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jetsled_jetstream_api::{StreamSeq, Timestamp};
use jetsled_protocol::{SubjectFilter, subject};
use serde::Serialize;

use crate::monitor::query::{BadRequest, Query};
use crate::server::ServerState;

/// Bytes of a payload that are shown, and of headers.
const MAX_SHOWN: usize = 64 << 10;

#[derive(Debug, Serialize)]
pub(super) struct Message {
    seq: StreamSeq,
    time: Timestamp,
    subject: String,
    headers: String,
    /// Bytes of the whole payload.
    size: usize,
    /// Whether what is shown is a part.
    cut: bool,
    #[serde(flatten)]
    payload: Payload,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Payload {
    Text(String),
    /// In base64, what is no text.
    Binary(String),
}

/// The first message at or above `seq`, or with `back` at or below it, of subjects that `filter` matches if it is given; `None` if there is none, or no
/// such stream. Only what is durable is shown.
pub(super) fn peek(server: &ServerState, query: &Query) -> Result<Option<Message>, BadRequest> {
    let from = query.unsigned("seq")?;
    let back = query.flag("back")?;
    let filter = match query.text("filter") {
        "" => ">",
        filter => filter,
    };
    if !subject::is_valid(filter.as_bytes()) {
        return Err(BadRequest::TestSubject(filter.to_owned()));
    }
    let filter = SubjectFilter::new([filter.as_bytes()]);
    let account = server.account(query.text("account"));
    let jetstream = account.as_ref().and_then(|account| account.jetstream());
    let stream = query.text("stream");
    let found = jetstream.and_then(|jetstream| {
        jetstream.peek(stream, StreamSeq(from.max(1)), back, &filter, |message| {
            Message {
                seq: message.seq,
                time: message.timestamp,
                subject: String::from_utf8_lossy(message.subject).into_owned(),
                headers: String::from_utf8_lossy(start(message.headers)).into_owned(),
                size: message.payload.len(),
                cut: message.payload.len() > MAX_SHOWN || message.headers.len() > MAX_SHOWN,
                payload: Payload::of(message.payload),
            }
        })
    });
    if let Some(message) = &found {
        tracing::info!(
            "Monitoring has shown message {} of JetStream stream '{} > {stream}'",
            message.seq,
            query.text("account"),
        );
    }
    Ok(found)
}

impl Payload {
    fn of(payload: &[u8]) -> Self {
        let shown = start(payload);
        match std::str::from_utf8(shown) {
            Ok(text) => Self::Text(text.to_owned()),
            // A character that the end has cut apart.
            Err(error) if error.error_len().is_none() && payload.len() > MAX_SHOWN => {
                Self::Text(String::from_utf8_lossy(&shown[..error.valid_up_to()]).into_owned())
            }
            Err(_) => Self::Binary(STANDARD.encode(shown)),
        }
    }
}

fn start(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(MAX_SHOWN)]
}
