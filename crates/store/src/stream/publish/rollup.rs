//! Rollups: a message that takes the place of those before it.

use crate::log::Log;
use crate::stream::Stream;

/// What `Nats-Rollup` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stream) enum Rollup {
    /// The message replaces those of its subject (`sub`).
    Subject,
    /// The message replaces all others (`all`).
    All,
}

impl Rollup {
    /// Reads the header's value, in any case.
    pub(in crate::stream) fn parse(value: &[u8]) -> Option<Self> {
        if value.eq_ignore_ascii_case(b"sub") {
            Some(Self::Subject)
        } else if value.eq_ignore_ascii_case(b"all") {
            Some(Self::All)
        } else {
            None
        }
    }
}

impl Stream {
    /// Whether messages may take the place of others.
    pub(in crate::stream) fn may_roll_up(&self) -> bool {
        self.config.allow_rollup_hdrs && !self.config.deny_purge
    }

    /// Removes what the message stored last replaces.
    pub(super) fn roll_up(&mut self, log: &mut Log, rollup: Rollup, subject: &[u8]) {
        let filter = match rollup {
            Rollup::Subject => subject,
            Rollup::All => b"",
        };
        if self.is_live(self.last) {
            // What can not be read goes later.
            let _ = self.purge_or_put_off(log, self.last - 1, filter);
        }
    }
}
