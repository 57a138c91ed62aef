//! Replies that wait for the commit that carries what they confirm.

use std::sync::Arc;

use jetsled_jetstream_api::{PubAckPrefix, StreamSeq, Timestamp};
use jetsled_store::{ConsumerKey, StreamId};

use super::latency::Histogram;
use super::reply::{ReplyRoutes, send};
use super::stream::RunningStream;
use crate::account::Account;
use crate::routing::FlushSet;

/// Everything that waits for one commit, in order. Reused: nothing is allocated for a reply once the buffers have grown.
#[derive(Debug, Default)]
pub(super) struct Parked {
    entries: Vec<Entry>,
    /// Subjects and bodies of all entries, one behind the other.
    bytes: Vec<u8>,
    accounts: Vec<Arc<Account>>,
    replies: ReplyRoutes,
    /// When the messages arrived whose acks wait, with how many of them: one entry for those of one read.
    arrivals: Vec<(Timestamp, u64)>,
}

/// What to do when the commit is durable.
#[derive(Debug)]
enum Entry {
    Reply {
        account: u32,
        subject_len: u32,
        body_len: u32,
        kind: ReplyKind,
    },
    PubAcks(PubAcks),
    Then(Then),
}

/// Acks of messages that were stored one after the other, in answer to replies of the same length.
#[derive(Debug)]
struct PubAcks {
    account: u32,
    stream: StreamId,
    prefix: Arc<PubAckPrefix>,
    first: StreamSeq,
    count: u32,
    /// Never 0.
    reply_len: u32,
}

/// What a reply confirms, which decides what is said instead when the commit fails.
#[derive(Debug)]
pub(super) enum ReplyKind {
    /// A publish into this stream.
    PubAck(StreamId),
    /// An API request.
    Api {
        /// How many bytes of the reply are headers.
        headers_len: u32,
        /// The reply in case of failure.
        failure: Box<[u8]>,
    },
    /// A message, of which this many bytes are headers: a stored one in answer to a direct get or published again, or a mirror's word to its
    /// origin that it has stored some. After a failure there is nothing to say.
    Message { headers_len: u32 },
    /// An ack; after a failure the client must not be told anything.
    Ack,
}

/// What happens in the shard once a commit is durable, or has failed and left what this is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    /// A new consumer may deliver: its creation has been answered.
    Start {
        stream: StreamId,
        consumer: ConsumerKey,
    },
}

impl Parked {
    /// Parks a reply to `subject` whose body `write` appends.
    pub(super) fn reply(
        &mut self,
        account: &Arc<Account>,
        subject: &[u8],
        kind: ReplyKind,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let account = self.account_index(account);
        self.park(account, subject, kind, write);
    }

    fn park(
        &mut self,
        account: u32,
        subject: &[u8],
        kind: ReplyKind,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.bytes.extend_from_slice(subject);
        let before = self.bytes.len();
        write(&mut self.bytes);
        let body = self.bytes.len() - before;
        self.entries.push(Entry::Reply {
            account,
            subject_len: len32(subject.len()),
            body_len: len32(body),
            kind,
        });
    }

