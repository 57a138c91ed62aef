//! When message schedules fire (ADR-51): the values of `Nats-Schedule` and `Nats-Schedule-Time-Zone`.

mod cron;
mod time_zone;

use jetsled_jetstream_api::{ApiError, Nanos, Timestamp};
use jiff::tz::TimeZone;

use cron::Cron;

/// A schedule's pattern.
#[derive(Debug, Clone)]
pub(crate) enum Pattern {
    /// `@at <RFC 3339 time>`: once.
    At(Timestamp),
    /// `@every <duration>`: again and again, in whole seconds.
    Every(Nanos),
    /// Six cron fields or one of their names, in a time zone.
    Cron(Box<Cron>, TimeZone),
}

impl Pattern {
    /// Reads the two headers; `None` if they ask for no schedule: an empty pattern, and Go's zero time.
    ///
    /// # Errors
    /// 10189 for a pattern that is none, or that has a time zone and can have none; 10223 for the time zone.
    pub(crate) fn parse(
        pattern: &[u8],
        time_zone: Option<&[u8]>,
    ) -> Result<Option<Self>, ApiError> {
        const INVALID: ApiError = ApiError::MESSAGE_SCHEDULES_PATTERN_INVALID;
        let zone = match time_zone {
            Some(name) => {
                Some(time_zone::load(name).ok_or(ApiError::MESSAGE_SCHEDULES_TIME_ZONE_INVALID)?)
            }
            None => None,
        };
        let text = std::str::from_utf8(pattern).map_err(|_| INVALID)?;
        if text.is_empty() {
            return Ok(None);
        }
        if let Some(time) = text.strip_prefix("@at ") {
            if zone.is_some() || !is_rfc3339(time.as_bytes()) {
                return Err(INVALID);
            }
            let time: Timestamp = time.parse().map_err(|_| INVALID)?;
            return Ok((!time.is_unset()).then_some(Self::At(time)));
        }
        if let Some(span) = text.strip_prefix("@every ") {
            let span: Nanos = span.parse().map_err(|_| INVALID)?;
            return if zone.is_some() || span < SECOND {
                Err(INVALID)
            } else {
                Ok(Some(Self::Every(span)))
            };
        }
        let cron = Cron::parse(text).ok_or(INVALID)?;
        let zone = zone.unwrap_or(TimeZone::UTC);
        Ok(Some(Self::Cron(Box::new(cron), zone)))
    }

    /// When it fires first after `after`: the time at which it was stored, or at which it was last due. A repeating one that would
    /// be due before `now` goes on from there, so that what was missed is not made up for. `None`: never.
    pub(crate) fn next(&self, after: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::At(time) => Some(*time),
            Self::Every(span) => {
                let next = to_second(after).saturating_add(*span);
                Some(if next < now {
                    to_second(now).saturating_add(*span)
                } else {
                    next
                })
            }
            Self::Cron(cron, zone) => match cron.next(after, zone)? {
                next if next < now => cron.next(to_second(now), zone),
                next => Some(next),
            },
        }
    }

    /// Whether it fires more than once.
    pub(crate) fn repeats(&self) -> bool {
        !matches!(self, Self::At(_))
    }
}

const SECOND: Nanos = Nanos::from_secs(1);

/// The nearest whole second, the later one of two.
fn to_second(time: Timestamp) -> Timestamp {
    let half = time.0.saturating_add(SECOND.0 / 2);
    Timestamp(half - half.rem_euclid(SECOND.0))
}

