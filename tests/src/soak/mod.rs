//! A mixed load over minutes or hours, with restarts in between: does the server grow, or become slower?
//!
//! [`run`] keeps a dozen kinds of use going at a steady pace (`actors`), ends the server in order and by SIGKILL by turns,
//! looks at it every few seconds (`sample`), and tells the slope of what it saw, for each start (`report`).

mod actors;
mod report;
mod sample;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jetsled_testkit::{Launch, Peer, Server};

use actors::Shared;
pub use report::{Bounds, Report};
use report::{Period, Totals};
use sample::Sample;

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The whole run.
    pub whole: Duration,
    /// From a start to the end that follows.
    pub period: Duration,
    /// Samples of the beginning of a period that say nothing yet.
    pub warm_up: Duration,
    /// From a sample to the next.
    pub every: Duration,
}

impl Plan {
    /// Six periods, of five minutes at least; three if the run is shorter than that. Caches fill for some minutes: slopes mean more the longer
    /// a period is.
    pub fn lasting(whole: Duration) -> Self {
        let period = (whole / 6).max(Duration::from_secs(300)).min(whole / 3);
        Self {
            whole,
            period,
            warm_up: period / 5,
            every: (period / 20).clamp(Duration::from_secs(1), Duration::from_secs(5)),
        }
    }
}

/// Runs a server through it, in a store below `scratch`.
///
/// # Errors
///
/// When the server does not start, refuses what the load needs, or cannot be looked at.
pub fn run(plan: Plan, launch: &Launch, scratch: &Path, seed: u64) -> io::Result<Report> {
    let store = scratch.join("store");
    let mut server = launch
        .clone()
        .jetstream(&store)
        .start()
        .map_err(io::Error::other)?;
    let shared = Arc::new(Shared::new(server.address()));
    set_up(&server)?;
    let threads = actors::start(&shared, seed);
    let began = Instant::now();
    let mut periods = Vec::new();
    loop {
        let period = watch(plan, &server, &store, &shared)?;
        let is_kill = periods.len() % 2 == 0;
        let is_over = began.elapsed() + plan.period / 2 > plan.whole;
        periods.push(Period {
            samples: period,
            ended_by: if is_kill { "kill" } else { "stop" },
        });
        shared.going_down();
        if is_kill {
            server.kill();
        } else {
            server.stop();
        }
        if is_over {
            break;
        }
        server.start_again().map_err(io::Error::other)?;
        set_up(&server)?;
        shared.is_up();
    }
    shared.finish();
    for thread in threads {
        thread
            .join()
            .map_err(|_| io::Error::other("an actor panicked"))?;
    }
    let totals = Totals {
        done: shared.done(),
        failures: shared.failures(),
    };
    Ok(Report::new(plan, periods, totals))
}

fn watch(plan: Plan, server: &Server, store: &Path, shared: &Shared) -> io::Result<Vec<Sample>> {
    let pid = server
        .pid()
        .ok_or_else(|| io::Error::other("no server runs"))?;
    let began = Instant::now();
    let mut samples = Vec::new();
    shared.take_latencies();
    while began.elapsed() < plan.period {
        std::thread::sleep(plan.every);
        let sample = Sample::take(pid, store, began.elapsed(), shared.take_latencies())?;
        if began.elapsed() > plan.warm_up {
            samples.push(sample);
        }
    }
    Ok(samples)
}

fn set_up(server: &Server) -> io::Result<()> {
    let (mut peer, _info) = Peer::ready(server.address())?;
    actors::set_up(&mut peer)
}
