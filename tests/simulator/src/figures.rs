//! What runs have done, as numbers.

/// Counts of one run or of many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Steps and answers.
    pub events: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Messages delivered to consumers.
    pub delivered: u64,
    /// Acks confirmed.
    pub confirmed: u64,
    /// Streams and consumers created, updated, deleted.
    pub changes: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Kills.
    pub kills: u64,
    /// Orderly stops.
    pub stops: u64,
    /// Writes and syncs that were made to fail.
    pub disk_faults: u64,
    /// Times that the disk was full.
    pub full: u64,
    /// Bits flipped, in segments or their indexes.
    pub flips: u64,
    /// Changes of the store's key or cipher, the first key included.
    pub key_changes: u64,
    /// Times that `jetsled check` has looked at what a machine left.
    pub store_checks: u64,
    /// Times that streams and consumers were compared with the model.
    pub checks: u64,
}

impl std::ops::Add for Figures {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            acknowledged: self.acknowledged + other.acknowledged,
            delivered: self.delivered + other.delivered,
            confirmed: self.confirmed + other.confirmed,
            changes: self.changes + other.changes,
            power_cuts: self.power_cuts + other.power_cuts,
            kills: self.kills + other.kills,
            stops: self.stops + other.stops,
            disk_faults: self.disk_faults + other.disk_faults,
            full: self.full + other.full,
            flips: self.flips + other.flips,
            key_changes: self.key_changes + other.key_changes,
            store_checks: self.store_checks + other.store_checks,
            checks: self.checks + other.checks,
        }
    }
}
