//! `--signal`: tells a running server to do something.

use std::fmt;
use std::io;
use std::path::PathBuf;

use jetsled_config::{Signal, SignalTarget};
use rustix::io::Errno;
use rustix::process::{Pid, kill_process};

/// Names under which a server may run.
const PROGRAMS: [&str; 2] = ["nats-server", "jetsled"];

/// Why a signal could not be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendSignalError {
    #[error("no nats-server processes running")]
    NoServer,
    #[error("multiple nats-server processes running:\n{0}")]
    SeveralServers(String),
    #[error("invalid pid: {0}")]
    InvalidPid(String),
    #[error("unable to read pid file {path}: {source}")]
    PidFile { path: PathBuf, source: io::Error },
    #[error("\nsignal \"{signal}\" {pid}: {}", KillReason(*.reason))]
    Kill {
        signal: &'static str,
        pid: String,
        reason: Errno,
    },
    #[error("unable to list processes: {0}")]
    Processes(io::Error),
}

/// Why a process could not be signalled, in Go's words.
struct KillReason(Errno);

impl fmt::Display for KillReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Errno::SRCH => f.write_str("no such process"),
            Errno::PERM => f.write_str("operation not permitted"),
            other => write!(f, "{other}"),
        }
    }
}

/// Sends `signal` to the servers that `target` names.
pub(crate) fn send_signal(signal: Signal, target: &SignalTarget) -> Result<(), SendSignalError> {
    let pids = match target {
        SignalTarget::Pid(text) => match text.strip_suffix('*') {
            Some(prefix) if !prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(SendSignalError::InvalidPid(prefix.to_owned()));
            }
            Some(prefix) => {
                let mut pids = running_servers()?;
                pids.retain(|pid| pid.starts_with(prefix));
                pids
            }
            None => vec![text.clone()],
        },
        SignalTarget::PidFile(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|source| SendSignalError::PidFile {
                    path: path.clone(),
                    source,
                })?;
            vec![text.trim().to_owned()]
        }
        SignalTarget::OnlyServer => {
            let pids = running_servers()?;
            if pids.len() > 1 {
                return Err(SendSignalError::SeveralServers(pids.join("\n")));
            }
            pids
        }
    };
    if pids.is_empty() {
        return Err(SendSignalError::NoServer);
    }
    pids.iter().try_for_each(|pid| kill(pid, signal))
}

fn kill(pid: &str, signal: Signal) -> Result<(), SendSignalError> {
    let number = pid
        .parse()
        .ok()
        .filter(|number: &i32| *number > 0)
        .and_then(Pid::from_raw);
    let number = number.ok_or_else(|| SendSignalError::InvalidPid(pid.to_owned()))?;
    let (name, signal) = match signal {
        Signal::Kill => ("stop", rustix::process::Signal::KILL),
        Signal::Interrupt => ("quit", rustix::process::Signal::INT),
        Signal::Terminate => ("term", rustix::process::Signal::TERM),
        Signal::ReopenLog => ("reopen", rustix::process::Signal::USR1),
        Signal::LameDuck => ("ldm", rustix::process::Signal::USR2),
        Signal::Reload => ("reload", rustix::process::Signal::HUP),
    };
    kill_process(number, signal).map_err(|reason| SendSignalError::Kill {
        signal: name,
        pid: pid.to_owned(),
        reason,
    })
}

/// Pids of other processes that run under a server's name.
fn running_servers() -> Result<Vec<String>, SendSignalError> {
    let own = std::process::id().to_string();
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc").map_err(SendSignalError::Processes)? {
        let Ok(entry) = entry else { continue };
        let pid = entry.file_name().to_string_lossy().into_owned();
        if pid == own || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // A process may end while we look.
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if PROGRAMS.contains(&name.trim_end()) {
            pids.push(pid);
        }
    }
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_said_in_gos_words() {
        let fails = |pid: &str| {
            let target = SignalTarget::Pid(pid.to_owned());
            let error = send_signal(Signal::Interrupt, &target).expect_err("no such process");
            error.to_string()
        };
        // Above the largest that a process can have.
        assert_eq!(
            fails("2147483647"),
            "\nsignal \"quit\" 2147483647: no such process"
        );
        assert_eq!(fails("abc"), "invalid pid: abc");
        assert_eq!(fails("abc*"), "invalid pid: abc");
        assert_eq!(fails("-1"), "invalid pid: -1");
    }
}
