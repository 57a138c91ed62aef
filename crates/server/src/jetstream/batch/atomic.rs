//! Atomic batches of a stream that wait for their commit (ADR-50).

use std::sync::Arc;

use hashbrown::HashMap;
use jetsled_jetstream_api::advisory::BatchAbandonReason;
use jetsled_jetstream_api::{ApiError, Timestamp};
use jetsled_protocol::headers;
use jetsled_store::{StagedBatch, StagedMessage};

use super::limits::{BatchKind, BatchLimits, InFlight};
use crate::jetstream::api::level_too_high;

/// The batches in flight, by their ids.
#[derive(Debug, Default)]
pub(super) struct AtomicBatches {
    batches: HashMap<Box<[u8]>, AtomicBatch>,
}

#[derive(Debug)]
struct AtomicBatch {
    staged: StagedBatch,
    /// How many messages have come, which is the last one's sequence in the batch.
    received: u64,
    deadline: Timestamp,
    in_flight: InFlight,
}

/// What became of a message.
#[derive(Debug)]
pub(super) enum Received {
    /// It waits for the commit.
    Staged,
    /// It ended the batch, whose messages are to be stored now.
    Committed(StagedBatch),
    /// It was refused. If it had begun a batch, or belonged to one, that is gone.
    Refused {
        error: ApiError,
        /// What to tell in an advisory.
        abandoned: Option<BatchAbandonReason>,
    },
}

/// What `Nats-Batch-Commit` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commit {
    No,
    /// With this message.
    WithThis,
    /// Without this message (`eob`).
    WithoutThis,
    Invalid,
}

/// The longest id.
const MAX_ID: usize = 64;

impl Commit {
    fn of(block: &[u8]) -> Self {
        match headers::get(block, b"Nats-Batch-Commit") {
            None => Self::No,
            Some(b"1") => Self::WithThis,
            Some(b"eob") => Self::WithoutThis,
            Some(_) => Self::Invalid,
        }
    }
}

impl AtomicBatches {
    /// Takes a message of the batch `id`. `max_bytes`: what one batch may hold.
    pub(super) fn receive(
        &mut self,
        id: &[u8],
        message: &StagedMessage<'_>,
        limits: &Arc<BatchLimits>,
        max_bytes: u64,
        now: Timestamp,
    ) -> Received {
        if id.len() > MAX_ID {
            return refused(ApiError::ATOMIC_PUBLISH_INVALID_BATCH_ID);
        }
        let Some(seq) = sequence(message.headers) else {
            return refused(ApiError::ATOMIC_PUBLISH_MISSING_SEQ);
        };
        let commit = Commit::of(message.headers);
        // The message that only ends the batch does not count.
        let size = seq.wrapping_sub(u64::from(commit == Commit::WithoutThis));
        let too_large = || ApiError::atomic_publish_too_large_batch(limits.max_messages);
        if !self.batches.contains_key(id) {
            if seq != 1 {
                return refused(if size > limits.max_messages {
                    too_large()
                } else {
                    ApiError::ATOMIC_PUBLISH_INCOMPLETE_BATCH
                });
            }
            let Some(in_flight) = limits.admit(BatchKind::Atomic, self.batches.len()) else {
                return refused(ApiError::ATOMIC_PUBLISH_TOO_MANY_INFLIGHT);
            };
            let batch = AtomicBatch {
                staged: StagedBatch::default(),
                received: 0,
                deadline: now,
                in_flight,
            };
            self.batches.insert(id.into(), batch);
        }
        let Some(batch) = self.batches.get_mut(id) else {
            return refused(ApiError::ATOMIC_PUBLISH_INCOMPLETE_BATCH);
        };
        batch.deadline = now.saturating_add(limits.timeout);
        batch.received += 1;
        let level = headers::get(message.headers, b"Nats-Required-Api-Level");
        let level = level.filter(|level| !level.is_empty());
        let refusal = if commit == Commit::Invalid {
            Some((ApiError::ATOMIC_PUBLISH_INVALID_BATCH_COMMIT, None))
        } else if level.is_some() && level_too_high(message.headers) {
            let reason = BatchAbandonReason::Unsupported;
            Some((ApiError::REQUIRED_API_LEVEL, Some(reason)))
        } else if batch.received != seq || size == 0 {
            let reason = BatchAbandonReason::Incomplete;
            Some((ApiError::ATOMIC_PUBLISH_INCOMPLETE_BATCH, Some(reason)))
        } else if size > limits.max_messages {
            Some((too_large(), Some(BatchAbandonReason::Large)))
        } else if commit != Commit::WithoutThis {
            batch.stage(message, level.is_some(), max_bytes)
        } else {
            None
        };
        if let Some((error, abandoned)) = refusal {
            self.batches.remove(id);
            return Received::Refused { error, abandoned };
        }
        if commit == Commit::No {
            return Received::Staged;
        }
        let Some(mut batch) = self.batches.remove(id) else {
            return refused(ApiError::ATOMIC_PUBLISH_INCOMPLETE_BATCH);
        };
        if commit == Commit::WithoutThis {
            batch
                .staged
                .append_header_to_last(b"Nats-Batch-Commit", b"1");
        }
        Received::Committed(batch.staged)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// When the first of them times out.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.batches.values().map(|batch| batch.deadline).min()
    }

