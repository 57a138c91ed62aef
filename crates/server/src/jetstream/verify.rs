//! After a start, reads once what the start has not read, so that damage is told before somebody needs what it took.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use jetsled_jetstream_api::{StreamSeq, Timestamp};
use jetsled_store::{Stream, StreamId};
use serde::Serialize;

use super::JetStream;
use super::shard::ShardHandle;
use crate::sequence_runs::sequence_runs;

/// Bytes that are read under one lock of the shard, and how long nothing is read then: 32 MiB a second at most.
const PIECE: usize = 64 << 10;
const PAUSE: Duration = Duration::from_millis(2);
/// A line of the log names at most so many runs of sequences.
const RUNS_TOLD: usize = 100;

/// Reads every message that all shards have by now, and tells what damage took, found now or before. Ends early if the server stops.
pub(super) fn run(shards: &[Arc<ShardHandle>]) {
    for shard in shards {
        let streams: Vec<(StreamId, StreamSeq)> = {
            let state = shard.lock();
            let kept = state.store.streams().filter(|stream| !stream.is_memory());
            kept.map(|stream| (stream.id(), stream.visible_last_seq()))
                .collect()
        };
        for (stream, last) in streams {
            if verify(shard, stream, last).is_break() {
                return;
            }
        }
    }
}

fn verify(shard: &ShardHandle, id: StreamId, last: StreamSeq) -> ControlFlow<()> {
    let mut from = StreamSeq::FIRST;
    loop {
        let mut state = shard.lock();
        if state.stopping {
            return ControlFlow::Break(());
        }
        let Some(stream) = state.store.stream(id) else {
            return ControlFlow::Continue(());
        };
        if from > last {
            tell(stream);
            return ControlFlow::Continue(());
        }
        let mut left = PIECE;
        let read = state.store.read_run(id, from, last, &mut |message| {
            left = left.saturating_sub(message.payload.len() + message.headers.len() + 64);
            if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        drop(state);
        match read {
            Ok(next) => from = next,
            Err(error) => {
                tracing::error!("JetStream: a stream could not be read through: {error}");
                return ControlFlow::Continue(());
            }
        }
        thread::sleep(PAUSE);
    }
}

fn tell(stream: &Stream) {
    let lost = stream.lost_messages();
    if lost > 0 {
        tracing::error!(
            "JetStream stream '{} > {}' misses {lost} messages that damage took: {}",
            stream.account(),
            stream.config().name,
            sequence_runs(stream.lost(), RUNS_TOLD)
        );
    }
}

/// What became of a stream through damage, as `/healthz` tells it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum DamagedStream {
    /// Messages are gone.
    Lost {
        account: String,
        stream: String,
        lost_messages: u64,
        /// Their sequences.
        lost: String,
    },
    /// It is not served, since a newer one has its name.
    SetAside {
        account: String,
        stream: String,
        set_aside_messages: u64,
        /// When it was created.
        created: Timestamp,
    },
}

impl JetStream {
    /// The streams that damage has hit.
    pub(crate) fn damaged_streams(&self) -> Vec<DamagedStream> {
        let aside = self.runtime().set_aside.iter();
        let aside = aside.map(|older| DamagedStream::SetAside {
            account: older.account.clone(),
            stream: older.name.clone(),
            set_aside_messages: older.messages,
            created: older.created,
        });
        let mut damaged: Vec<_> = aside.collect();
        for shard in &*self.runtime().shards {
            let state = shard.lock();
            let hit = state.store.streams().filter(|s| s.lost_messages() > 0);
            damaged.extend(hit.map(|stream| DamagedStream::Lost {
                account: stream.account().to_owned(),
                stream: stream.config().name.clone(),
                lost_messages: stream.lost_messages(),
                lost: sequence_runs(stream.lost(), RUNS_TOLD),
            }));
        }
        damaged
    }
}
