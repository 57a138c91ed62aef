//! The cases: what is measured, by name.

mod consume;
mod core;
mod footprint;
mod key_value;
mod publish;
mod scale;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use jetsled_testkit::Server;
use serde::Serialize;

use crate::Error;
use crate::measure::percentile;

/// A running server.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) scale: Scale,
    server: RefCell<Server>,
}

impl Target {
    pub(crate) fn new(server: Server, scale: Scale) -> Self {
        Self {
            address: server.address(),
            scale,
            server: RefCell::new(server),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.borrow().pid().expect("a target runs")
    }

    /// From the start of its process to its ready line.
    fn ready_after(&self) -> Duration {
        self.server.borrow().ready_after().expect("a target runs")
    }

    /// An orderly stop, and a start on the same data and port.
    fn restart(&self) -> Result<(), Error> {
        let mut server = self.server.borrow_mut();
        server.stop();
        Ok(server.start_again()?)
    }

    /// Bytes of the program's file.
    fn program_bytes(&self) -> Result<u64, Error> {
        let program = std::fs::canonicalize(format!("/proc/{}/exe", self.pid()))?;
        Ok(std::fs::metadata(program)?.len())
    }

    /// SIGKILL, and a start on the same data and port.
    fn crash_and_restart(&self) -> Result<(), Error> {
        let mut server = self.server.borrow_mut();
        server.kill();
        Ok(server.start_again()?)
    }
}

/// How much data a case prepares.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Smoke,
    Full,
}

impl Scale {
    fn pick(self, smoke: usize, full: usize) -> usize {
        match self {
            Self::Smoke => smoke,
            Self::Full => full,
        }
    }
}

/// What a case's values are.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    MessagesPerSecond,
    Microseconds,
    Milliseconds,
    Kibibytes,
    Mebibytes,
}

impl Unit {
    pub(crate) fn more_is_better(self) -> bool {
        matches!(self, Self::MessagesPerSecond)
    }

    pub(crate) fn bare(self, value: f64) -> String {
        match self {
            Self::MessagesPerSecond if value >= 1e6 => format!("{:.2}M", value / 1e6),
            Self::MessagesPerSecond => format!("{:.0}k", value / 1e3),
            Self::Microseconds => format!("{value:.0}"),
            Self::Milliseconds | Self::Kibibytes | Self::Mebibytes => format!("{value:.1}"),
        }
    }

    pub(crate) fn show(self, value: f64) -> String {
        let unit = match self {
            Self::MessagesPerSecond => "/s",
            Self::Microseconds => " us",
            Self::Milliseconds => " ms",
            Self::Kibibytes => " KiB",
            Self::Mebibytes => " MiB",
        };
        self.bare(value) + unit
    }
}

/// The result of one measurement.
pub(crate) struct Sample {
    pub(crate) value: f64,
    pub(crate) p99: Option<f64>,
    /// How many messages (or operations) the server handled, for processor time a message.
    pub(crate) messages: u64,
}

impl Sample {
    fn rate(messages: u64, elapsed: Duration) -> Self {
        Self {
            value: messages as f64 / elapsed.as_secs_f64(),
            p99: None,
            messages,
        }
    }

    /// A single figure that no messages stand behind.
    fn figure(value: f64) -> Self {
        Self {
            value,
            p99: None,
            messages: 0,
        }
    }

    fn latency(mut times: Vec<Duration>) -> Self {
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
        Self {
            value: micros(percentile(&mut times, 50)),
            p99: Some(micros(percentile(&mut times, 99))),
            messages: times.len() as u64,
        }
    }
}

type Prepare = Box<dyn Fn(&Target) -> Result<(), Error>>;
type Run = Box<dyn Fn(&Target, Duration) -> Result<Sample, Error>>;

/// One thing to measure.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    /// Each measurement has a server of its own, which has done nothing before.
    pub(crate) fresh_servers: bool,
    /// Once for each server, before the clock starts.
    pub(crate) prepare: Prepare,
    pub(crate) run: Run,
}

impl Case {
    fn new(
        name: &'static str,
        unit: Unit,
        run: impl Fn(&Target, Duration) -> Result<Sample, Error> + 'static,
    ) -> Self {
        Self {
            name,
            unit,
            fresh_servers: false,
            prepare: Box::new(|_| Ok(())),
            run: Box::new(run),
        }
    }

    fn on_fresh_servers(mut self) -> Self {
        self.fresh_servers = true;
        self
    }

    fn prepared(mut self, prepare: impl Fn(&Target) -> Result<(), Error> + 'static) -> Self {
        self.prepare = Box::new(prepare);
        self
    }
}

/// Every case, cheap ones first.
pub(crate) fn all() -> Vec<Case> {
    [
        core::cases(),
        publish::cases(),
        consume::cases(),
        key_value::cases(),
        footprint::cases(),
        scale::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The next decimal number.
fn count_up(number: &mut [u8]) {
    for digit in number.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}
