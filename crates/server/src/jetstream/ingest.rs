//! Messages of one read batch on their way to JetStream.

use std::sync::Arc;

use bytes::Bytes;
use jetsled_dispatch::{AckEvent, PullEvent};
use jetsled_jetstream_api::{AckKind, AckNumbers, AckSubject};
use jetsled_protocol::{PubFrames, PubShape, headers};
use smallvec::SmallVec;

use super::commit::InlineCommit;
use super::disk_backlog::DiskBacklog;
use super::shard::ShardState;
use super::target::{ConsumerTarget, StreamTarget, Target};
use super::transfer::TransferId;
use super::turn::UnfinishedTurn;
use super::{AccountJetStream, api, clock, domain};
use crate::account::Account;
use crate::routing::{FlushSet, Payload, RoutedMessage};

/// Collects messages while a connection's batch is parsed; [`submit`](IngestBatch::submit) then takes each touched
/// shard's lock once for its run of messages.
///
/// Bytes are copied into one reused buffer, large payloads are shared; the batch is bounded by the read batch.
#[derive(Debug, Default)]
pub(crate) struct IngestBatch {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    shared: Vec<Bytes>,
    runs: Vec<StagedRun>,
    accounts: Vec<Arc<AccountJetStream>>,
    /// Accounts without JetStream, in which the API was asked all the same.
    without: Vec<Arc<Account>>,
}

/// Payloads from this size on are shared instead of copied.
const SHARE_FROM: usize = 4096;

#[derive(Debug)]
struct Entry {
    to: To,
    account: u32,
    at: usize,
    subject: u32,
    reply: u32,
    headers: u32,
    payload: StagedPayload,
}

#[derive(Clone, Copy, Debug)]
enum To {
    Api,
    /// The API of an account without JetStream; its index is one of [`IngestBatch::without`].
    NotEnabled,
    Stream(StreamTarget),
    /// Many messages for a stream: one of [`IngestBatch::runs`].
    Publishes(StreamTarget, u32),
    DirectGet(StreamTarget),
    Pull(ConsumerTarget),
    Ack(ConsumerTarget, AckNumbers),
    /// So many plain acks: the first has these numbers, and each is for what follows the one before.
    Acks(ConsumerTarget, AckNumbers, u32),
    FlowControl(ConsumerTarget),
    Transfer(TransferId),
}