    /// Drops those that have timed out; answers their ids.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<Box<[u8]>> {
        self.batches
            .extract_if(|_, batch| batch.deadline <= now)
            .map(|(id, _)| id)
            .collect()
    }
}

impl AtomicBatch {
    /// Keeps a message until the commit. Answers why it can not.
    fn stage(
        &mut self,
        message: &StagedMessage<'_>,
        has_level: bool,
        max_bytes: u64,
    ) -> Option<(ApiError, Option<BatchAbandonReason>)> {
        let large = Some(BatchAbandonReason::Large);
        let bytes = StagedBatch::log_bytes_of(message);
        if self.staged.log_bytes() + bytes > max_bytes {
            let limit = format_args!("{max_bytes} bytes");
            return Some((ApiError::atomic_publish_too_large_batch(limit), large));
        }
        if !self.in_flight.stage(bytes) {
            return Some((ApiError::ATOMIC_PUBLISH_TOO_MANY_INFLIGHT, large));
        }
        if has_level {
            let mut block = message.headers.to_vec();
            headers::remove(&mut block, b"Nats-Required-Api-Level");
            self.staged.push(&StagedMessage {
                headers: &block,
                ..*message
            });
        } else {
            self.staged.push(message);
        }
        None
    }
}

fn refused(error: ApiError) -> Received {
    Received::Refused {
        error,
        abandoned: None,
    }
}

