//! Times as Go's `time.Parse` reads them for RFC 3339, and what it says of others.
//!
//! Go takes an hour of one digit, a comma before the fraction, fractions of any length (what is beyond nanoseconds is cut off), and offsets of up to
//! 24 hours and 60 minutes (observed nats-server 2.15.1).

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};

/// A text that is not an RFC 3339 time.
#[derive(Debug, thiserror::Error)]
#[error("parsing time {}{fault}", Quoted(text))]
pub struct ParseTimestampError {
    text: String,
    fault: Fault,
}

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub(super) fn parse(text: &str) -> Result<i128, ParseTimestampError> {
    Scanner { rest: text }
        .time()
        .map_err(|fault| ParseTimestampError {
            text: text.to_owned(),
            fault,
        })
}

#[derive(Debug)]
enum Fault {
    /// What is left of the text does not begin with this element of the layout.
    Element {
        rest: String,
        element: &'static str,
    },
    OutOfRange(&'static str),
    Extra(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element { rest, element } => write!(
                f,
                " as \"2006-01-02T15:04:05Z07:00\": cannot parse {} as \"{element}\"",
                Quoted(rest)
            ),
            Self::OutOfRange(what) => write!(f, ": {what} out of range"),
            Self::Extra(rest) => write!(f, ": extra text: {}", Quoted(rest)),
        }
    }
}

/// A text in double quotes, all but printable ASCII as hexadecimal bytes.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for byte in self.0.bytes() {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                b' '..=0x7f => write!(f, "{}", char::from(byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        f.write_str("\"")
    }
}

struct Scanner<'a> {
    rest: &'a str,
}

