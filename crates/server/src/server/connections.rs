//! The connections of a running server: numbered, counted, found and closed.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use super::state::ServerState;
use crate::client::{Client, CloseReason, Login, Signal};
use crate::events;
use crate::monitor::EndedSubscriptions;

/// The smaller numbers belong to the server's own, internal clients (observed nats-server 2.15.1).
pub(super) const FIRST_CID: u64 = 5;

impl ServerState {
    pub(crate) fn next_cid(&self) -> u64 {
        self.next_cid.fetch_add(1, Relaxed)
    }

    /// Counts a connection in its new account; `false` if the account is full.
    pub(crate) fn bind(&self, client: &Client, login: &Login) -> bool {
        let max = login.account.limits().max_connections;
        let clients = self.clients.lock();
        let Some(entry) = clients.get(&client.cid()).cloned() else {
            return false;
        };
        let before = &entry.login().account;
        let changes = !Arc::ptr_eq(before, &login.account) || !entry.is_bound();
        if changes {
            if max.is_some_and(|max| login.account.counters.connections.load(Relaxed) >= max) {
                return false;
            }
            if entry.is_bound() {
                before.counters.connections.fetch_sub(1, Relaxed);
            }
            entry.set_bound();
            login.account.counters.connections.fetch_add(1, Relaxed);
            login
                .account
                .counters
                .total_connections
                .fetch_add(1, Relaxed);
        }
        // What is told needs the list of clients.
        drop(clients);
        if changes {
            events::connections_changed(self, &login.account);
        }
        true
    }

    /// Adds an established connection. Without a login to come it belongs to `$G` at once. One beyond `max_connections` is told so and closed.
    pub(crate) fn remember(&self, client: &Arc<Client>, must_log_in: bool) {
        let max = self.options().max_connections;
        let login = client.login();
        {
            // The one place that decides: handshakes take a while, and many may be under way.
            let mut clients = self.clients.lock();
            if max.is_some_and(|max| clients.len() >= max) {
                drop(clients);
                return self.refuse_beyond_max_connections(client);
            }
            clients.insert(client.cid(), Arc::clone(client));
        }
        self.counters.total_connections.fetch_add(1, Relaxed);
        if !must_log_in {
            self.bind(client, &login);
            // A reload since the connection was greeted did not find it on the list.
            if self.requires_login(client.transport()) {
                client.signal(Signal::Recheck);
            }
        }
        if self.stopping.load(Acquire) {
            client.close(CloseReason::ServerShutdown);
        }
        tracing::debug!("{} - Client connection created", client.log_name());
    }

    fn refuse_beyond_max_connections(&self, client: &Arc<Client>) {
        tracing::error!("{} - maximum connections exceeded", client.log_name());
        let reason = CloseReason::MaxConnectionsExceeded;
        self.remember_refused(client, reason);
        client.close_saying("maximum connections exceeded", reason);
    }

    /// Counts and shows a connection that was refused before it could be served.
    pub(crate) fn remember_refused(&self, client: &Arc<Client>, reason: CloseReason) {
        self.counters.total_connections.fetch_add(1, Relaxed);
        self.monitoring
            .remember_closed(client, reason, EndedSubscriptions::default());
        events::disconnected(self, client, reason);
    }

    /// Removes a connection that has ended.
    pub(crate) fn forget(
        &self,
        client: &Arc<Client>,
        reason: CloseReason,
        subscriptions: EndedSubscriptions,
    ) {
        let removed = {
            let mut clients = self.clients.lock();
            let removed = clients.remove(&client.cid());
            if clients.is_empty() {
                self.no_clients.notify_waiters();
            }
            removed
        };
        if removed.is_some() {
            self.counters.add_closed(client);
            client
                .login()
                .account
                .counters
                .add_closed(client.outbound.counted());
            self.monitoring
                .remember_closed(client, reason, subscriptions);
            if client.is_bound() {
                let account = &client.login().account;
                account.counters.connections.fetch_sub(1, Relaxed);
                events::connections_changed(self, account);
            }
            events::disconnected(self, client, reason);
        }
    }

    /// Whether `max_connections` are open.
    pub(crate) fn is_full(&self) -> bool {
        let max = self.options().max_connections;
        max.is_some_and(|max| self.clients.lock().len() >= max)
    }

    /// How many connections are open.
    pub(crate) fn client_count(&self) -> usize {
        self.clients.lock().len()
    }

    /// All open connections.
    pub(crate) fn clients(&self) -> Vec<Arc<Client>> {
        self.clients.lock().values().cloned().collect()
    }

    /// One open connection.
    pub(crate) fn client(&self, cid: u64) -> Option<Arc<Client>> {
        self.clients.lock().get(&cid).cloned()
    }

    pub(crate) fn count_pinned_account_refusal(&self) {
        self.counters.pinned_account_refusals.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_slow_consumer(&self, client: &Client) {
        self.counters.slow_consumers.fetch_add(1, Relaxed);
        client
            .login()
            .account
            .counters
            .slow_consumers
            .fetch_add(1, Relaxed);
    }

    pub(crate) fn is_lame_duck(&self) -> bool {
        self.lame_duck.load(Acquire)
    }

    pub(super) fn enter_lame_duck(&self) {
        self.lame_duck.store(true, Release);
        for client in self.clients() {
            client.signal(Signal::Info);
        }
    }

    /// Closes all connections and waits for them to end.
    pub(super) async fn close_clients(&self, within: Duration) {
        self.stopping.store(true, Release);
        let gone = self.no_clients.notified();
        for client in self.clients() {
            client.close(CloseReason::ServerShutdown);
        }
        if !self.clients.lock().is_empty() {
            // Those that take longer end with the process.
            tokio::time::timeout(within, gone).await.ok();
        }
    }

    /// Whether connections from `remote` are served.
    pub(crate) fn accepts(&self, _remote: IpAddr) -> bool {
        !self.is_lame_duck() && !self.stopping.load(Acquire)
    }
}

#[cfg(test)]
mod tests {
    use jetsled_config::Options;

    use super::*;
    use crate::client::ByHand;

    /// Handshakes of many may end at once, long after each was let in.
    #[test]
    fn the_last_place_is_given_once() {
        let options = Options {
            max_connections: Some(1),
            ..Options::default()
        };
        let state = Arc::new(ServerState::new(options).unwrap());
        let (first, second) = (ByHand::open(&state), ByHand::open(&state));
        assert!(!first.is_closing());
        assert!(second.is_closing());
        assert_eq!(state.client_count(), 1);
        drop(first);
        assert!(!ByHand::open(&state).is_closing());
    }
}