/// Publishes of one shape, whose bytes are the entry's.
#[derive(Clone, Copy, Debug)]
struct StagedRun {
    shape: PubShape,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
enum StagedPayload {
    Copied(u32),
    Shared(u32),
}

/// A staged message, borrowed from the batch.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) account: &'a Arc<AccountJetStream>,
    pub(super) subject: &'a [u8],
    pub(super) reply: &'a [u8],
    pub(super) headers: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl IngestBatch {
    /// Takes a message that matched `target`. Nothing happens before [`submit`](IngestBatch::submit).
    pub(crate) fn push(&mut self, target: &Target, message: &RoutedMessage<'_>) {
        let Some(account) = self.account_index(message.account) else {
            if matches!(target, Target::Api) {
                self.without.push(Arc::clone(message.account));
                self.stage(To::NotEnabled, len32(self.without.len() - 1), message);
            }
            return;
        };
        let to = match *target {
            Target::Api => To::Api,
            Target::Stream(stream) => To::Stream(stream),
            Target::DirectGet(stream) => To::DirectGet(stream),
            Target::Pull(consumer) => To::Pull(consumer),
            Target::FlowControl(consumer) => To::FlowControl(consumer),
            Target::Transfer(transfer) => To::Transfer(transfer),
            // The entry says which form it is: with more tokens than its form has, the first one looks like the second.
            Target::Ack(consumer) => match AckSubject::parse(message.subject) {
                Some(ack) if ack.origin.is_none() => To::Ack(consumer, ack.numbers),
                _ => return,
            },
            Target::AckWithOrigin(consumer) => match AckSubject::parse(message.subject) {
                Some(ack) if ack.origin.is_some() => To::Ack(consumer, ack.numbers),
                _ => return,
            },
        };
        self.stage(to, account, message);
    }

    /// Takes a run of plain acks, see [`Consumer::on_acks`](jetsled_dispatch::Consumer::on_acks).
    pub(crate) fn push_acks(
        &mut self,
        consumer: ConsumerTarget,
        account: &Arc<Account>,
        first: AckNumbers,
        count: u32,
    ) {
        if let Some(account) = self.account_index(account) {
            self.push_entry(To::Acks(consumer, first, count), account);
        }
    }

    /// Takes messages for a stream.
    pub(crate) fn push_publishes(
        &mut self,
        stream: StreamTarget,
        account: &Arc<Account>,
        frames: &PubFrames<'_>,
    ) {
        let Some(account) = self.account_index(account) else {
            return;
        };
        self.push_entry(To::Publishes(stream, len32(self.runs.len())), account);
        self.bytes.extend_from_slice(frames.bytes());
        self.runs.push(StagedRun {
            shape: frames.shape(),
            len: frames.bytes().len(),
        });
    }

    /// An entry whose bytes, if any, follow.
    fn push_entry(&mut self, to: To, account: u32) {
        self.entries.push(Entry {
            to,
            account,
            at: self.bytes.len(),
            subject: 0,
            reply: 0,
            headers: 0,
            payload: StagedPayload::Copied(0),
        });
    }

    /// Whether the last two messages are acks and the second is for what follows the first one.
    pub(crate) fn acks_follow(&self) -> bool {
        let [.., before, last] = self.entries.as_slice() else {
            return false;
        };
        match (before.to, last.to) {
            (To::Ack(_, before), To::Ack(_, last)) => {
                before.stream_seq.next() == last.stream_seq
                    && before.consumer_seq.next() == last.consumer_seq
            }
            _ => false,
        }
    }

    fn stage(&mut self, to: To, account: u32, message: &RoutedMessage<'_>) {
        let at = self.bytes.len();
        // An ack's subject has been read; only its payload matters from here on.
        if !matches!(to, To::Ack(..)) {
            let rest = match to {
                To::Stream(_) | To::Transfer(_) => None,
                To::NotEnabled => domain::behind_prefix(message.subject),
                _ => self.accounts[account as usize]
                    .runtime()
                    .domain
                    .as_deref()
                    .and_then(|domain| domain::behind_domain(message.subject, domain)),
            };
            if let Some(rest) = rest {
                self.bytes.extend_from_slice(b"$JS.API.");
                self.bytes.extend_from_slice(rest);
            } else {
                self.bytes.extend_from_slice(message.subject);
            }
        }
        let subject = self.bytes.len() - at;
        self.bytes.extend_from_slice(message.reply);
        self.bytes.extend_from_slice(message.headers);
        let payload = match message.payload {
            Payload::Shared(payload) if payload.len() >= SHARE_FROM => {
                self.shared.push(payload.clone());
                StagedPayload::Shared(len32(self.shared.len() - 1))
            }
            payload => {
                self.bytes.extend_from_slice(&payload);
                StagedPayload::Copied(len32(payload.len()))
            }
        };
        self.entries.push(Entry {
            to,
            account,
            at,
            subject: len32(subject),
            reply: len32(message.reply.len()),
            headers: len32(message.headers.len()),
            payload,
        });
    }

    /// Whether nothing was pushed since the last submit.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Hands everything to the shards, in order. Replies that need no commit are staged in `flush`.
    pub(crate) fn submit(&mut self, flush: &mut FlushSet) {
        if self.entries.is_empty() {
            return;
        }
        let now = clock::now();
        let mut rest = self.entries.as_slice();
        while let [first, ..] = rest {
            if first.to.shard().is_none() {
                match first.to {
                    To::NotEnabled => {
                        let account = &self.without[first.account as usize];
                        let [subject, reply, _headers, payload] = self.parts(first);
                        api::not_enabled(account, subject, reply, payload, flush);
                    }
                    To::Transfer(transfer) => {
                        let request = self.request(first);
                        request
                            .account
                            .runtime()
                            .transfers
                            .receive(transfer, &request);
                    }
                    _ => api::handle(&self.request(first), now, flush),
                }
                rest = &rest[1..];
                continue;
            }
            let run = rest.iter().take_while(|entry| entry.to.shard().is_some());
            let (run, behind) = rest.split_at(run.count());
            rest = behind;
            self.submit_run(run, behind.is_empty(), flush);
        }
        self.entries.clear();
        self.bytes.clear();
        self.shared.clear();
        self.runs.clear();
        self.accounts.clear();
        self.without.clear();
    }

    /// Hands messages to their shards. Each shard is locked once, or as often as one who commits waits for it: what goes to different ones has no
    /// order.
    ///
    /// A commit taken over must be run soon, so that is for the last messages of the batch.
    fn submit_run(&self, run: &[Entry], is_last: bool, flush: &mut FlushSet) {
        let mut shards: SmallVec<[u16; 8]> = SmallVec::new();
        for shard in run.iter().filter_map(|entry| entry.to.shard()) {
            if !shards.contains(&shard) {
                shards.push(shard);
            }
        }
        for shard in shards {
            let of_shard = |entry: &&Entry| entry.to.shard() == Some(shard);
            let account = run.iter().find(of_shard).map_or(0, |entry| entry.account);
            let Some(handle) = self.accounts[account as usize].shard(shard) else {
                continue;
            };
            let mut groups = run.chunk_by(|entry, next| entry.goes_with(next)).peekable();
            // Of the next group.
            let mut taken = 0;
            while groups.peek().is_some() {
                handle.give_way();
                let mut state = handle.lock();
                flush.begin_turns();
                while let Some(group) = groups.peek() {
                    if group.first().as_ref().is_some_and(of_shard) {
                        let is_awaited = || handle.is_awaited();
                        let done = self.apply(group, taken, &mut state, is_awaited, flush);
                        if let Some(done) = done {
                            taken = done;
                            break;
                        }
                        taken = 0;
                    }
                    groups.next();
                    if handle.is_awaited() {
                        break;
                    }
                }
                state.end_of_batch(flush);
                UnfinishedTurn::keep(handle, flush);
                if let Some(backlog) = DiskBacklog::of(handle, &state) {
                    flush.disk_backlog = Some(backlog);
                }
                let is_end = is_last && groups.peek().is_none();
                if is_end && flush.commits_inline && flush.inline_commit.is_none() {
                    let is_one = self.is_one();
                    flush.inline_commit = InlineCommit::take(handle, &mut state, is_one);
                }
            }
        }
    }

    /// Acts on messages that [go together](Entry::goes_with), but for the first `taken` ones. Answers how many are done if not all are, since the
    /// lock should be let go of.
    fn apply(
        &self,
        group: &[Entry],
        taken: usize,
        state: &mut ShardState,
        is_awaited: impl Fn() -> bool,
        flush: &mut FlushSet,
    ) -> Option<usize> {
        let part = |done: usize, all: usize| (done < all).then_some(done);
        match group {
            [entry] if let To::Publishes(target, run) = entry.to => {
                let frames = self.frames(entry, run);
                let rest = frames.split_at(taken).1;
                let requests = self.requests(entry, &rest);
                let count = state.publish_run(target.stream, requests, is_awaited, flush);
                part(taken + count, frames.len())
            }
            [entry, _, ..] if let To::Stream(target) = entry.to => {
                let rest = group.iter().skip(taken);
                let requests = rest.map(|entry| self.request(entry));
                let count = state.publish_run(target.stream, requests, is_awaited, flush);
                part(taken + count, group.len())
            }
            [entry] if entry.to.acks().is_none() => {
                self.apply_one(entry, state, flush);
                None
            }
            acks => {
                self.acks(acks, state, flush);
                None
            }
        }
    }

    fn apply_one(&self, entry: &Entry, state: &mut ShardState, flush: &mut FlushSet) {
        let request = self.request(entry);
        match entry.to {
            To::Api | To::Transfer(_) | To::NotEnabled | To::Publishes(..) => {}
            To::Ack(..) | To::Acks(..) => {}
            To::Stream(target) => state.publish(target.stream, &request, flush),
            To::DirectGet(target) => api::direct_get(state, target.stream, &request, flush),
            To::Pull(consumer) => {
                if request.reply.is_empty() {
                    return;
                }
                let imported = request
                    .account
                    .account()
                    .is_some_and(|account| account.responses.includes(request.reply));
                let pull = PullEvent {
                    payload: request.payload,
                    reply: Bytes::copy_from_slice(request.reply),
                    api_level_too_high: api::level_too_high(request.headers),
                    imported,
                };
                state.raise(consumer, flush, |consumer, ctx| consumer.on_pull(pull, ctx));
            }
            To::FlowControl(consumer) => {
                let number = |key: &[u8]| -> Option<u64> {
                    std::str::from_utf8(headers::get(request.headers, key)?)
                        .ok()?
                        .parse()
                        .ok()
                };
                let processed = number(b"Nats-Last-Consumer")
                    .zip(number(b"Nats-Last-Stream"))
                    .map(|(consumer, stream)| (consumer.into(), stream.into()));
                state.raise(consumer, flush, |consumer, ctx| {
                    consumer.on_flow_control_reply(request.subject, processed, ctx);
                });
            }
        }
    }

    /// Acks for one consumer.
    fn acks(&self, entries: &[Entry], state: &mut ShardState, flush: &mut FlushSet) {
        let Some(consumer) = entries.first().and_then(|entry| entry.to.acks()) else {
            return;
        };
        state.raise(consumer, flush, |consumer, ctx| {
            for entry in entries {
                let numbers = match entry.to {
                    To::Ack(_, numbers) => numbers,
                    To::Acks(_, first, count) => {
                        consumer.on_acks(&first, u64::from(count), ctx);
                        continue;
                    }
                    _ => continue,
                };
                let request = self.request(entry);
                let ack = AckEvent {
                    numbers,
                    kind: AckKind::parse(request.payload),
                    reply: (!request.reply.is_empty())
                        .then(|| Bytes::copy_from_slice(request.reply)),
                };
                consumer.on_ack(&ack, ctx);
            }
        });
    }

    /// Whether this is one message.
    fn is_one(&self) -> bool {
        match self.entries.as_slice() {
            [only] => match only.to {
                To::Publishes(_, run) => self.frames(only, run).len() == 1,
                _ => true,
            },
            _ => false,
        }
    }

    /// The messages of an entry that is this run of them.
    fn frames(&self, entry: &Entry, run: u32) -> PubFrames<'_> {
        let StagedRun { shape, len } = self.runs[run as usize];
        shape.frames(&self.bytes[entry.at..entry.at + len])
    }

