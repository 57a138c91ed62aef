//! Ack subjects in runs: those of deliveries that follow each other differ by one in a few digits.

use super::subject::number;
use super::{AckNumbers, AckSubject, AckSubjectPrefix};
use crate::Timestamp;
use crate::digits::{count_down, count_up};

/// Writes the ack subjects of one consumer's deliveries. Where a delivery follows the last one, as most do, its numbers are counted on in
/// the text of that.
#[derive(Debug, Default)]
pub struct AckSubjectWriter {
    text: Vec<u8>,
    prefix_len: usize,
    /// What the text says; `None`: nothing yet.
    numbers: Option<AckNumbers>,
    /// Where the first four numbers end.
    ends: [usize; 4],
}

impl AckSubjectWriter {
    /// From here on it writes for the consumer of this prefix.
    pub fn begin(&mut self, prefix: &AckSubjectPrefix) {
        self.begin_with(prefix.as_bytes());
    }

    fn begin_with(&mut self, prefix: &[u8]) {
        self.text.clear();
        self.text.extend_from_slice(prefix);
        self.prefix_len = self.text.len();
        self.numbers = None;
    }

    /// The ack subject of a delivery.
    pub fn subject(&mut self, numbers: &AckNumbers) -> &[u8] {
        if !self.count_on(numbers) {
            self.write(numbers);
        }
        self.numbers = Some(*numbers);
        &self.text
    }

    /// Makes the next delivery's text of the last one's. `false`: it has to be written.
    fn count_on(&mut self, numbers: &AckNumbers) -> bool {
        let Some(last) = self.numbers else {
            return false;
        };
        let follows = |before: u64, now: u64| before.checked_add(1) == Some(now);
        if numbers.delivered != last.delivered
            || !follows(last.stream_seq.get(), numbers.stream_seq.get())
            || !follows(last.consumer_seq.get(), numbers.consumer_seq.get())
        {
            return false;
        }
        let [delivered, stream_seq, consumer_seq, timestamp] = self.ends;
        let text = &mut self.text;
        if numbers.timestamp != last.timestamp {
            let mut buffer = itoa::Buffer::new();
            let now = buffer.format(numbers.timestamp.as_nanos());
            match text.get_mut(consumer_seq + 1..timestamp) {
                Some(place) if place.len() == now.len() => place.copy_from_slice(now.as_bytes()),
                _ => return false,
            }
        }
        count_up(&mut text[delivered + 1..stream_seq])
            && count_up(&mut text[stream_seq + 1..consumer_seq])
            && (numbers.pending == last.pending
                || follows(numbers.pending, last.pending) && count_down(&mut text[timestamp + 1..]))
    }

    fn write(&mut self, numbers: &AckNumbers) {
        self.text.truncate(self.prefix_len);
        let mut buffer = itoa::Buffer::new();
        let first = [
            numbers.delivered,
            numbers.stream_seq.get(),
            numbers.consumer_seq.get(),
        ];
        for (number, end) in first.into_iter().zip(&mut self.ends) {
            let number = buffer.format(number);
            self.text.extend_from_slice(number.as_bytes());
            *end = self.text.len();
            self.text.push(b'.');
        }
        let timestamp = buffer.format(numbers.timestamp.as_nanos());
        self.text.extend_from_slice(timestamp.as_bytes());
        self.ends[3] = self.text.len();
        self.text.push(b'.');
        let pending = buffer.format(numbers.pending);
        self.text.extend_from_slice(pending.as_bytes());
    }
}

/// Reads ack subjects that follow each other, as those of most clients do: each says what the next one's text is, up to its time, and
/// comparing a text costs much less than taking it apart.
#[derive(Debug, Default)]
pub struct AckSubjectReader {
    /// Has written what is expected.
    expected: AckSubjectWriter,
}

impl AckSubjectReader {
    /// Expects what comes behind `subject`; nothing if that is no ack subject.
    pub fn begin(&mut self, subject: &[u8]) {
        self.expected.numbers = None;
        let Some(ack) = AckSubject::parse(subject) else {
            return;
        };
        let end_of_names = ack.consumer.as_ptr_range().end.addr();
        let prefix_len = end_of_names - subject.as_ptr().addr() + 1;
        self.expected
            .begin_with(subject.get(..prefix_len).unwrap_or_default());
        // A text that was not written as ours are is not expected: its length or a digit differs.
        self.expected.numbers = Some(ack.numbers);
        self.expected.write(&ack.numbers);
        self.expect_next();
    }

    /// How long the expected subject is; 0 if none is.
    #[must_use]
    pub fn expected_len(&self) -> usize {
        self.expected
            .numbers
            .map_or(0, |_| self.expected.text.len())
    }

    /// The numbers of `subject` if it is the expected one; then the next one is expected.
    #[inline]
    pub fn read(&mut self, subject: &[u8]) -> Option<AckNumbers> {
        let expected = &self.expected;
        let numbers = expected.numbers?;
        let [_, _, consumer_seq, timestamp] = expected.ends;
        let is_expected = subject.len() == expected.text.len()
            && subject.get(..=consumer_seq) == expected.text.get(..=consumer_seq)
            && subject.get(timestamp..) == expected.text.get(timestamp..);
        if !is_expected {
            return None;
        }
        let time = number(subject, consumer_seq + 1..timestamp);
        let timestamp = Timestamp(i64::try_from(time).ok()?);
        self.expect_next();
        Some(AckNumbers {
            timestamp,
            ..numbers
        })
    }

