//! What was seen, as slopes and a Markdown page, and whether it stays within bounds.

use std::fmt::Write;

use super::Plan;
use super::sample::{Measure, Sample};

/// A start, and what was seen until the end that followed.
#[derive(Debug)]
pub(super) struct Period {
    pub(super) samples: Vec<Sample>,
    pub(super) ended_by: &'static str,
}

/// What the load did.
#[derive(Debug)]
pub(super) struct Totals {
    /// What was done, how often.
    pub(super) done: Vec<(&'static str, u64)>,
    /// What went wrong while the server was up.
    pub(super) failures: Vec<String>,
}

/// How much may be added from the first to the last quarter of a period, and from the first period to the last.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// In MiB, beside a tenth of what there was.
    pub memory_mib: f64,
    /// Open file descriptors.
    pub descriptors: f64,
    /// Threads; those for work that may block come and go.
    pub threads: f64,
    /// In MiB: segments are of 64 MiB and come and go as a whole.
    pub disk_mib: f64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            memory_mib: 24.0,
            descriptors: 24.0,
            threads: 16.0,
            disk_mib: 256.0,
        }
    }
}

impl Bounds {
    /// From a value on, the most that it may become. `None` for what only depends on the machine's other work.
    fn most(&self, measure: Measure, from: f64) -> Option<f64> {
        match measure {
            Measure::MemoryMib => Some(from * 1.1 + self.memory_mib),
            Measure::Descriptors => Some(from + self.descriptors),
            Measure::Threads => Some(from + self.threads),
            Measure::DiskMib => Some(from + self.disk_mib),
            _ => None,
        }
    }
}

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    plan: Plan,
    periods: Vec<Period>,
    totals: Totals,
}

impl Report {
    pub(super) fn new(plan: Plan, periods: Vec<Period>, totals: Totals) -> Self {
        Self {
            plan,
            periods,
            totals,
        }
    }

    /// What is not as it should be.
    pub fn findings(&self, bounds: &Bounds) -> Vec<String> {
        let mut findings = self.totals.failures.clone();
        for (what, count) in &self.totals.done {
            if *count == 0 {
                findings.push(format!("{what}: nothing was done"));
            }
        }
        for measure in Measure::ALL {
            for (number, period) in (1..).zip(&self.periods) {
                let quarter = (period.samples.len() / 4).max(1);
                let first = median(measure, period.samples.iter().take(quarter));
                let last = median(measure, period.samples.iter().rev().take(quarter));
                if bounds.most(measure, first).is_some_and(|most| last > most) {
                    let title = measure.title();
                    findings.push(format!(
                        "start {number}: {title} grew from {first:.0} to {last:.0}"
                    ));
                }
            }
            let of = |period: &Period| median(measure, period.samples.iter());
            if let (Some(first), Some(last)) = (self.periods.first(), self.periods.last()) {
                let (first, last) = (of(first), of(last));
                if bounds.most(measure, first).is_some_and(|most| last > most) {
                    let title = measure.title();
                    findings.push(format!(
                        "{title}: {first:.0} after the first start, {last:.0} after the last"
                    ));
                }
            }
        }
        findings
    }

    /// As Markdown: for each start medians and, in brackets, slopes per hour.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "{:.0} min, {} starts of {:.0} s; medians, in brackets the slope per hour after a warm-up of {:.0} s\n\n",
            self.plan.whole.as_secs_f64() / 60.0,
            self.periods.len(),
            self.plan.period.as_secs_f64(),
            self.plan.warm_up.as_secs_f64()
        );
        text += "| Start, ended by |";
        for measure in Measure::ALL {
            _ = write!(text, " {} |", measure.title());
        }
        text += "\n|---|";
        text += &"---|".repeat(Measure::ALL.len());
        for (number, period) in (1..).zip(&self.periods) {
            _ = write!(text, "\n| {number}, {} |", period.ended_by);
            for measure in Measure::ALL {
                let middle = median(measure, period.samples.iter());
                let slope = slope(measure, &period.samples);
                _ = write!(text, " {middle:.0} ({slope:+.1}) |");
            }
        }
        text += "\n\n| Done | |\n|---|---|\n";
        for (what, count) in &self.totals.done {
            _ = writeln!(text, "| {what} | {count} |");
        }
        text
    }
}

fn values<'a>(
    measure: Measure,
    samples: impl Iterator<Item = &'a Sample>,
) -> impl Iterator<Item = (f64, f64)> {
    samples
        .map(move |sample| (sample.seconds, sample.values[measure as usize]))
        .filter(|(_, value)| value.is_finite())
}

fn median<'a>(measure: Measure, samples: impl Iterator<Item = &'a Sample>) -> f64 {
    let mut values: Vec<f64> = values(measure, samples).map(|(_, value)| value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The least squares' slope, per hour.
fn slope(measure: Measure, samples: &[Sample]) -> f64 {
    let points: Vec<(f64, f64)> = values(measure, samples.iter()).collect();
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (at, value) = (mean(|point| point.0), mean(|point| point.1));
    let along: f64 = points.iter().map(|(x, y)| (x - at) * (y - value)).sum();
    let across: f64 = points.iter().map(|(x, _)| (x - at).powi(2)).sum();
    if across > 0.0 {
        along / across * 3600.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report(memory: impl Fn(f64) -> f64) -> Report {
        let sample = |second: u32| {
            let mut sample = Sample {
                seconds: f64::from(second),
                values: [50.0; Measure::ALL.len()],
            };
            sample.values[Measure::MemoryMib as usize] = memory(sample.seconds);
            sample
        };
        let period = Period {
            samples: (0..100).map(sample).collect(),
            ended_by: "kill",
        };
        let totals = Totals {
            done: vec![("publishes", 1)],
            failures: Vec::new(),
        };
        Report::new(Plan::lasting(Duration::from_secs(60)), vec![period], totals)
    }

    #[test]
    fn what_grows_beyond_its_bound_is_a_finding() {
        let findings = report(|at| 40.0 + at).findings(&Bounds::default());
        assert_eq!(findings, ["start 1: memory, MiB grew from 52 to 127"]);
        assert_eq!(
            report(|_| 40.0).findings(&Bounds::default()),
            [""; 0],
            "what stays is none"
        );
    }

    #[test]
    fn slopes_are_per_hour() {
        let report = report(|at| 40.0 + at / 3600.0);
        let slope = slope(Measure::MemoryMib, &report.periods[0].samples);
        assert!((slope - 1.0).abs() < 1e-6, "{slope}");
    }
}
