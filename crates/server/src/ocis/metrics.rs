//! `/metrics`: what the process takes from the machine, in Prometheus' text format.

use std::fmt::Write;

use crate::monitor::process;

/// The format's media type.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics, by the names that Prometheus' own libraries use.
pub(super) fn text() -> String {
    let rows = [
        (
            "process_cpu_seconds_total",
            "counter",
            "Total user and system CPU time spent in seconds.",
            process::cpu_time().as_secs_f64(),
        ),
        (
            "process_max_fds",
            "gauge",
            "Maximum number of open file descriptors.",
            process::max_files().map_or(f64::INFINITY, |files| files as f64),
        ),
        (
            "process_open_fds",
            "gauge",
            "Number of open file descriptors.",
            process::open_files() as f64,
        ),
        (
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory size in bytes.",
            process::resident_bytes() as f64,
        ),
        (
            "process_start_time_seconds",
            "gauge",
            "Start time of the process since unix epoch in seconds.",
            process::start_time().as_secs_f64(),
        ),
        (
            "process_virtual_memory_bytes",
            "gauge",
            "Virtual memory size in bytes.",
            process::virtual_bytes() as f64,
        ),
    ];
    let mut text = String::with_capacity(1024);
    for (name, kind, help, value) in rows {
        let value = if value == f64::INFINITY {
            "+Inf".to_owned()
        } else {
            value.to_string()
        };
        // Writing to a string cannot fail.
        let _: std::fmt::Result = write!(
            text,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, name: &str) -> f64 {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap().parse().unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn figures_are_those_of_this_process() {
        let text = text();
        let resident = value(&text, "process_resident_memory_bytes");
        assert!(resident > 1e5, "{text}");
        assert!(
            value(&text, "process_virtual_memory_bytes") >= resident,
            "{text}"
        );
        assert!(value(&text, "process_open_fds") >= 3.0, "{text}");
        let started = value(&text, "process_start_time_seconds");
        let now = std::time::SystemTime::now();
        let age = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64()
            - started;
        assert!((-2.0..3600.0).contains(&age), "started {age} seconds ago");
        assert!(value(&text, "process_cpu_seconds_total") < 3600.0, "{text}");
    }
}
