//! A resolved subject, for many deliveries to the same place.

use super::{FlushSet, OutboundMessage};

/// Everyone who listened on one subject when it was resolved.
///
/// Resolving takes the account's lock and walks its sublist; a delivery through a current
/// `Destination` does neither, takes no lock and allocates nothing.
#[derive(Debug)]
pub(crate) struct Destination {
    generation: u64,
}

#[expect(clippy::todo, reason = "surface first, bodies follow")]
impl Destination {
    /// Whether the account's interest is still what it was at the resolution. If not, resolve again.
    pub(crate) fn is_current(&self) -> bool {
        todo!("{}", self.generation)
    }

    /// Whether anybody listened.
    pub(crate) fn has_interest(&self) -> bool {
        todo!()
    }

    /// Whether every client destination has room for more: its pending bytes, with what `flush` has
    /// staged for it, are below half of `max_pending`. A sender that can wait should.
    pub(crate) fn has_room(&self, flush: &FlushSet) -> bool {
        todo!("{flush:?}")
    }

    /// As [`Account::deliver`](crate::account::Account::deliver); `message.subject` is the resolved
    /// subject and is not looked up again. Returns to how many destinations it went.
    pub(crate) fn deliver(&mut self, message: &OutboundMessage<'_>, flush: &mut FlushSet) -> usize {
        todo!("{message:?} {flush:?}")
    }
}