/// Whether a text has the form that Go reads as RFC 3339; jiff alone reads more of ISO 8601.
fn is_rfc3339(text: &[u8]) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    let fits = |text: &[u8], form: &[u8]| {
        text.len() == form.len()
            && text.iter().zip(form).all(|(found, wanted)| match wanted {
                b'0' => found.is_ascii_digit(),
                _ => found == wanted,
            })
    };
    let Some((time, mut zone)) = text.split_at_checked(FORM.len()) else {
        return false;
    };
    // A leap second is none to Go.
    if !fits(time, FORM) || time.ends_with(b"60") {
        return false;
    }
    if let [b'.', fraction @ ..] = zone {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return false;
        }
        zone = fraction.get(digits..).unwrap_or_default();
    }
    zone == b"Z" || fits(zone, b"+00:00") || fits(zone, b"-00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn refused(pattern: &str, zone: Option<&str>) -> u16 {
        Pattern::parse(pattern.as_bytes(), zone.map(str::as_bytes))
            .map_or_else(|e| e.err_code, |_| 0)
    }

    #[test]
    fn patterns_are_accepted_and_refused_as_by_nats_server() {
        let good = [
            "@at 2026-01-01T00:00:00Z",
            "@at 2026-01-01T00:00:00.123+02:00",
            "@every 1s",
            "@every 1h2m",
            "@yearly",
            "@annually",
            "@monthly",
            "@weekly",
            "@daily",
            "@midnight",
            "@hourly",
            "* * * * * *",
        ];
        for pattern in good {
            assert_eq!(refused(pattern, None), 0, "{pattern}");
        }
        let bad = [
            "@at",
            "@at ",
            "@at 2026-01-01",
            "@at 2026-01-01 00:00:00Z",
            "@at 20260101T000000Z",
            "@at 2026-01-01T00:00:60Z",
            "@at 2026-02-30T00:00:00Z",
            "@at 2026-01-01t00:00:00z",
            "@at 2026-01-01T00:00:00",
            "@every",
            "@every 999ms",
            "@every -1s",
            "@every x",
            "@Daily",
            "@never",
            "* * * * *",
            "x",
        ];
        for pattern in bad {
            assert_eq!(refused(pattern, None), 10189, "{pattern}");
        }
        assert_eq!(refused("@hourly", Some("Europe/Berlin")), 0);
        assert_eq!(refused("@hourly", Some("Local")), 0);
        assert_eq!(refused("@every 1s", Some("UTC")), 10189);
        assert_eq!(refused("@at 2026-01-01T00:00:00Z", Some("UTC")), 10189);
        for zone in [
            "",
            "Europe/Nowhere",
            "europe/berlin",
            "../etc",
            "/etc/localtime",
        ] {
            assert_eq!(refused("@hourly", Some(zone)), 10223, "{zone}");
            assert_eq!(refused("", Some(zone)), 10223, "{zone}");
        }
        for nothing in ["", "@at 0001-01-01T00:00:00Z"] {
            assert!(Pattern::parse(nothing.as_bytes(), None).unwrap().is_none());
        }
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let check = |pattern: &str, after: &str, now: &str, next: &str| {
            let parsed = Pattern::parse(pattern.as_bytes(), None).unwrap().unwrap();
            assert_eq!(parsed.next(at(after), at(now)), Some(at(next)), "{pattern}");
        };
        let (stored, now) = ("2026-01-01T00:00:00.4Z", "2026-01-01T00:00:00.4Z");
        check("@every 5s", stored, now, "2026-01-01T00:00:05Z");
        check(
            "@every 5s",
            "2026-01-01T00:00:00.5Z",
            now,
            "2026-01-01T00:00:06Z",
        );
        check("@every 1s500ms", stored, now, "2026-01-01T00:00:01.5Z");
        check(
            "@every 5s",
            stored,
            "2026-01-01T01:00:00.6Z",
            "2026-01-01T01:00:06Z",
        );
        check("@hourly", stored, now, "2026-01-01T01:00:00Z");
        check(
            "@hourly",
            stored,
            "2026-01-01T05:30:00Z",
            "2026-01-01T06:00:00Z",
        );
        check(
            "@at 2025-01-01T00:00:00Z",
            stored,
            now,
            "2025-01-01T00:00:00Z",
        );
    }
}
