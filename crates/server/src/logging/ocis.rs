//! Lines as oCIS's services write them: JSON for machines, text for people (observed oCIS 7.0.0).

use std::fmt::Write;

use jetsled_ocis::Level;
use jiff::Zoned;
use serde::Serialize;

use super::{Entry, Severity};

/// The service's name in every line.
const SERVICE: &str = "nats";

pub(super) struct OcisForm {
    shape: Shape,
    /// Lines say where in the source they come from: where the level is info or lower.
    has_source: bool,
}

enum Shape {
    Json,
    Text { color: bool },
}

/// A line's members in their order.
#[derive(Serialize)]
struct Line<'a> {
    level: &'static str,
    service: &'static str,
    time: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a str>,
    message: &'a str,
}

impl OcisForm {
    pub(super) fn new(options: &jetsled_ocis::Log) -> Self {
        let color = options.color;
        Self {
            shape: if options.pretty {
                Shape::Text { color }
            } else {
                Shape::Json
            },
            has_source: options.level() >= Level::Info,
        }
    }

    pub(super) fn line(&self, entry: Entry<'_>) -> Vec<u8> {
        self.line_at(&Zoned::now(), entry)
    }

    fn line_at(&self, now: &Zoned, entry: Entry<'_>) -> Vec<u8> {
        let time = rfc3339(now);
        let source = entry.source.filter(|_| self.has_source);
        let source = source.map(|(file, line)| format!("{file}:{line}"));
        match self.shape {
            Shape::Json => {
                let line = Line {
                    level: name(entry.severity),
                    service: SERVICE,
                    time: &time,
                    line: source.as_deref(),
                    message: entry.text,
                };
                let mut line = serde_json::to_vec(&line).unwrap_or_default();
                line.push(b'\n');
                line
            }
            Shape::Text { color } => text(&time, source.as_deref(), entry, Paint(color)),
        }
    }
}

/// Seconds, with `Z` for UTC.
fn rfc3339(time: &Zoned) -> String {
    let mut text = time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    if time.offset().is_zero() {
        text.push('Z');
    } else {
        // Writing to a string cannot fail.
        let _: std::fmt::Result = write!(text, "{}", time.strftime("%:z"));
    }
    text
}

fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Fatal => "fatal",
        Severity::Error => "error",
        Severity::Warn => "warn",
        Severity::Info => "info",
        Severity::Debug => "debug",
        Severity::Trace => "trace",
    }
}

/// Time, level, message, and the other members with their names.
fn text(time: &str, source: Option<&str>, entry: Entry<'_>, paint: Paint) -> Vec<u8> {
    let (tag, color) = match entry.severity {
        Severity::Fatal => ("FTL", RED),
        Severity::Error => ("ERR", RED),
        Severity::Warn => ("WRN", YELLOW),
        Severity::Info => ("INF", GREEN),
        Severity::Debug => ("DBG", PLAIN),
        Severity::Trace => ("TRC", BLUE),
    };
    let message_color = if entry.severity <= Severity::Info {
        BOLD
    } else {
        PLAIN
    };
    let mut parts = vec![
        paint.painted(time, GRAY),
        paint.painted(tag, color),
        paint.painted(entry.text, message_color),
    ];
    for (name, value) in [("line", source), ("service", Some(SERVICE))] {
        if let Some(value) = value {
            parts.push(paint.painted(&format!("{name}="), CYAN) + value);
        }
    }
    (parts.join(" ") + "\n").into_bytes()
}

/// Whether there is colour.
#[derive(Clone, Copy)]
struct Paint(bool);

/// A terminal's code for a colour.
type Color = u8;
const PLAIN: Color = 0;
const BOLD: Color = 1;
const RED: Color = 31;
const GREEN: Color = 32;
const YELLOW: Color = 33;
const BLUE: Color = 34;
const CYAN: Color = 36;
const GRAY: Color = 90;

impl Paint {
    fn painted(self, text: &str, color: Color) -> String {
        if self.0 && color != PLAIN {
            format!("\u{1b}[{color}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::{self, TimeZone};

    use super::*;

    #[track_caller]
    fn check(level: &str, pretty: bool, color: bool, zone: TimeZone, expected: &str) {
        let form = OcisForm::new(&jetsled_ocis::Log {
            level: level.to_owned(),
            pretty,
            color,
            file: String::new(),
        });
        let now = Zoned::new(Timestamp::from_second(1_736_164_800).unwrap(), zone);
        let entry = Entry {
            severity: Severity::Warn,
            source: Some(("src/a.rs", 7)),
            text: "a \"b\"\nc",
        };
        let line = String::from_utf8(form.line_at(&now, entry)).unwrap();
        assert_eq!(line, expected);
    }

    #[test]
    fn a_line_is_one_json_object() {
        check(
            "",
            false,
            false,
            TimeZone::UTC,
            "{\"level\":\"warn\",\"service\":\"nats\",\"time\":\"2025-01-06T12:00:00Z\",\
             \"message\":\"a \\\"b\\\"\\nc\"}\n",
        );
        check(
            "info",
            false,
            false,
            TimeZone::fixed(tz::offset(1)),
            "{\"level\":\"warn\",\"service\":\"nats\",\"time\":\"2025-01-06T13:00:00+01:00\",\
             \"line\":\"src/a.rs:7\",\"message\":\"a \\\"b\\\"\\nc\"}\n",
        );
    }

    #[test]
    fn a_pretty_line_is_for_people() {
        check(
            "debug",
            true,
            false,
            TimeZone::UTC,
            "2025-01-06T12:00:00Z WRN a \"b\"\nc line=src/a.rs:7 service=nats\n",
        );
        check(
            "error",
            true,
            true,
            TimeZone::UTC,
            "\u{1b}[90m2025-01-06T12:00:00Z\u{1b}[0m \u{1b}[33mWRN\u{1b}[0m \u{1b}[1ma \"b\"\nc\u{1b}[0m \
             \u{1b}[36mservice=\u{1b}[0mnats\n",
        );
    }
}
