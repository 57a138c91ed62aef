//! Cron patterns of six fields: second, minute, hour, day of month, month, day of week.
//!
//! nats-server's dialect is that of robfig/cron: weekdays are 0 to 6, a day must match both day fields if one of them is `*` or `?`
//! and either of them otherwise, and days that a change of clocks shortens lose what would fall into the gap. No crate at hand reads exactly
//! this: they number weekdays from 1, or also take `L`, `W`, `#` and years, which nats-server refuses. Hence this parser.

use jetsled_jetstream_api::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp as Instant, ToSpan};

/// A parsed pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cron {
    /// The values that match, a bit each, of every field in the order of the pattern.
    fields: [u64; 6],
    /// Whether a day must match both day fields instead of one of them.
    both_days: bool,
}

/// The values that a field may have, and their names.
struct Range {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const RANGES: [Range; 6] = [
    Range::numbers(0, 59),
    Range::numbers(0, 59),
    Range::numbers(0, 23),
    Range::numbers(1, 31),
    Range {
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
        ..Range::numbers(1, 12)
    },
    Range {
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
        ..Range::numbers(0, 6)
    },
];

const SECOND: usize = 0;
const MINUTE: usize = 1;
const HOUR: usize = 2;
const DAY_OF_MONTH: usize = 3;
const MONTH: usize = 4;
const DAY_OF_WEEK: usize = 5;

/// A search ends after so many years.
const SEARCHED_YEARS: i16 = 5;
const NANOS: i64 = 1_000_000_000;

impl Cron {
    /// Reads a pattern or one of the names for one; `None` if it is neither, or a field matches nothing.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = match text {
            "@yearly" | "@annually" => "0 0 0 1 1 *",
            "@monthly" => "0 0 0 1 * *",
            "@weekly" => "0 0 0 * * 0",
            "@daily" | "@midnight" => "0 0 0 * * *",
            "@hourly" => "0 0 * * * *",
            pattern => pattern,
        };
        let mut texts = text.split_whitespace();
        let mut cron = Self {
            fields: [0; 6],
            both_days: false,
        };
        for (at, range) in RANGES.iter().enumerate() {
            let mut starred = false;
            cron.fields[at] = range.read(texts.next()?, &mut starred)?;
            cron.both_days |= starred && matches!(at, DAY_OF_MONTH | DAY_OF_WEEK);
        }
        // An empty field has no time at all; days that no month has, such as 30 February, only a search finds out.
        (texts.next().is_none() && cron.fields.iter().all(|bits| *bits != 0)).then_some(cron)
    }

    /// The first time after `after` that matches in `zone`; `None` if the next years have none.
    pub(super) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut at = Moment::new(after.0.div_euclid(NANOS) + 1, zone)?;
        let last_year = at.local.year() + SEARCHED_YEARS;
        // Whether `at` has left the second from which the search began: then all smaller units are at their start.
        let mut moved = false;
        'search: while at.local.year() <= last_year {
            for unit in Unit::FROM_LARGEST {
                while !self.matches(unit, at.local) {
                    if !moved {
                        at = at.start_of(unit)?;
                        moved = true;
                    }
                    at = at.following(unit)?;
                    // The larger unit has changed and must be looked at again.
                    if unit.begins_larger(at.local) {
                        continue 'search;
                    }
                }
            }
            return at.seconds.checked_mul(NANOS).map(Timestamp);
        }
        None
    }

    fn matches(&self, unit: Unit, time: DateTime) -> bool {
        let has = |field: usize, value: i8| self.fields[field] >> value & 1 == 1;
        match unit {
            Unit::Month => has(MONTH, time.month()),
            Unit::Day => {
                let by_month = has(DAY_OF_MONTH, time.day());
                let by_week = has(DAY_OF_WEEK, time.weekday().to_sunday_zero_offset());
                if self.both_days {
                    by_month && by_week
                } else {
                    by_month || by_week
                }
            }
            Unit::Hour => has(HOUR, time.hour()),
            Unit::Minute => has(MINUTE, time.minute()),
            Unit::Second => has(SECOND, time.second()),
        }
    }
}

impl Range {
    const fn numbers(min: u32, max: u32) -> Self {
        Self {
            min,
            max,
            names: &[],
        }
    }

