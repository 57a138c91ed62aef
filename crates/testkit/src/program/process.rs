//! A server that was started: its addresses, its log, signals, its end.

use std::net::SocketAddr;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::launch::{Launch, StartError};
use super::log::Log;

/// How long an orderly stop may take until the process is killed.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// A running (or stopped) server. What it started ends with it.
#[derive(Debug)]
pub struct Server {
    launch: Launch,
    process: Option<Process>,
    address: SocketAddr,
}

/// The process of a server that runs; dropping it ends it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) log: Log,
    pub(super) ready_after: Duration,
    pub(super) scratch: tempfile::TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Server {
    pub(super) fn new(launch: Launch, process: Process, address: SocketAddr) -> Self {
        Self {
            launch,
            process: Some(process),
            address,
        }
    }

    /// The client port; it stays the same over [`Server::start_again`].
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The client address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where monitoring listens, if it is on.
    pub fn monitor_address(&self) -> Option<SocketAddr> {
        self.process
            .as_ref()?
            .log
            .address("Starting http monitor on ")
    }

    /// Where the debug server of oCIS's service listens.
    pub fn debug_address(&self) -> Option<SocketAddr> {
        self.process
            .as_ref()?
            .log
            .address("Starting debug server on ")
    }

    /// The address as clients take it, such as `nats://127.0.0.1:4222`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// The process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.child.id())
    }

    /// From the start of the process to its ready line, of the latest start.
    pub fn ready_after(&self) -> Option<Duration> {
        self.process.as_ref().map(|process| process.ready_after)
    }

    /// The last lines that the running process has logged.
    pub fn log(&self) -> String {
        self.process
            .as_ref()
            .map(|process| process.log.text())
            .unwrap_or_default()
    }

    /// Waits for a log line that contains `text`; `None` when the time is over or the process has ended without it.
    pub fn wait_for_log(&self, text: &str, within: Duration) -> Option<String> {
        self.process
            .as_ref()?
            .log
            .wait(within, |line| line.contains(text))
    }

    /// Ends the process as a crash would (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Asks the process to end (SIGTERM) and waits; after 20 seconds it is killed. `None` if none was running.
    ///
    /// # Panics
    ///
    /// If the signal cannot be sent.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        if self.process.is_some() {
            self.terminate();
        }
        self.wait()
    }

    /// Sends SIGTERM: end.
    ///
    /// # Panics
    ///
    /// If no process runs or the signal cannot be sent.
    pub fn terminate(&self) {
        let process = self.process.as_ref().expect("the server runs");
        self.signal_to(&process.child, Signal::TERM);
    }

    /// Waits until the process has ended by itself; after 20 seconds it is killed. `None` if none was running.
    pub fn wait(&mut self) -> Option<ExitStatus> {
        let mut process = self.process.take()?;
        wait(&mut process.child, STOP_WITHIN)
    }

    /// Puts another text into the configuration file; [`Server::hang_up`] lets the server read it.
    ///
    /// # Panics
    ///
    /// If no process runs or the file cannot be written.
    pub fn write_config(&self, text: impl AsRef<str>) {
        let process = self.process.as_ref().expect("the server runs");
        let file = process.scratch.path().join("server.conf");
        std::fs::write(file, text.as_ref()).expect("own file is written");
    }

    /// Sends SIGHUP: read the configuration again.
    ///
    /// # Panics
    ///
    /// If no process runs or the signal cannot be sent.
    pub fn hang_up(&self) {
        let process = self.process.as_ref().expect("the server runs");
        self.signal_to(&process.child, Signal::HUP);
    }

    fn signal_to(&self, child: &Child, signal: Signal) {
        kill_process(Pid::from_child(child), signal).expect("own child takes signals");
    }

    /// Starts a stopped or killed server again with the same options on the same port.
    ///
    /// # Errors
    ///
    /// As [`Launch::start`].
    pub fn start_again(&mut self) -> Result<(), StartError> {
        self.process = None;
        let (process, _same_address) = self.launch.spawn()?;
        self.process = Some(process);
        Ok(())
    }
}

/// Waits for a child without leaving it behind; `None` when it still runs at the end of the time.
pub(super) fn wait(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + within;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Ok(None) | Err(_) => return None,
        }
    }
}
