//! Lifetimes: the values of `Nats-TTL`.

use jetsled_jetstream_api::{ApiError, Nanos};

/// How long a message that has a `Nats-TTL` lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageTtl {
    /// Neither its own nor the stream's age limit removes it.
    Never,
    /// So many whole seconds, at least 1.
    Seconds(i64),
}

impl MessageTtl {
    /// Reads a header's value: Go's duration notation, plain seconds, or `never` in any case; fractions of a second are cut off.
    /// `None` without a value, and for zeros that are no duration (`00`).
    ///
    /// # Errors
    /// 10165.
    pub(crate) fn of(value: Option<&[u8]>) -> Result<Option<Self>, ApiError> {
        const INVALID: ApiError = ApiError::MESSAGE_TTL_INVALID;
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(value).map_err(|_| INVALID)?;
        if text.eq_ignore_ascii_case("never") {
            return Ok(Some(Self::Never));
        }
        if let Ok(span) = text.parse::<Nanos>() {
            let seconds = span.get() / NANOS_A_SECOND;
            return if seconds < 1 {
                Err(INVALID)
            } else {
                Ok(Some(Self::Seconds(seconds)))
            };
        }
        if !value.iter().all(u8::is_ascii_digit) {
            return Err(INVALID);
        }
        let seconds: i64 = text.parse().map_err(|_| INVALID)?;
        Ok((seconds > 0).then_some(Self::Seconds(seconds)))
    }

    /// When a message stored at `timestamp` is due.
    pub(crate) fn deadline(self, timestamp: i64) -> Option<i64> {
        match self {
            Self::Never => None,
            Self::Seconds(seconds) => {
                Some(timestamp.saturating_add(seconds.saturating_mul(NANOS_A_SECOND)))
            }
        }
    }
}

pub(crate) const NANOS_A_SECOND: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_seconds_and_never() {
        let check = |text: &str, expected: Option<MessageTtl>| {
            let read = MessageTtl::of(Some(text.as_bytes()));
            assert_eq!(read, Ok(expected), "{text:?}");
        };
        check("5", Some(MessageTtl::Seconds(5)));
        check("1h30m", Some(MessageTtl::Seconds(5400)));
        check("1999ms", Some(MessageTtl::Seconds(1)));
        check("NEVER", Some(MessageTtl::Never));
        check("05", Some(MessageTtl::Seconds(5)));
        check("00", None);
        check("", None);
        for bad in ["0", "-1", "+5", "1.5", "999ms", "-5s", "x", "5 s"] {
            assert!(MessageTtl::of(Some(bad.as_bytes())).is_err(), "{bad:?}");
        }
    }
}
