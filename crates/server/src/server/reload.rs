//! Taking over other options while the server runs.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use jetsled_auth::{AuthConfigError, Authenticator};
use jetsled_config::{AccountJetStreamOptions, Options, ReloadDiff, ReloadError, TlsOptions};

use super::tls_state::TlsState;
use super::websocket_state::WebsocketState;
use super::{Server, ServerState, StartError};
use super::{pid_file, ports_file};
use crate::client::{CloseReason, Signal, Transport};
use crate::foreign_store;
use crate::jetstream::{self, JetStream};
use crate::operator::{OperatorMode, ResolverError};
use crate::tls::TlsError;

/// Why other options were not taken over; the server goes on with those it had.
#[derive(Debug, thiserror::Error)]
pub enum ReloadFailed {
    /// An option that cannot change.
    #[error(transparent)]
    Options(#[from] ReloadError),
    /// The users or their permissions cannot be used.
    #[error(transparent)]
    Auth(#[from] AuthConfigError),
    /// Certificates or TLS settings cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Accounts could not be looked for.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    /// JetStream was to be started where the store of a nats-server lies.
    #[error(transparent)]
    ForeignStore(Box<StartError>),
    /// JetStream was to be started and could not be.
    #[error("can't start JetStream: {0}")]
    JetStream(jetstream::StartError),
}

impl Server {
    /// Takes over what has changed in `options`, and says so in the log.
    ///
    /// # Errors
    ///
    /// When something has changed that holds until the next start, or cannot be used. Nothing is changed then.
    pub fn reload(&self, mut options: Options) -> Result<(), ReloadFailed> {
        let state = &self.state;
        let running = state.options();
        options.config_file.clone_from(&running.config_file);
        let diff = ReloadDiff::between(&running, &options)?;
        let authenticator = Authenticator::new(options.auth_config())?;
        let tls = TlsState::of(options.tls.as_ref())?;
        let websocket = WebsocketState::prepare(&options)?;
        let operator = match state.operator() {
            Some(running) => running.with_options(&options.operator)?.map(Arc::new),
            None => OperatorMode::new(&options.operator)?.map(Arc::new),
        };
        let starts_jetstream = options.jetstream.enabled && state.jetstream().is_none();
        let opened = if starts_jetstream {
            foreign_store::refuse(&options)
                .map_err(|error| ReloadFailed::ForeignStore(Box::new(error)))?;
            Some(JetStream::open(&options).map_err(ReloadFailed::JetStream)?)
        } else {
            None
        };
        let digest = options.config_digest.clone().unwrap_or_default();
        let users_changed = running.auth_config() != options.auth_config()
            || running.operator != options.operator
            || running.authorization != options.authorization;

        state.replace(options, authenticator, tls, operator);
        if let (Some(running), Some(prepared)) = (state.websocket(), websocket) {
            running.replace(prepared);
        }
        let options = state.options();
        state.configure_accounts();
        if let Some(opened) = opened {
            let started = JetStream::start(state, opened).map_err(ReloadFailed::JetStream)?;
            state.set_jetstream(started);
        }
        if let Some(jetstream) = state.jetstream() {
            jetstream.raise_limits(&options.jetstream);
        }
        for line in &diff.lines {
            tracing::info!("{line}");
        }
        if let Some(path) = options
            .pid_file
            .as_ref()
            .filter(|_| running.pid_file != options.pid_file)
            && let Err(error) = pid_file::write(path)
        {
            tracing::error!("Failed to write pidfile: {error}");
        }
        if running.ports_file_dir != options.ports_file_dir {
            self.move_ports_file(&options);
        }
        state.close_beyond_max_connections();
        for transport in [Transport::Tcp, Transport::Websocket] {
            let pinned = |options| tls_of(options, transport).map(|tls| &tls.pinned_certs);
            if pinned(&running) != pinned(&options) {
                state.close_unpinned(transport);
            }
        }
        let signal = if users_changed {
            Signal::Recheck
        } else {
            Signal::Options
        };
        for client in state.clients() {
            client.signal(signal);
        }
        tracing::info!("Reloaded server configuration ({digest})");
        Ok(())
    }

    /// The ports file goes to another directory, or away.
    fn move_ports_file(&self, options: &Options) {
        let mut ports_file = self.ports_file.lock();
        ports_file::remove(ports_file.take());
        *ports_file = options
            .ports_file_dir
            .as_deref()
            .and_then(|dir| ports_file::write(dir, &self.state, self.monitor.as_ref()));
    }
}

impl ServerState {
    /// Makes accounts what the options say: new ones come, others get other limits, and those that are gone are found
    /// no more.
    fn configure_accounts(self: &Arc<Self>) {
        let options = self.options();
        if self.operator().is_some() {
            self.reload_claims();
            return;
        }
        for configured in &options.accounts {
            let is_new = self.account(&configured.name).is_none();
            let account = self.account_or_new(&configured.name);
            account.set_limits(configured.limits.clone());
            account.set_trace_destination(configured.trace.clone());
            if let Some(jetstream) = self.jetstream() {
                jetstream.adopt(&account, configured.jetstream.as_ref());
            }
            if is_new {
                tracing::debug!("Account {} was added", configured.name);
            }
        }
        let is_global = |name: &str| name == jetsled_auth::GLOBAL_ACCOUNT;
        let is_kept = |name: &str| {
            is_global(name)
                || options.system_account.as_deref() == Some(name)
                || options
                    .accounts
                    .iter()
                    .any(|account| *account.name == *name)
        };
        let gone = self.retain_accounts(is_kept);
        if let Some(jetstream) = self.jetstream() {
            for account in gone {
                jetstream.disable(&account);
            }
            if !options
                .accounts
                .iter()
                .any(|account| is_global(&account.name))
            {
                let alone = options.accounts.is_empty();
                let unlimited = AccountJetStreamOptions::default();
                jetstream.adopt(self.global(), alone.then_some(&unlimited));
            }
        }
        self.rewire();
    }

    /// Judges the accounts in force anew by what the resolver has now.
    fn reload_claims(self: &Arc<Self>) {
        let Some(operator) = self.operator() else {
            return;
        };
        for (name, token) in operator.preloaded_tokens() {
            if operator.claims(&name).is_some()
                && let Err(error) = operator.take(self, &name, &token)
            {
                tracing::info!("Reloaded: deleting account [bad claims]: {name:?} ({error})");
                operator.drop_account(self, &name);
            }
        }
        for name in operator.accounts_gone() {
            tracing::info!("Reloaded: deleting account [removed]: {name:?}");
            operator.drop_account(self, &name);
        }
    }

    /// Closes the youngest connections beyond `max_connections`.
    fn close_beyond_max_connections(&self) {
        let Some(max) = self.options().max_connections else {
            return;
        };
        let mut clients = self.clients();
        clients.sort_by_key(|client| client.cid());
        let excess = clients.split_off(max.min(clients.len()));
        for client in &excess {
            client.close_saying(
                "maximum connections exceeded",
                CloseReason::MaxConnectionsExceeded,
            );
        }
        if !excess.is_empty() {
            tracing::info!(
                "Closed {} connections to fall within max_connections",
                excess.len()
            );
        }
    }

    /// Closes connections whose certificate is not among the pinned ones any more.
    fn close_unpinned(&self, transport: Transport) {
        let options = self.options();
        let Some(tls) = tls_of(&options, transport) else {
            return;
        };
        let mut clients = self.clients();
        clients.retain(|client| {
            client.transport() == transport
                && client
                    .tls()
                    .is_some_and(|facts| !crate::tls::is_pinned(tls, &facts.peer_certificates))
        });
        for client in &clients {
            client.close(CloseReason::TlsHandshakeError);
        }
        if !clients.is_empty() {
            tracing::info!(
                "Disconnect {} clients due to pinned certs reload",
                clients.len()
            );
        }
    }
}

fn tls_of(options: &Options, transport: Transport) -> Option<&TlsOptions> {
    match transport {
        Transport::Tcp => options.tls.as_ref(),
        Transport::Websocket => options.websocket.as_ref()?.tls.as_ref(),
    }
}
