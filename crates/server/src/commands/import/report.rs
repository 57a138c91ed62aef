//! What is told of an import.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jetsled_import::Damage;
use jetsled_jetstream_api::StreamSeq;

/// What has become of everything.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) from: PathBuf,
    /// Nothing was written if there is none.
    pub(super) to: Option<PathBuf>,
    pub(super) streams: Vec<StreamReport>,
    pub(super) took: Duration,
    /// Bytes of message blocks that were read.
    pub(super) read: u64,
    /// Whether the new store was compared.
    pub(super) verified: bool,
    /// Files changed while they were read.
    pub(super) changed: bool,
}

/// What has become of a stream.
#[derive(Debug)]
pub(super) struct StreamReport {
    pub(super) account: String,
    pub(super) name: String,
    pub(super) outcome: Outcome,
}

#[derive(Debug)]
pub(super) enum Outcome {
    /// It was not carried over, for this reason.
    Skipped(String),
    Carried(Box<Carried>),
}

/// What was carried over of a stream.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// Messages in the new stream.
    pub(super) messages: u64,
    /// Their bytes, as stream info shows them.
    pub(super) bytes: u64,
    /// Messages that the stream's limits left no room for.
    pub(super) limited: u64,
    /// Messages that a stream can not have.
    pub(super) refused: u64,
    /// The first of them.
    pub(super) first_refused: Option<(StreamSeq, String)>,
    pub(super) damages: Vec<Damage>,
    pub(super) notes: Vec<String>,
    pub(super) consumers: usize,
    pub(super) lost_consumers: Vec<(String, String)>,
    /// What was found to be different.
    pub(super) differences: Vec<String>,
}

impl Carried {
    pub(super) fn refuse(&mut self, seq: StreamSeq, reason: String) {
        self.refused += 1;
        self.first_refused.get_or_insert((seq, reason));
    }

    fn is_complete(&self) -> bool {
        self.damages.is_empty()
            && self.refused == 0
            && self.lost_consumers.is_empty()
            && self.differences.is_empty()
    }
}

impl Report {
    /// Whether nothing is missing.
    pub(super) fn is_complete(&self) -> bool {
        !self.changed
            && self.streams.iter().all(|stream| match &stream.outcome {
                Outcome::Skipped(_) => false,
                Outcome::Carried(carried) => carried.is_complete(),
            })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let carried = |stream: &StreamReport| match &stream.outcome {
            Outcome::Skipped(_) => None,
            Outcome::Carried(carried) => {
                Some((carried.messages, carried.bytes, carried.consumers as u64))
            }
        };
        let mut totals = (0, 0, 0, 0);
        for (messages, bytes, consumers) in self.streams.iter().filter_map(carried) {
            totals.0 += 1;
            totals.1 += messages;
            totals.2 += bytes;
            totals.3 += consumers;
        }
        for stream in &self.streams {
            write!(f, "{stream}")?;
        }
        let (streams, messages, bytes, consumers) = totals;
        let done = match &self.to {
            Some(to) => format!("carried over to {}", to.display()),
            None => "would be carried over (dry run: nothing was written)".to_owned(),
        };
        writeln!(
            f,
            "{streams} of {} streams from {}: {messages} messages, {bytes} bytes, {consumers} consumers {done} in {:.1?}",
            self.streams.len(),
            self.from.display(),
            self.took
        )?;
        let seconds = self.took.as_secs_f64();
        if seconds > 0.0 {
            let rate = |bytes: u64| bytes as f64 / seconds / 1e6;
            let count = messages as f64 / seconds;
            let (stored, read) = (rate(bytes), rate(self.read));
            writeln!(
                f,
                "{stored:.0} MB of messages ({read:.0} MB of blocks) and {count:.0} messages a second"
            )?;
        }
        if self.verified {
            let same = self.streams.iter().all(|stream| match &stream.outcome {
                Outcome::Skipped(_) => true,
                Outcome::Carried(carried) => carried.differences.is_empty(),
            });
            writeln!(
                f,
                "{}",
                if same {
                    "verified: both stores were read again and hold the same"
                } else {
                    "NOT THE SAME: see above"
                }
            )?;
        }
        if self.changed {
            writeln!(
                f,
                "FILES CHANGED WHILE THEY WERE READ: stop the nats-server, and import into another new directory"
            )?;
        }
        if !self.is_complete() {
            writeln!(f, "something was not carried over: see above")?;
        }
        Ok(())
    }
}

impl fmt::Display for StreamReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            account,
            name,
            outcome,
        } = self;
        write!(f, "{account} > {name}: ")?;
        let carried = match outcome {
            Outcome::Skipped(reason) => return writeln!(f, "NOT CARRIED OVER: {reason}"),
            Outcome::Carried(carried) => carried,
        };
        let Carried {
            messages,
            bytes,
            limited,
            refused,
            first_refused,
            damages,
            notes,
            consumers,
            lost_consumers,
            differences,
        } = &**carried;
        writeln!(
            f,
            "{messages} messages, {bytes} bytes, {consumers} consumers"
        )?;
        for note in notes {
            writeln!(f, "  {note}")?;
        }
        if *limited > 0 {
            writeln!(
                f,
                "  {limited} messages beyond the stream's limits were left out"
            )?;
        }
        if let Some((seq, reason)) = first_refused {
            writeln!(
                f,
                "  MESSAGES LEFT OUT: {refused}; the first is {seq}: {reason}"
            )?;
        }
        for damage in damages {
            writeln!(f, "  DAMAGED {damage}")?;
        }
        for (consumer, reason) in lost_consumers {
            writeln!(f, "  CONSUMER NOT CARRIED OVER: {consumer}: {reason}")?;
        }
        for difference in differences {
            writeln!(f, "  DIFFERENT: {difference}")?;
        }
        Ok(())
    }
}
