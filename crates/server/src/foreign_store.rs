//! A server that finds the store of a nats-server where its own should be leaves it alone.

use std::fmt;
use std::path::{Path, PathBuf};

use jetsled_config::Options;
use jetsled_import::SourceStore;

use crate::StartError;

/// What lies where a store of ours should be.
#[derive(Debug)]
struct ForeignStore {
    dir: PathBuf,
    streams: usize,
    accounts: usize,
}

/// Nothing is put beside the streams of a nats-server, where nobody would miss them at once.
pub(crate) fn refuse(options: &Options) -> Result<(), StartError> {
    let jetstream = &options.jetstream;
    let foreign = jetstream
        .enabled
        .then(|| ForeignStore::find(&jetstream.store_dir()));
    match foreign.flatten() {
        Some(foreign) => Err(StartError::ForeignStore(foreign.to_string())),
        None => Ok(()),
    }
}

/// The file that every store of ours has.
const OURS: &str = "store.json";

impl ForeignStore {
    /// Looks whether the directory of a store, the one named `jetstream`, is that of a nats-server.
    fn find(dir: &Path) -> Option<Self> {
        if dir.join(OURS).exists() {
            return None;
        }
        // What can not be read is told by who opens it.
        let store = SourceStore::find(dir).ok()??;
        Some(Self {
            dir: dir.to_owned(),
            streams: store.streams().len(),
            accounts: store.accounts(),
        })
    }
}

impl fmt::Display for ForeignStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let Self {
            dir,
            streams,
            accounts,
        } = self;
        write!(
            f,
            "{} is the store of a nats-server, with {streams} stream{} in {accounts} account{}, and was not touched; \
             stop that server, carry it over by `jetsled import {} --store NEW_STORE_DIR`, then start with the new directory",
            dir.display(),
            plural(*streams),
            plural(*accounts),
            dir.display(),
        )
    }
}
