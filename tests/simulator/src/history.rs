//! What happened in a run: a hash of all of it, and the last of it in words.

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hasher;

/// A run's events in order.
#[derive(Debug)]
pub(crate) struct History {
    hasher: std::hash::DefaultHasher,
    tail: VecDeque<String>,
    /// Lines that are kept.
    kept: usize,
    events: u64,
}

impl History {
    pub(crate) fn new(kept: usize) -> Self {
        Self {
            hasher: std::hash::DefaultHasher::new(),
            tail: VecDeque::new(),
            kept,
            events: 0,
        }
    }

    pub(crate) fn note(&mut self, event: fmt::Arguments<'_>) {
        let mut line = if self.tail.len() >= self.kept {
            self.tail.pop_front().unwrap_or_default()
        } else {
            String::new()
        };
        line.clear();
        fmt::Write::write_fmt(&mut line, event).ok();
        self.hasher.write(line.as_bytes());
        self.events += 1;
        self.tail.push_back(line);
    }

    /// Bytes that count for the hash only.
    pub(crate) fn mix(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    pub(crate) fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }
}
