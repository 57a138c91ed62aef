use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A span of time in nanoseconds, negative ones included: an integer in JSON, Go's notation (`1m30s`, `500ms`) as text.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub i64);

/// A text that is not a duration in Go's notation, or one beyond about 292 years.
#[derive(Debug, thiserror::Error)]
#[error("duration {text:?} is not in the notation of 1h30m, 2.5s or 500ms")]
pub struct ParseNanosError {
    text: String,
}

impl Nanos {
    /// No time at all, which JetStream uses for "not set".
    pub const ZERO: Self = Self(0);

    /// The span of `count` milliseconds.
    #[must_use]
    pub const fn from_millis(count: i64) -> Self {
        Self(count.saturating_mul(1_000_000))
    }

    /// The span of `count` seconds.
    #[must_use]
    pub const fn from_secs(count: i64) -> Self {
        Self(count.saturating_mul(1_000_000_000))
    }

    /// The number of nanoseconds.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether this is zero.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// The same span as a [`Duration`]; a negative one becomes zero.
    #[must_use]
    pub const fn to_duration(self) -> Duration {
        if self.0 < 0 {
            Duration::ZERO
        } else {
            Duration::from_nanos(self.0.unsigned_abs())
        }
    }
}

impl From<Duration> for Nanos {
    /// Spans of more than about 292 years become the longest one.
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => write_unit(f, nanos, 1_000, "µs"),
            1_000_000..1_000_000_000 => write_unit(f, nanos, 1_000_000, "ms"),
            _ => {
                let minutes = nanos / MINUTE;
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                write_unit(f, nanos % MINUTE, SECOND, "s")
            }
        }
    }
}

/// Writes `nanos` in a unit of `size` nanoseconds, with as many decimals as it takes.
fn write_unit(f: &mut fmt::Formatter<'_>, nanos: u64, size: u64, unit: &str) -> fmt::Result {
    write!(f, "{}", nanos / size)?;
    let mut rest = nanos % size;
    if rest > 0 {
        f.write_str(".")?;
        let mut digit = size / 10;
        while rest > 0 {
            write!(f, "{}", rest / digit)?;
            rest %= digit;
            digit /= 10;
        }
    }
    f.write_str(unit)
}

impl FromStr for Nanos {
    type Err = ParseNanosError;

    /// Reads Go's notation: an optional sign and one or more decimal numbers with a unit each; `0` needs none.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map(Self).ok_or_else(|| ParseNanosError {
            text: text.to_owned(),
        })
    }
}

fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let whole_len = digits(rest);
        let (whole, after) = rest.split_at(whole_len);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => after.split_at(digits(after)),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit_len = after
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_len);
        let size = unit_size(unit)?;
        let whole: i128 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        total = total.checked_add(whole.checked_mul(size)?)?;
        // More decimals than a nanosecond has are cut off; 18 of them can not overflow.
        let fraction = fraction.get(..18).unwrap_or(fraction);
        if !fraction.is_empty() {
            let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
            total += fraction.parse::<i128>().ok()? * size / scale;
        }
        rest = next;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn unit_size(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => i128::from(SECOND),
        "m" => i128::from(MINUTE),
        "h" => 60 * i128::from(MINUTE),
        _ => return None,
    })
}

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn writes_as_go_does() {
        for (nanos, want) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (100_000_000, "100ms"),
            (1_000_000_000, "1s"),
            (3_300_000_000, "3.3s"),
            (60_000_000_000, "1m0s"),
            (245_000_000_000, "4m5s"),
            (245_001_000_000, "4m5.001s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (480_000_000_001, "8m0.000000001s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(Nanos(nanos).to_string(), want);
        }
    }

    #[test]
    fn reads_as_go_does() {
        for (text, want) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("5s", Some(5_000_000_000)),
            ("-5.5s", Some(-5_500_000_000)),
            ("+5s", Some(5_000_000_000)),
            (".5s", Some(500_000_000)),
            ("1.s", Some(1_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("12us", Some(12_000)),
            ("12μs", Some(12_000)),
            ("9223372036854775807ns", Some(i64::MAX)),
            ("9223372036854775808ns", None),
            ("0.3333333333333333333h", Some(1_200_000_000_000 - 1)),
            ("", None),
            ("-", None),
            ("3", None),
            ("s", None),
            (".s", None),
            ("1d", None),
            ("1s ", None),
        ] {
            assert_eq!(text.parse::<Nanos>().ok(), want.map(Nanos), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_span_survives_its_text(nanos: i64) {
            prop_assert_eq!(Nanos(nanos).to_string().parse::<Nanos>().ok(), Some(Nanos(nanos)));
        }

        #[test]
        fn no_text_is_too_much(text in "[0-9hmsnuµ.+-]{0,40}") {
            let _ = text.parse::<Nanos>();
        }
    }
}
