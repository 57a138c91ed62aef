//! A resolved subject, for many deliveries to the same place.

use std::sync::Arc;

use super::family::{SubjectFamily, leading_tokens};
use super::route::{Route, RouteFor, UsedFor};
use super::{FlushSet, Message, OutboundMessage};
use crate::account::Account;

/// Everyone who listened on one subject when it was resolved.
///
/// Resolving takes the account's lock and walks its sublist; a delivery through a current
/// `Destination` does neither, takes no lock and allocates nothing.
#[derive(Debug)]
pub(crate) struct Destination {
    account: Arc<Account>,
    route: Route,
    covered: Covered,
}

/// Which subjects the resolution answers for.
#[derive(Debug)]
enum Covered {
    /// This one.
    Subject(Box<[u8]>),
    /// All of these.
    Family(SubjectFamily),
}

impl Destination {
    pub(crate) fn resolve(account: &Arc<Account>, subject: &[u8]) -> Self {
        Self::resolve_for(account, subject, UsedFor::Answers, false)
    }

    /// For what consumers deliver from a stream.
    pub(crate) fn resolve_for_stream(account: &Arc<Account>, subject: &[u8]) -> Self {
        Self::resolve_for(account, subject, UsedFor::Stream, false)
    }

    /// For what came through a service import: it does not go on to those who import the account's streams.
    pub(super) fn resolve_imported(account: &Arc<Account>, subject: &[u8]) -> Self {
        Self::resolve_for(account, subject, UsedFor::Answers, true)
    }

    fn resolve_for(
        account: &Arc<Account>,
        subject: &[u8],
        used_for: UsedFor,
        is_imported: bool,
    ) -> Self {
        let resolve_for = RouteFor {
            account,
            without: None,
            used_for,
            is_imported,
        };
        let (route, tail) = Route::resolve(subject, resolve_for);
        let covered = match tail.and_then(|tail| leading_tokens(subject, tail)) {
            Some((_, leading)) => Covered::Family(SubjectFamily::of(subject, leading)),
            None => Covered::Subject(subject.into()),
        };
        Self {
            account: Arc::clone(account),
            route,
            covered,
        }
    }

    /// Whether a resolution of `subject` in `account` now would have the same result: unique reply subjects
    /// below one inbox do.
    pub(crate) fn covers(&self, account: &Arc<Account>, subject: &[u8]) -> bool {
        Arc::ptr_eq(&self.account, account)
            && self.is_current()
            && match &self.covered {
                Covered::Subject(covered) => **covered == *subject,
                Covered::Family(family) => family.covers(subject),
            }
    }

    /// Whether the account's interest is still what it was at the resolution. If not, resolve again.
    pub(crate) fn is_current(&self) -> bool {
        self.route.generation() == self.account.generation()
    }

    /// Whether every client destination has room for more: its pending bytes, with what `flush` has
    /// staged for it, are below half of `max_pending`. A sender that can wait should.
    ///
    /// Takes each destination's lock for a moment: ask once a batch, not once a message.
    pub(crate) fn has_room(&self, flush: &FlushSet) -> bool {
        self.route
            .clients()
            .all(|client| client.outbound.has_room(flush.staged(client)))
    }

    /// Whether the sockets of all client destinations take nearly as much as they get. Who has nobody else to serve sends no more until
    /// then: what waits in a store costs nothing.
    pub(crate) fn keeps_up(&self, flush: &FlushSet) -> bool {
        self.route
            .clients()
            .all(|client| client.outbound.keeps_up(flush.staged(client)))
    }

    /// As [`Account::deliver`]; `message.subject` is the resolved subject and is not looked up again.
    /// Returns to how many destinations it went.
    pub(crate) fn deliver(&mut self, message: &OutboundMessage<'_>, flush: &mut FlushSet) -> usize {
        self.pass_on(&Message::from_server(message), flush)
    }

    /// As [`deliver`](Destination::deliver) for one of many: [`count_deliveries`](Destination::count_deliveries) follows the last one.
    pub(crate) fn deliver_one(
        &mut self,
        message: &OutboundMessage<'_>,
        flush: &mut FlushSet,
    ) -> usize {
        let message = Message::from_server(message);
        self.route.deliver(&message, &self.account, flush)
    }

    /// As [`deliver_one`](Destination::deliver_one), of a message without headers. `tail` is `<size>\r\n<payload>\r\n`.
    #[inline]
    pub(crate) fn deliver_framed(
        &mut self,
        message: &OutboundMessage<'_>,
        tail: &[u8],
        flush: &mut FlushSet,
    ) -> usize {
        let message = Message {
            tail,
            ..Message::from_server(message)
        };
        self.route.deliver(&message, &self.account, flush)
    }

    /// Tells the subscriptions how many messages they got.
    pub(crate) fn count_deliveries(&mut self) {
        self.route.count_deliveries();
    }

    /// As [`deliver`](Destination::deliver) for a message that came from another account.
    pub(super) fn pass_on(&mut self, message: &Message<'_>, flush: &mut FlushSet) -> usize {
        let delivered = self.route.deliver(message, &self.account, flush);
        self.route.count_deliveries();
        delivered
    }
}