    /// Parks the acks of messages that were stored one after the other, the first one with this sequence: each goes to one of `replies`, unless
    /// that is empty. Answers how many acks these are.
    pub(super) fn pub_acks<'a>(
        &mut self,
        running: &RunningStream,
        first: StreamSeq,
        replies: impl Iterator<Item = &'a [u8]>,
    ) -> u64 {
        let mut replies = replies.peekable();
        let mut seq = first.get();
        let mut acks = 0;
        while let Some(reply) = replies.next() {
            let at = seq;
            seq += 1;
            if reply.is_empty() {
                continue;
            }
            self.bytes.extend_from_slice(reply);
            while let Some(next) = replies.next_if(|next| next.len() == reply.len()) {
                self.bytes.extend_from_slice(next);
                seq += 1;
            }
            acks += seq - at;
            self.add_pub_acks(
                running,
                StreamSeq(at),
                len32((seq - at) as usize),
                len32(reply.len()),
            );
        }
        acks
    }

    /// An entry for so many acks, whose replies are parked and as long as each other.
    fn add_pub_acks(
        &mut self,
        running: &RunningStream,
        first: StreamSeq,
        count: u32,
        reply_len: u32,
    ) {
        match self.entries.last_mut() {
            Some(Entry::PubAcks(before)) if before.goes_on(running.id, first, reply_len) => {
                before.count += count;
            }
            _ => {
                let account = self.account_index(&running.account);
                self.entries.push(Entry::PubAcks(PubAcks {
                    account,
                    stream: running.id,
                    prefix: Arc::clone(&running.pub_ack),
                    first,
                    count,
                    reply_len,
                }));
            }
        }
    }

    /// Notes that so many of the acks just parked are for what arrived at this time.
    pub(super) fn note_arrivals(&mut self, at: Timestamp, count: u64) {
        if count == 0 {
            return;
        }
        match self.arrivals.last_mut() {
            Some((last, acks)) if *last == at => *acks += count,
            _ => self.arrivals.push((at, count)),
        }
    }

    /// The acks leave now, released already or not: counts how long they took.
    pub(super) fn observe_acks(&mut self, now: Timestamp, latency: &mut Histogram) {
        for (arrived, acks) in self.arrivals.drain(..) {
            latency.observe_between(arrived, now, acks);
        }
    }

    /// Parks something to do.
    pub(super) fn then(&mut self, then: Then) {
        self.entries.push(Entry::Then(then));
    }

    /// Stages all replies in `flush`, moves what is to be done to `then`, and forgets everything but when the messages came.
    pub(super) fn release(&mut self, flush: &mut FlushSet, then: &mut Vec<Then>) {
        let mut bytes = self.bytes.as_slice();
        for entry in self.entries.drain(..) {
            match entry {
                Entry::Reply {
                    account,
                    subject_len,
                    body_len,
                    kind,
                } => {
                    let subject = take(&mut bytes, subject_len);
                    let mut body = take(&mut bytes, body_len);
                    let headers = match kind {
                        ReplyKind::Message { headers_len } | ReplyKind::Api { headers_len, .. } => {
                            take(&mut body, headers_len)
                        }
                        _ => b"",
                    };
                    let account = &self.accounts[account as usize];
                    self.replies
                        .send_one(account, subject, headers, body, flush);
                }
                Entry::PubAcks(acks) => {
                    let subjects = acks.take_subjects(&mut bytes);
                    let account = &self.accounts[acks.account as usize];
                    self.replies.send_pub_acks(
                        account,
                        (&acks.prefix, acks.first),
                        subjects,
                        flush,
                    );
                }
                Entry::Then(todo) => then.push(todo),
            }
        }
        self.replies.count_deliveries();
        self.forget_replies();
    }

    /// Nothing is written any more: puts refusals in the place of what confirms publishes, for which `refusal` writes them, and changes; takes out
    /// what a client must not be told.
    pub(super) fn withdraw(&mut self, mut refusal: impl FnMut(StreamId, &mut Vec<u8>)) {
        let all = std::mem::take(&mut self.bytes);
        let mut bytes = all.as_slice();
        for entry in std::mem::take(&mut self.entries) {
            match entry {
                Entry::Reply {
                    account,
                    subject_len,
                    body_len,
                    kind,
                } => {
                    let subject = take(&mut bytes, subject_len);
                    take(&mut bytes, body_len);
                    match kind {
                        ReplyKind::Ack | ReplyKind::Message { .. } => {}
                        ReplyKind::PubAck(stream) => {
                            self.park(account, subject, kind, |out| refusal(stream, out));
                        }
                        ReplyKind::Api { failure, .. } => {
                            let kind = ReplyKind::Api {
                                headers_len: 0,
                                failure: Box::default(),
                            };
                            self.park(account, subject, kind, |out| {
                                out.extend_from_slice(&failure);
                            });
                        }
                    }
                }
                Entry::PubAcks(acks) => {
                    for subject in acks.take_subjects(&mut bytes) {
                        let kind = ReplyKind::PubAck(acks.stream);
                        self.park(acks.account, subject, kind, |out| refusal(acks.stream, out));
                    }
                }
                Entry::Then(then) => self.entries.push(Entry::Then(then)),
            }
        }
    }

    /// The commit failed: tells those who wait, moves what was to be done to `then`, and forgets everything. `refusal` writes the publish ack
    /// that names the error.
    pub(super) fn fail(
        &mut self,
        flush: &mut FlushSet,
        then: &mut Vec<Then>,
        mut refusal: impl FnMut(StreamId, &mut Vec<u8>),
    ) {
        let mut bytes = self.bytes.as_slice();
        let mut refused = Vec::new();
        let mut refuse = |account: u32, subject: &[u8], stream, flush: &mut FlushSet| {
            refused.clear();
            refusal(stream, &mut refused);
            send(&self.accounts[account as usize], subject, &refused, flush);
        };
        for entry in self.entries.drain(..) {
            match entry {
                Entry::Reply {
                    account,
                    subject_len,
                    body_len,
                    kind,
                } => {
                    let subject = take(&mut bytes, subject_len);
                    take(&mut bytes, body_len);
                    match kind {
                        ReplyKind::PubAck(stream) => refuse(account, subject, stream, flush),
                        ReplyKind::Api { failure, .. } => {
                            let account = &self.accounts[account as usize];
                            send(account, subject, &failure, flush);
                        }
                        ReplyKind::Ack | ReplyKind::Message { .. } => {}
                    }
                }
                Entry::PubAcks(acks) => {
                    for subject in acks.take_subjects(&mut bytes) {
                        refuse(acks.account, subject, acks.stream, flush);
                    }
                }
                Entry::Then(todo) => then.push(todo),
            }
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.forget_replies();
        self.arrivals.clear();
    }

    fn forget_replies(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.accounts.clear();
    }

    fn account_index(&mut self, account: &Arc<Account>) -> u32 {
        let known = self
            .accounts
            .iter()
            .rposition(|known| Arc::ptr_eq(known, account));
        let index = known.unwrap_or_else(|| {
            self.accounts.push(Arc::clone(account));
            self.accounts.len() - 1
        });
        len32(index)
    }
}

impl PubAcks {
    /// The replies, from the front of what is parked.
    fn take_subjects<'b>(&self, bytes: &mut &'b [u8]) -> std::slice::ChunksExact<'b, u8> {
        let each = self.reply_len as usize;
        let (subjects, rest) = bytes.split_at(self.count as usize * each);
        *bytes = rest;
        subjects.chunks_exact(each)
    }

    /// Whether the ack of this message comes next.
    #[inline]
    fn goes_on(&self, stream: StreamId, seq: StreamSeq, reply_len: u32) -> bool {
        self.stream == stream
            && self.reply_len == reply_len
            && self.first.get() + u64::from(self.count) == seq.get()
    }
}

fn take<'b>(bytes: &mut &'b [u8], len: u32) -> &'b [u8] {
    let (front, rest) = bytes.split_at(len as usize);
    *bytes = rest;
    front
}

fn len32(len: usize) -> u32 {
    u32::try_from(len).expect("subjects and replies are far below 4 GiB")
}