    /// Reads a field: parts with commas between them. `starred` tells whether one of them is `*` or `?` without a step.
    fn read(&self, field: &str, starred: &mut bool) -> Option<u64> {
        let parts = field.split(',').filter(|part| !part.is_empty());
        parts
            .map(|part| self.read_part(part, starred))
            .try_fold(0, |all, bits| Some(all | bits?))
    }

    /// `*`, `?`, a value, or two values with a `-`; each may have a step behind a `/`.
    fn read_part(&self, part: &str, starred: &mut bool) -> Option<u64> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step)?)),
            None => (part, None),
        };
        let mut ends = range.split('-');
        let low = ends.next()?;
        let (first, last) = if matches!(low, "*" | "?") {
            *starred |= step.is_none_or(|step| step <= 1);
            (self.min, self.max)
        } else {
            let first = self.value(low)?;
            let last = match (ends.next(), step) {
                (Some(high), _) => self.value(high)?,
                (None, Some(_)) => self.max,
                (None, None) => first,
            };
            if ends.next().is_some() {
                return None;
            }
            (first, last)
        };
        let step = usize::try_from(step.unwrap_or(1))
            .ok()
            .filter(|step| *step > 0)?;
        if first < self.min || last > self.max || first > last {
            return None;
        }
        Some(
            (first..=last)
                .step_by(step)
                .fold(0, |bits, value| bits | 1 << value),
        )
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self
            .names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text));
        match named {
            Some(at) => u32::try_from(at).ok().map(|at| at + self.min),
            None => number(text)?.try_into().ok(),
        }
    }
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number| *number >= 0)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

impl Unit {
    const FROM_LARGEST: [Self; 5] = [
        Self::Month,
        Self::Day,
        Self::Hour,
        Self::Minute,
        Self::Second,
    ];

    /// Whether this is the first of its units in the next larger one.
    fn begins_larger(self, time: DateTime) -> bool {
        match self {
            Self::Month => time.month() == 1,
            Self::Day => time.day() == 1,
            Self::Hour => time.hour() == 0,
            Self::Minute => time.minute() == 0,
            Self::Second => time.second() == 0,
        }
    }
}

/// A second, with what clocks in a zone show then.
#[derive(Debug, Clone, Copy)]
struct Moment<'a> {
    zone: &'a TimeZone,
    seconds: i64,
    local: DateTime,
}

impl<'a> Moment<'a> {
    fn new(seconds: i64, zone: &'a TimeZone) -> Option<Self> {
        let instant = Instant::from_second(seconds).ok()?;
        Some(Self {
            zone,
            seconds,
            local: zone.to_datetime(instant),
        })
    }

    /// The moment at which clocks show `local`. A time that occurs twice, or never, is taken as Go takes it: by the offset in force
    /// where the first guess at it lies.
    fn of_local(local: DateTime, zone: &'a TimeZone) -> Option<Self> {
        let as_utc = TimeZone::UTC.to_timestamp(local).ok()?.as_second();
        let offset = |seconds: i64| {
            let instant = Instant::from_second(seconds).ok()?;
            Some(i64::from(zone.to_offset(instant).seconds()))
        };
        let guess = as_utc - offset(as_utc)?;
        Self::new(as_utc - offset(guess)?, zone)
    }

    fn start_of(self, unit: Unit) -> Option<Self> {
        let Self { zone, local, .. } = self;
        match unit {
            Unit::Month => Self::of_local(local.date().first_of_month().at(0, 0, 0, 0), zone),
            Unit::Day => Self::of_local(local.date().at(0, 0, 0, 0), zone),
            Unit::Hour => Self::of_local(local.date().at(local.hour(), 0, 0, 0), zone),
            Unit::Minute => Self::new(self.seconds - self.seconds.rem_euclid(60), zone),
            Unit::Second => Some(self),
        }
    }

    fn following(self, unit: Unit) -> Option<Self> {
        let Self { zone, local, .. } = self;
        match unit {
            Unit::Month => {
                let next = local.date().first_of_month().checked_add(1.month()).ok()?;
                Self::of_local(same_day(next, local)?, zone)
            }
            Unit::Day => Self::of_local(local.checked_add(1.day()).ok()?, zone),
            Unit::Hour => Self::new(self.seconds + 3600, zone),
            Unit::Minute => Self::new(self.seconds + 60, zone),
            Unit::Second => Self::new(self.seconds + 1, zone),
        }
    }
}

