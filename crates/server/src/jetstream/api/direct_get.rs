//! `DIRECT.GET.<stream>[.<subject>]`: messages as they are, without an envelope (ADR-31).

use std::io::Write as _;
use std::sync::Arc;

use jetsled_jetstream_api::request::{MsgGetConflict, MsgGetRequest};
use jetsled_jetstream_api::{StorageType, StreamSeq, json};
use jetsled_protocol::{SubjectFilter, headers};
use jetsled_store::{PendingCount, ReadError, Selection, StoredMessage, StreamId};

use super::level::level_too_high;
use crate::account::Account;
use crate::jetstream::ingest::Request;
use crate::jetstream::parked::{Parked, ReplyKind};
use crate::jetstream::reply::send_message;
use crate::jetstream::shard::ShardState;
use crate::routing::FlushSet;

/// The most subjects that one request may get the last messages of.
const MAX_MULTI: usize = 1024;

/// The most bytes of subjects, headers and payloads in one answer (nats-server's `max_pending`).
const MAX_BYTES: usize = 64 * 1024 * 1024;

const PREFIX: &[u8] = b"$JS.API.DIRECT.GET.";

/// Answers a direct get.
pub(in crate::jetstream) fn direct_get(
    state: &mut ShardState,
    stream: StreamId,
    request: &Request<'_>,
    flush: &mut FlushSet,
) {
    if request.reply.is_empty() {
        return;
    }
    state.end_turn(flush);
    let Some(running) = state.streams.get(&stream) else {
        return;
    };
    let account = Arc::clone(&running.account);
    let name = running.config.name.clone();
    let Some(visible) = state
        .store
        .stream(stream)
        .map(|stream| stream.visible_last_seq())
    else {
        return;
    };
    let mut reply = Reply {
        account,
        name,
        to: request.reply,
        visible,
        is_fenced: state.store.is_fenced(),
        parks: false,
        scratch: Vec::new(),
    };
    let outcome = parse(request).and_then(|get| {
        let multi = !get.multi_last_for.is_empty();
        let answered = if multi {
            answer_multi(state, stream, &get, &mut reply, flush)
        } else if get.batch != 0 {
            answer_batch(state, stream, &get, &mut reply, flush)
        } else {
            answer_one(state, stream, &get, &mut reply, flush)
        };
        answered.unwrap_or_else(|error| {
            tracing::error!("JetStream direct get from '{}' failed: {error}", reply.name);
            Err(Refusal::UNREADABLE)
        })
    });
    if let Err(refusal) = outcome {
        let mut block = Vec::new();
        headers::build_status(refusal.code, refusal.text.as_bytes(), &[], &mut block);
        send_message(&reply.account, request.reply, &block, b"", flush);
    }
    if reply.parks {
        state.commit_now();
    }
}

/// A status that is sent in place of messages.
struct Refusal {
    code: u16,
    text: &'static str,
}

impl Refusal {
    const NOT_FOUND: Self = Self {
        code: 404,
        text: "Message Not Found",
    };
    const NO_RESULTS: Self = Self {
        code: 404,
        text: "No Results",
    };
    const EMPTY: Self = Self {
        code: 408,
        text: "Empty Request",
    };
    const MALFORMED: Self = Self {
        code: 408,
        text: "Malformed Request",
    };
    const BAD: Self = Self {
        code: 408,
        text: "Bad Request",
    };
    const LEVEL: Self = Self {
        code: 412,
        text: "Required Api Level",
    };
    const TOO_MANY: Self = Self {
        code: 413,
        text: "Too Many Results",
    };
    const UNREADABLE: Self = Self {
        code: 500,
        text: "Stored Message Unreadable",
    };
}

/// The outer error is the store's, the inner one is told to the client.
type Answered = Result<Result<(), Refusal>, ReadError>;

/// What is asked for, by subject or by body.
fn parse(request: &Request<'_>) -> Result<MsgGetRequest, Refusal> {
    if level_too_high(request.headers) {
        return Err(Refusal::LEVEL);
    }
    // The stream's own name, or that of its origin if it is a mirror.
    let named = request.subject.get(PREFIX.len()..).unwrap_or_default();
    let tail = memchr::memchr(b'.', named)
        .and_then(|dot| named.get(dot + 1..))
        .unwrap_or_default();
    if tail.is_empty() && request.payload.is_empty() {
        return Err(Refusal::EMPTY);
    }
    let get = if request.payload.is_empty() {
        MsgGetRequest::default()
    } else {
        json::decode_one(request.payload).map_err(|_| Refusal::MALFORMED)?
    };
    if !tail.is_empty() {
        let no_headers = get.no_headers;
        // A single message may have any size.
        if (MsgGetRequest {
            no_headers: false,
            max_bytes: 0,
            ..get
        }) != MsgGetRequest::default()
        {
            return Err(Refusal::BAD);
        }
        let last_for = String::from_utf8(tail.to_vec()).map_err(|_| Refusal::BAD)?;
        return Ok(MsgGetRequest {
            last_for,
            no_headers,
            ..MsgGetRequest::default()
        });
    }
    match get.check_direct_get() {
        Ok(()) => Ok(get),
        Err(MsgGetConflict::Nothing) => Err(Refusal::EMPTY),
        Err(MsgGetConflict::Both) => Err(Refusal::BAD),
    }
}