    fn expect_next(&mut self) {
        if let Some(last) = self.expected.numbers {
            self.expected.subject(&AckNumbers {
                stream_seq: last.stream_seq.next(),
                consumer_seq: last.consumer_seq.next(),
                pending: last.pending.saturating_sub(1),
                ..last
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{ConsumerSeq, StreamSeq, Timestamp};

    fn check(deliveries: impl IntoIterator<Item = AckNumbers>) {
        let prefix = AckSubjectPrefix::new("S", "C");
        let mut writer = AckSubjectWriter::default();
        writer.begin(&AckSubjectPrefix::new("another", "one"));
        writer.begin(&prefix);
        let mut expected = Vec::new();
        for numbers in deliveries {
            expected.clear();
            prefix.write(&numbers, &mut expected);
            let written = writer.subject(&numbers);
            assert_eq!(
                String::from_utf8_lossy(written),
                String::from_utf8_lossy(&expected)
            );
        }
    }

    fn numbers(delivered: u64, seqs: [u64; 2], timestamp: i64, pending: u64) -> AckNumbers {
        let [stream_seq, consumer_seq] = seqs;
        AckNumbers {
            delivered,
            stream_seq: StreamSeq(stream_seq),
            consumer_seq: ConsumerSeq(consumer_seq),
            timestamp: Timestamp(timestamp),
            pending,
        }
    }

    #[test]
    fn a_run_is_counted_on_across_changes_of_length() {
        check(
            (0..2000).map(|at| numbers(1, [95 + at, 1 + at], 1_700_000_000_123_456_789, 1999 - at)),
        );
        let top = u64::MAX;
        check([
            numbers(1, [top - 1, top], 0, 1),
            numbers(1, [top, top], 0, 0),
            numbers(1, [top, top], 0, 0),
        ]);
    }

    /// What a reader that began with the first subject makes of the next one.
    fn check_read(first: &str, next: &str, expected: Option<u64>) {
        let mut reader = AckSubjectReader::default();
        reader.begin(first.as_bytes());
        let read = reader.read(next.as_bytes());
        assert_eq!(
            read.map(|numbers| numbers.stream_seq.get()),
            expected,
            "{next}"
        );
        if let Some(numbers) = read {
            assert_eq!(AckSubject::parse(next.as_bytes()).unwrap().numbers, numbers);
        }
    }

    #[test]
    fn only_the_next_one_is_expected_whenever_its_message_was_stored() {
        let first = "$JS.ACK.S.C.1.9.19.1700000000123456789.10";
        for (next, seq) in [
            ("$JS.ACK.S.C.1.10.20.1700000000123456789.9", Some(10)),
            ("$JS.ACK.S.C.1.10.20.1800000000123456780.9", Some(10)),
            ("$JS.ACK.S.C.1.10.20.180000000012345678x.9", None),
            ("$JS.ACK.S.C.1.10.20.18000.0000123456789.9", None),
            ("$JS.ACK.S.C.1.10.20.1700000000123456789.8", None),
            ("$JS.ACK.S.C.2.10.20.1700000000123456789.9", None),
            ("$JS.ACK.S.D.1.10.20.1700000000123456789.9", None),
            ("$JS.ACK.S.C.1.11.21.1700000000123456789.8", None),
            ("$JS.ACK.S.C.1.10.20.1700000000123456789.9.", None),
            ("$JS.ACK._.h.S.C.1.10.20.1700000000123456789.9", None),
            (first, None),
        ] {
            check_read(first, next, seq);
        }
        let second = "$JS.ACK._.h.S.C.1.1.1.5.0";
        check_read(second, "$JS.ACK._.h.S.C.1.2.2.6.0", Some(2));
        check_read("$JS.ACK.S.C.1.01.1.5.0", "$JS.ACK.S.C.1.02.2.5.0", None);
        check_read("$JS.ACK.S.C", "$JS.ACK.S.C", None);
    }

    proptest! {
        #[test]
        fn what_is_written_in_a_run_is_read_in_a_run(start: (u32, u32), len in 1..300_u64, left in 0..400_u64) {
            let prefix = AckSubjectPrefix::new("S", "C");
            let at = |step: u64| numbers(
                1, [u64::from(start.0) + step, u64::from(start.1) + step], 1_700_000_000_000_000_000, left.saturating_sub(step),
            );
            let mut reader = AckSubjectReader::default();
            let mut subject = Vec::new();
            prefix.write(&at(0), &mut subject);
            reader.begin(&subject);
            for step in 1..len {
                subject.clear();
                prefix.write(&at(step), &mut subject);
                prop_assert_eq!(reader.expected_len(), subject.len());
                prop_assert_eq!(reader.read(&subject), Some(at(step)));
            }
        }

        #[test]
        fn writes_what_the_prefix_writes(
            start: (u64, u64), pending in 0..3000_u64,
            steps in prop::collection::vec((0..10_u8, 0..3_u64, 0..3_u64, 0..3_u64, 0..2_i64), 1..200),
        ) {
            let mut now = numbers(1, [start.0 >> (start.1 % 64), start.1 >> (start.0 % 64)], 1_700_000_000_000_000_000, pending);
            check(steps.into_iter().map(|(kind, stream, consumer, pending, time)| {
                let (stream, consumer, pending, time) = match kind {
                    0 => (stream, consumer, pending, time),
                    _ => (1, 1, 1, 0),
                };
                now.delivered = if kind == 1 { 2 } else { 1 };
                now.stream_seq = StreamSeq(now.stream_seq.get().saturating_add(stream));
                now.consumer_seq = ConsumerSeq(now.consumer_seq.get().saturating_add(consumer));
                now.pending = now.pending.saturating_sub(pending);
                now.timestamp = Timestamp(now.timestamp.as_nanos() + time);
                now
            }));
        }
    }
}
