//! What has to leave a stream and could not be read for that: the clock tries again.

use std::collections::{BTreeMap, BTreeSet};

use jetsled_jetstream_api::{Nanos, Timestamp};

use super::publish_headers::PublishHeaders;
use super::{RemoveReason, Stream};
use crate::log::{Log, ReadError};

/// What the log says, or limits demand, that an error of the disk has kept from being done. A start does it, since the log is as if it were: so neither
/// a checkpoint nor a stream's head may be written meanwhile.
#[derive(Debug, Default)]
pub(super) struct Overdue {
    /// The limits hold no more. They are left to the clock until they do.
    limits: bool,
    removals: BTreeMap<u64, RemoveReason>,
    /// Filters of purges, and how far each goes.
    purges: BTreeMap<Box<[u8]>, u64>,
    /// Messages that begin, end or move a schedule.
    schedules: BTreeSet<u64>,
    /// Since when the clock has met errors.
    failing_since: Option<Timestamp>,
    retry_at: Option<Timestamp>,
    /// They have lasted: what has to go and can not be read is taken for lost.
    gives_up: bool,
}

/// The clock tries again after this.
const RETRY: Nanos = Nanos::from_secs(1);
/// A disk that has not come back after this has lost what it does not read.
const GIVE_UP: Nanos = Nanos::from_secs(60);

impl Overdue {
    /// Whether there is anything.
    pub(super) fn is_any(&self) -> bool {
        self.limits
            || !self.removals.is_empty()
            || !self.purges.is_empty()
            || !self.schedules.is_empty()
    }

    pub(super) fn has_limits(&self) -> bool {
        self.limits
    }

    pub(super) fn gives_up(&self) -> bool {
        self.gives_up
    }
}

impl Stream {
    /// Whether something of it has to go that could not be read.
    pub(crate) fn is_overdue(&self) -> bool {
        self.overdue.is_any()
    }

    /// Does what is overdue, if it is time to try; answers when to come again if something is left.
    pub(crate) fn catch_up(&mut self, log: &mut Log, now: Timestamp) -> Option<Timestamp> {
        if !self.overdue.is_any() {
            self.overdue.failing_since = None;
            return None;
        }
        if let Some(retry_at) = self.overdue.retry_at
            && now < retry_at
        {
            return Some(retry_at);
        }
        let since = *self.overdue.failing_since.get_or_insert(now);
        self.overdue.gives_up = since.saturating_add(GIVE_UP) <= now;
        let done = self.do_overdue(log);
        self.overdue.gives_up = false;
        self.overdue.retry_at = None;
        match done {
            Ok(()) => self.overdue.failing_since = None,
            Err(error) => {
                tracing::warn!(stream = %self.config.name, %error, "removing messages was put off");
                self.overdue.retry_at = Some(now.saturating_add(RETRY));
            }
        }
        self.overdue.retry_at
    }

    fn do_overdue(&mut self, log: &mut Log) -> Result<(), ReadError> {
        while let Some((&seq, &reason)) = self.overdue.removals.first_key_value() {
            self.remove(log, seq, reason)?;
            self.overdue.removals.remove(&seq);
        }
        while let Some((filter, &through)) = self.overdue.purges.first_key_value() {
            let filter = filter.clone();
            self.apply_purge(log, through, 0, &filter, RemoveReason::Purge)?;
            self.overdue.purges.remove(&filter);
        }
        if self.overdue.limits {
            self.enforce_all_limits(log)?;
            self.overdue.limits = false;
        }
        while let Some(&seq) = self.overdue.schedules.first() {
            if self.is_live(seq) {
                self.note_schedule_anew(log, seq)?;
            }
            self.overdue.schedules.remove(&seq);
        }
        Ok(())
    }

    fn note_schedule_anew(&mut self, log: &mut Log, seq: u64) -> Result<(), ReadError> {
        let Some((time, subject, headers)) = self.front_of(log, seq)? else {
            return Ok(());
        };
        let steering = PublishHeaders::scan(&headers);
        self.note_schedule(log, seq, time, &subject, &steering)
    }

    /// Limits are enforced by the clock from now on, since it could not be done.
    pub(super) fn put_off_limits(&mut self, error: &ReadError) {
        self.tell_put_off(error);
        self.overdue.limits = true;
    }

    pub(super) fn put_off_note_schedule(&mut self, seq: u64, error: &ReadError) {
        self.tell_put_off(error);
        self.overdue.schedules.insert(seq);
    }

    /// Removes a live message of which the log says that it goes: now, or when it can be read.
    pub(super) fn remove_or_put_off(&mut self, log: &mut Log, seq: u64, reason: RemoveReason) {
        if let Err(error) = self.remove(log, seq, reason) {
            self.tell_put_off(&error);
            self.overdue.removals.insert(seq, reason);
        }
    }

    /// Applies a purge of all that match to `through`, which is in the log: now, or when what matches can be read. Answers how many messages
    /// went, or the error if some are left.
    pub(super) fn purge_or_put_off(
        &mut self,
        log: &mut Log,
        through: u64,
        filter: &[u8],
    ) -> Result<u64, ReadError> {
        let purged = self.apply_purge(log, through, 0, filter, RemoveReason::Purge);
        if let Err(error) = &purged {
            self.tell_put_off(error);
            let until = self.overdue.purges.entry(filter.into()).or_default();
            *until = through.max(*until);
        }
        purged
    }

    fn tell_put_off(&self, error: &ReadError) {
        if !self.overdue.is_any() {
            tracing::error!(stream = %self.config.name, %error, "messages that have to go could not be read, trying again");
        }
    }
}
