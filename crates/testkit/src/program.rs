//! The program under test: found or built once, started on a free port, watched until it is ready, ended with its owner.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, Signal, kill_process};

/// Set to the path of another server (`nats-server`, an installed `jetsled`) to run the tests against that.
pub const PROGRAM_VARIABLE: &str = "JETSLED_BIN";

/// How long a start may take until the ready line, a build machine under load included.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long an orderly stop may take until the process is killed.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// The last lines of a server's log that are kept for messages and for [`Server::wait_for_log`].
const LOG_LINES: usize = 4096;

/// The path of the program under test.
///
/// [`PROGRAM_VARIABLE`] if it is set, else the workspace's own `jetsled`, built once in the profile that the test runs in.
///
/// # Panics
///
/// If the build fails: no test can go on without the program.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os(PROGRAM_VARIABLE) {
        Some(path) => path.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own executable");
    // target/debug/deps/test-hash, target/debug/harness
    let profile_dir = test
        .ancestors()
        .skip(1)
        .find(|dir| !dir.ends_with("deps"))
        .expect("an executable has a folder");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "build",
        "--quiet",
        "--package",
        "jetsled-server",
        "--bin",
        "jetsled",
    ]);
    if profile_dir.ends_with("release") {
        cargo.arg("--release");
    }
    if let Some(target_dir) = profile_dir.parent() {
        cargo.arg("--target-dir").arg(target_dir);
    }
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    let status = cargo.stdin(Stdio::null()).status().expect("cargo starts");
    assert!(
        status.success(),
        "building the program under test failed: {status}"
    );
    profile_dir.join("jetsled")
}

/// Why a server did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operating system could not start the program, or a file for it could not be written.
    #[error("can't start {}: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The program ended before it was ready.
    #[error("the server ended with {status} before it was ready; its log:\n{log}")]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// What it logged.
        log: String,
    },
    /// The program runs but did not say that it is ready.
    #[error("the server was not ready after {after:?}; its log:\n{log}")]
    NotReady {
        /// How long it was given.
        after: Duration,
        /// What it logged.
        log: String,
    },
}

/// How to start a server: on 127.0.0.1, on a free port unless told otherwise.
#[derive(Clone, Debug)]
pub struct Launch {
    program: PathBuf,
    way: Way,
    port: Option<u16>,
    store_dir: Option<PathBuf>,
    config: Option<String>,
    files: Vec<(String, String)>,
    called: Option<OsString>,
    address_of_config: bool,
    args: Vec<OsString>,
    variables: Vec<(String, String)>,
}

/// How the program is told what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As nats-server: flags and a configuration file.
    Flags,
    /// As oCIS's `nats` service: variables and `nats.yaml`.
    Ocis,
}

impl Default for Launch {
    fn default() -> Self {
        Self::new()
    }
}

impl Launch {
    /// The program under test ([`program`]) without JetStream.
    pub fn new() -> Self {
        Self::of(program())
    }

    /// Any other program with nats-server's command line.
    pub fn of(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            way: Way::Flags,
            port: None,
            store_dir: None,
            config: None,
            files: Vec::new(),
            called: None,
            address_of_config: false,
            args: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// The program under test in the place of oCIS's `nats` service, with a log level that shows when it is ready and
    /// its debug listener on a free port. Of the test's own variables it sees none.
    pub fn ocis() -> Self {
        Self {
            way: Way::Ocis,
            ..Self::new()
        }
        .variable("NATS_NATS_HOST", "127.0.0.1")
        .variable("NATS_DEBUG_ADDR", "127.0.0.1:0")
        .variable("NATS_LOG_LEVEL", "info")
    }

    /// With this variable in its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// With JetStream in this directory.
    #[must_use]
    pub fn jetstream(mut self, store_dir: impl Into<PathBuf>) -> Self {
        self.store_dir = Some(store_dir.into());
        self
    }

    /// On this port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// With this configuration text (as `-c FILE`; as `nats.yaml` for oCIS's service). Address, port and store directory are given as flags, which win over it.
    #[must_use]
    pub fn config(mut self, text: impl Into<String>) -> Self {
        self.config = Some(text.into());
        self
    }

    /// With a file of this name where the configuration file is, which is also the process' working directory. Names may have
    /// folders in them.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.files.push((name.into(), text.into()));
        self
    }

