//! Counters (ADR-49): numbers of any size that messages add to.

use std::collections::BTreeMap;

use jetsled_jetstream_api::{ApiError, json};
use num_bigint::BigInt;
use serde::Deserialize;

/// What the last message of a counter's subject holds. The default is a counter that begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counter {
    total: BigInt,
    /// The last value seen of each subject of each origin stream.
    sources: BTreeMap<String, BTreeMap<String, String>>,
}

/// What a message to a counter is stored with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// The counter's new value in decimal digits.
    pub(super) total: String,
    /// What takes the place of `Nats-Incr`.
    pub(super) increment: Option<String>,
    /// What takes the place of `Nats-Counter-Sources`.
    pub(super) sources: Option<Vec<u8>>,
}

/// The body of a counter's message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    val: String,
}

impl Counter {
    /// Reads what a message of the counter says: its body, and its `Nats-Counter-Sources`.
    ///
    /// # Errors
    /// 10172 when either is not what a counter stores.
    pub(super) fn read(body: &[u8], sources: Option<&[u8]>) -> Result<Self, ApiError> {
        let sources = match sources.filter(|sources| !sources.is_empty()) {
            Some(sources) => {
                serde_json::from_slice(sources).map_err(|_| ApiError::MESSAGE_COUNTER_BROKEN)?
            }
            None => BTreeMap::new(),
        };
        let total = value_of(body)?;
        Ok(Self { total, sources })
    }

    /// Adds an increment.
    pub(super) fn add(self, increment: &BigInt) -> Counted {
        self.counted(increment, None)
    }

    /// Adds what the counter of another stream has changed by since it was last seen here. `stream_source` is the message's
    /// `Nats-Stream-Source`, `subject` the one that it has here, `body` what the origin stored.
    ///
    /// The origin's own increment does not count: messages of it may have been missed, or seen before.
    ///
    /// # Errors
    /// 10172 when the body is not that of a counter.
    pub(super) fn take_over(
        mut self,
        stream_source: &[u8],
        subject: &[u8],
        body: &[u8],
    ) -> Result<Counted, ApiError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut fields = stream_source.split(|byte| *byte == b' ');
        let stream = text(fields.next().unwrap_or_default());
        let subject = text(fields.nth(3).unwrap_or(subject));
        let seen = value_of(body)?;
        let before = self
            .sources
            .entry(stream)
            .or_default()
            .insert(subject, seen.to_string());
        let before = before.map_or(BigInt::ZERO, |digits| {
            number(digits.as_bytes()).unwrap_or_default()
        });
        let increment = seen - before;
        Ok(self.counted(&increment, Some(increment.to_string())))
    }

    fn counted(self, increment: &BigInt, rewritten: Option<String>) -> Counted {
        Counted {
            total: (self.total + increment).to_string(),
            increment: rewritten,
            sources: (!self.sources.is_empty()).then(|| json::to_vec(&self.sources)),
        }
    }
}

impl Counted {
    /// Appends the body that is stored.
    pub(super) fn write_body(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(BEFORE);
        out.extend_from_slice(self.total.as_bytes());
        out.extend_from_slice(BEHIND);
    }
}

const BEFORE: &[u8] = b"{\"val\":\"";
const BEHIND: &[u8] = b"\"}";

