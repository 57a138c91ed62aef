//! Time zones by the names that Go's `time.LoadLocation` takes.

use jiff::tz::TimeZone;

/// The zone of this name: `UTC`, `Local`, or one of the system's time zone database. Names are case-sensitive, as they are where
/// the database is a directory.
pub(super) fn load(name: &[u8]) -> Option<TimeZone> {
    match name {
        b"" => None,
        b"UTC" => Some(TimeZone::UTC),
        b"Local" => Some(TimeZone::system()),
        _ => {
            let name = std::str::from_utf8(name).ok()?;
            let zone = TimeZone::get(name).ok()?;
            (zone.iana_name() == Some(name)).then_some(zone)
        }
    }
}
