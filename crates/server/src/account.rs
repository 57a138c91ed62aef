//! An account: a subject space of its own, with everything that listens in it.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

use crate::jetstream::AccountJetStream;
use crate::routing::{Destination, FlushSet, OutboundMessage, Target};

/// A subject space. A connection belongs to exactly one account.
///
/// Every kind of destination is an entry of the account's sublist, so that interest, no-responders
/// and routing have one truth.
pub(crate) struct Account {
    name: Box<str>,
    /// Grows with every change of the sublist; a cached match result of an older generation is
    /// worthless.
    generation: AtomicU64,
    listeners: RwLock<Vec<Arc<dyn InterestListener>>>,
    has_listeners: AtomicBool,
    /// Set when JetStream is enabled for the account.
    pub(crate) jetstream: OnceLock<Arc<AccountJetStream>>,
}

/// Told of subscriptions that come and go in an account.
///
/// Called on the connection's task right after the sublist has changed, without any lock held. It
/// must be quick and must not block. Costs nothing while no listener is registered.
pub(crate) trait InterestListener: Send + Sync {
    /// A client subscription was made or went away (UNSUB, auto-unsubscribe, closed connection).
    fn interest_changed(&self, account: &Account, change: InterestChange<'_>);
}

/// One subscription that came or went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InterestChange<'a> {
    /// The subscription's subject, maybe with wildcards.
    pub(crate) subject: &'a [u8],
    /// Its queue group; empty: none.
    pub(crate) queue: &'a [u8],
    /// What happened.
    pub(crate) kind: InterestKind,
}

/// Which way the interest changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InterestKind {
    /// A subscription was made.
    Subscribed,
    /// A subscription went away; others on the same subject may remain.
    Unsubscribed,
}

#[expect(clippy::todo, reason = "surface first, bodies follow")]
impl Account {
    /// The account's name, `$G` for the default one.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Delivers a message of the server itself (an ack, a consumer's delivery, an advisory) to all
    /// that listen on `message.subject`; each queue group gets it once.
    ///
    /// Client destinations are staged in `flush`; JetStream destinations go to its ingest batch.
    /// Nothing leaves before [`FlushSet::flush`]. May be called from any thread.
    ///
    /// Returns to how many destinations it went.
    pub(crate) fn deliver(&self, message: &OutboundMessage<'_>, flush: &mut FlushSet) -> usize {
        todo!("{message:?} {flush:?}")
    }

    /// Resolves a subject once for many deliveries. The result is valid until the account's interest
    /// changes, which [`Destination::is_current`] tells.
    pub(crate) fn resolve(self: &Arc<Self>, subject: &[u8]) -> Destination {
        todo!("{subject:?}")
    }

    /// Whether a message published to `subject` would reach anybody; with a non-empty `queue`, whether
    /// a member of that queue group would get it.
    pub(crate) fn has_interest(&self, subject: &[u8], queue: &[u8]) -> bool {
        todo!("{subject:?} {queue:?}")
    }

    /// Adds an entry to the sublist. `queue` empty: every matching message, else as a member of the
    /// queue group.
    pub(crate) fn insert_target(&self, subject: &[u8], queue: &[u8], target: Target) {
        todo!("{subject:?} {queue:?} {target:?}")
    }

    /// Removes the entry that equals `target` under exactly this subject and queue; tells whether
    /// there was one.
    pub(crate) fn remove_target(&self, subject: &[u8], queue: &[u8], target: &Target) -> bool {
        todo!("{subject:?} {queue:?} {target:?}")
    }

    /// Registers a listener of interest changes.
    pub(crate) fn listen(&self, listener: Arc<dyn InterestListener>) {
        todo!("{}", Arc::strong_count(&listener))
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
