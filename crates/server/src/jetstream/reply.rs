//! Replies on their way to clients.

use std::sync::Arc;

use jetsled_jetstream_api::{PubAckPrefix, PubAckRun, StreamSeq};

use crate::account::Account;
use crate::routing::{Destination, FlushSet, OutboundMessage, Payload};

/// Where the last replies went: most reply subjects are unique, but below the inbox of one of a few clients.
#[derive(Debug, Default)]
pub(super) struct ReplyRoutes {
    known: Vec<Destination>,
    /// The one to replace next.
    oldest: usize,
    /// The one used last.
    last: usize,
    acks: PubAckRun,
}

/// How many clients' inboxes are remembered.
const KNOWN_INBOXES: usize = 8;

impl ReplyRoutes {
    /// As [`send`], for many.
    pub(super) fn send(
        &mut self,
        account: &Arc<Account>,
        subject: &[u8],
        body: &[u8],
        flush: &mut FlushSet,
    ) {
        self.route(account, subject)
            .deliver(&reply(subject, b"", body), flush);
    }

    /// As [`send_message`], for one of many: [`ReplyRoutes::count_deliveries`] follows the last one.
    pub(super) fn send_one(
        &mut self,
        account: &Arc<Account>,
        subject: &[u8],
        headers: &[u8],
        body: &[u8],
        flush: &mut FlushSet,
    ) {
        self.route(account, subject)
            .deliver_one(&reply(subject, headers, body), flush);
    }

    /// Acknowledges messages that were stored one after the other, the first one with the sequence given: each to one of `subjects`,
    /// unless that is empty.
    /// [`ReplyRoutes::count_deliveries`] follows the last one.
    pub(super) fn send_pub_acks<'a>(
        &mut self,
        account: &Arc<Account>,
        (prefix, first): (&PubAckPrefix, StreamSeq),
        subjects: impl Iterator<Item = &'a [u8]>,
        flush: &mut FlushSet,
    ) {
        let mut acks = std::mem::take(&mut self.acks);
        acks.begin(prefix, first);
        for subject in subjects {
            if !subject.is_empty() {
                let ack = reply(subject, b"", acks.ack());
                self.route(account, subject)
                    .deliver_framed(&ack, acks.framed(), flush);
            }
            acks.count_on(prefix);
        }
        self.acks = acks;
    }

    /// Tells the subscriptions how many messages they got.
    pub(super) fn count_deliveries(&mut self) {
        for known in &mut self.known {
            known.count_deliveries();
        }
    }

    #[inline]
    fn route(&mut self, account: &Arc<Account>, subject: &[u8]) -> &mut Destination {
        let covers = |known: &Destination| known.covers(account, subject);
        if !self.known.get(self.last).is_some_and(covers) {
            let known = self.known.iter().position(covers);
            self.last = known.unwrap_or_else(|| self.resolve(account, subject));
        }
        &mut self.known[self.last]
    }

    fn resolve(&mut self, account: &Arc<Account>, subject: &[u8]) -> usize {
        let resolved = account.resolve(subject);
        if self.known.len() < KNOWN_INBOXES {
            self.known.push(resolved);
            return self.known.len() - 1;
        }
        self.oldest = (self.oldest + 1) % KNOWN_INBOXES;
        self.known[self.oldest].count_deliveries();
        self.known[self.oldest] = resolved;
        self.oldest
    }
}

/// Sends a reply without headers.
pub(super) fn send(account: &Arc<Account>, subject: &[u8], body: &[u8], flush: &mut FlushSet) {
    send_message(account, subject, b"", body, flush);
}

/// Sends a reply with a header block, which may be empty.
pub(super) fn send_message(
    account: &Arc<Account>,
    subject: &[u8],
    headers: &[u8],
    payload: &[u8],
    flush: &mut FlushSet,
) {
    account.deliver(&reply(subject, headers, payload), flush);
}

fn reply<'a>(subject: &'a [u8], headers: &'a [u8], body: &'a [u8]) -> OutboundMessage<'a> {
    OutboundMessage {
        subject,
        deliver_as: subject,
        reply: b"",
        headers,
        payload: Payload::Borrowed(body),
    }
}
