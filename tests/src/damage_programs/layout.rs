//! What files the programs keep, and where in them messages lie.

use std::fs;
use std::path::{Path, PathBuf};

use super::history::STREAMS;
use crate::damage::records::{MESSAGE, of_shard};

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

/// A message's record.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) stream: &'static str,
    pub(super) seq: u64,
    pub(super) file: PathBuf,
    pub(super) from: usize,
    pub(super) to: usize,
}

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

    /// All messages' records in a store, in order.
    pub(super) fn records(self, store: &Path) -> Result<Vec<Place>, String> {
        match self {
            Self::Jetsled => of_jetsled(store),
            Self::NatsServer => of_nats_server(store),
        }
    }
}

fn of_jetsled(store: &Path) -> Result<Vec<Place>, String> {
    let failed = |error: std::io::Error| error.to_string();
    let description = fs::read(store.join("store.json")).map_err(failed)?;
    let description: serde_json::Value =
        serde_json::from_slice(&description).map_err(|error| error.to_string())?;
    let secret = description["secret"].as_u64().unwrap_or(0) as u32;
    let shards = description["shards"].as_u64().unwrap_or(0);
    let mut found = Vec::new();
    for shard in 0..shards {
        let mut bytes = (PathBuf::new(), Vec::new());
        let records = of_shard(&store.join(format!("shard-{shard:02}")), secret);
        for record in records.map_err(failed)? {
            if bytes.0 != record.file {
                bytes = (record.file.clone(), fs::read(&record.file).map_err(failed)?);
            }
            let content = &bytes.1[record.from..record.to];
            let of = |name: &&&str| {
                let subject = format!("{name}.");
                content
                    .windows(subject.len())
                    .any(|window| window == subject.as_bytes())
            };
            if record.kind == MESSAGE
                && let Some(stream) = STREAMS.iter().find(of)
            {
                found.push(Place {
                    stream,
                    seq: record.seq,
                    file: record.file,
                    from: record.from,
                    to: record.to,
                });
            }
        }
    }
    Ok(found)
}

/// Records of blocks: u32 length (the highest bit: it has headers), u64 sequence, i64 time, u16 subject length, subject, headers, body, u64 checksum.
fn of_nats_server(store: &Path) -> Result<Vec<Place>, String> {
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
