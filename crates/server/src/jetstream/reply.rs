//! Replies on their way to clients.

use std::sync::Arc;

use crate::account::Account;
use crate::routing::{Destination, FlushSet, OutboundMessage, Payload};

/// Where the last replies went: most reply subjects are unique, but below the inbox of one of a few clients.
#[derive(Debug, Default)]
pub(super) struct ReplyRoutes {
    known: Vec<Destination>,
    /// The one to replace next.
    oldest: usize,
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

    /// Tells the subscriptions how many messages they got.
    pub(super) fn count_deliveries(&mut self) {
        for known in &mut self.known {
            known.count_deliveries();
        }
    }

    fn route(&mut self, account: &Arc<Account>, subject: &[u8]) -> &mut Destination {
        let known = self
            .known
            .iter()
            .position(|known| known.covers(account, subject));
        let at = known.unwrap_or_else(|| {
            let resolved = account.resolve(subject);
            if self.known.len() < KNOWN_INBOXES {
                self.known.push(resolved);
                self.known.len() - 1
            } else {
                self.oldest = (self.oldest + 1) % KNOWN_INBOXES;
                self.known[self.oldest].count_deliveries();
                self.known[self.oldest] = resolved;
                self.oldest
            }
        });
        &mut self.known[at]
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
