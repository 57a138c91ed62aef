//! How much streams take together, and may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use jetsled_jetstream_api::{ApiError, StorageType};

/// Bytes that the streams of an account, or of the server, keep in one kind of storage, and how many they may keep. Counted as
/// nats-server counts a stream's bytes.
#[derive(Debug)]
pub struct StorageMeter {
    used: AtomicU64,
    /// [`u64::MAX`] without one.
    limit: AtomicU64,
}

/// A meter for each kind of storage.
#[derive(Debug, Clone, Default)]
pub struct StorageMeters {
    /// For memory streams.
    pub memory: Arc<StorageMeter>,
    /// For file streams.
    pub file: Arc<StorageMeter>,
}

impl Default for StorageMeter {
    fn default() -> Self {
        Self {
            used: AtomicU64::new(0),
            limit: AtomicU64::new(u64::MAX),
        }
    }
}

impl StorageMeter {
    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Bytes that may be in use; `None` without a limit.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Relaxed)).filter(|limit| *limit < u64::MAX)
    }

    /// Sets what may be in use from now on; what is there stays.
    pub fn set_limit(&self, limit: Option<u64>) {
        self.limit.store(limit.unwrap_or(u64::MAX), Relaxed);
    }

    /// Whether so many bytes more are within the limit.
    #[must_use]
    pub fn has_room(&self, bytes: u64) -> bool {
        self.used().saturating_add(bytes) <= self.limit.load(Relaxed)
    }

    /// `change` is added as a number that wraps around: less is a negative one.
    pub(crate) fn add(&self, change: u64) {
        self.used.fetch_add(change, Relaxed);
    }
}

impl StorageMeters {
    /// The meter of a kind of storage.
    #[must_use]
    pub fn of(&self, storage: StorageType) -> &Arc<StorageMeter> {
        match storage {
            StorageType::Memory => &self.memory,
            StorageType::File => &self.file,
        }
    }
}

/// A stream's part in what its account uses; taken out of it when the stream goes.
#[derive(Debug, Default)]
pub(super) struct Metered {
    /// The server's, kept up to date by the shard.
    server: Option<Arc<StorageMeter>>,
    /// Only if the account has a limit.
    account: Option<Arc<StorageMeter>>,
    /// The stream's bytes as of the last settlement.
    settled: u64,
}

impl Metered {
    /// Counts for this account meter from now on.
    pub(super) fn join_account(&mut self, account: Option<Arc<StorageMeter>>) {
        self.leave_account();
        if let Some(account) = &account {
            account.add(self.settled);
        }
        self.account = account;
    }

    pub(super) fn join_server(&mut self, server: Arc<StorageMeter>) {
        self.server = Some(server);
    }

    /// The account's meter, for the stream that takes this one's place.
    pub(super) fn account(&self) -> Option<&Arc<StorageMeter>> {
        self.account.as_ref()
    }

    /// Tells the account that the stream has so many bytes now. Answers the change, as a number that wraps around.
    #[inline]
    pub(super) fn settle(&mut self, bytes: u64) -> u64 {
        let change = bytes.wrapping_sub(self.settled);
        if change != 0 {
            self.settled = bytes;
            if let Some(account) = &self.account {
                account.add(change);
            }
        }
        change
    }

    /// Refuses everything while the server's streams take more than they may (observed nats-server 2.15.1: the message's own size does
    /// not count).
    #[inline]
    pub(super) fn check_server(&self) -> Result<(), ApiError> {
        match &self.server {
            Some(server) if !server.has_room(0) => Err(ApiError::INSUFFICIENT_RESOURCES),
            _ => Ok(()),
        }
    }

    /// Refuses what would take the account beyond its limit.
    #[inline]
    pub(super) fn check_account(&self, bytes: u64) -> Result<(), ApiError> {
        match &self.account {
            Some(account) if !account.has_room(bytes) => Err(ApiError::ACCOUNT_RESOURCES_EXCEEDED),
            _ => Ok(()),
        }
    }

    fn leave_account(&self) {
        if let Some(account) = &self.account {
            account.add(self.settled.wrapping_neg());
        }
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.leave_account();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(limit: u64) -> Arc<StorageMeter> {
        let meter = StorageMeter::default();
        meter.set_limit(Some(limit));
        Arc::new(meter)
    }

    #[test]
    fn an_account_uses_what_its_streams_have() {
        let account = limited(100);
        let [mut a, mut b] = [Metered::default(), Metered::default()];
        assert_eq!(a.settle(30), 30);
        a.join_account(Some(Arc::clone(&account)));
        b.join_account(Some(Arc::clone(&account)));
        assert_eq!(b.settle(50), 50);
        assert_eq!(account.used(), 80);
        assert_eq!(a.check_account(20), Ok(()));
        let refused = Err(ApiError::ACCOUNT_RESOURCES_EXCEEDED);
        assert_eq!(b.check_account(21), refused);
        assert_eq!(a.settle(10).cast_signed(), -20);
        assert_eq!(b.check_account(21), Ok(()));
        drop(b);
        assert_eq!(account.used(), 10);
        a.join_account(None);
        assert_eq!((account.used(), a.check_account(1000)), (0, Ok(())));
    }

    #[test]
    fn a_server_takes_nothing_once_it_is_beyond_its_limit() {
        let server = limited(100);
        let mut stream = Metered::default();
        stream.join_server(Arc::clone(&server));
        server.add(100);
        assert_eq!(stream.check_server(), Ok(()));
        server.add(1);
        assert_eq!(stream.check_server(), Err(ApiError::INSUFFICIENT_RESOURCES));
        server.set_limit(None);
        assert_eq!(stream.check_server(), Ok(()));
    }
}
