//! Keeping the account of what streams take.

use std::sync::Arc;

use jetsled_jetstream_api::{ApiError, StorageType};

use super::Shard;
use crate::log::StreamId;
use crate::{StorageMeter, StorageMeters, Stream};

/// What the streams of a shard take, of each kind of storage.
#[derive(Debug, Default)]
pub(super) struct Metering {
    /// The whole server's.
    server: StorageMeters,
    memory: Share,
    file: Share,
}

/// A shard's share of one of the server's meters, as a number that wraps around.
#[derive(Debug, Default)]
struct Share {
    used: u64,
    told: u64,
}

impl Metering {
    /// Takes note of a stream's bytes after something was done with it.
    #[inline]
    pub(super) fn settle(&mut self, stream: &mut Stream) {
        let change = stream.settle();
        let share = match stream.config().storage {
            StorageType::Memory => &mut self.memory,
            StorageType::File => &mut self.file,
        };
        share.used = share.used.wrapping_add(change);
    }

    /// A stream goes, with what it had.
    pub(super) fn forget(&mut self, stream: &mut Stream) {
        self.settle(stream);
        let share = match stream.config().storage {
            StorageType::Memory => &mut self.memory,
            StorageType::File => &mut self.file,
        };
        share.used = share.used.wrapping_sub(stream.bytes());
    }

    /// A stream that has just come.
    pub(super) fn welcome(&mut self, stream: &mut Stream) {
        stream.join_server_meter(Arc::clone(self.server.of(stream.config().storage)));
        self.settle(stream);
    }

    fn tell(&mut self) {
        for (share, meter) in [
            (&mut self.memory, &self.server.memory),
            (&mut self.file, &self.server.file),
        ] {
            let change = share.used.wrapping_sub(share.told);
            if change != 0 {
                meter.add(change);
                share.told = share.used;
            }
        }
    }
}

impl Shard {
    /// Counts what all streams of this shard take in these meters, too, as of each [`Shard::tell_server_meters`]. Publishes are
    /// refused (10023) while one is beyond its limit. To be called once.
    pub fn join_server_meters(&mut self, meters: StorageMeters) {
        self.metering.server = meters;
        for stream in self.streams.values_mut() {
            self.metering.welcome(stream);
        }
        self.metering.tell();
    }

    /// Brings the server's meters up to date. Cheap if nothing has changed.
    pub fn tell_server_meters(&mut self) {
        self.metering.tell();
    }

    /// Counts a stream in its account's meter, and no longer in the one that it was counted in. Its publishes are refused (10002)
    /// beyond that meter's limit. `None`: the account has no limit, and nobody counts.
    pub fn set_account_meter(&mut self, stream: StreamId, meter: Option<Arc<StorageMeter>>) {
        if let Some(target) = self.streams.get_mut(&stream) {
            self.metering.settle(target);
            target.join_account_meter(meter);
        }
    }

    /// Whether server and account have room for a message of so many bytes of subject, headers and body.
    ///
    /// # Errors
    /// What a publisher is told.
    pub fn check_room(&self, stream: StreamId, lens: [usize; 3]) -> Result<(), ApiError> {
        match self.streams.get(&stream) {
            Some(target) => target.check_room(lens),
            None => Ok(()),
        }
    }
}