    /// Called by this name: the first argument, by which the program decides whose defaults it has.
    #[must_use]
    pub fn called(mut self, name: impl Into<OsString>) -> Self {
        self.called = Some(name.into());
        self
    }

    /// Listening where the configuration says, not on a free port of 127.0.0.1.
    #[must_use]
    pub fn address_of_config(mut self) -> Self {
        self.address_of_config = true;
        self
    }

    /// With one more argument on the command line.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Starts the server and waits for its ready line.
    ///
    /// # Errors
    ///
    /// When the program cannot be started, ends early, or is not ready within a minute.
    pub fn start(self) -> Result<Server, StartError> {
        let (process, address) = self.spawn()?;
        Ok(Server {
            launch: self.port(address.port()),
            process: Some(process),
            address,
        })
    }

    /// Runs the program to its end, for starts that must fail: its status, stdout and stderr.
    ///
    /// # Errors
    ///
    /// As [`Launch::start`]; a program that goes on running for a minute is [`StartError::NotReady`].
    pub fn run_to_end(&self) -> Result<Output, StartError> {
        let (mut command, _scratch) = self.command()?;
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| self.spawn_error(e))?;
        let log = Log::follow(child.stderr.take());
        let status = wait(&mut child, READY_WITHIN);
        if status.is_none() {
            child
                .kill()
                .and_then(|()| child.wait())
                .map_err(|e| self.spawn_error(e))?;
        }
        log.wait_for_end();
        let text = log.text();
        let Some(status) = status else {
            return Err(StartError::NotReady {
                after: READY_WITHIN,
                log: text,
            });
        };
        let mut stdout = Vec::new();
        if let Some(mut pipe) = child.stdout.take() {
            pipe.read_to_end(&mut stdout)
                .map_err(|e| self.spawn_error(e))?;
        }
        Ok(Output {
            status,
            stdout,
            stderr: text.into_bytes(),
        })
    }

    fn spawn_error(&self, source: std::io::Error) -> StartError {
        StartError::Spawn {
            program: self.program.clone(),
            source,
        }
    }

    fn command(&self) -> Result<(Command, tempfile::TempDir), StartError> {
        let scratch = tempfile::Builder::new()
            .prefix("jetsled-test-")
            .tempdir()
            .map_err(|e| self.spawn_error(e))?;
        let mut command = Command::new(&self.program);
        command
            .current_dir(&scratch)
            // Where streams go unless a test says otherwise: no two servers may share it.
            .env("XDG_STATE_HOME", scratch.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(name) = &self.called {
            command.arg0(name);
        }
        let port = self
            .port
            .map_or_else(|| "-1".to_owned(), |port| port.to_string());
        match self.way {
            Way::Flags => {
                if !self.address_of_config {
                    command.args(["-a", "127.0.0.1", "-p", &port]);
                }
                if let Some(dir) = &self.store_dir {
                    command.arg("-js").arg("-sd").arg(dir);
                }
                if let Some(text) = &self.config {
                    let file = scratch.path().join("server.conf");
                    std::fs::write(&file, text).map_err(|e| self.spawn_error(e))?;
                    command.arg("-c").arg("server.conf");
                }
            }
            Way::Ocis => {
                command.arg("ocis").env_clear();
                command.env("HOME", scratch.path());
                command.env("NATS_NATS_PORT", port);
                if let Some(dir) = &self.store_dir {
                    command.env("NATS_NATS_STORE_DIR", dir);
                }
                if let Some(text) = &self.config {
                    let dir = scratch.path().join(".ocis/config");
                    std::fs::create_dir_all(&dir)
                        .and_then(|()| std::fs::write(dir.join("nats.yaml"), text))
                        .map_err(|e| self.spawn_error(e))?;
                }
            }
        }
        for (name, text) in &self.files {
            let file = scratch.path().join(name);
            file.parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| std::fs::write(&file, text))
                .map_err(|e| self.spawn_error(e))?;
        }
        command
            .envs(self.variables.iter().cloned())
            .args(&self.args);
        Ok((command, scratch))
    }

    fn spawn(&self) -> Result<(Process, SocketAddr), StartError> {
        let (mut command, scratch) = self.command()?;
        let started = Instant::now();
        let mut child = command
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| self.spawn_error(e))?;
        let log = Log::follow(child.stderr.take());
        let mut process = Process {
            child,
            log,
            ready_after: Duration::ZERO,
            scratch,
        };
        let ready = process
            .log
            .wait(READY_WITHIN, |line| line.contains("Server is ready"));
        process.ready_after = started.elapsed();
        if ready.is_none() {
            return Err(match wait(&mut process.child, Duration::from_millis(500)) {
                Some(status) => StartError::Exited {
                    status,
                    log: process.log.text(),
                },
                None => StartError::NotReady {
                    after: process.ready_after,
                    log: process.log.text(),
                },
            });
        }
        match process.log.address("Listening for client connections on ") {
            Some(address) => Ok((process, address)),
            None => Err(StartError::NotReady {
                after: process.ready_after,
                log: process.log.text(),
            }),
        }
    }
}

