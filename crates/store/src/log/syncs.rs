//! The fdatasyncs of a log, one after the other.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::storage::StorageFile;

/// An error of the disk is reported once for an open file: a commit's sync that runs beside one of the upkeep's, or after it, could succeed although what it was
/// to make durable is lost. So they take turns, and after one that has failed all others do.
#[derive(Debug, Default)]
pub(crate) struct Syncs {
    turn: Mutex<()>,
    failed: OnceLock<Arc<io::Error>>,
}

impl Syncs {
    pub(crate) fn sync(&self, file: &dyn StorageFile) -> Result<(), Arc<io::Error>> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        file.sync_data()
            .map_err(|error| Arc::clone(self.failed.get_or_init(|| Arc::new(error))))
    }

    /// Fails if a sync has.
    pub(crate) fn check(&self) -> Result<(), Arc<io::Error>> {
        match self.failed.get() {
            Some(error) => Err(Arc::clone(error)),
            None => Ok(()),
        }
    }
}
