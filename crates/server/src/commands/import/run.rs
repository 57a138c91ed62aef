//! An import from beginning to end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use indicatif::ProgressBar;
use jetsled_import::{SourceError, SourceStore, StoreKeys, StreamPlace};
use jetsled_store::storage::{FsStorage, Storage};
use jetsled_store::{OpenError, Shard, StoreOptions, open};

use super::carry::carry;
use super::command::Import;
use super::report::{Carried, Outcome, Report, StreamReport};
use super::target::{BEFORE_ALL, SYNC, Target, TargetError};
use super::verify::verify;
use crate::chance;
use crate::commands::STORE;
use crate::commands::progress::progress;

/// Its name until it is complete.
const UNFINISHED: &str = "jetstream.importing";

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImportError {
    #[error("there is no stream of a nats-server in {0}")]
    NoStore(PathBuf),
    #[error(
        "{dir} is left from an import that did not end: remove it, and import again",
        dir = .0.display()
    )]
    Unfinished(PathBuf),
    #[error("{0} is not empty: the new store is only made where nothing is")]
    NotEmpty(PathBuf),
    #[error("{0} lies in the store that is to be carried over, which is only read")]
    Inside(PathBuf),
    #[error(transparent)]
    Read(#[from] jetsled_import::ReadError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("the new store can't be opened: {0}")]
    Open(#[from] OpenError),
    #[error("{doing} {path}: {source}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("a stream that was read can't be read any more: {0}")]
    Changed(SourceError),
    #[error("the new store can't be read: {0}")]
    ReadBack(jetsled_store::ReadError),
    #[error("{0}")]
    Configuration(String),
}

pub(super) fn import(import: &Import) -> Result<Report, ImportError> {
    let store = SourceStore::find(&import.from)?
        .ok_or_else(|| ImportError::NoStore(import.from.clone()))?;
    if let Some(to) = &import.to {
        check_target(&store, to)?;
    }
    let before = store.fingerprint()?;
    let mut places = Vec::new();
    for place in store.streams() {
        places.push((place.block_bytes()?, place.clone()));
    }
    let bytes: u64 = places.iter().map(|(bytes, _)| bytes).sum();
    let began = Instant::now();
    let progress = progress("reading", bytes);
    let mut streams = match &import.to {
        Some(to) => into_new_store(import, to, &places, &progress)?,
        None => {
            let mut streams = Vec::new();
            for (_, place) in &places {
                streams.push(carry(place, &import.keys, None, &progress)?);
            }
            streams
        }
    };
    progress.finish_and_clear();
    let took = began.elapsed();
    streams.sort_by(|a, b| (&a.account, &a.name).cmp(&(&b.account, &b.name)));
    let changed = store.fingerprint()? != before;
    Ok(Report {
        from: import.from.clone(),
        to: import.to.clone(),
        streams,
        took,
        read: bytes,
        verified: import.verify && import.to.is_some(),
        changed,
    })
}

/// The new store is made where nothing is, and not in the old one.
fn check_target(store: &SourceStore, to: &Path) -> Result<(), ImportError> {
    let unfinished = to.join(UNFINISHED);
    if unfinished.exists() {
        return Err(ImportError::Unfinished(unfinished));
    }
    match std::fs::read_dir(to) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(ImportError::NotEmpty(to.to_owned()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(io_error("can't read", to)(source)),
    }
    // The directory need not exist, but the one that it will be made in does, or one above that.
    let above = to.ancestors().find_map(|dir| {
        let dir = if dir.as_os_str().is_empty() {
            Path::new(".")
        } else {
            dir
        };
        dir.canonicalize().ok()
    });
    let source = store.dir().canonicalize().ok();
    if let (Some(above), Some(source)) = (above, source)
        && above.starts_with(source)
    {
        return Err(ImportError::Inside(to.to_owned()));
    }
    Ok(())
}

fn into_new_store(
    import: &Import,
    to: &Path,
    places: &[(u64, StreamPlace)],
    progress: &ProgressBar,
) -> Result<Vec<StreamReport>, ImportError> {
    let unfinished = to.join(UNFINISHED);
    let options = StoreOptions {
        sync: SYNC,
        encryption: import.encryption.clone(),
        ..StoreOptions::new(&unfinished, chance::number())
    };
    let storage: Arc<dyn Storage> = Arc::new(FsStorage);
    let mut shards = open(&options, Arc::clone(&storage), BEFORE_ALL)?.shards;
    let plan = spread(places, shards.len());
    let mut reports = in_parallel(&mut shards, plan.clone(), |shard, places| {
        fill(shard, &places, &import.keys, progress)
    })?;
    drop(shards);
    if import.verify {
        progress.set_message("comparing");
        progress.set_position(0);
        let mut shards = open(&options, Arc::clone(&storage), BEFORE_ALL)?.shards;
        let plan = plan.into_iter().zip(reports).collect();
        reports = in_parallel(&mut shards, plan, |shard, (places, reports)| {
            compare(shard, &places, reports, &import.keys, progress)
        })?;
    }
    let finished = to.join(STORE);
    storage
        .rename(&unfinished, &finished)
        .and_then(|()| storage.sync_dir(to))
        .map_err(io_error("can't rename to", &finished))?;
    Ok(reports.into_iter().flatten().collect())
}

/// Which streams go into which shard: the largest first, each to the shard with the least.
fn spread(places: &[(u64, StreamPlace)], shards: usize) -> Vec<Vec<StreamPlace>> {
    let mut sorted: Vec<_> = places.iter().collect();
    sorted.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let mut plan = vec![(0, Vec::new()); shards.max(1)];
    for (bytes, place) in sorted {
        if let Some((load, places)) = plan.iter_mut().min_by_key(|(load, _)| *load) {
            // A stream without messages is work, too.
            *load += bytes + 1;
            places.push(place.clone());
        }
    }
    plan.into_iter().map(|(_, places)| places).collect()
}

/// Does this with each shard and its part of the work, at the same time.
fn in_parallel<W: Send, T: Send>(
    shards: &mut [Shard],
    work: Vec<W>,
    each: impl Fn(&mut Shard, W) -> Result<T, ImportError> + Sync,
) -> Result<Vec<T>, ImportError> {
    thread::scope(|scope| {
        let running: Vec<_> = shards
            .iter_mut()
            .zip(work)
            .map(|(shard, work)| scope.spawn(|| each(shard, work)))
            .collect();
        running
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

fn fill(
    shard: &mut Shard,
    places: &[StreamPlace],
    keys: &StoreKeys,
    progress: &ProgressBar,
) -> Result<Vec<StreamReport>, ImportError> {
    let mut target = Target::new(shard);
    let mut reports = Vec::new();
    for place in places {
        reports.push(carry(place, keys, Some(&mut target), progress)?);
    }
    target.end()?;
    Ok(reports)
}

fn compare(
    shard: &mut Shard,
    places: &[StreamPlace],
    mut reports: Vec<StreamReport>,
    keys: &StoreKeys,
    progress: &ProgressBar,
) -> Result<Vec<StreamReport>, ImportError> {
    let recovered = shard.recovered_consumers();
    for (place, report) in places.iter().zip(&mut reports) {
        if let Outcome::Carried(carried) = &mut report.outcome {
            let carried: &mut Carried = carried;
            verify(place, keys, shard, &recovered, progress, carried)?;
        }
    }
    Ok(reports)
}

fn io_error<'p>(doing: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> ImportError + 'p {
    move |source| ImportError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_streams_are_spread_over_the_shards() {
        let place = |name: &str| StreamPlace {
            account: "A".to_owned(),
            name: name.to_owned(),
            dir: PathBuf::new(),
        };
        let places = [(1, "a"), (9, "b"), (5, "c"), (4, "d"), (0, "e")];
        let places = places.map(|(bytes, name)| (bytes, place(name)));
        let plan = spread(&places, 2);
        let names: Vec<String> = plan
            .iter()
            .map(|places| places.iter().map(|p| p.name.as_str()).collect())
            .collect();
        assert_eq!(names, ["ba", "cde"]);
    }
}
