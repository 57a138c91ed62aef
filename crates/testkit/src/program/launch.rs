//! How a server is started: command line, environment, configuration, and what can go wrong.

use std::ffi::OsString;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use super::log::Log;
use super::process::{Process, Server, wait};
use super::program;

/// How long a start may take until the ready line, a build machine under load included.
const READY_WITHIN: Duration = Duration::from_secs(60);

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
        Ok(Server::new(self.port(address.port()), process, address))
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

    pub(super) fn spawn(&self) -> Result<(Process, SocketAddr), StartError> {
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
