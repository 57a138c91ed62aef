//! What may not be, and how often it was.

use std::collections::BTreeMap;
use std::fmt;

/// A kind of broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An acknowledged message is not there, or never comes to a consumer again that has not acknowledged it.
    Lost,
    /// A message has other bytes, another subject or other headers than were published.
    Altered,
    /// What was removed, refused or never sent is there.
    CameBack,
    /// A message of a work queue or interest stream is there although each of its consumers has acknowledged it, and was told so.
    StillThere,
    /// A sequence was given twice, a last sequence went back, or a message with an id is stored twice.
    Twice,
    /// Part of an atomic batch is there.
    TornBatch,
    /// A stream or consumer is missing, is there again, or has an older configuration.
    ChangeLost,
    /// A message came to a consumer that has acknowledged it, and was told so.
    Redelivered,
    /// A consumer is beyond its stream, beyond what it delivered, or beyond a message for which no ack was sent.
    Beyond,
    /// The server did not start.
    NoStart,
}

impl Kind {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 10] = [
        Self::Lost,
        Self::Altered,
        Self::CameBack,
        Self::StillThere,
        Self::Twice,
        Self::TornBatch,
        Self::ChangeLost,
        Self::Redelivered,
        Self::Beyond,
        Self::NoStart,
    ];

    /// The head of its column in a report.
    pub fn title(self) -> &'static str {
        match self {
            Self::Lost => "messages lost",
            Self::Altered => "altered",
            Self::CameBack => "came back",
            Self::StillThere => "acked by all and still there",
            Self::Twice => "sequence or id twice",
            Self::TornBatch => "torn batches",
            Self::ChangeLost => "changes lost",
            Self::Redelivered => "redelivered after confirmed ack",
            Self::Beyond => "consumer beyond its stream or an unacked message",
            Self::NoStart => "start failures",
        }
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub kind: Kind,
    /// Where, and what there is.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.title(), self.what)
    }
}

/// What rounds have come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often the server was ended.
    pub rounds: u64,
    /// Rounds in which a promise was broken.
    pub broken_rounds: u64,
    /// Messages that were acknowledged.
    pub messages: u64,
    /// Acks of consumers that were confirmed.
    pub acks: u64,
    /// Creations, updates, deletions and purges that were answered.
    pub changes: u64,
    /// Broken promises.
    pub violations: BTreeMap<Kind, u64>,
}

impl Tally {
    pub(super) fn count(&mut self, violations: &[Violation]) {
        for violation in violations {
            *self.violations.entry(violation.kind).or_default() += 1;
        }
    }

    /// How many promises were broken.
    pub fn broken(&self) -> u64 {
        self.violations.values().sum()
    }

    /// A Markdown table with a row for each of these.
    pub fn table<'a>(rows: impl IntoIterator<Item = (&'a str, &'a Self)>) -> String {
        let mut text = String::from(
            "| Server | rounds | rounds with a loss | messages acknowledged | acks confirmed | changes answered |",
        );
        for kind in Kind::ALL {
            text += &format!(" {} |", kind.title());
        }
        text += "\n|---|";
        text += &"---|".repeat(5 + Kind::ALL.len());
        for (name, tally) in rows {
            text += &format!("\n| {name} |");
            let counts = [
                tally.rounds,
                tally.broken_rounds,
                tally.messages,
                tally.acks,
                tally.changes,
            ];
            let of = |kind| tally.violations.get(&kind).copied().unwrap_or(0);
            for count in counts.into_iter().chain(Kind::ALL.map(of)) {
                text += &format!(" {count} |");
            }
        }
        text
    }
}