/// A running (or stopped) server. What it started ends with it.
#[derive(Debug)]
pub struct Server {
    launch: Launch,
    process: Option<Process>,
    address: SocketAddr,
}

#[derive(Debug)]
struct Process {
    child: Child,
    log: Log,
    ready_after: Duration,
    scratch: tempfile::TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Server {
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
fn wait(child: &mut Child, within: Duration) -> Option<ExitStatus> {
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

/// A process' stderr, read by a thread so that the process never blocks on it.
#[derive(Clone, Debug)]
struct Log(Arc<LogShared>);

#[derive(Debug)]
struct LogShared {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct LogState {
    lines: VecDeque<String>,
    ended: bool,
}

impl Log {
    fn follow(pipe: Option<ChildStderr>) -> Self {
        let log = Self(Arc::new(LogShared {
            state: Mutex::default(),
            changed: Condvar::new(),
        }));
        let writer = log.clone();
        std::thread::spawn(move || {
            for line in pipe
                .into_iter()
                .flat_map(|pipe| BufReader::new(pipe).split(b'\n'))
            {
                let Ok(line) = line else { break };
                let mut state = writer.0.state.lock();
                if state.lines.len() == LOG_LINES {
                    state.lines.pop_front();
                }
                state
                    .lines
                    .push_back(String::from_utf8_lossy(&line).into_owned());
                writer.0.changed.notify_all();
            }
            writer.0.state.lock().ended = true;
            writer.0.changed.notify_all();
        });
        log
    }

    fn wait(&self, within: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + within;
        let mut state = self.0.state.lock();
        loop {
            if let Some(line) = state.lines.iter().find(|line| wanted(line)) {
                return Some(line.clone());
            }
            if state.ended || self.0.changed.wait_until(&mut state, deadline).timed_out() {
                return None;
            }
        }
    }

    /// The address at the end of the first line that contains `text`; of all interfaces it is 127.0.0.1.
    fn address(&self, text: &str) -> Option<SocketAddr> {
        let line = self.wait(Duration::ZERO, |line| line.contains(text))?;
        let (_, address) = line.rsplit_once(' ')?;
        // A log may have quotes and brackets behind it.
        let address = address.trim_end_matches(|char: char| !char.is_ascii_digit());
        let mut address = address.to_socket_addrs().ok()?.next()?;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        Some(address)
    }

    fn wait_for_end(&self) {
        let mut state = self.0.state.lock();
        while !state.ended {
            self.0.changed.wait(&mut state);
        }
    }

    fn text(&self) -> String {
        self.0
            .state
            .lock()
            .lines
            .iter()
            .fold(String::new(), |text, line| text + line + "\n")
    }
}