fn answer_one(
    state: &mut ShardState,
    stream: StreamId,
    get: &MsgGetRequest,
    reply: &mut Reply<'_>,
    flush: &mut FlushSet,
) -> Answered {
    let ShardState { store, parked, .. } = state;
    let message = if !get.last_for.is_empty() {
        store.load_last(stream, &SubjectFilter::new([&get.last_for]))?
    } else if get.next_for.is_empty() && get.start_time.is_none() {
        store.load(stream, get.seq)?
    } else {
        let from = match get.start_time {
            Some(time) => store.seq_for_time(stream, time)?,
            None => get.seq.max(StreamSeq::FIRST),
        };
        store.load_next(stream, from, &next_filter(get))?
    };
    let Some(message) = message else {
        return Ok(Err(Refusal::NOT_FOUND));
    };
    if !reply.may_show(message.seq) {
        return Ok(Err(Refusal::UNREADABLE));
    }
    reply.message(&message, get.no_headers, None, parked, flush);
    Ok(Ok(()))
}

fn answer_batch(
    state: &mut ShardState,
    stream: StreamId,
    get: &MsgGetRequest,
    reply: &mut Reply<'_>,
    flush: &mut FlushSet,
) -> Answered {
    let ShardState { store, parked, .. } = state;
    let filter = next_filter(get);
    let mut from = match get.start_time {
        Some(time) => store.seq_for_time(stream, time)?,
        None => get.seq.max(StreamSeq::FIRST),
    };
    let last = store
        .stream(stream)
        .map_or(StreamSeq(0), |stream| stream.last_seq());
    let mut selection = Selection::of(&filter);
    let mut pending = store.num_pending(
        stream,
        from,
        last,
        &filter,
        &mut selection,
        PendingCount::All,
    )?;
    let mut budget = Budget::new(get);
    let mut last_sent = StreamSeq(0);
    while budget.is_left() {
        let Some(message) = store.load_next(stream, from, &filter)? else {
            break;
        };
        if !reply.may_show(message.seq) {
            break;
        }
        // With `no_hdr` nats-server does not count down (observed 2.15.1).
        if !get.no_headers {
            pending = pending.saturating_sub(1);
        }
        budget.spend(&message);
        reply.message(
            &message,
            get.no_headers,
            Some((pending, last_sent)),
            parked,
            flush,
        );
        last_sent = message.seq;
        from = message.seq.next();
    }
    // A batch of less than nothing has an end only.
    if last_sent.is_zero() && get.batch > 0 {
        return Ok(Err(Refusal::NOT_FOUND));
    }
    reply.end_of_batch(pending, last_sent, None, parked, flush);
    Ok(Ok(()))
}

fn answer_multi(
    state: &mut ShardState,
    stream: StreamId,
    get: &MsgGetRequest,
    reply: &mut Reply<'_>,
    flush: &mut FlushSet,
) -> Answered {
    let ShardState { store, parked, .. } = state;
    let (first, last, storage) =
        store
            .stream(stream)
            .map_or((StreamSeq(0), StreamSeq(0), StorageType::File), |stream| {
                (
                    stream.first_seq(),
                    stream.last_seq(),
                    stream.config().storage,
                )
            });
    let mut up_to = last;
    if !get.up_to_seq.is_zero() {
        up_to = get.up_to_seq;
        // nats-server's file store finds nothing up to where there is nothing.
        if storage == StorageType::File && (up_to > last || up_to < first) {
            return Ok(Err(Refusal::NO_RESULTS));
        }
    } else if let Some(time) = get.up_to_time {
        up_to = store.seq_for_time(stream, time)?.previous();
    }
    let filter = SubjectFilter::new(&get.multi_last_for);
    let Ok(found) = store.last_per_subject(stream, up_to, &filter, MAX_MULTI)? else {
        return Ok(Err(Refusal::TOO_MANY));
    };
    let from = match get.start_time {
        Some(time) => store.seq_for_time(stream, time)?,
        None => get.seq,
    };
    let wanted: Vec<StreamSeq> = found.into_iter().filter(|seq| *seq >= from).collect();
    if wanted.is_empty() {
        return Ok(Err(Refusal::NO_RESULTS));
    }
    let mut pending = wanted.len() as u64;
    let mut budget = Budget::new(get);
    let mut last_sent = StreamSeq(0);
    for seq in wanted {
        if !budget.is_left() || !reply.may_show(seq) {
            break;
        }
        let Some(message) = store.load(stream, seq)? else {
            continue;
        };
        pending = pending.saturating_sub(1);
        budget.spend(&message);
        reply.message(&message, false, Some((pending, last_sent)), parked, flush);
        last_sent = seq;
    }
    reply.end_of_batch(pending, last_sent, Some(up_to), parked, flush);
    Ok(Ok(()))
}

