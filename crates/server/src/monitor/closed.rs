//! The ring of closed connections.

use std::collections::VecDeque;

use super::connection::Connection;

/// The last closed connections, `max_closed_clients` of them.
#[derive(Debug)]
pub(super) struct ClosedConnections {
    ring: VecDeque<Connection>,
    max: usize,
}

impl ClosedConnections {
    pub(super) fn new(max: usize) -> Self {
        Self {
            ring: VecDeque::new(),
            max,
        }
    }

    pub(super) fn push(&mut self, connection: Connection) {
        while self.ring.len() >= self.max.max(1) {
            self.ring.pop_front();
        }
        self.ring.push_back(connection);
    }

    pub(super) fn to_vec(&self) -> Vec<Connection> {
        self.ring.iter().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }
}
