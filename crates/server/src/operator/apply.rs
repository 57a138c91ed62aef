//! Claims come into force: limits, JetStream, and what it means for open connections.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jetsled_auth::jwt::AccountClaims;
use jiff::Timestamp;

use super::account_options::account_options;
use crate::account::Account;
use crate::client::{CloseReason, Signal};
use crate::server::ServerState;

impl ServerState {
    /// Gives an account the limits and the JetStream of its claims.
    pub(super) fn apply_limits(&self, account: &Arc<Account>, claims: &AccountClaims) {
        let options = account_options(claims, &|_, _| false);
        account.set_limits(options.limits);
        account.set_trace_destination(options.trace);
        if let Some(jetstream) = self.jetstream() {
            jetstream.adopt(account, options.jetstream.as_ref());
        }
    }

    /// What other claims mean for the account's open connections.
    pub(super) fn judge_connections_anew(&self, account: &Arc<Account>, claims: &AccountClaims) {
        tracing::debug!(
            "Updating account claims: {}/{}",
            claims.subject,
            claims.name
        );
        self.close_excess(account);
        for client in self.clients_of(account) {
            client.signal(Signal::Recheck);
        }
    }

    /// Closes the youngest connections beyond an account's limit.
    fn close_excess(&self, account: &Arc<Account>) {
        let Some(max) = account.limits().max_connections else {
            return;
        };
        if account.counters.connections.load(Relaxed) <= max {
            return;
        }
        let mut clients = self.clients_of(account);
        clients.sort_by_key(|client| client.cid());
        for client in clients
            .into_iter()
            .skip(usize::try_from(max).unwrap_or(usize::MAX))
        {
            client.close_saying(
                "maximum account active connections exceeded",
                CloseReason::MaxAccountConnectionsExceeded,
            );
        }
    }

    /// Ends the account's connections when its claims end, unless others have come into force by then.
    pub(super) fn expire_later(
        self: &Arc<Self>,
        account: &Arc<Account>,
        claims: &Arc<AccountClaims>,
    ) {
        let Some(end) = claims.expires_at() else {
            return;
        };
        // `exp` itself still holds.
        let end = end.checked_add(Duration::from_secs(1)).unwrap_or(end);
        let left = end.duration_since(Timestamp::now());
        let left = Duration::try_from(left).unwrap_or_default();
        let (server, account, claims) = (
            Arc::downgrade(self),
            Arc::clone(account),
            Arc::downgrade(claims),
        );
        tokio::spawn(async move {
            tokio::time::sleep(left).await;
            let (Some(server), Some(claims)) = (server.upgrade(), claims.upgrade()) else {
                return;
            };
            let in_force = server.operator().and_then(|o| o.claims(account.name()));
            if in_force.is_some_and(|in_force| Arc::ptr_eq(&in_force, &claims)) {
                for client in server.clients_of(&account) {
                    client.close_saying(
                        "Account Authentication Expired",
                        CloseReason::AuthenticationExpired,
                    );
                }
            }
        });
    }

    /// Open connections of an account.
    pub(crate) fn clients_of(&self, account: &Arc<Account>) -> Vec<Arc<crate::client::Client>> {
        let mut clients = self.clients();
        clients.retain(|client| Arc::ptr_eq(&client.login().account, account));
        clients
    }
}