    /// These messages, which are of this entry.
    fn requests<'a>(
        &'a self,
        entry: &Entry,
        frames: &PubFrames<'a>,
    ) -> impl Iterator<Item = Request<'a>> + Clone + use<'a> {
        let account = &self.accounts[entry.account as usize];
        frames.iter().map(move |frame| Request {
            account,
            subject: frame.subject,
            reply: frame.reply,
            headers: frame.headers,
            payload: frame.payload,
        })
    }

    /// Subject, reply, headers and payload.
    fn parts(&self, entry: &Entry) -> [&[u8]; 4] {
        let (subject, rest) = self.bytes[entry.at..].split_at(entry.subject as usize);
        let (reply, rest) = rest.split_at(entry.reply as usize);
        let (headers, rest) = rest.split_at(entry.headers as usize);
        let payload = match entry.payload {
            StagedPayload::Copied(len) => &rest[..len as usize],
            StagedPayload::Shared(index) => &self.shared[index as usize],
        };
        [subject, reply, headers, payload]
    }

    fn request(&self, entry: &Entry) -> Request<'_> {
        let [subject, reply, headers, payload] = self.parts(entry);
        Request {
            account: &self.accounts[entry.account as usize],
            subject,
            reply,
            headers,
            payload,
        }
    }

    fn account_index(&mut self, account: &Arc<Account>) -> Option<u32> {
        let jetstream = account.jetstream()?;
        let known = self
            .accounts
            .iter()
            .rposition(|known| Arc::ptr_eq(known, jetstream));
        Some(len32(known.unwrap_or_else(|| {
            self.accounts.push(Arc::clone(jetstream));
            self.accounts.len() - 1
        })))
    }
}

