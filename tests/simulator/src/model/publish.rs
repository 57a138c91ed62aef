//! A message that a client has published, and what it knows of its fate.

use std::collections::BTreeSet;

use super::schedule::Schedule;

/// One message, however often it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    pub(crate) subject: String,
    /// Of its body.
    pub(crate) len: usize,
    /// Whether it has a message id, so that sending it again is harmless.
    pub(crate) has_id: bool,
    /// What it removes when it is stored.
    pub(crate) rollup: Rollup,
    /// When it may be gone by itself, in nanoseconds after it was stored.
    pub(crate) ttl: Option<i64>,
    /// What it sends if it is a schedule.
    pub(crate) schedule: Option<Schedule>,
    /// It came in an atomic batch.
    pub(crate) in_batch: bool,
    pub(crate) attempts: Vec<Attempt>,
}

/// What a message's `Nats-Rollup` removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rollup {
    Nothing,
    Subject,
    All,
}

/// One time that it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// Event numbers of sending it, and of knowing what became of it.
    pub(crate) issued: u64,
    pub(crate) settled: Option<u64>,
    /// Times of sending it, and of knowing.
    pub(crate) at: i64,
    pub(crate) settled_at: i64,
    pub(crate) fate: Fate,
}

/// What a client knows of something that it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// No answer, or one that promises nothing.
    Unknown,
    /// Acknowledged with this sequence.
    Stored(u64),
    /// Refused: it is not there.
    Refused,
}

impl Publish {
    /// The event before which it was certainly not stored.
    pub(crate) fn issued(&self) -> u64 {
        self.attempts.first().map_or(u64::MAX, |first| first.issued)
    }

    /// The sequences that it was acknowledged with: one, unless its deduplication window has passed.
    pub(crate) fn acknowledged(&self) -> impl Iterator<Item = u64> {
        self.attempts
            .iter()
            .filter_map(|attempt| match attempt.fate {
                Fate::Stored(seq) => Some(seq),
                _ => None,
            })
    }

    /// How many of its copies may lie behind this sequence: those that were acknowledged there, and those of which nothing is known.
    pub(crate) fn copies_behind(&self, seq: u64) -> u64 {
        let known: BTreeSet<u64> = self.acknowledged().filter(|at| *at > seq).collect();
        let unknown = self.attempts.iter();
        let unknown = unknown.filter(|attempt| attempt.fate == Fate::Unknown);
        (known.len() + unknown.count()) as u64
    }

    /// Whether it may have been stored.
    pub(crate) fn may_be_stored(&self) -> bool {
        let refused = |attempt: &Attempt| attempt.fate == Fate::Refused;
        !self.attempts.iter().all(refused)
    }

    /// The last event at which one of its copies may have been stored; `None` if that may still come.
    pub(crate) fn last_chance(&self) -> Option<u64> {
        self.attempts
            .iter()
            .filter(|attempt| attempt.fate != Fate::Refused)
            .map(|attempt| attempt.settled)
            .try_fold(0, |last, settled| Some(last.max(settled?)))
    }
}
