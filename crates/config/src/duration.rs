//! Go's duration texts: `1h30m`, `1.5s`, `100ms`.

use std::time::Duration;

/// Why a text is no duration, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DurationError {
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit { unit: String, text: String },
}

/// Reads a duration; its sign is apart since no option of ours takes a negative one.
pub(crate) fn parse(text: &str) -> Result<SignedDuration, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(SignedDuration {
            negative: false,
            magnitude: Duration::ZERO,
        });
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut whole_nanos = 0u64;
    let mut fraction_nanos = 0f64;
    while !rest.is_empty() {
        let (number, after_number) = split_where(rest, |c| c != '.' && !c.is_ascii_digit());
        let (unit, after_unit) = split_where(after_number, |c| c == '.' || c.is_ascii_digit());
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(invalid());
        }
        let unit_nanos = unit_nanos(unit, text)?;
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| invalid())?
        };
        whole_nanos = whole
            .checked_mul(unit_nanos)
            .and_then(|part| whole_nanos.checked_add(part))
            .filter(|sum| i64::try_from(*sum).is_ok())
            .ok_or_else(invalid)?;
        let fraction: f64 = format!("0.{fraction}").parse().map_err(|_| invalid())?;
        fraction_nanos += fraction * unit_nanos as f64;
        rest = after_unit;
    }
    let magnitude = Duration::from_nanos(whole_nanos.saturating_add(fraction_nanos.round() as u64));
    Ok(SignedDuration {
        negative: negative && !magnitude.is_zero(),
        magnitude,
    })
}

/// A duration with its sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SignedDuration {
    pub(crate) negative: bool,
    pub(crate) magnitude: Duration,
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

fn unit_nanos(unit: &str, text: &str) -> Result<u64, DurationError> {
    Ok(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "" => return Err(DurationError::MissingUnit(text.to_owned())),
        _ => {
            return Err(DurationError::UnknownUnit {
                unit: unit.to_owned(),
                text: text.to_owned(),
            });
        }
    })
}

/// Writes whole seconds and milliseconds as Go does (`2m0s`, `1h0m0s`, `1.5s`, `50ms`).
pub(crate) fn show(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds == 0 {
        return match time.subsec_nanos() {
            0 => "0s".to_owned(),
            nanos if nanos < 1_000 => format!("{nanos}ns"),
            nanos if nanos < 1_000_000 => format!("{}µs", f64::from(nanos) / 1e3),
            nanos => format!("{}ms", f64::from(nanos) / 1e6),
        };
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = (seconds % 60) as f64 + f64::from(time.subsec_nanos()) / 1e9;
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<u64, &str>) {
        let got = parse(text)
            .map(|time| time.magnitude.as_nanos() as u64)
            .map_err(|error| error.to_string());
        assert_eq!(got, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn go_durations_are_read() {
        check("2m", Ok(120_000_000_000));
        check("1h30m", Ok(5_400_000_000_000));
        check("1.5s", Ok(1_500_000_000));
        check(".5s", Ok(500_000_000));
        check("100ms", Ok(100_000_000));
        check("10us", Ok(10_000));
        check("10µs", Ok(10_000));
        check("0", Ok(0));
        check("1m1ns", Ok(60_000_000_001));
    }

    #[test]
    fn other_texts_are_refused_in_gos_words() {
        check("", Err("time: invalid duration \"\""));
        check("abc", Err("time: invalid duration \"abc\""));
        check("1d", Err("time: unknown unit \"d\" in duration \"1d\""));
        check("10", Err("time: missing unit in duration \"10\""));
        check("1sx", Err("time: unknown unit \"sx\" in duration \"1sx\""));
        check(
            "99999999999999h",
            Err("time: invalid duration \"99999999999999h\""),
        );
    }

    #[test]
    fn signs_are_kept() {
        assert!(parse("-1s").unwrap().negative);
        assert!(!parse("+1s").unwrap().negative);
        assert!(!parse("-0s").unwrap().negative);
    }

    #[test]
    fn durations_are_shown_as_go_does() {
        for (text, shown) in [
            ("10s", "10s"),
            ("120s", "2m0s"),
            ("1h", "1h0m0s"),
            ("50ms", "50ms"),
            ("1.5s", "1.5s"),
            ("0", "0s"),
        ] {
            assert_eq!(show(parse(text).unwrap().magnitude), shown);
        }
    }
}