/// The day and time of `local` in the month that begins at `first`; days that it does not have run over into the next.
fn same_day(first: Date, local: DateTime) -> Option<DateTime> {
    let date = first
        .checked_add((i64::from(local.day()) - 1).days())
        .ok()?;
    Some(date.to_datetime(local.time()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn check(pattern: &str, zone: &str, after: &str, expected: &[&str]) {
        let cron = Cron::parse(pattern).unwrap();
        let zone = TimeZone::get(zone).unwrap();
        let mut time = at(after);
        for next in expected {
            let found = cron.next(time, &zone).unwrap();
            assert_eq!(found.to_string(), *next, "{pattern} after {time}");
            time = found;
        }
    }

    #[test]
    fn fields_and_names() {
        let utc = "UTC";
        let start = "2026-01-30T10:00:00.5Z";
        check(
            "* * * * * *",
            utc,
            start,
            &["2026-01-30T10:00:01Z", "2026-01-30T10:00:02Z"],
        );
        check(
            "*/20 1-2 3 * * *",
            utc,
            start,
            &[
                "2026-01-31T03:01:00Z",
                "2026-01-31T03:01:20Z",
                "2026-01-31T03:01:40Z",
                "2026-01-31T03:02:00Z",
            ],
        );
        check(
            "0 0 0 31 * *",
            utc,
            start,
            &["2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"],
        );
        check("0 0 0 29 2 *", utc, start, &["2028-02-29T00:00:00Z"]);
        check(
            "50/5 0 0 1 Jan *",
            utc,
            start,
            &["2027-01-01T00:00:50Z", "2027-01-01T00:00:55Z"],
        );
        check(
            "@weekly",
            utc,
            start,
            &["2026-02-01T00:00:00Z", "2026-02-08T00:00:00Z"],
        );
        check(
            "0 0 0 * * mon,WED",
            utc,
            start,
            &["2026-02-02T00:00:00Z", "2026-02-04T00:00:00Z"],
        );
    }

    #[test]
    fn a_day_matches_either_day_field_unless_one_is_starred() {
        let start = "2026-01-30T10:00:00Z";
        check(
            "0 0 0 13 * 5",
            "UTC",
            start,
            &[
                "2026-02-06T00:00:00Z",
                "2026-02-13T00:00:00Z",
                "2026-02-20T00:00:00Z",
            ],
        );
        check(
            "0 0 0 13 * ?",
            "UTC",
            start,
            &["2026-02-13T00:00:00Z", "2026-03-13T00:00:00Z"],
        );
        check(
            "0 0 0 */1 * 5",
            "UTC",
            start,
            &["2026-02-06T00:00:00Z", "2026-02-13T00:00:00Z"],
        );
        // A step is no star.
        check(
            "0 0 0 */30 * 5",
            "UTC",
            start,
            &[
                "2026-01-31T00:00:00Z",
                "2026-02-01T00:00:00Z",
                "2026-02-06T00:00:00Z",
            ],
        );
    }

    #[test]
    fn clocks_that_change_skip_and_repeat_as_in_go() {
        // New York springs forward at 02:00 on 8 March 2026 and falls back at 02:00 on 1 November.
        check(
            "0 30 2 * * *",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            &["2026-03-09T06:30:00Z"],
        );
        check(
            "0 0 0 * * *",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            &["2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"],
        );
        check(
            "0 30 1 * * *",
            "America/New_York",
            "2026-10-31T12:00:00Z",
            &[
                "2026-11-01T05:30:00Z",
                "2026-11-01T06:30:00Z",
                "2026-11-02T06:30:00Z",
            ],
        );
        check(
            "0 30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            &["2026-03-30T00:30:00Z"],
        );
        check(
            "0 0 9 * * *",
            "Asia/Kolkata",
            "2026-01-01T00:00:00Z",
            &["2026-01-01T03:30:00Z"],
        );
    }

    #[test]
    fn what_never_comes_has_no_next_time() {
        for pattern in ["0 0 0 30 2 *", "0 0 0 31 4 *"] {
            let cron = Cron::parse(pattern).unwrap();
            assert_eq!(cron.next(at("2026-01-01T00:00:00Z"), &TimeZone::UTC), None);
        }
        assert_eq!(Cron::parse(", 0 0 1 1 *"), None);
    }
}
