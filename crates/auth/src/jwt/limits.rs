use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use jiff::{Timestamp, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// A part of the day in which a user may be connected, `HH:MM:SS` each. An end before the start is on the next day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TimeRange {
    /// Its begin.
    #[serde(default)]
    pub start: String,
    /// Its end.
    #[serde(default)]
    pub end: String,
}

impl TimeRange {
    pub(super) fn is_valid(&self) -> bool {
        time_of_day(&self.start).is_some() && time_of_day(&self.end).is_some()
    }
}

/// Whether and how long a user may be connected, by its `times`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectWindow {
    /// No limit by the time of day.
    Always,
    /// For so long.
    For(Duration),
    /// Not now.
    Closed,
}

/// Looks for a range that holds at `now` in the time zone `location` (an IANA name; empty is the system's).
pub(super) fn connect_window(
    ranges: &[TimeRange],
    location: &str,
    now: Timestamp,
) -> ConnectWindow {
    if ranges.is_empty() {
        return ConnectWindow::Always;
    }
    let zone = if location.is_empty() {
        TimeZone::system()
    } else {
        match TimeZone::get(location) {
            Ok(zone) => zone,
            Err(_) => return ConnectWindow::Closed,
        }
    };
    let today = now.to_zoned(zone.clone()).date();
    let at = |date: civil::Date, time: civil::Time| {
        date.to_datetime(time)
            .to_zoned(zone.clone())
            .ok()
            .map(|at| at.timestamp())
    };
    for range in ranges {
        let (Some(start), Some(end)) = (time_of_day(&range.start), time_of_day(&range.end)) else {
            return ConnectWindow::Closed;
        };
        let last = if start > end {
            today.tomorrow().unwrap_or(today)
        } else {
            today
        };
        if let (Some(start), Some(end)) = (at(today, start), at(last, end))
            && start < now
            && now < end
        {
            let left = end.duration_since(now);
            return ConnectWindow::For(left.unsigned_abs());
        }
    }
    ConnectWindow::Closed
}

fn time_of_day(text: &str) -> Option<civil::Time> {
    let mut parts = text.split(':');
    let mut number = || -> Option<i8> {
        let part = parts.next()?;
        let is_number = part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_digit());
        is_number.then(|| part.parse().ok()).flatten()
    };
    let (hour, minute, second) = (number()?, number()?, number()?);
    let time = civil::Time::new(hour, minute, second, 0).ok()?;
    parts.next().is_none().then_some(time)
}

/// Whether `remote` lies in one of the networks; no network is every network. A connection without an address
/// (inside the process) lies in none.
pub(super) fn admits_source(networks: &[String], remote: Option<IpAddr>) -> bool {
    if networks.is_empty() {
        return true;
    }
    let Some(remote) = remote.map(|ip| ip.to_canonical()) else {
        return false;
    };
    networks.iter().any(|network| {
        network
            .parse::<IpNet>()
            .is_ok_and(|network| network.contains(&remote))
    })
}

pub(super) fn is_network(text: &str) -> bool {
    text.parse::<IpNet>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn window(ranges: &[(&str, &str)], now: &str) -> ConnectWindow {
        let ranges: Vec<_> = ranges
            .iter()
            .map(|(start, end)| TimeRange {
                start: (*start).to_owned(),
                end: (*end).to_owned(),
            })
            .collect();
        connect_window(&ranges, "UTC", now.parse().unwrap())
    }

    #[test]
    fn times_of_the_day_open_and_close() {
        let noon = "2026-03-04T12:00:00Z";
        assert_eq!(window(&[], noon), ConnectWindow::Always);
        assert_eq!(
            window(&[("08:00:00", "12:30:00")], noon),
            ConnectWindow::For(Duration::from_secs(1800))
        );
        assert_eq!(
            window(&[("13:00:00", "14:00:00")], noon),
            ConnectWindow::Closed
        );
        assert_eq!(
            window(&[("11:00:00", "01:00:00")], noon),
            ConnectWindow::For(Duration::from_secs(13 * 3600)),
            "an end before the start is tomorrow's"
        );
        assert_eq!(window(&[("8", "9")], noon), ConnectWindow::Closed);
        assert_eq!(
            window(&[("01:00:00", "02:00:00"), ("12:00:00", "12:00:00")], noon),
            ConnectWindow::Closed
        );
    }

    #[test]
    fn sources_are_networks() {
        let admits = |networks: &[&str], remote: &str| {
            let networks: Vec<_> = networks.iter().map(|&text| text.to_owned()).collect();
            admits_source(&networks, remote.parse().ok())
        };
        assert!(admits(&[], "10.0.0.1"));
        assert!(admits(&["10.0.0.0/8"], "10.1.2.3"));
        assert!(admits(&["10.0.0.0/8"], "::ffff:10.1.2.3"));
        assert!(admits(&["192.168.0.0/16", "::1/128"], "::1"));
        assert!(!admits(&["10.0.0.0/8"], "11.0.0.1"));
        assert!(!admits(&["nonsense"], "10.0.0.1"));
        assert!(!admits(&["10.0.0.0/8"], "in process"));
    }
}
