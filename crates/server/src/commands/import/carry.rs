//! One stream from the nats-server's store into the new one.

use std::sync::mpsc;
use std::thread;

use indicatif::ProgressBar;
use jetsled_archive::ArchivedMessage;
use jetsled_import::{Block, Damage, ReadError, SourceStream, StoreKeys, StreamPlace};
use jetsled_jetstream_api::{ServerLimits, StreamConfig};
use jetsled_protocol::subject;
use jetsled_store::{StoredMessage, StreamId};

use super::consumers;
use super::report::{Carried, Outcome, StreamReport};
use super::run::ImportError;
use super::target::Target;

/// Blocks that may wait to be written.
const AHEAD: usize = 2;
/// What a record in a block takes beside its parts, in bytes; and what headers add to that.
const RECORD: u64 = 30;
const HEADERS: u64 = 4;

/// Carries a stream over, or only reads it where there is no target.
pub(super) fn carry(
    place: &StreamPlace,
    keys: &StoreKeys,
    target: Option<&mut Target<'_>>,
    progress: &ProgressBar,
) -> Result<StreamReport, ImportError> {
    let report = |outcome| StreamReport {
        account: place.account.clone(),
        name: place.name.clone(),
        outcome,
    };
    let stream = match place.open(keys) {
        Ok(stream) => stream,
        Err(error) => return Ok(report(Outcome::Skipped(error.to_string()))),
    };
    let (config, notes) = match effective(&stream) {
        Ok(effective) => effective,
        Err(reason) => return Ok(report(Outcome::Skipped(reason))),
    };
    let mut carried = Carried {
        notes,
        ..Carried::default()
    };
    carried
        .notes
        .extend(stream.index_problem().map(str::to_owned));
    match target {
        Some(target) => into_store(&stream, config, target, progress, &mut carried)?,
        None => {
            let damages = read(&stream, progress, &mut |block| {
                for message in block.messages() {
                    carried.count(&message);
                }
                Ok(())
            })?;
            carried.damages = damages;
            consumers::check(&stream, &config, &mut carried)?;
        }
    }
    Ok(report(Outcome::Carried(Box::new(carried))))
}

/// The configuration that the stream will have, and what is to be said of it.
pub(super) fn effective(stream: &SourceStream) -> Result<(StreamConfig, Vec<String>), String> {
    let mut config = stream.config().clone();
    let mut notes = Vec::new();
    if config.num_replicas > 1 {
        notes.push(format!(
            "it had {} replicas and has one here",
            config.num_replicas
        ));
        config.num_replicas = 1;
    }
    let config = config
        .validated(&ServerLimits::default(), false)
        .map_err(|error| format!("its configuration is not accepted: {}", error.description))?;
    Ok((config, notes))
}

fn into_store(
    stream: &SourceStream,
    config: StreamConfig,
    target: &mut Target<'_>,
    progress: &ProgressBar,
    carried: &mut Carried,
) -> Result<(), ImportError> {
    let id = target.begin(stream.account(), config.clone(), stream.created())?;
    let damages = read(stream, progress, &mut |block| {
        for message in block.messages() {
            store(id, &message, target, carried)?;
        }
        Ok(())
    })?;
    carried.damages = damages;
    let end = stream.end();
    let stored = target.shard().stream(id);
    let (last_seq, last_time) = match stored {
        // What is told of the end may be less than what was found.
        Some(stored) if stored.last_seq() > end.last_seq => (stored.last_seq(), stored.last_time()),
        _ => (end.last_seq, end.last_time),
    };
    target.finish(id, last_seq, last_time)?;
    if let Some(stored) = target.shard().stream(id) {
        carried.limited = carried.messages.saturating_sub(stored.messages());
        carried.messages = stored.messages();
        carried.bytes = stored.bytes();
    }
    consumers::carry(stream, &config, id, target, carried)
}

fn store(
    id: StreamId,
    message: &ArchivedMessage<'_>,
    target: &mut Target<'_>,
    carried: &mut Carried,
) -> Result<(), ImportError> {
    if !subject::is_valid_literal(message.subject) {
        carried.refuse(message.seq, "its subject is not valid".to_owned());
        return Ok(());
    }
    let stored = StoredMessage {
        seq: message.seq,
        timestamp: message.timestamp,
        subject: message.subject,
        headers: message.headers,
        payload: message.payload,
    };
    match target.message(id, &stored)? {
        None => carried.count(message),
        Some(reason) => carried.refuse(message.seq, reason),
    }
    Ok(())
}

impl Carried {
    fn count(&mut self, message: &ArchivedMessage<'_>) {
        self.messages += 1;
        let parts = message.subject.len() + message.headers.len() + message.payload.len();
        self.bytes += RECORD + parts as u64;
        if !message.headers.is_empty() {
            self.bytes += HEADERS;
        }
    }
}

/// Reads all blocks, on a thread of their own, and answers what is damaged.
pub(super) fn read(
    stream: &SourceStream,
    progress: &ProgressBar,
    visit: &mut dyn FnMut(&Block) -> Result<(), ImportError>,
) -> Result<Vec<Damage>, ImportError> {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<Result<Block, ReadError>>(AHEAD);
        let reader = scope.spawn(move || {
            let mut blocks = stream.blocks();
            while let Some(block) = blocks.next_block() {
                if sender.send(block).is_err() {
                    break;
                }
            }
            blocks.damages().to_vec()
        });
        for block in receiver {
            let block = block?;
            visit(&block)?;
            progress.inc(block.file_len);
        }
        match reader.join() {
            Ok(damages) => Ok(damages),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