impl Entry {
    /// Whether both are acks for the same consumer, or messages of one account for the same stream.
    fn goes_with(&self, next: &Self) -> bool {
        match (self.to, next.to) {
            (To::Stream(stream), To::Stream(other)) => {
                stream == other && self.account == next.account
            }
            (to, other) => to.acks().is_some() && to.acks() == other.acks(),
        }
    }
}

impl To {
    /// The consumer, if it is about acks.
    fn acks(self) -> Option<ConsumerTarget> {
        match self {
            Self::Ack(consumer, _) | Self::Acks(consumer, ..) => Some(consumer),
            _ => None,
        }
    }

    /// The shard that takes it; API requests find theirs on their own.
    fn shard(self) -> Option<u16> {
        match self {
            Self::Api | Self::Transfer(_) | Self::NotEnabled => None,
            Self::Stream(stream) | Self::Publishes(stream, _) | Self::DirectGet(stream) => {
                Some(stream.shard)
            }
            Self::Pull(consumer)
            | Self::Ack(consumer, _)
            | Self::Acks(consumer, ..)
            | Self::FlowControl(consumer) => Some(consumer.stream.shard),
        }
    }
}

fn len32(len: usize) -> u32 {
    u32::try_from(len).expect("a read batch is far below 4 GiB")
}
