//! Consumers, of which the store knows names and bytes.

use crate::log::{self, AppendError, ConsumerKey, Log, LogPosition, Record, SegmentNo, StreamId};
use crate::{ChangeError, RecoveredConsumer, Shard};

/// A consumer of a file stream; or of a memory stream, or one that does not survive a restart (then nothing of it is logged).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConsumerEntry {
    pub(super) stream: StreamId,
    pub(super) name: Box<str>,
    pub(super) config: Box<[u8]>,
    /// Its state at the last checkpoint.
    pub(super) checkpoint: Option<Box<[u8]>>,
    /// Progress logged since the last checkpoint; kept from a start until [`Shard::recovered_consumers`].
    pub(super) deltas: Vec<(LogPosition, Vec<u8>)>,
    /// The last configuration in the log that older ones may be forgotten for.
    pub(super) emitted_at: LogPosition,
    /// The log position that the last state in the log reflects: it tells of no later progress.
    pub(super) emitted_state: LogPosition,
    pub(super) in_memory: bool,
}

impl ConsumerEntry {
    /// Whether a rebuild would miss this segment, which lies before the checkpoint: it holds the last configuration, or progress that the
    /// last state in the log does not know.
    pub(super) fn needs_emission(&self, segment: SegmentNo) -> bool {
        self.emitted_at.segment() <= segment || self.emitted_state.segment() <= segment
    }

    /// Writes the configuration and the state at the checkpoint anew, so that what is older can go.
    pub(super) fn emit(
        &mut self,
        log: &mut Log,
        key: ConsumerKey,
        checkpoint: LogPosition,
    ) -> Result<(), AppendError> {
        let state = self.checkpoint.take();
        let emitted = self.emit_state(log, key, state.as_deref(), checkpoint);
        self.checkpoint = state;
        emitted
    }

    /// Writes the configuration anew, and behind it a state that tells of everything before `reflects`.
    fn emit_state(
        &mut self,
        log: &mut Log,
        key: ConsumerKey,
        state: Option<&[u8]>,
        reflects: LogPosition,
    ) -> Result<(), AppendError> {
        let at = log.append(&Record::ConsumerConfig(log::ConsumerConfig {
            stream: self.stream,
            consumer: key,
            name: self.name.as_bytes(),
            config: &self.config,
        }))?;
        if let Some(state) = state {
            let mut bytes = reflects.to_u64().to_le_bytes().to_vec();
            bytes.extend_from_slice(state);
            log.append(&Record::ConsumerState(log::ConsumerState {
                stream: self.stream,
                consumer: key,
                state: &bytes,
            }))?;
        }
        self.emitted_at = at.start();
        self.emitted_state = reflects;
        Ok(())
    }
}

impl Shard {
    /// Records a new consumer and the progress that it begins with, if any: both, or with an error neither. No other consumer of the
    /// stream may have its name.
    ///
    /// # Errors
    /// When the stream is unknown or the log takes no records.
    pub fn put_consumer(
        &mut self,
        stream: StreamId,
        name: &str,
        config: &[u8],
        progress: &[u8],
    ) -> Result<ConsumerKey, ChangeError> {
        self.check_broken()?;
        let Some(owner) = self.streams.get(&stream) else {
            return Err(ChangeError::UnknownStream(stream));
        };
        let key = ConsumerKey(self.next_consumer);
        let in_memory = owner.is_memory();
        let mut at = LogPosition::ZERO;
        if !in_memory {
            let record = Record::ConsumerConfig(log::ConsumerConfig {
                stream,
                consumer: key,
                name: name.as_bytes(),
                config,
            });
            if progress.is_empty() {
                at = self.log.append(&record)?.start();
            } else {
                let begins = Record::ConsumerProgress(log::ConsumerProgress {
                    stream,
                    consumer: key,
                    delta: progress,
                });
                let bytes = Log::bytes_of(&record) + Log::bytes_of(&begins);
                self.log.reserve(2, bytes)?;
                at = self.log.append(&record)?.start();
                self.log.append(&begins)?;
            }
        }
        self.next_consumer += 1;
        let entry = ConsumerEntry {
            stream,
            name: name.into(),
            config: config.into(),
            checkpoint: None,
            deltas: Vec::new(),
            emitted_at: at,
            emitted_state: LogPosition::ZERO,
            in_memory,
        };
        self.consumers.insert(key, Box::new(entry));
        Ok(key)
    }

    /// Records a consumer's changed configuration.
    ///
    /// # Errors
    /// When it is unknown or the log takes no records.
    pub fn update_consumer(
        &mut self,
        consumer: ConsumerKey,
        config: &[u8],
    ) -> Result<(), ChangeError> {
        self.check_broken()?;
        let Some(entry) = self.consumers.get_mut(&consumer) else {
            return Err(ChangeError::UnknownConsumer(consumer));
        };
        if !entry.in_memory {
            self.log
                .append(&Record::ConsumerConfig(log::ConsumerConfig {
                    stream: entry.stream,
                    consumer,
                    name: entry.name.as_bytes(),
                    config,
                }))?;
        }
        entry.config = config.into();
        Ok(())
    }