fn next_filter(get: &MsgGetRequest) -> SubjectFilter {
    let pattern = if get.next_for.is_empty() {
        ">"
    } else {
        &get.next_for
    };
    SubjectFilter::new([pattern])
}

/// How much more one answer may hold.
struct Budget {
    messages: u64,
    bytes: usize,
}

impl Budget {
    fn new(get: &MsgGetRequest) -> Self {
        let all = !get.multi_last_for.is_empty() && get.batch <= 0;
        Self {
            messages: if all {
                u64::MAX
            } else {
                u64::try_from(get.batch).unwrap_or(0)
            },
            // Less than no bytes are used up by the first message.
            bytes: match usize::try_from(get.max_bytes) {
                Ok(0) => MAX_BYTES,
                Ok(bytes) => bytes.min(MAX_BYTES),
                Err(_) => 1,
            },
        }
    }

    fn is_left(&self) -> bool {
        self.messages > 0 && self.bytes > 0
    }

    fn spend(&mut self, message: &StoredMessage<'_>) {
        let size = message.subject.len() + message.headers.len() + message.payload.len();
        self.messages -= 1;
        self.bytes = self.bytes.saturating_sub(size);
    }
}

/// Where the answer goes, and what each of its messages shows.
struct Reply<'a> {
    account: Arc<Account>,
    name: String,
    to: &'a [u8],
    /// The last durable message; what comes after it waits, and so does all that follows.
    visible: StreamSeq,
    /// What is not durable never will be.
    is_fenced: bool,
    parks: bool,
    scratch: Vec<u8>,
}

impl Reply<'_> {
    /// Whether a message may be shown, now or later.
    fn may_show(&self, seq: StreamSeq) -> bool {
        !self.is_fenced || seq <= self.visible
    }

    /// Sends a stored message; in a batch with how many are left and the sequence before it.
    fn message(
        &mut self,
        message: &StoredMessage<'_>,
        no_headers: bool,
        batch: Option<(u64, StreamSeq)>,
        parked: &mut Parked,
        flush: &mut FlushSet,
    ) {
        self.scratch.clear();
        if !no_headers {
            write_headers(&mut self.scratch, &self.name, message, batch);
        }
        self.parks |= message.seq > self.visible;
        self.send(message.payload, parked, flush);
    }

    /// Says that this was all, and what is left.
    fn end_of_batch(
        &mut self,
        pending: u64,
        last: StreamSeq,
        up_to: Option<StreamSeq>,
        parked: &mut Parked,
        flush: &mut FlushSet,
    ) {
        self.scratch.clear();
        let pending = pending.to_string();
        let last = last.to_string();
        let up_to = up_to.map(|seq| seq.to_string());
        let mut fields: Vec<(&[u8], &[u8])> = vec![
            (b"Nats-Num-Pending", pending.as_bytes()),
            (b"Nats-Last-Sequence", last.as_bytes()),
        ];
        if let Some(up_to) = &up_to {
            fields.push((b"Nats-UpTo-Sequence", up_to.as_bytes()));
        }
        headers::build_status(204, b"EOB", &fields, &mut self.scratch);
        self.send(b"", parked, flush);
    }

    /// Sends the headers in `scratch` with a payload, or parks them behind a message that is not durable yet.
    fn send(&self, payload: &[u8], parked: &mut Parked, flush: &mut FlushSet) {
        if !self.parks {
            return send_message(&self.account, self.to, &self.scratch, payload, flush);
        }
        let headers_len = u32::try_from(self.scratch.len()).unwrap_or(0);
        let kind = ReplyKind::Message { headers_len };
        parked.reply(&self.account, self.to, kind, |out| {
            out.extend_from_slice(&self.scratch);
            out.extend_from_slice(payload);
        });
    }
}

/// The message's own headers, and where it comes from.
fn write_headers(
    block: &mut Vec<u8>,
    stream: &str,
    message: &StoredMessage<'_>,
    batch: Option<(u64, StreamSeq)>,
) {
    match message.headers.strip_suffix(b"\r\n") {
        Some(own) => block.extend_from_slice(own),
        None => block.extend_from_slice(headers::HEADER_LINE),
    }
    let written = (|| {
        write!(block, "Nats-Stream: {stream}\r\nNats-Subject: ")?;
        block.extend_from_slice(message.subject);
        let (seq, time) = (message.seq, message.timestamp);
        write!(
            block,
            "\r\nNats-Sequence: {seq}\r\nNats-Time-Stamp: {time}\r\n"
        )?;
        if let Some((pending, last)) = batch {
            write!(
                block,
                "Nats-Num-Pending: {pending}\r\nNats-Last-Sequence: {last}\r\n"
            )?;
        }
        block.extend_from_slice(b"\r\n");
        std::io::Result::Ok(())
    })();
    written.expect("writing to memory does not fail");
}