/// The message's number in its batch.
fn sequence(block: &[u8]) -> Option<u64> {
    let digits = headers::get(block, b"Nats-Batch-Sequence")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use jetsled_config::JetStreamLimits;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000);
    const MAX_BYTES: u64 = 4096;

    struct Play {
        batches: AtomicBatches,
        limits: Arc<BatchLimits>,
        now: Timestamp,
    }

    impl Play {
        fn new() -> Self {
            Self {
                batches: AtomicBatches::default(),
                limits: Arc::new(BatchLimits::new(&JetStreamLimits {
                    max_batch_inflight_per_stream: Some(2),
                    max_batch_size: Some(3),
                    ..JetStreamLimits::default()
                })),
                now: NOW,
            }
        }

        /// Sends a message with these headers and says what becomes of it.
        fn send(&mut self, id: &str, lines: &[(&str, &str)]) -> String {
            self.send_payload(id, lines, b"x")
        }

        fn send_payload(&mut self, id: &str, lines: &[(&str, &str)], payload: &[u8]) -> String {
            let mut headers = b"NATS/1.0\r\n\r\n".to_vec();
            for (key, value) in lines {
                headers::append(&mut headers, key.as_bytes(), value.as_bytes());
            }
            let message = StagedMessage {
                subject: b"s",
                headers: &headers,
                payload,
            };
            let limits = Arc::clone(&self.limits);
            let received =
                self.batches
                    .receive(id.as_bytes(), &message, &limits, MAX_BYTES, self.now);
            match received {
                Received::Staged => "staged".to_owned(),
                Received::Committed(batch) => {
                    let last = batch.iter().last().expect("no batch is empty");
                    let commit = headers::get(last.headers, b"Nats-Batch-Commit");
                    assert_eq!(commit, Some(&b"1"[..]));
                    assert_eq!(headers::get(last.headers, b"Nats-Required-Api-Level"), None);
                    format!("committed {}", batch.len())
                }
                Received::Refused { error, abandoned } => {
                    let reason = abandoned.map(|reason| format!(" {reason:?}"));
                    format!("{}{}", error.err_code, reason.unwrap_or_default())
                }
            }
        }
    }

    fn seq(n: &str) -> (&'static str, &str) {
        ("Nats-Batch-Sequence", n)
    }

    fn commit(value: &str) -> (&'static str, &str) {
        ("Nats-Batch-Commit", value)
    }

    #[test]
    fn a_batch_goes_from_its_first_message_to_its_commit() {
        let mut play = Play::new();
        assert_eq!(play.send("a", &[seq("1")]), "staged");
        assert_eq!(play.send("b", &[seq("1")]), "staged");
        assert_eq!(play.send("a", &[seq("2")]), "staged");
        assert_eq!(play.send("a", &[seq("3"), commit("1")]), "committed 3");
        let level = ("Nats-Required-Api-Level", "2");
        assert_eq!(play.send("b", &[seq("2"), level]), "staged");
        assert_eq!(play.send("b", &[seq("3"), commit("eob")]), "committed 2");
        assert_eq!(play.send("c", &[seq("1"), commit("1")]), "committed 1");
        assert!(play.batches.is_empty());
    }

    #[test]
    fn what_breaks_the_rules_ends_the_batch() {
        let check = |before: u32, lines: &[(&str, &str)], want: &str| {
            let mut play = Play::new();
            for n in 1..=before {
                assert_eq!(play.send("a", &[seq(&n.to_string())]), "staged");
            }
            assert_eq!(play.send("a", lines), want, "{lines:?}");
            want.len()
        };
        check(0, &[], "10175");
        check(0, &[seq("x")], "10175");
        check(0, &[seq("2")], "10176");
        check(0, &[seq("4")], "10199");
        check(0, &[seq("4"), commit("eob")], "10176");
        check(0, &[seq("1"), commit("eob")], "10176 Incomplete");
        check(0, &[seq("1"), commit("2")], "10200");
        check(0, &[seq("1"), commit("")], "10200");
        check(1, &[seq("3")], "10176 Incomplete");
        check(1, &[seq("1")], "10176 Incomplete");
        check(1, &[], "10175");
        check(3, &[seq("4")], "10199 Large");
        check(3, &[seq("4"), commit("eob")], "committed 3");
        let level = ("Nats-Required-Api-Level", "99");
        check(1, &[seq("2"), level], "10185 Unsupported");
        let mut play = Play::new();
        assert_eq!(play.send(&"i".repeat(65), &[seq("1")]), "10179");
        assert_eq!(play.send(&"i".repeat(64), &[seq("1")]), "staged");
        assert_eq!(play.send("b", &[seq("1")]), "staged");
        assert_eq!(play.send("c", &[seq("1")]), "10210");
    }

    #[test]
    fn a_batch_holds_no_more_bytes_than_it_may() {
        let mut play = Play::new();
        let half = [0; MAX_BYTES as usize / 2];
        assert_eq!(play.send_payload("a", &[seq("1")], &half), "staged");
        assert_eq!(play.send_payload("a", &[seq("2")], &half), "10199 Large");
        assert_eq!(play.send("a", &[seq("3")]), "10176");
    }

    #[test]
    fn a_batch_times_out_after_its_last_message() {
        let mut play = Play::new();
        play.send("a", &[seq("1")]);
        play.now = NOW.saturating_add(jetsled_jetstream_api::Nanos::from_secs(6));
        play.send("b", &[seq("1")]);
        play.send("a", &[seq("2")]);
        let first = play.batches.next_deadline().expect("two batches");
        assert_eq!(first, play.now.saturating_add(play.limits.timeout));
        assert!(play.batches.expire(Timestamp(first.0 - 1)).is_empty());
        assert_eq!(play.batches.expire(first).len(), 2);
        assert_eq!(play.batches.next_deadline(), None);
    }
}
