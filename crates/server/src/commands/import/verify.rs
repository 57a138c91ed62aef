//! Both stores read once more, and compared.

use std::ops::ControlFlow;

use indicatif::ProgressBar;
use jetsled_archive::ArchivedMessage;
use jetsled_import::{Block, SourceStream, StoreKeys, StreamPlace};
use jetsled_jetstream_api::StreamSeq;
use jetsled_store::{RecoveredConsumer, Shard, StoredMessage, StreamId};

use super::carry::{effective, read};
use super::consumers;
use super::report::Carried;
use super::run::ImportError;

/// Differences of a stream that are told one by one.
const TOLD: usize = 10;

/// Compares a stream with the shard that it should be in; notes what is different.
pub(super) fn verify(
    place: &StreamPlace,
    keys: &StoreKeys,
    shard: &mut Shard,
    recovered: &[RecoveredConsumer],
    progress: &ProgressBar,
    carried: &mut Carried,
) -> Result<(), ImportError> {
    let found = shard
        .streams()
        .find(|stream| stream.account() == place.account && stream.config().name == place.name)
        .map(jetsled_store::Stream::id);
    let Some(id) = found else {
        carried.differences.push("it is not there".to_owned());
        return Ok(());
    };
    let source = place.open(keys).map_err(ImportError::Changed)?;
    let mut comparison = Comparison {
        shard,
        id,
        last: StreamSeq(0),
        missing: 0,
        differences: Vec::new(),
        more: 0,
    };
    read(&source, progress, &mut |block| comparison.block(block))?;
    comparison.end(&source, carried)?;
    comparison.consumers(&source, recovered)?;
    let Comparison {
        differences, more, ..
    } = comparison;
    carried.differences.extend(differences);
    if more > 0 {
        carried.differences.push(format!("and {more} more"));
    }
    Ok(())
}

struct Comparison<'a> {
    shard: &'a mut Shard,
    id: StreamId,
    /// The last sequence compared.
    last: StreamSeq,
    /// Messages of the source that are not in the new store.
    missing: u64,
    differences: Vec<String>,
    more: u64,
}

impl Comparison<'_> {
    fn differs(&mut self, what: impl FnOnce() -> String) {
        if self.differences.len() < TOLD {
            self.differences.push(what());
        } else {
            self.more += 1;
        }
    }

    fn block(&mut self, block: &Block) -> Result<(), ImportError> {
        let mut expected = block.messages().peekable();
        let Some(last) = block.messages().last().map(|message| message.seq) else {
            return Ok(());
        };
        let mut missing = 0;
        let mut different = Vec::new();
        let mut visit = |message: &StoredMessage<'_>| {
            while expected.next_if(|m| m.seq < message.seq).is_some() {
                missing += 1;
            }
            match expected.next_if(|m| m.seq == message.seq) {
                Some(expected) if is_same(&expected, message) => {}
                Some(_) => different.push((message.seq, "is another")),
                None => different.push((message.seq, "is not in the source")),
            }
            ControlFlow::Continue(())
        };
        self.read(self.last.next(), last, &mut visit)?;
        missing += expected.count() as u64;
        self.last = last;
        self.missing += missing;
        for (seq, what) in different {
            self.differs(|| format!("message {seq} {what}"));
        }
        Ok(())
    }

    fn read(
        &mut self,
        from: StreamSeq,
        up_to: StreamSeq,
        visit: &mut dyn FnMut(&StoredMessage<'_>) -> ControlFlow<()>,
    ) -> Result<(), ImportError> {
        let mut from = from;
        while from <= up_to {
            from = self
                .shard
                .read_run(self.id, from, up_to, visit)
                .map_err(ImportError::ReadBack)?;
        }
        Ok(())
    }

    fn end(&mut self, source: &SourceStream, carried: &Carried) -> Result<(), ImportError> {
        let Some(stream) = self.shard.stream(self.id) else {
            return Ok(());
        };
        let (last_seq, last_time) = (stream.last_seq(), stream.last_time());
        let (config, created) = (stream.config().clone(), stream.created());
        let mut beyond = 0_u64;
        self.read(self.last.next(), last_seq, &mut |_| {
            beyond += 1;
            ControlFlow::Continue(())
        })?;
        let end = source.end();
        let expected = carried.limited + carried.refused;
        let missing = self.missing;
        if missing != expected {
            self.differs(|| format!("{missing} messages are missing, {expected} were left out"));
        }
        if beyond > 0 {
            self.differs(|| format!("{beyond} messages are behind the source's last one"));
        }
        if last_seq != end.last_seq.max(self.last) {
            self.differs(|| format!("the last sequence is {last_seq}, not {}", end.last_seq));
        }
        if last_seq == end.last_seq && last_time != end.last_time {
            self.differs(|| {
                format!(
                    "the time of the last message is {last_time}, not {}",
                    end.last_time
                )
            });
        }
        let (expected, _) = effective(source).map_err(ImportError::Configuration)?;
        if config != expected {
            self.differs(|| "the configuration is another".to_owned());
        }
        if created != source.created() {
            self.differs(|| format!("it was created at {created}, not {}", source.created()));
        }
        Ok(())
    }

    fn consumers(
        &mut self,
        source: &SourceStream,
        recovered: &[RecoveredConsumer],
    ) -> Result<(), ImportError> {
        let (config, _) = effective(source).map_err(ImportError::Configuration)?;
        let mut there = 0;
        let mut expected = 0;
        for consumer in recovered.iter().filter(|c| c.stream == self.id) {
            there += 1;
            debug_assert!(consumer.deltas.is_empty());
        }
        for (name, kept) in consumers::all(source, &config)? {
            let Ok(kept) = kept else { continue };
            expected += 1;
            let found = recovered
                .iter()
                .find(|c| c.stream == self.id && *c.name == *name);
            let same = found.is_some_and(|found| {
                found.config == kept.record && found.checkpoint.as_deref() == Some(&*kept.state)
            });
            if !same {
                self.differs(|| format!("consumer {name} is another"));
            }
        }
        if there != expected {
            self.differs(|| format!("{there} consumers, not {expected}"));
        }
        Ok(())
    }
}

fn is_same(expected: &ArchivedMessage<'_>, message: &StoredMessage<'_>) -> bool {
    expected.timestamp == message.timestamp
        && expected.subject == message.subject
        && expected.headers == message.headers
        && expected.payload == message.payload
}
