//! The table and the JSON file.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cases::Unit;
use crate::disk::Disk;
use crate::measure::median;

/// Everything that a run found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) servers: Vec<String>,
    pub(crate) cores: usize,
    pub(crate) seconds: f64,
    pub(crate) repetitions: usize,
    pub(crate) disk: Disk,
    pub(crate) cases: Vec<CaseReport>,
}

/// One case.
#[derive(Debug, Serialize)]
pub(crate) struct CaseReport {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    /// In the order of the report's servers.
    pub(crate) servers: Vec<ServerReport>,
}

/// One server's measurements of a case.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ServerReport {
    pub(crate) samples: Vec<Measured>,
    pub(crate) failures: Vec<String>,
}

/// One measurement.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) value: f64,
    pub(crate) p99: Option<f64>,
    pub(crate) messages: u64,
    /// Processor time of the server for a million messages.
    pub(crate) server_cpu_seconds_per_million: Option<f64>,
    /// Processor time of this harness for a million messages, to show that it is not what is measured.
    pub(crate) client_cpu_seconds_per_million: Option<f64>,
    pub(crate) resident_mib: f64,
}

impl ServerReport {
    fn median(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.value))
    }

    fn median_of(&self, field: impl Fn(&Measured) -> Option<f64>) -> f64 {
        median(self.samples.iter().filter_map(field))
    }
}

impl Report {
    /// A Markdown table: for each server the median with minimum and maximum, processor time and memory; then the
    /// first server against each other one, as how many times better it is.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "{} cores; {} s a measurement, {} repetitions, interleaved; median (min-max). {}\n\n| case |",
            self.cores, self.seconds, self.repetitions, self.disk
        );
        for server in &self.servers {
            // Writing to a String cannot fail.
            let _infallible = write!(text, " {server} | CPU s/M | RSS MiB |");
        }
        for server in self.servers.iter().skip(1) {
            let _infallible = write!(text, " vs {server} |");
        }
        text.push_str("\n|---|");
        text.push_str(&"---:|".repeat(self.servers.len() * 4 - 1));
        text.push('\n');
        for case in &self.cases {
            text.push_str(&case.row());
            text.push('\n');
        }
        text
    }
}

impl CaseReport {
    /// How many times better `ours` is; `None` where one of the two has no figure.
    pub(crate) fn ratio(&self, ours: &ServerReport, other: &ServerReport) -> Option<f64> {
        let ratio = if self.unit.more_is_better() {
            ours.median() / other.median()
        } else {
            other.median() / ours.median()
        };
        ratio.is_finite().then_some(ratio)
    }

    pub(crate) fn row(&self) -> String {
        let mut row = format!("| {} |", self.name);
        for server in &self.servers {
            if server.samples.is_empty() {
                let text = if server.failures.is_empty() {
                    ""
                } else {
                    "failed"
                };
                let _infallible = write!(row, " {text} | | |");
                continue;
            }
            let values = || server.samples.iter().map(|sample| sample.value);
            let _infallible = write!(
                row,
                " {} ({}-{})",
                self.unit.show(server.median()),
                self.unit.bare(values().fold(f64::INFINITY, f64::min)),
                self.unit.bare(values().fold(0.0, f64::max)),
            );
            let p99 = server.median_of(|sample| sample.p99);
            if p99.is_finite() {
                let _infallible = write!(row, ", p99 {}", self.unit.show(p99));
            }
            let cpu = server.median_of(|sample| sample.server_cpu_seconds_per_million);
            let cpu = if cpu.is_finite() {
                format!("{cpu:.2}")
            } else {
                String::new()
            };
            let memory = server.median_of(|sample| Some(sample.resident_mib));
            let _infallible = write!(row, " | {cpu} | {memory:.0} |");
        }
        if let Some((first, others)) = self.servers.split_first() {
            for other in others {
                match self.ratio(first, other) {
                    Some(ratio) => {
                        let _infallible = write!(row, " {ratio:.2}x |");
                    }
                    None => row.push_str(" |"),
                }
            }
        }
        row
    }
}
