//! What files the programs keep, and where in them messages lie.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::history::STREAMS;
use crate::damage::inflict::Hits;
use crate::damage::records::{Found, Records};
use crate::damage::vouch::{Excuse, Vouched, last_checkpoint};

/// Whose files they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// jetsled's.
    Jetsled,
    /// nats-server's.
    NatsServer,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `*.seg`, `*.blk`
    Messages,
    /// The catalog, `index.db`: what spares reading all messages.
    State,
    /// `store.json`, a stream's `meta.inf` and their like.
    Description,
    /// A consumer's `o.dat`, `meta.inf` and their like; jetsled has none.
    Consumer,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Messages,
        Self::State,
        Self::Description,
        Self::Consumer,
    ];
}

/// The records of a store before the damage.
#[derive(Debug)]
pub(super) enum Stored {
    /// By shard.
    Jetsled(Vec<Vec<Found>>),
    NatsServer(Vec<Place>),
}

/// A message's record in one of nats-server's blocks.
#[derive(Debug)]
pub(super) struct Place {
    stream: &'static str,
    seq: u64,
    file: PathBuf,
    from: usize,
    to: usize,
}

/// What damage has done to a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fate {
    /// Whether its newest record was hit.
    pub(super) is_hit: bool,
    /// Why jetsled may not name it, if it is lost; of nats-server nothing is expected.
    pub(super) excuse: Option<Excuse>,
}

/// By stream and sequence.
pub(super) type Fates = BTreeMap<(&'static str, u64), Fate>;

impl Layout {
    pub(super) fn kind(self, file: &Path) -> Option<Kind> {
        let name = file.file_name()?.to_str()?;
        let ends = |ext: &str| file.extension().is_some_and(|found| found == ext);
        let within = |part: &str| file.iter().any(|found| found == part);
        match self {
            Self::Jetsled if ends("seg") => Some(Kind::Messages),
            Self::Jetsled if within("catalog") => Some(Kind::State),
            Self::Jetsled if ends("json") => Some(Kind::Description),
            Self::NatsServer if ends("blk") => Some(Kind::Messages),
            Self::NatsServer if name == "index.db" => Some(Kind::State),
            Self::NatsServer if within("obs") => Some(Kind::Consumer),
            Self::NatsServer if name.starts_with("meta.") => Some(Kind::Description),
            Self::Jetsled | Self::NatsServer => None,
        }
    }

    /// Reads the records of a store.
    pub(super) fn read(self, store: &Path) -> Result<Stored, String> {
        Ok(match self {
            Self::Jetsled => Stored::Jetsled(Records::of_store(store, None)?.by_shard()?),
            Self::NatsServer => Stored::NatsServer(blocks(store)?),
        })
    }
}

impl Stored {
    pub(super) fn fates(&self, hits: &Hits) -> Fates {
        let mut fates = Fates::new();
        match self {
            Self::Jetsled(shards) => {
                for records in shards {
                    let vouched = Vouched::of(records, last_checkpoint(records), hits);
                    for record in records {
                        let name = record.subject.split(|byte| *byte == b'.').next();
                        let stream = STREAMS
                            .iter()
                            .find(|stream| Some(stream.as_bytes()) == name);
                        if let Some(stream) = stream {
                            let fate = Fate {
                                is_hit: hits.touch(&record.file, record.from, record.to),
                                excuse: vouched.excuse(record),
                            };
                            fates.insert((*stream, record.seq), fate);
                        }
                    }
                }
            }
            Self::NatsServer(places) => {
                for place in places {
                    let fate = Fate {
                        is_hit: hits.touch(&place.file, place.from, place.to),
                        excuse: None,
                    };
                    fates.insert((place.stream, place.seq), fate);
                }
            }
        }
        fates
    }
}

/// Records of blocks: u32 length (the highest bit: it has headers), u64 sequence, i64 time, u16 subject length, subject, headers, body, u64 checksum.
fn blocks(store: &Path) -> Result<Vec<Place>, String> {
    let mut found = Vec::new();
    for stream in STREAMS {
        let dir = store.join("$G/streams").join(stream).join("msgs");
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries {
            let file = entry.map_err(|error| error.to_string())?.path();
            if file.extension().is_none_or(|ext| ext != "blk") {
                continue;
            }
            let bytes = fs::read(&file).map_err(|error| error.to_string())?;
            let mut from = 0;
            while let Some(head) = bytes.get(from..from + 12) {
                let len = u32::from_le_bytes([head[0], head[1], head[2], head[3] & 0x7f]) as usize;
                let mut seq = [0; 8];
                seq.copy_from_slice(&head[4..]);
                let to = from + len.max(12);
                found.push(Place {
                    stream,
                    seq: u64::from_le_bytes(seq),
                    file: file.clone(),
                    from,
                    to,
                });
                from = to;
            }
        }
    }
    Ok(found)
}