    /// Makes a place for a consumer that is not to survive a restart: nothing of it is logged.
    ///
    /// # Errors
    /// When the stream is unknown or the shard can not be used.
    pub fn put_transient_consumer(
        &mut self,
        stream: StreamId,
        name: &str,
        config: &[u8],
    ) -> Result<ConsumerKey, ChangeError> {
        self.check_broken()?;
        if !self.streams.contains_key(&stream) {
            return Err(ChangeError::UnknownStream(stream));
        }
        let key = ConsumerKey(self.next_consumer);
        self.next_consumer += 1;
        let entry = ConsumerEntry {
            stream,
            name: name.into(),
            config: config.into(),
            checkpoint: None,
            deltas: Vec::new(),
            emitted_at: LogPosition::ZERO,
            emitted_state: LogPosition::ZERO,
            in_memory: true,
        };
        self.consumers.insert(key, Box::new(entry));
        Ok(key)
    }

    /// Forgets a consumer.
    ///
    /// # Errors
    /// When it is unknown or the log takes no records.
    pub fn delete_consumer(&mut self, consumer: ConsumerKey) -> Result<(), ChangeError> {
        self.check_broken()?;
        let Some(entry) = self.consumers.get(&consumer) else {
            return Err(ChangeError::UnknownConsumer(consumer));
        };
        if !entry.in_memory {
            let stream = entry.stream;
            let record = Record::ConsumerDeleted(log::ConsumerDeleted { stream, consumer });
            let at = self.log.append(&record)?;
            self.graves.consumers.insert(consumer, (stream, at.start()));
        }
        self.consumers.remove(&consumer);
        Ok(())
    }

    /// Records progress of a consumer. It is durable at the position returned; `None`: at once (memory streams).
    ///
    /// # Errors
    /// When the consumer is unknown or the log takes no records.
    pub fn log_progress(
        &mut self,
        consumer: ConsumerKey,
        delta: &[u8],
    ) -> Result<Option<LogPosition>, ChangeError> {
        self.check_broken()?;
        let Some(entry) = self.consumers.get(&consumer) else {
            return Err(ChangeError::UnknownConsumer(consumer));
        };
        if entry.in_memory {
            return Ok(None);
        }
        let stream = entry.stream;
        let record = Record::ConsumerProgress(log::ConsumerProgress {
            stream,
            consumer,
            delta,
        });
        Ok(Some(self.log.append(&record)?.end()))
    }

    /// Records the whole state of a consumer, in the place of progress that was refused and of everything before it. Durable as with
    /// [`Shard::log_progress`].
    ///
    /// # Errors
    /// When the consumer is unknown or the log takes no records.
    pub fn log_consumer_state(
        &mut self,
        consumer: ConsumerKey,
        state: &[u8],
    ) -> Result<Option<LogPosition>, ChangeError> {
        self.check_broken()?;
        let Some(entry) = self.consumers.get_mut(&consumer) else {
            return Err(ChangeError::UnknownConsumer(consumer));
        };
        if entry.in_memory {
            return Ok(None);
        }
        let reflects = self.log.position();
        entry.emit_state(&mut self.log, consumer, Some(state), reflects)?;
        Ok(Some(self.log.position()))
    }

    /// A consumer's configuration, as it was recorded last.
    pub fn consumer_config(&self, consumer: ConsumerKey) -> Option<&[u8]> {
        self.consumers.get(&consumer).map(|entry| &*entry.config)
    }

    /// Whether this consumer is known: its creation may have been lost with a failed commit.
    pub fn has_consumer(&self, consumer: ConsumerKey) -> bool {
        self.consumers.contains_key(&consumer)
    }

    /// Every consumer that logs.
    pub fn consumer_keys(&self) -> impl Iterator<Item = ConsumerKey> {
        self.consumers
            .iter()
            .filter(|(_, entry)| !entry.in_memory)
            .map(|(key, _)| *key)
    }

    /// The consumers of file streams as the log has them: once after the start, and once after each commit that has failed, when what they were
    /// told since the last one is void. A second call answers nothing.
    pub fn recovered_consumers(&mut self) -> Vec<RecoveredConsumer> {
        if !std::mem::take(&mut self.consumers_recovered) {
            return Vec::new();
        }
        self.consumers
            .iter_mut()
            .filter(|(_, entry)| !entry.in_memory)
            .map(|(key, entry)| RecoveredConsumer {
                stream: entry.stream,
                key: *key,
                name: entry.name.clone(),
                config: entry.config.to_vec(),
                checkpoint: entry.checkpoint.as_deref().map(<[u8]>::to_vec),
                deltas: std::mem::take(&mut entry.deltas)
                    .into_iter()
                    .map(|(_, delta)| delta)
                    .collect(),
            })
            .collect()
    }
}
