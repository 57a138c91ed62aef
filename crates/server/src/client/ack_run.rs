//! Acks in runs: a client that acknowledges one message after the other sends what is known before it comes.

use jetsled_jetstream_api::{AckKind, AckNumbers, AckSubjectReader};
use jetsled_protocol::Pub;

use super::session::Session;
use super::trace;
use crate::jetstream::ConsumerTarget;

/// The acks that are expected next: those of the deliveries behind the last acknowledged one, written as that was.
#[derive(Debug)]
pub(super) struct AckRun {
    consumer: ConsumerTarget,
    subjects: AckSubjectReader,
    /// What stands before and behind the subject.
    before: Vec<u8>,
    behind: Vec<u8>,
    payload_len: usize,
}

impl AckRun {
    /// The numbers of the ack at the front of `input` and its length, if it is the expected one.
    #[inline]
    fn next(&mut self, input: &[u8]) -> Option<(AckNumbers, usize)> {
        let len = self.len();
        let (subject, rest) = input
            .strip_prefix(&*self.before)?
            .split_at_checked(self.subjects.expected_len())?;
        if !rest.starts_with(&self.behind) {
            return None;
        }
        Some((self.subjects.read(subject)?, len))
    }

    /// Of an expected ack; its control line is shorter.
    fn len(&self) -> usize {
        self.before.len() + self.subjects.expected_len() + self.behind.len()
    }
}

impl Session {
    /// Acts on the acks at the front of `input` that were expected; returns how many bytes they took.
    ///
    /// Subject, verdict and route of each are known from those before it, and their consumer takes them all at once.
    #[inline]
    pub(super) fn acks_again(&mut self, input: &[u8]) -> usize {
        if self.routes.acks.is_none() {
            return 0;
        }
        self.ack_run(input)
    }

    fn ack_run(&mut self, input: &[u8]) -> usize {
        let options = &self.login.options;
        let one_by_one = options.verbose || self.routes.mappings.is_some() || trace::is_on();
        let Some(run) = self.routes.acks.as_deref_mut().filter(|_| !one_by_one) else {
            return 0;
        };
        if run.len() > self.limits.max_control_line || run.payload_len > self.limits.max_payload {
            return 0;
        }
        let Some((first, mut consumed)) = run.next(input) else {
            return 0;
        };
        let mut count = 1;
        while let Some((_, len)) = run.next(input.get(consumed..).unwrap_or_default()) {
            consumed += len;
            count += 1;
        }
        let (consumer, payload_len) = (run.consumer, run.payload_len);
        let ingest = &mut self.flush.get().ingest;
        ingest.push_acks(consumer, &self.login.account, first, count);
        let count = count as usize;
        self.count(count, count * payload_len);
        consumed
    }

    /// Remembers an ack that was acted on, if it followed the one before and nobody but its consumer got it; `input` is all of it.
    #[inline]
    pub(super) fn expect_acks(&mut self, publish: &Pub<'_>, input: &[u8]) {
        if publish.subject.starts_with(b"$JS.ACK.") && publish.reply.is_none() {
            self.expect_acks_behind(publish, input);
        }
    }

    fn expect_acks_behind(&mut self, publish: &Pub<'_>, input: &[u8]) {
        self.routes.acks = None;
        let entry = self.routes.last_of_many();
        let Some(consumer) = entry.and_then(|entry| entry.route.acked_consumer()) else {
            return;
        };
        let is_plain = AckKind::parse(publish.payload) == AckKind::Ack;
        if !is_plain || !self.flush.get().ingest.acks_follow() {
            return;
        }
        let start = publish.subject.as_ptr().addr() - input.as_ptr().addr();
        let mut subjects = AckSubjectReader::default();
        subjects.begin(publish.subject);
        let part = |from: usize, to: usize| input.get(from..to).unwrap_or_default().to_vec();
        self.routes.acks = Some(Box::new(AckRun {
            consumer,
            subjects,
            before: part(0, start),
            behind: part(start + publish.subject.len(), input.len()),
            payload_len: publish.payload.len(),
        }));
    }
}
