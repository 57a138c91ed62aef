//! The ring of closed connections.

use std::collections::VecDeque;

use super::connection::{Connection, SubscriptionDetail};
use crate::client::Client;

/// So many subscriptions of closed connections are listed, of one connection and of all.
const MAX_LISTED: usize = 65_536;

/// What a connection that ends was subscribed to.
#[derive(Debug, Default)]
pub(crate) struct EndedSubscriptions {
    pub(super) count: usize,
    /// All of them, or none if they were too many.
    pub(super) listed: Vec<SubscriptionDetail>,
}

impl EndedSubscriptions {
    /// Adds what the client is subscribed to now.
    pub(crate) fn note(&mut self, client: &Client) {
        let ending = client.subscriptions();
        self.count += ending.len();
        if self.count > MAX_LISTED {
            self.listed = Vec::new();
            return;
        }
        let login = client.login();
        let account = login.account.name();
        let details = ending
            .iter()
            .map(|one| SubscriptionDetail::of(one).in_account(account));
        self.listed.extend(details);
    }
}

/// The last closed connections, `max_closed_clients` of them.
#[derive(Debug)]
pub(super) struct ClosedConnections {
    ring: VecDeque<Connection>,
    max: usize,
    listed: usize,
}

impl ClosedConnections {
    pub(super) fn new(max: usize) -> Self {
        Self {
            ring: VecDeque::new(),
            max,
            listed: 0,
        }
    }

    pub(super) fn push(&mut self, connection: Connection) {
        while self.ring.len() >= self.max.max(1) {
            self.drop_list(0);
            self.ring.pop_front();
        }
        self.listed += connection.ended_subscriptions.len();
        self.ring.push_back(connection);
        let mut oldest = 0;
        while self.listed > MAX_LISTED {
            self.drop_list(oldest);
            oldest += 1;
        }
    }

    /// Forgets what a connection was subscribed to; the number stays.
    fn drop_list(&mut self, index: usize) {
        if let Some(connection) = self.ring.get_mut(index) {
            let list = std::mem::take(&mut connection.ended_subscriptions);
            self.listed -= list.len();
        }
    }

    pub(super) fn to_vec(&self) -> Vec<Connection> {
        self.ring.iter().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }
}
