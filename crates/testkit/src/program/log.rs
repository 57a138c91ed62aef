//! What a server writes to stderr, kept while it runs.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::process::ChildStderr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// The last lines of a server's log that are kept for messages and for [`Server::wait_for_log`](super::Server::wait_for_log).
const LOG_LINES: usize = 4096;

/// A process' stderr, read by a thread so that the process never blocks on it.
#[derive(Clone, Debug)]
pub(super) struct Log(Arc<LogShared>);

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
    pub(super) fn follow(pipe: Option<ChildStderr>) -> Self {
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

    pub(super) fn wait(&self, within: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
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
    pub(super) fn address(&self, text: &str) -> Option<SocketAddr> {
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

    pub(super) fn wait_for_end(&self) {
        let mut state = self.0.state.lock();
        while !state.ended {
            self.0.changed.wait(&mut state);
        }
    }

    pub(super) fn text(&self) -> String {
        self.0
            .state
            .lock()
            .lines
            .iter()
            .fold(String::new(), |text, line| text + line + "\n")
    }
}
