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
                self.known[self.oldest] = resolved;
                self.oldest
            }
        });
        self.known[at].deliver(&reply(subject, body), flush);
    }
}

/// Sends a reply without headers.
pub(super) fn send(account: &Arc<Account>, subject: &[u8], body: &[u8], flush: &mut FlushSet) {
    account.deliver(&reply(subject, body), flush);
}

fn reply<'a>(subject: &'a [u8], body: &'a [u8]) -> OutboundMessage<'a> {
    OutboundMessage {
        subject,
        deliver_as: subject,
        reply: b"",
        headers: b"",
        payload: Payload::Borrowed(body),
    }
}
