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
    /// Reads Go's duration notation, plain seconds, or `never` in any case; fractions of a second are cut off.
    pub(crate) fn parse(value: &[u8]) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(value).map_err(|_| ApiError::MESSAGE_TTL_INVALID)?;
        if text.eq_ignore_ascii_case("never") {
            return Ok(Self::Never);
        }
        let seconds = match text.parse::<i64>() {
            Ok(seconds) => seconds,
            Err(_) => {
                let span: Nanos = text.parse().map_err(|_| ApiError::MESSAGE_TTL_INVALID)?;
                span.get() / NANOS_A_SECOND
            }
        };
        if seconds < 1 {
            Err(ApiError::MESSAGE_TTL_INVALID)
        } else {
            Ok(Self::Seconds(seconds))
        }
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
            assert_eq!(
                MessageTtl::parse(text.as_bytes()).ok(),
                expected,
                "{text:?}"
            );
        };
        check("5", Some(MessageTtl::Seconds(5)));
        check("1h30m", Some(MessageTtl::Seconds(5400)));
        check("1999ms", Some(MessageTtl::Seconds(1)));
        check("NEVER", Some(MessageTtl::Never));
        for bad in ["0", "-1", "999ms", "x", "", "5 s"] {
            check(bad, None);
        }
    }
}
