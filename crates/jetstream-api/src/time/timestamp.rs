use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Nanos;
use super::rfc3339::{self, ParseTimestampError};

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, from the year 1677 to 2262.
///
/// JSON and `Display` are RFC 3339 in UTC with up to nine fractional digits and no trailing zeros, as Go prints them.
/// [`Timestamp::UNSET`] is Go's zero time, `0001-01-01T00:00:00Z`; it sorts before every other time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Go's zero time, which JetStream shows where no time is known.
    pub const UNSET: Self = Self(i64::MIN);
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whether this is [`Timestamp::UNSET`].
    #[must_use]
    pub const fn is_unset(&self) -> bool {
        self.0 == i64::MIN
    }

    /// The time that is `span` later; saturates at the ends of the range, and an unset time stays unset.
    #[must_use]
    pub const fn saturating_add(self, span: Nanos) -> Self {
        if self.is_unset() {
            self
        } else {
            Self::clamped(self.0.saturating_add(span.0))
        }
    }

    /// The time that is `span` earlier; saturates at the ends of the range, and an unset time stays unset.
    #[must_use]
    pub const fn saturating_sub(self, span: Nanos) -> Self {
        if self.is_unset() {
            self
        } else {
            Self::clamped(self.0.saturating_sub(span.0))
        }
    }

    /// How long after `earlier` this time is; negative if it is before.
    #[must_use]
    pub const fn since(self, earlier: Timestamp) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }

    /// Keeps a computed time apart from the value that stands for "unset".
    const fn clamped(nanos: i64) -> Self {
        if nanos == i64::MIN {
            Self(i64::MIN + 1)
        } else {
            Self(nanos)
        }
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::UNSET
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unset() {
            return f.write_str("0001-01-01T00:00:00Z");
        }
        let time = jiff::Timestamp::from_nanosecond(i128::from(self.0))
            .expect("every i64 of nanoseconds lies inside jiff's range");
        fmt::Display::fmt(&time, f)
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// Reads an RFC 3339 time with any offset. Times outside of the range become its nearest end, and the year 1
    /// becomes [`Timestamp::UNSET`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "0001-01-01T00:00:00Z" {
            return Ok(Self::UNSET);
        }
        let nanos = rfc3339::parse(text)?;
        let bounded = nanos.clamp(i128::from(i64::MIN + 1), i128::from(i64::MAX));
        Ok(Self(
            i64::try_from(bounded).expect("clamped to the range of an i64"),
        ))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, nanos: i64, shown: &str) {
        let time: Timestamp = text.parse().unwrap();
        assert_eq!(
            (time.as_nanos(), time.to_string().as_str()),
            (nanos, shown),
            "{text}"
        );
    }

    #[test]
    fn reads_and_writes_as_go_does() {
        check("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z");
        check("1970-01-01T01:00:00+01:00", 0, "1970-01-01T00:00:00Z");
        check(
            "1970-01-01T00:00:00.5Z",
            500_000_000,
            "1970-01-01T00:00:00.5Z",
        );
        check(
            "1970-01-01T00:00:00.120000000Z",
            120_000_000,
            "1970-01-01T00:00:00.12Z",
        );
        check(
            "1970-01-01T00:00:00.000000001Z",
            1,
            "1970-01-01T00:00:00.000000001Z",
        );
        check("0001-01-01T00:00:00Z", i64::MIN, "0001-01-01T00:00:00Z");
        check(
            "9999-01-01T00:00:00Z",
            i64::MAX,
            "2262-04-11T23:47:16.854775807Z",
        );
        check(
            "1500-01-01T00:00:00Z",
            i64::MIN + 1,
            "1677-09-21T00:12:43.145224193Z",
        );
        for text in ["", "x", "2026-01-01", "2026-13-01T00:00:00Z"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_unset_time_stays_unset_and_sorts_first() {
        assert_eq!(Timestamp::UNSET.saturating_add(Nanos(5)), Timestamp::UNSET);
        assert_eq!(
            Timestamp(i64::MIN + 1).saturating_sub(Nanos(5)),
            Timestamp(i64::MIN + 1)
        );
        assert!(Timestamp::UNSET < Timestamp(i64::MIN + 1));
    }

    proptest! {
        #[test]
        fn every_time_survives_its_text(nanos: i64) {
            let time = Timestamp(nanos);
            prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }
    }
}