impl Scanner<'_> {
    fn time(mut self) -> Result<i128, Fault> {
        let year = self.digits(4..=4, "2006")?;
        self.literal("-")?;
        let month = self.digits(2..=2, "01")?;
        let in_range = |is_in, what| {
            if is_in {
                Ok(())
            } else {
                Err(Fault::OutOfRange(what))
            }
        };
        in_range((1..=12).contains(&month), "month")?;
        self.literal("-")?;
        let day = self.digits(2..=2, "02")?;
        self.literal("T")?;
        let hour = self.digits(1..=2, "15")?;
        in_range(hour < 24, "hour")?;
        self.literal(":")?;
        let minute = self.digits(2..=2, "04")?;
        in_range(minute < 60, "minute")?;
        self.literal(":")?;
        let second = self.digits(2..=2, "05")?;
        in_range(second < 60, "second")?;
        let nanos = self.fraction();
        let offset = self.offset()?;
        if !self.rest.is_empty() {
            return Err(Fault::Extra(self.rest.to_owned()));
        }
        let month = i8::try_from(month).expect("at most 12");
        let first = Date::constant(year, month, 1);
        in_range((1..=first.days_in_month().into()).contains(&day), "day")?;
        let midnight = Date::constant(year, month, i8::try_from(day).expect("at most 31"));
        let since_epoch = midnight
            .to_datetime(jiff::civil::Time::midnight())
            .duration_since(EPOCH);
        let of_day = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
        let seconds = SignedDuration::from_secs(of_day - offset);
        Ok((since_epoch + seconds).as_nanos() + i128::from(nanos))
    }

    fn literal(&mut self, element: &'static str) -> Result<(), Fault> {
        self.rest = self
            .rest
            .strip_prefix(element)
            .ok_or_else(|| self.fault(element))?;
        Ok(())
    }

    /// As many digits as there are, within `count`.
    fn digits(
        &mut self,
        count: std::ops::RangeInclusive<usize>,
        element: &'static str,
    ) -> Result<i16, Fault> {
        let digits = self.rest.bytes().take(*count.end());
        let len = digits.take_while(u8::is_ascii_digit).count();
        if len < *count.start() {
            return Err(self.fault(element));
        }
        let (digits, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(digits.parse().expect("at most four digits"))
    }

    /// Nanoseconds, if there is a fraction.
    fn fraction(&mut self) -> u32 {
        let Some(fraction) = self.rest.strip_prefix(['.', ',']) else {
            return 0;
        };
        let end = fraction.find(|c: char| !c.is_ascii_digit());
        let (digits, rest) = fraction.split_at(end.unwrap_or(fraction.len()));
        if digits.is_empty() {
            return 0;
        }
        self.rest = rest;
        let digits = digits.get(..9).unwrap_or(digits);
        format!("{digits:0<9}").parse().expect("nine digits")
    }

    /// Seconds east of UTC.
    fn offset(&mut self) -> Result<i64, Fault> {
        const ELEMENT: &str = "Z07:00";
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let number = |range: std::ops::Range<usize>| {
            let digits = self.rest.get(range)?;
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<i64>().ok().filter(|_| is_number)
        };
        let sign = match self.rest.bytes().next() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(self.fault(ELEMENT)),
        };
        let (Some(hours), Some(":"), Some(minutes)) =
            (number(1..3), self.rest.get(3..4), number(4..6))
        else {
            return Err(self.fault(ELEMENT));
        };
        if minutes > 60 {
            return Err(Fault::OutOfRange("time zone offset minute"));
        }
        if hours > 24 {
            return Err(Fault::OutOfRange("time zone offset hour"));
        }
        self.rest = self.rest.get(6..).unwrap_or_default();
        Ok(sign * (hours * 60 + minutes) * 60)
    }

    fn fault(&self, element: &'static str) -> Fault {
        Fault::Element {
            rest: self.rest.to_owned(),
            element,
        }
    }
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_go_takes() {
        let second = 1_000_000_000;
        for (text, want) in [
            ("1970-01-01T00:00:00.1234567891Z", 123_456_789),
            ("1970-01-01T00:00:00,5Z", second / 2),
            ("1970-01-01T1:00:00Z", 3600 * second),
            ("1970-01-01T00:00:00-00:01", 60 * second),
            ("1970-01-02T00:00:00+24:00", 0),
            ("1970-01-01T01:00:00+00:60", 0),
            ("1972-02-29T00:00:00Z", 789 * 86400 * second),
            ("9999-12-31T23:59:59Z", 253_402_300_799 * second),
            ("0000-01-01T00:00:00Z", -62_167_219_200 * second),
        ] {
            assert_eq!(parse(text).unwrap(), want, "{text}");
        }
    }

    #[test]
    fn refuses_with_the_text_of_go() {
        for (text, want) in [
            ("", r#"cannot parse "" as "2006""#),
            (
                "-2026-01-01T00:00:00Z",
                r#"cannot parse "-2026-01-01T00:00:00Z" as "2006""#,
            ),
            (
                "äö\u{7}\"",
                r#"cannot parse "\xc3\xa4\xc3\xb6\x07\"" as "2006""#,
            ),
            ("2026", r#"cannot parse "" as "-""#),
            (
                "12026-01-01T00:00:00Z",
                r#"cannot parse "6-01-01T00:00:00Z" as "-""#,
            ),
            (
                "2026-1-1T00:00:00Z",
                r#"cannot parse "1-1T00:00:00Z" as "01""#,
            ),
            (
                "2026-01-01 00:00:00Z",
                r#"cannot parse " 00:00:00Z" as "T""#,
            ),
            ("2026-01-01T", r#"cannot parse "" as "15""#),
            ("2026-01-01T00:00Z", r#"cannot parse "Z" as ":""#),
            ("2026-01-01T00:00:00.Z", r#"cannot parse ".Z" as "Z07:00""#),
            (
                "2026-01-01T00:00:00+1:00",
                r#"cannot parse "+1:00" as "Z07:00""#,
            ),
            (
                "2026-01-01T00:00:00+++:00",
                r#"cannot parse "+++:00" as "Z07:00""#,
            ),
            (
                "2026-01-01T00:00:00UTC",
                r#"cannot parse "UTC" as "Z07:00""#,
            ),
        ] {
            let fault = parse(text).unwrap_err().fault.to_string();
            let layout = r#" as "2006-01-02T15:04:05Z07:00": "#;
            assert_eq!(fault.strip_prefix(layout), Some(want), "{text}");
        }
        for (text, want) in [
            ("2026-13-01T00:00:00Z", "month out of range"),
            ("2026-02-29T00:00:00Z", "day out of range"),
            ("2026-01-00T00:00:00Z", "day out of range"),
            ("2026-01-01T24:00:00Z", "hour out of range"),
            ("2026-01-01T00:60:00Z", "minute out of range"),
            ("2026-01-01T00:00:60Z", "second out of range"),
            (
                "2026-01-01T00:00:00+99:99",
                "time zone offset minute out of range",
            ),
            ("2026-02-30T00:00:00Zx", r#"extra text: "x""#),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("parsing time \"{text}\": {want}"));
        }
    }
}
