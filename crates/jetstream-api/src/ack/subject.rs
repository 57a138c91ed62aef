use std::ops::Range;

use crate::name::short_hash;
use crate::{ConsumerSeq, StreamSeq, Timestamp};

/// The numbers of a delivery, as its ack subject carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckNumbers {
    /// How often the message was delivered, this delivery included.
    pub delivered: u64,
    /// The message.
    pub stream_seq: StreamSeq,
    /// The delivery.
    pub consumer_seq: ConsumerSeq,
    /// When the message was stored.
    pub timestamp: Timestamp,
    /// How many more messages the consumer has to deliver.
    pub pending: u64,
}

/// An ack subject taken apart. The names only route; the numbers identify the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckSubject<'a> {
    /// The domain and the account's hash, in the second form of the subject only.
    pub origin: Option<AckOrigin<'a>>,
    /// The stream's name.
    pub stream: &'a [u8],
    /// The consumer's name.
    pub consumer: &'a [u8],
    /// The delivery.
    pub numbers: AckNumbers,
}

/// Where an ack in the second form goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckOrigin<'a> {
    /// The domain; `_` is none.
    pub domain: &'a [u8],
    /// The short hash of the account's name.
    pub account_hash: &'a [u8],
}

impl<'a> AckSubject<'a> {
    /// Takes apart `$JS.ACK.<stream>.<consumer>.<5 numbers>` (9 tokens) or
    /// `$JS.ACK.<domain>.<account hash>.<stream>.<consumer>.<5 numbers>[.<more>]` (11 and more).
    ///
    /// `None` if it is neither. A number that is none reads as the highest there is: nothing that was ever delivered
    /// (observed nats-server 2.15.1).
    #[must_use]
    pub fn parse(subject: &'a [u8]) -> Option<Self> {
        let rest = subject.strip_prefix(PREFIX)?;
        // At most nine tokens matter; further ones are allowed by the second form.
        let mut tokens = Tokens::default();
        let (eights, end) = rest.as_chunks::<8>();
        for (number, eight) in eights.iter().enumerate() {
            tokens.split_at_dots(*eight, PREFIX.len() + 8 * number);
        }
        let mut last = [0; 8];
        last.get_mut(..end.len())?.copy_from_slice(end);
        tokens.split_at_dots(last, subject.len() - end.len());
        tokens.end_at(subject.len());
        let token = |number: usize| tokens.get(number);
        let name = |number: usize| subject.get(token(number));
        let (origin, stream, consumer, numbers) = match tokens.count {
            7 => (None, name(0)?, name(1)?, [2, 3, 4, 5, 6]),
            9.. => (
                Some(AckOrigin {
                    domain: name(0)?,
                    account_hash: name(1)?,
                }),
                name(2)?,
                name(3)?,
                [4, 5, 6, 7, 8],
            ),
            _ => return None,
        };
        let numbers = numbers.map(|number_of| number(subject, token(number_of)));
        let [delivered, stream_seq, consumer_seq, timestamp, pending] = numbers;
        let numbers = AckNumbers {
            delivered,
            stream_seq: StreamSeq(stream_seq),
            consumer_seq: ConsumerSeq(consumer_seq),
            timestamp: Timestamp(i64::try_from(timestamp).unwrap_or(0)),
            pending,
        };
        Some(Self {
            origin,
            stream,
            consumer,
            numbers,
        })
    }
}

/// What all ack subjects of a consumer start with. Made once a consumer, so that a delivery only adds the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckSubjectPrefix {
    prefix: Box<str>,
}

impl AckSubjectPrefix {
    /// The first form, the default through nats-server 2.15.
    #[must_use]
    pub fn new(stream: &str, consumer: &str) -> Self {
        Self {
            prefix: format!("$JS.ACK.{stream}.{consumer}.").into(),
        }
    }

    /// The second form, which the feature flag `js_ack_fc_v2` turns on.
    #[must_use]
    pub fn with_origin(domain: Option<&str>, account: &str, stream: &str, consumer: &str) -> Self {
        let domain = domain.unwrap_or(NO_DOMAIN);
        let account = short_hash(account.as_bytes());
        let prefix = format!("$JS.ACK.{domain}.{account}.{stream}.{consumer}.");
        Self {
            prefix: prefix.into(),
        }
    }