/// Reads decimal digits with an optional sign: the values of `Nats-Incr`.
pub(super) fn number(text: &[u8]) -> Option<BigInt> {
    let digits = match text {
        [b'+' | b'-', digits @ ..] => digits,
        digits => digits,
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    BigInt::parse_bytes(text, 10)
}

/// The value in a counter's body; one that is no number counts as zero.
fn value_of(body: &[u8]) -> Result<BigInt, ApiError> {
    let usual = body
        .strip_prefix(BEFORE)
        .and_then(|rest| rest.strip_suffix(BEHIND))
        .and_then(number);
    if let Some(value) = usual {
        return Ok(value);
    }
    let body: Body = json::decode_one(body).map_err(|_| ApiError::MESSAGE_COUNTER_BROKEN)?;
    Ok(number(body.val.as_bytes()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored(counted: &Counted) -> Counter {
        let mut body = Vec::new();
        counted.write_body(&mut body);
        Counter::read(&body, counted.sources.as_deref()).unwrap()
    }

    #[test]
    fn numbers_are_those_that_go_reads() {
        for good in [
            "0",
            "-0",
            "+5",
            "-5",
            "007",
            "123456789012345678901234567890",
        ] {
            assert!(number(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "", "+", "-", "1_000", " 1", "1 ", "1.5", "0x1", "--1", "1e3",
        ] {
            assert!(number(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_counter_is_broken() {
        let check = |body: &str, sources: Option<&str>, total: Option<i64>| {
            let read = Counter::read(body.as_bytes(), sources.map(str::as_bytes));
            let found = read.as_ref().map(|counter| counter.total.clone());
            assert_eq!(found.ok(), total.map(BigInt::from), "{body} {sources:?}");
        };
        check(r#"{"val":"12"}"#, None, Some(12));
        check(r#"{"val":"12"}"#, Some(r#"{"A":{"a":"1"}}"#), Some(12));
        check(r#" { "x": 1, "val" : "-3" } "#, None, Some(-3));
        check("{}", None, Some(0));
        check("null", None, Some(0));
        check(r#"{"vAL":"3","val":null}"#, None, Some(3));
        for body in ["", "x", "12", r#"{"val":12}"#, r#"{"val":"1"#] {
            check(body, None, None);
        }
        check(r#"{"val":"12"}"#, Some("x"), None);
    }

    #[test]
    fn an_origin_counts_by_what_changed_since_it_was_last_seen() {
        let check = |before: Counter, source: &str, body: &str, expected: (&str, &str, &str)| {
            let counted = before
                .take_over(source.as_bytes(), b"c.x", body.as_bytes())
                .unwrap();
            let sources = String::from_utf8(counted.sources.clone().unwrap()).unwrap();
            let found = (
                &*counted.total,
                counted.increment.as_deref().unwrap(),
                &*sources,
            );
            assert_eq!(found, expected);
            stored(&counted)
        };
        let source = "A 3 > > a.x";
        let counter = check(
            Counter::default(),
            source,
            r#"{"val":"5"}"#,
            ("5", "5", r#"{"A":{"a.x":"5"}}"#),
        );
        // Two of the origin's messages were missed, so its own increment says nothing.
        let counter = check(
            counter,
            source,
            r#"{"val":"12"}"#,
            ("12", "7", r#"{"A":{"a.x":"12"}}"#),
        );
        let counter = check(
            counter,
            "B 1",
            r#"{"val":"-2"}"#,
            ("10", "-2", r#"{"A":{"a.x":"12"},"B":{"c.x":"-2"}}"#),
        );
        let counter = stored(&counter.add(&BigInt::from(100)));
        check(
            counter,
            source,
            r#"{"val":"12"}"#,
            ("110", "0", r#"{"A":{"a.x":"12"},"B":{"c.x":"-2"}}"#),
        );
        assert_eq!(
            Counter::default().take_over(b"A 1", b"a", b"5x"),
            Err(ApiError::MESSAGE_COUNTER_BROKEN)
        );
    }

    proptest! {
        #[test]
        fn a_chain_of_counters_ends_with_the_sum(steps in proptest::collection::vec((any::<i128>(), 0_usize..3, any::<bool>()), 1..40)) {
            // Three origins, whose messages reach the counter that gathers them or get lost on the way.
            let mut origins: Vec<Counter> = (0..3).map(|_| Counter::default()).collect();
            let mut gathered = Counter::default();
            let mut sum = BigInt::ZERO;
            let steps = steps.iter().copied().map(|(n, at, arrives)| (BigInt::from(n) * n, at, arrives));
            for (increment, at, arrives) in steps.chain((0..3).map(|at| (BigInt::ZERO, at, true))) {
                sum += &increment;
                let counted = std::mem::take(&mut origins[at]).add(&increment);
                let mut body = Vec::new();
                counted.write_body(&mut body);
                if arrives {
                    gathered = stored(&gathered.take_over(format!("S{at} 1 > > c").as_bytes(), b"c", &body).unwrap());
                }
                origins[at] = stored(&counted);
            }
            prop_assert_eq!(gathered.total, sum);
        }
    }
}
