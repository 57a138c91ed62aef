//! What the process takes from the machine, by the names that Prometheus' own libraries use.

use super::text::{Exposition, Kind, Labels};
use crate::monitor::process;

pub(super) fn tell(exposition: &mut Exposition) {
    let rows = [
        (
            "process_cpu_seconds_total",
            Kind::Counter,
            "Total user and system CPU time spent in seconds.",
            process::cpu_time().as_secs_f64(),
        ),
        (
            "process_max_fds",
            Kind::Gauge,
            "Maximum number of open file descriptors.",
            process::max_files().map_or(f64::INFINITY, |files| files as f64),
        ),
        (
            "process_open_fds",
            Kind::Gauge,
            "Number of open file descriptors.",
            process::open_files() as f64,
        ),
        (
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Resident memory size in bytes.",
            process::resident_bytes() as f64,
        ),
        (
            "process_start_time_seconds",
            Kind::Gauge,
            "Start time of the process since unix epoch in seconds.",
            process::start_time().as_secs_f64(),
        ),
        (
            "process_virtual_memory_bytes",
            Kind::Gauge,
            "Virtual memory size in bytes.",
            process::virtual_bytes() as f64,
        ),
    ];
    for (name, kind, help, value) in rows {
        exposition.single(name, kind, help, &Labels::default(), value);
    }
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
        let mut exposition = Exposition::default();
        tell(&mut exposition);
        let text = exposition.into_text();
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