    /// The prefix itself, with its trailing dot.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.prefix.as_bytes()
    }

    /// The consumer's name.
    #[must_use]
    pub fn consumer(&self) -> &str {
        self.prefix.rsplit('.').nth(1).unwrap_or_default()
    }

    /// The subject on which a push consumer's flow control is answered, in the same form. `random` are four characters of the
    /// caller's choice.
    #[must_use]
    pub fn flow_control_subject(&self, random: &str) -> String {
        let rest = self.prefix.strip_prefix("$JS.ACK.").unwrap_or_default();
        format!("$JS.FC.{rest}{random}")
    }

    /// Appends the ack subject of a delivery to `out`.
    pub fn write(&self, numbers: &AckNumbers, out: &mut Vec<u8>) {
        let mut buffer = itoa::Buffer::new();
        out.extend_from_slice(self.prefix.as_bytes());
        out.extend_from_slice(buffer.format(numbers.delivered).as_bytes());
        out.push(b'.');
        out.extend_from_slice(buffer.format(numbers.stream_seq.get()).as_bytes());
        out.push(b'.');
        out.extend_from_slice(buffer.format(numbers.consumer_seq.get()).as_bytes());
        out.push(b'.');
        out.extend_from_slice(buffer.format(numbers.timestamp.as_nanos()).as_bytes());
        out.push(b'.');
        out.extend_from_slice(buffer.format(numbers.pending).as_bytes());
    }

    /// How many bytes [`AckSubjectPrefix::write`] appends.
    #[must_use]
    pub fn written_len(&self, numbers: &AckNumbers) -> usize {
        let time = numbers.timestamp.as_nanos();
        self.prefix.len()
            + decimal_len(numbers.delivered)
            + decimal_len(numbers.stream_seq.get())
            + decimal_len(numbers.consumer_seq.get())
            + decimal_len(time.unsigned_abs())
            + usize::from(time < 0)
            + decimal_len(numbers.pending)
            + 4
    }
}

const PREFIX: &[u8] = b"$JS.ACK.";
const NO_DOMAIN: &str = "_";

/// Where the first tokens of an ack subject are, behind [`PREFIX`].
#[derive(Default)]
struct Tokens {
    ends: [usize; 9],
    count: usize,
}

impl Tokens {
    /// Takes in eight bytes of the subject, which begin at `start`: all at once, since acks come by the million.
    #[inline]
    fn split_at_dots(&mut self, eight: [u8; 8], start: usize) {
        const LOW_BITS: u64 = 0x7F7F_7F7F_7F7F_7F7F;
        let differs = u64::from_le_bytes(eight) ^ u64::from_le_bytes([b'.'; 8]);
        // The highest bit of each byte that is a dot.
        let mut dots = !(((differs & LOW_BITS) + LOW_BITS) | differs | LOW_BITS);
        while dots != 0 {
            self.end_at(start + dots.trailing_zeros() as usize / 8);
            dots &= dots - 1;
        }
    }

    #[inline]
    fn end_at(&mut self, at: usize) {
        if let Some(end) = self.ends.get_mut(self.count) {
            *end = at;
        }
        self.count += 1;
    }

    #[inline]
    fn get(&self, number: usize) -> Range<usize> {
        let before = number
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        let start = before.map_or(PREFIX.len(), |end| end + 1);
        start..self.ends.get(number).copied().unwrap_or(start)
    }
}

/// The decimal number at `place` in an ack subject; anything else, overflow included, is the highest.
#[inline]
pub(super) fn number(subject: &[u8], place: Range<usize>) -> u64 {
    let Some(token) = subject.get(place.clone()).filter(|token| !token.is_empty()) else {
        return u64::MAX;
    };
    // So many digits never overflow.
    if token.len() <= 19 {
        let (mut value, mut scale, mut all_digits) = (0_u64, 1_u64, true);
        let mut end = place.end;
        while end > place.start {
            // There always are eight bytes before a number's end: those of the prefix.
            let Some(eight) = subject.get(..end).and_then(<[u8]>::last_chunk) else {
                return u64::MAX;
            };
            let before = 8_usize.saturating_sub(end - place.start);
            let own = u64::MAX << (8 * before);
            let text = (u64::from_le_bytes(*eight) & own) | (ZEROS & !own);
            let (eight, digits) = eight_digits(text);
            value = value.wrapping_add(eight.wrapping_mul(scale));
            scale = scale.wrapping_mul(100_000_000);
            all_digits &= digits;
            end -= 8 - before;
        }
        return if all_digits { value } else { u64::MAX };
    }
    let mut value: u64 = 0;
    for byte in token {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return u64::MAX;
        }
        let Some(next) = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(digit)))
        else {
            return u64::MAX;
        };
        value = next;
    }
    value
}

const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

