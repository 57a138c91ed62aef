//! Priority groups: which of the waiting requests is served next (ADR-42).

use jetsled_jetstream_api::{Nanos, PriorityPolicy, PullPriority, Timestamp};
use rand::RngExt;
use rand::rngs::SmallRng;

/// The client that a pinned group belongs to. Not kept over a restart.
#[derive(Debug, Default)]
pub(crate) struct Pin {
    /// Boxed, since few consumers have one.
    current: Option<Box<Pinned>>,
}

#[derive(Debug)]
pub(crate) struct Pinned {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) since: Timestamp,
    pub(crate) lapses_at: Timestamp,
}

impl Pin {
    pub(crate) fn current(&self) -> Option<&Pinned> {
        self.current.as_deref()
    }

    pub(crate) fn assign(&mut self, group: &str, ttl: Nanos, now: Timestamp, rng: &mut SmallRng) {
        self.current = Some(Box::new(Pinned {
            id: random_text(rng, PIN_ID_LEN),
            group: group.to_owned(),
            since: now,
            lapses_at: now.saturating_add(ttl),
        }));
    }

    /// The pinned client asked again.
    pub(crate) fn renew(&mut self, ttl: Nanos, now: Timestamp) {
        if let Some(pinned) = &mut self.current {
            pinned.lapses_at = now.saturating_add(ttl);
        }
    }

    pub(crate) fn release(&mut self) -> Option<Box<Pinned>> {
        self.current.take()
    }
}

/// What the policy says about a waiting request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Serve it.
    Serve,
    /// Serve it, and pin its client.
    Pin,
    /// Look at the next one.
    PassOver,
    /// Its pin is no longer right.
    WrongPin,
}

/// Judges one waiting request. `pending` counts the message about to be delivered.
pub(crate) fn judge(
    policy: PriorityPolicy,
    request: Option<&PullPriority>,
    pin: &Pin,
    pending: u64,
    ack_pending: usize,
) -> Verdict {
    match policy {
        PriorityPolicy::None | PriorityPolicy::Prioritized => Verdict::Serve,
        PriorityPolicy::Overflow => {
            let Some(request) = request else {
                return Verdict::Serve;
            };
            let reached = |threshold: i64, count: u64| {
                u64::try_from(threshold).is_ok_and(|threshold| threshold > 0 && threshold <= count)
            };
            let unlimited = request.min_pending <= 0 && request.min_ack_pending <= 0;
            if unlimited
                || reached(request.min_pending, pending)
                || reached(request.min_ack_pending, ack_pending as u64)
            {
                Verdict::Serve
            } else {
                Verdict::PassOver
            }
        }
        PriorityPolicy::PinnedClient => {
            let id = request.map_or("", |request| request.id.as_str());
            match pin.current() {
                // A request without a group is served but cannot hold the pin.
                None if id.is_empty() && request.is_none() => Verdict::Serve,
                None if id.is_empty() => Verdict::Pin,
                Some(pinned) if pinned.id == id => Verdict::Serve,
                Some(_) if id.is_empty() => Verdict::PassOver,
                None | Some(_) => Verdict::WrongPin,
            }
        }
    }
}

/// Letters and digits by chance.
pub(crate) fn random_text(rng: &mut SmallRng, len: usize) -> String {
    (0..len)
        .map(|_| char::from(DIGITS[rng.random_range(0..DIGITS.len())]))
        .collect()
}

/// As long as a NUID.
const PIN_ID_LEN: usize = 22;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
