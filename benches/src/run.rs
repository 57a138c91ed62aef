//! Runs the cases against the servers, interleaved.

use std::fs;
use std::time::Instant;

use jetsled_testkit::Launch;

use crate::Error;
use crate::cases::{self, Case, Scale, Target};
use crate::chart;
use crate::disk::Disk;
use crate::measure::{cpu_seconds, resident_kib};
use crate::options::{Options, ServerSpec};
use crate::report::{CaseReport, Measured, Report, ServerReport};

/// Runs everything that was asked for; returns how many measurements failed.
pub(crate) fn run(options: &Options) -> Result<usize, Error> {
    let file_bytes = if options.smoke { 1 << 20 } else { 64 << 20 };
    let disk = Disk::measure(&options.dir, file_bytes)?;
    println!("{disk}");
    let mut report = Report {
        servers: options
            .servers
            .iter()
            .map(|server| server.name.clone())
            .collect(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        seconds: options.duration.as_secs_f64(),
        repetitions: options.repetitions,
        disk,
        cases: Vec::new(),
    };
    let wanted = |case: &Case| {
        options.only.is_empty()
            || options
                .only
                .iter()
                .any(|text| case.name.contains(text.as_str()))
    };
    for case in cases::all().into_iter().filter(wanted) {
        let started = Instant::now();
        let result = run_case(&case, options)?;
        println!(
            "{}  [{:.0} s]",
            result.row(),
            started.elapsed().as_secs_f64()
        );
        for (server, name) in result.servers.iter().zip(&report.servers) {
            for failure in &server.failures {
                println!("  {name}: {failure}");
            }
        }
        report.cases.push(result);
        // After each case, so that a run that is stopped leaves what it has found.
        if let Some(path) = &options.json {
            fs::write(path, serde_json::to_string_pretty(&report)?)?;
        }
        if let Some(path) = &options.markdown {
            fs::write(path, report.markdown())?;
        }
        if let Some(path) = &options.svg {
            fs::write(path, chart::draw(&report))?;
        }
    }
    println!("\n{}", report.markdown());
    let servers = report.cases.iter().flat_map(|case| &case.servers);
    Ok(servers.map(|server| server.failures.len()).sum())
}

/// One case; the servers take turns, and the order is reversed from one repetition to the next.
fn run_case(case: &Case, options: &Options) -> Result<CaseReport, Error> {
    let mut reports: Vec<ServerReport> = Vec::new();
    let mut running = Vec::new();
    for spec in &options.servers {
        let mut report = ServerReport::default();
        let server = if case.fresh_servers || !spec.runs(case.name) {
            Ok(None)
        } else {
            warmed_up(case, spec, options).map(Some)
        };
        running.push(server.unwrap_or_else(|error| {
            report.failures.push(error.to_string());
            None
        }));
        reports.push(report);
    }
    for repetition in 0..options.repetitions {
        let mut order: Vec<usize> = (0..options.servers.len()).collect();
        if repetition % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let measured = match &running[index] {
                Some(running) => measure(case, running, options),
                None if case.fresh_servers && options.servers[index].runs(case.name) => {
                    Running::start(case, &options.servers[index], options)
                        .and_then(|running| measure(case, &running, options))
                }
                None => continue,
            };
            match measured {
                Ok(measured) => reports[index].samples.push(measured),
                Err(error) => reports[index].failures.push(error.to_string()),
            }
        }
    }
    Ok(CaseReport {
        name: case.name.to_owned(),
        unit: case.unit,
        servers: reports,
    })
}

fn warmed_up(case: &Case, spec: &ServerSpec, options: &Options) -> Result<Running, Error> {
    let running = Running::start(case, spec, options)?;
    if !options.smoke {
        (case.run)(&running.target, options.duration / 4)?;
    }
    Ok(running)
}

/// A server with its store directory, ready for a case.
struct Running {
    target: Target,
    _store: tempfile::TempDir,
}

impl Running {
    fn start(case: &Case, spec: &ServerSpec, options: &Options) -> Result<Self, Error> {
        let store = tempfile::Builder::new()
            .prefix("jetsled-bench-")
            .tempdir_in(&options.dir)?;
        let launch = Launch::of(&spec.program).jetstream(store.path());
        let server = spec
            .args
            .iter()
            .fold(launch, |launch, arg| launch.arg(arg))
            .start()?;
        let scale = if options.smoke {
            Scale::Smoke
        } else {
            Scale::Full
        };
        let target = Target::new(server, scale);
        (case.prepare)(&target)?;
        Ok(Self {
            target,
            _store: store,
        })
    }
}

fn measure(case: &Case, running: &Running, options: &Options) -> Result<Measured, Error> {
    let pid = running.target.pid();
    let own = std::process::id();
    let (server_before, client_before) = (cpu_seconds(pid)?, cpu_seconds(own)?);
    let sample = (case.run)(&running.target, options.duration)?;
    let (server_after, client_after) = (cpu_seconds(running.target.pid())?, cpu_seconds(own)?);
    let millions = (sample.messages > 0).then_some(sample.messages as f64 / 1e6);
    let per_million = |seconds: f64| millions.map(|millions| seconds / millions);
    Ok(Measured {
        value: sample.value,
        p99: sample.p99,
        messages: sample.messages,
        server_cpu_seconds_per_million: per_million(server_after - server_before),
        client_cpu_seconds_per_million: per_million(client_after - client_before),
        resident_mib: resident_kib(running.target.pid())? / 1024.0,
    })
}