/// The value of eight ASCII digits, the first in the lowest byte, and whether they are digits.
#[inline]
fn eight_digits(text: u64) -> (u64, bool) {
    let high = text & 0xF0F0_F0F0_F0F0_F0F0;
    let above_nine = (text.wrapping_add(0x0606_0606_0606_0606)) & 0xF0F0_F0F0_F0F0_F0F0;
    let all_digits = high == ZEROS && above_nine == ZEROS;
    let digits = text.wrapping_sub(ZEROS);
    // Neighbours are put together: to numbers of two digits, of four, of eight.
    let pairs = (digits.wrapping_mul(10).wrapping_add(digits >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    let eight = (fours.wrapping_mul(10_000).wrapping_add(fours >> 32)) & 0xFFFF_FFFF;
    (eight, all_digits)
}

fn decimal_len(value: u64) -> usize {
    value.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NUMBERS: AckNumbers = AckNumbers {
        delivered: 1,
        stream_seq: StreamSeq(22),
        consumer_seq: ConsumerSeq(333),
        timestamp: Timestamp(1_700_000_000_123_456_789),
        pending: 0,
    };

    fn written(prefix: &AckSubjectPrefix, numbers: &AckNumbers) -> String {
        let mut out = Vec::new();
        prefix.write(numbers, &mut out);
        assert_eq!(out.len(), prefix.written_len(numbers));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn has_both_forms() {
        let first = written(&AckSubjectPrefix::new("S", "C"), &NUMBERS);
        assert_eq!(first, "$JS.ACK.S.C.1.22.333.1700000000123456789.0");
        let second = AckSubjectPrefix::with_origin(None, "$G", "S", "C");
        let second = written(&second, &NUMBERS);
        assert_eq!(
            second,
            "$JS.ACK._.szMpdrwD.S.C.1.22.333.1700000000123456789.0"
        );
        let origin = AckOrigin {
            domain: b"_",
            account_hash: b"szMpdrwD",
        };
        let longer = format!("{second}.more.tokens");
        for (subject, origin) in [
            (first, None),
            (second, Some(origin)),
            (longer, Some(origin)),
        ] {
            let want = AckSubject {
                origin,
                stream: b"S",
                consumer: b"C",
                numbers: NUMBERS,
            };
            assert_eq!(
                AckSubject::parse(subject.as_bytes()),
                Some(want),
                "{subject}"
            );
        }
    }

    #[test]
    fn ignores_other_counts_of_tokens_and_reads_odd_numbers_as_the_highest() {
        for subject in [
            "",
            "$JS.ACK",
            "$JS.ACK.S.C.1.2.3.4",
            "$JS.ACK.a.S.C.1.2.3.4.5",
            "$JS.FC.S.C.1.2.3.4.5",
        ] {
            assert_eq!(AckSubject::parse(subject.as_bytes()), None, "{subject}");
        }
        let odd = AckSubject::parse(b"$JS.ACK.S.C.x.-1.99999999999999999999..7").unwrap();
        let highest = AckNumbers {
            delivered: u64::MAX,
            stream_seq: StreamSeq(u64::MAX),
            consumer_seq: ConsumerSeq(u64::MAX),
            timestamp: Timestamp::EPOCH,
            pending: 7,
        };
        assert_eq!(odd.numbers, highest);
    }

    #[test]
    fn flow_control_subjects_have_both_forms() {
        let first = AckSubjectPrefix::new("S", "C");
        assert_eq!(first.flow_control_subject("aB3d"), "$JS.FC.S.C.aB3d");
        let second = AckSubjectPrefix::with_origin(Some("hub"), "$G", "S", "C");
        assert_eq!((first.consumer(), second.consumer()), ("C", "C"));
        assert_eq!(
            second.flow_control_subject("aB3d"),
            "$JS.FC.hub.szMpdrwD.S.C.aB3d"
        );
    }

    proptest! {
        #[test]
        fn every_delivery_survives_its_subject(
            delivered: u64, stream_seq: u64, consumer_seq: u64, time in 0..i64::MAX, pending: u64, second: bool,
        ) {
            let numbers = AckNumbers {
                delivered,
                stream_seq: StreamSeq(stream_seq),
                consumer_seq: ConsumerSeq(consumer_seq),
                timestamp: Timestamp(time),
                pending,
            };
            let prefix = if second {
                AckSubjectPrefix::with_origin(Some("d"), "A", "S", "C")
            } else {
                AckSubjectPrefix::new("S", "C")
            };
            let subject = written(&prefix, &numbers);
            prop_assert_eq!(AckSubject::parse(subject.as_bytes()).unwrap().numbers, numbers);
        }

        #[test]
        fn tokens_are_what_a_plain_split_finds(tokens in prop::collection::vec("[a-z0-9$]{0,12}", 7..12)) {
            let subject = format!("$JS.ACK.{}", tokens.join("."));
            let parsed = AckSubject::parse(subject.as_bytes());
            let names = if tokens.len() == 7 { 0 } else { 2 };
            prop_assert_eq!(parsed.is_some(), tokens.len() != 8);
            if let Some(parsed) = parsed {
                prop_assert_eq!(parsed.stream, tokens[names].as_bytes());
                prop_assert_eq!(parsed.consumer, tokens[names + 1].as_bytes());
                let delivered = tokens[names + 2].parse().unwrap_or(u64::MAX);
                prop_assert_eq!(parsed.numbers.delivered, delivered);
                let pending = tokens[names + 6].parse().unwrap_or(u64::MAX);
                prop_assert_eq!(parsed.numbers.pending, pending);
            }
        }

        #[test]
        fn no_subject_is_too_much(subject: Vec<u8>) {
            let _ = AckSubject::parse(&[PREFIX, &subject].concat());
        }
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_digit_by_digit(text in "[0-9]{1,24}|[0-9:/ ]{0,20}") {
            let expected = text
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| text.parse().ok())
                .flatten();
            let subject = [PREFIX, text.as_bytes()].concat();
            let read = number(&subject, PREFIX.len()..subject.len());
            prop_assert_eq!(read, expected.unwrap_or(u64::MAX));
        }
    }
}
