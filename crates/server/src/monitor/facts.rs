//! What the server keeps for monitoring alone.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::access::Admission;
use super::closed::{ClosedConnections, EndedSubscriptions};
use super::connection::Connection;
use super::endpoint::Endpoint;
use super::process::CpuMeter;
use crate::client::{Client, CloseReason};

/// What the server keeps for monitoring alone.
#[derive(Debug)]
pub(crate) struct MonitorFacts {
    pub(crate) started: Timestamp,
    requests: [AtomicU64; Endpoint::ALL.len()],
    /// Private to this file, held to add one entry or to copy them.
    closed: Mutex<ClosedConnections>,
    /// Private to this file, held for one look.
    cpu: Mutex<CpuMeter>,
    pub(super) admission: Admission,
}

impl MonitorFacts {
    /// `max_closed`: how many closed connections to remember.
    pub(crate) fn new(max_closed: usize) -> Self {
        Self {
            started: Timestamp::now(),
            requests: Default::default(),
            closed: Mutex::new(ClosedConnections::new(max_closed)),
            cpu: Mutex::new(CpuMeter::new()),
            admission: Admission::default(),
        }
    }

    /// Remembers a connection that has ended.
    pub(crate) fn remember_closed(
        &self,
        client: &Client,
        reason: CloseReason,
        subscriptions: EndedSubscriptions,
    ) {
        let now = Timestamp::now();
        let mut connection = Connection::of(client, now);
        connection.stop = Some(now);
        connection.reason = Some(reason.text());
        connection.end(subscriptions);
        self.closed.lock().push(connection);
    }

    /// The closed connections that are remembered, the oldest first.
    pub(super) fn closed(&self) -> Vec<Connection> {
        self.closed.lock().to_vec()
    }

    /// How many closed connections are remembered.
    pub(super) fn closed_count(&self) -> usize {
        self.closed.lock().len()
    }

    pub(super) fn count(&self, endpoint: Endpoint) {
        self.requests[endpoint as usize].fetch_add(1, Relaxed);
    }

    /// Takes back a [`MonitorFacts::count`].
    pub(super) fn uncount(&self, endpoint: Endpoint) {
        self.requests[endpoint as usize].fetch_sub(1, Relaxed);
    }

    /// Requests by path, those that came.
    pub(super) fn requests(&self) -> BTreeMap<&'static str, u64> {
        Endpoint::ALL
            .into_iter()
            .map(|endpoint| {
                (
                    endpoint.path(),
                    self.requests[endpoint as usize].load(Relaxed),
                )
            })
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    pub(super) fn cpu_percent(&self) -> f64 {
        self.cpu.lock().percent()
    }
}
