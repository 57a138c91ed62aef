//! What a check has found, for people and for programs.

use std::fmt::Write;
use std::path::Path;

use jetsled_store::check::Report;
use serde::Serialize;

use crate::sequence_runs::sequence_runs;

/// For programs: the report, and whether it is clean.
pub(super) fn json(report: &Report) -> String {
    #[derive(Serialize)]
    struct Answer<'r> {
        clean: bool,
        #[serde(flatten)]
        report: &'r Report,
    }
    let clean = report.is_clean();
    let mut text = serde_json::to_string_pretty(&Answer { clean, report })
        .expect("a report has no map with keys that are not text");
    text.push('\n');
    text
}

/// For people.
pub(super) fn text(dir: &Path, report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let mut line = |text: std::fmt::Arguments<'_>| {
        out.write_fmt(text).ok();
        out.push('\n');
    };
    line(format_args!(
        "{}: {} segments, {} records, {} streams",
        dir.display(),
        report.segments,
        report.records,
        report.streams.len()
    ));
    for stream in &report.streams {
        line(format_args!(
            "  {} > {}: {} messages, sequences {} to {}",
            stream.account, stream.name, stream.messages, stream.first_seq, stream.last_seq
        ));
        if stream.lost_messages > 0 {
            line(format_args!(
                "    {} MISSING: {}",
                stream.lost_messages,
                sequence_runs(stream.lost.iter().copied(), usize::MAX)
            ));
        }
    }
    for damaged in &report.damage {
        line(format_args!(
            "DAMAGED {}: {}",
            within(dir, &damaged.path),
            damaged.what
        ));
    }
    if report.orphaned_messages > 0 {
        line(format_args!(
            "DAMAGED {} messages belong to streams whose configuration is lost; they are kept, and not served",
            report.orphaned_messages
        ));
    }
    for older in &report.set_aside_streams {
        line(format_args!(
            "DAMAGED {} > {} of {} with {} messages is set aside: a newer stream has its name; it is kept, and not served",
            older.account, older.name, older.created, older.messages
        ));
    }
    if report.unfinished_bytes > 0 {
        line(format_args!(
            "{} bytes are of a write that a stop interrupted and nobody was told of; a start drops them",
            report.unfinished_bytes
        ));
    }
    for path in &report.to_be_made {
        line(format_args!(
            "{} is missing or outdated; a start makes it",
            within(dir, path)
        ));
    }
    for path in &report.superfluous {
        line(format_args!("{} is not needed", within(dir, path)));
    }
    line(format_args!(
        "{}",
        if report.is_clean() {
            "clean"
        } else {
            "damage found"
        }
    ));
    out
}

fn within(dir: &Path, path: &Path) -> String {
    path.strip_prefix(dir).unwrap_or(path).display().to_string()
}
