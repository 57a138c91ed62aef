//! What differs between the running options and new ones: what a running server takes over, and what it refuses.

use std::{fmt::Display, time::Duration};

use crate::{
    HandshakeFirst, LeafnodeOptions, Options, Port, RouteOptions, SyncPolicy, WebsocketOptions,
    duration,
};

/// The changes that new options ask of a running server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReloadDiff {
    /// In nats-server's order; what each says in the log, behind `Reloaded: ` where that is its way.
    pub lines: Vec<String>,
}

/// Why new options cannot be taken over. `Display` follows `Failed to reload server configuration: ` in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// An option that holds until the next start.
    #[error("config reload not supported for {name}: old={old}, new={new}")]
    Fixed {
        /// nats-server's own name for it.
        name: &'static str,
        /// The running value.
        old: String,
        /// The new one.
        new: String,
    },
    /// A change that is possible in one direction only, or not at all.
    #[error("config reload not supported for {0}")]
    NotSupportedFor(&'static str),
    /// Where accounts come from stays as it is.
    #[error("config reload does not support moving to or from an account resolver")]
    Resolver,
}

impl ReloadDiff {
    /// Compares option by option, in nats-server's order. A random port equals whatever port is in use.
    ///
    /// # Errors
    /// The first option that has changed and cannot be changed.
    pub fn between(running: &Options, new: &Options) -> Result<Self, ReloadError> {
        let mut diff = Self::default();
        diff.listener(running, new)?;
        diff.users(running, new)?;
        diff.limits(running, new)?;
        diff.jetstream(running, new)?;
        diff.process(running, new)?;
        diff.tls(running, new)?;
        websocket(running, new)?;
        leafnodes(running, new)?;
        routes(running, new)?;
        diff.rest(running, new)?;
        Ok(diff)
    }

    fn say(&mut self, text: impl Display) {
        self.lines.push(format!("Reloaded: {text}"));
    }

    fn say_if<T: PartialEq + Display>(&mut self, name: &str, old: &T, new: &T) {
        if old != new {
            self.say(format_args!("{name} = {new}"));
        }
    }

    fn listener(&mut self, running: &Options, new: &Options) -> Result<(), ReloadError> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        fixed(
            "ServerName",
            &text(&running.server_name),
            &text(&new.server_name),
        )?;
        fixed(
            "ClusterName",
            &text(&running.cluster_name),
            &text(&new.cluster_name),
        )?;
        fixed("Host", &running.host, &new.host)?;
        if !same_port(Some(running.port), Some(new.port)) {
            let (old, new) = (running.port.to_config(), new.port.to_config());
            fixed("Port", &old, &new)?;
        }
        if running.client_advertise != new.client_advertise {
            let advertise = text(&new.client_advertise);
            self.lines
                .push(format!("Reload: client_advertise = {advertise}"));
        }
        let (old_log, log) = (&running.log, &new.log);
        self.say_if("trace", &old_log.trace, &log.trace);
        self.say_if("debug", &old_log.debug, &log.debug);
        self.say_if("trace_verbose", &old_log.trace_verbose, &log.trace_verbose);
        self.say_if("trace_headers", &old_log.trace_headers, &log.trace_headers);
        fixed(
            "NoHeaderSupport",
            &running.no_header_support,
            &new.no_header_support,
        )?;
        self.say_if("logtime", &old_log.timestamps, &log.timestamps);
        self.say_if("logtime_utc", &old_log.utc, &log.utc);
        if running.max_connections != new.max_connections {
            self.say(format_args!(
                "max_connections = {}",
                count(new.max_connections)
            ));
        }
        fixed(
            "MaxSubs",
            &count(running.max_subscriptions),
            &count(new.max_subscriptions),
        )?;
        let tokens = |options: &Options| options.max_subscription_tokens.unwrap_or(0);
        fixed("MaxSubTokens", &tokens(running), &tokens(new))
    }

    fn users(&mut self, running: &Options, new: &Options) -> Result<(), ReloadError> {
        // nats-server says these two each time, whether they have changed or not.
        self.say("authorization users");
        self.say("accounts");
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let is_left_out = running.no_auth_user.is_some() && new.no_auth_user.is_none();
        let still_there = new
            .authorization
            .users
            .iter()
            .chain(new.accounts.iter().flat_map(|account| &account.users))
            .any(|user| Some(user.name()) == running.no_auth_user.as_deref());
        if !is_left_out || still_there {
            fixed(
                "NoAuthUser",
                &text(&running.no_auth_user),
                &text(&new.no_auth_user),
            )?;
        }
        let (old_operator, operator) = (&running.operator, &new.operator);
        if old_operator.default_sentinel != operator.default_sentinel {
            // The token itself is not for the log.
            self.say("default_sentinel");
        }
        if running.system_account != new.system_account {
            let shown = |options: &Options| {
                let default = jetsled_auth::DEFAULT_SYSTEM_ACCOUNT;
                let account = options.system_account.clone();
                account.filter(|name| name != default).unwrap_or_default()
            };
            fixed("SystemAccount", &shown(running), &shown(new))?;
        }
        fixed(
            "NoSystemAccount",
            &running.no_system_account,
            &new.no_system_account,
        )?;
        let (old, new_auth) = (&running.authorization, &new.authorization);
        if old.user != new_auth.user {
            self.say("authorization username");
        }
        if old.password != new_auth.password {
            self.say("authorization password");
        }
        fixed(
            "ProxyRequired",
            &old.proxy_required,
            &new_auth.proxy_required,
        )?;
        if old.token != new_auth.token {
            self.say("authorization token");
        }
        if old.auth_callout != new_auth.auth_callout {
            let shown = |callout: &Option<_>| {
                if callout.is_some() {
                    "configured"
                } else {
                    "<nil>"
                }
            };
            return Err(ReloadError::Fixed {
                name: "AuthCallout",
                old: shown(&old.auth_callout).to_owned(),
                new: shown(&new_auth.auth_callout).to_owned(),
            });
        }
        Ok(())
    }

    fn limits(&mut self, running: &Options, new: &Options) -> Result<(), ReloadError> {
        if running.ping_interval != new.ping_interval {
            self.say(format_args!(
                "ping_interval = {}",
                duration::show(new.ping_interval)
            ));
        }
        self.say_if("ping_max", &running.ping_max, &new.ping_max);
        let (old, monitor) = (&running.monitor, &new.monitor);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        fixed("HTTPHost", &text(&old.host), &text(&monitor.host))?;
        fixed_port("HTTPPort", old.http_port, monitor.http_port)?;
        fixed("HTTPBasePath", &old.base_path, &monitor.base_path)?;
        fixed_port("HTTPSPort", old.https_port, monitor.https_port)?;
        if old.login != monitor.login || old.message_peek != monitor.message_peek {
            self.say(format_args!("monitoring"));
        }
        if running.auth_timeout() != new.auth_timeout() {
            let seconds = new.auth_timeout().as_secs_f64();
            self.say(format_args!("authorization timeout = {seconds}"));
        }
        self.say_if(
            "max_control_line",
            &running.max_control_line,
            &new.max_control_line,
        );
        self.say_if("max_payload", &running.max_payload, &new.max_payload);
        fixed("MaxPending", &running.max_pending, &new.max_pending)?;
        if running.no_fast_producer_stall != new.no_fast_producer_stall {
            let not = if new.no_fast_producer_stall {
                "not "
            } else {
                ""
            };
            self.say(format_args!("fast producers will {not}be stalled"));
        }
        let differ = |a: &[String], b: &[String]| -> Vec<String> {
            a.iter().filter(|key| !b.contains(key)).cloned().collect()
        };
        let added = differ(&new.trusted_proxies, &running.trusted_proxies);
        let removed = differ(&running.trusted_proxies, &new.trusted_proxies);
        for (keys, how) in [(removed, "removed"), (added, "added")] {
            if !keys.is_empty() {
                let keys: Vec<_> = keys.iter().map(|key| format!("{key:?}")).collect();
                self.say(format_args!(
                    "proxies trusted keys [{}] were {how}",
                    keys.join(" ")
                ));
            }
        }
        Ok(())
    }

    fn jetstream(&mut self, running: &Options, new: &Options) -> Result<(), ReloadError> {
        let (old, new) = (&running.jetstream, &new.jetstream);
        if old.enabled != new.enabled {
            if old.enabled {
                return Err(ReloadError::NotSupportedFor("disabling jetstream"));
            }
            self.say("JetStream");
            return Ok(());
        }
        if !old.enabled {
            return Ok(());
        }
        fixed("NoJetStreamStrict", &!old.strict, &!new.strict)?;
        fixed("FeatureFlags", &old.ack_fc_v2, &new.ack_fc_v2)?;
        for (name, old, new) in [
            ("max_mem_store", old.max_memory_store, new.max_memory_store),
            ("max_file_store", old.max_file_store, new.max_file_store),
        ] {
            match (old, new) {
                (old, new) if old == new => {}
                (Some(old), Some(new)) if new > old => {
                    self.say(format_args!("JetStream {name} = {new}"));
                }
                (None, Some(_)) => {
                    return Err(ReloadError::NotSupportedFor(
                        "jetstream dynamic max memory and store",
                    ));
                }
                (_, None) => {
                    return Err(ReloadError::NotSupportedFor(
                        "jetstream max memory and max store",
                    ));
                }
                _ => {
                    return Err(ReloadError::NotSupportedFor(
                        "decreasing jetstream max memory and store",
                    ));
                }
            }
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        // Where nats-server shows both keys, nothing is shown.
        if old.encryption_key != new.encryption_key {
            return Err(ReloadError::NotSupportedFor("JetStreamKey"));
        }
        if old.previous_encryption_key != new.previous_encryption_key {
            return Err(ReloadError::NotSupportedFor("JetStreamOldKey"));
        }
        fixed("JetStreamCipher", &old.cipher, &new.cipher)?;
        fixed("JetStreamDomain", &text(&old.domain), &text(&new.domain))?;
        fixed(
            "JetStreamUniqueTag",
            &text(&old.unique_tag),
            &text(&new.unique_tag),
        )?;
        if old.limits != new.limits {
            return Err(ReloadError::NotSupportedFor("JetStreamLimits"));
        }
        fixed(
            "JetStreamRequestQueueLimit",
            &old.request_queue_limit,
            &new.request_queue_limit,
        )?;
        fixed(
            "JetStreamInfoQueueLimit",
            &old.info_queue_limit,
            &new.info_queue_limit,
        )?;
        fixed(
            "StreamMaxBufferedMsgs",
            &old.max_buffered_msgs,
            &new.max_buffered_msgs,
        )?;
        fixed(
            "StreamMaxBufferedSize",
            &old.max_buffered_size,
            &new.max_buffered_size,
        )?;
        if old.configured_store_dir != new.configured_store_dir {
            return Err(ReloadError::NotSupportedFor("jetstream storage directory"));
        }
        let interval = |sync: SyncPolicy| match sync {
            SyncPolicy::BeforeAck => duration::show(Duration::ZERO),
            SyncPolicy::Every(interval) => duration::show(interval),
        };
        fixed("SyncInterval", &interval(old.sync), &interval(new.sync))
    }

    fn process(&mut self, running: &Options, new: &Options) -> Result<(), ReloadError> {
        let path = |path: &Option<std::path::PathBuf>| {
            path.as_ref()
                .map(|path| path.display().to_string())
                .unwrap_or_default()
        };
        self.say_if("pid_file", &path(&running.pid_file), &path(&new.pid_file));
        self.say_if(
            "ports_file_dir",
            &path(&running.ports_file_dir),
            &path(&new.ports_file_dir),
        );
        self.say_if("log_file", &path(&running.log.file), &path(&new.log.file));
        let size = |options: &Options| options.log.size_limit.unwrap_or(0);
        fixed("LogSizeLimit", &size(running), &size(new))?;
        fixed(
            "LogMaxFiles",
            &count(running.log.max_files),
            &count(new.log.max_files),
        )
    }

    fn tls(&mut self, running: &Options, new: &Options) -> Result<(), ReloadError> {
        let (old, tls) = (&running.tls, &new.tls);
        let is_mapped = |options: &Options| options.tls.as_ref().is_some_and(|t| t.verify_and_map);
        if old.is_some() && tls.is_some() {
            fixed("TLSMap", &is_mapped(running), &is_mapped(new))?;
        }
        match (old, tls) {
            (Some(old), Some(tls)) => {
                // The files may hold something else now.
                self.say("tls = enabled");
                if old.timeout != tls.timeout {
                    self.say(format_args!("tls timeout = {}", tls.timeout.as_secs_f64()));
                }
                if old.pinned_certs != tls.pinned_certs {
                    self.say(format_args!("{} pinned_certs", tls.pinned_certs.len()));
                }
                let is_first = |first| first != HandshakeFirst::Never;
                if is_first(old.handshake_first) != is_first(tls.handshake_first) {
                    let first = is_first(tls.handshake_first);
                    self.say(format_args!("Client TLS handshake first: {first}"));
                }
                let fallback = |first| match first {
                    HandshakeFirst::Fallback(delay) => delay,
                    _ => Duration::ZERO,
                };
                if fallback(old.handshake_first) != fallback(tls.handshake_first) {
                    let delay = duration::show(fallback(tls.handshake_first));
                    self.say(format_args!(
                        "Client TLS handshake first fallback delay: {delay}"
                    ));
                }
            }
            (None, Some(_)) => self.say("tls = enabled"),
            (Some(_), None) => self.say("tls = disabled"),
            (None, None) => {}
        }
        fixed("AllowNonTLS", &running.allow_non_tls, &new.allow_non_tls)
    }

    fn rest(&mut self, running: &Options, new: &Options) -> Result<(), ReloadError> {
        if running.write_deadline != new.write_deadline {
            self.say(format_args!(
                "write_deadline = {}",
                duration::show(new.write_deadline)
            ));
        }
        fixed(
            "MaxClosedClients",
            &running.max_closed_clients,
            &new.max_closed_clients,
        )?;
        let (old, ldm) = (&running.lame_duck, &new.lame_duck);
        fixed(
            "LameDuckDuration",
            &duration::show(old.duration),
            &duration::show(ldm.duration),
        )?;
        fixed(
            "LameDuckGracePeriod",
            &duration::show(old.grace_period),
            &duration::show(ldm.grace_period),
        )?;
        if running.log.max_traced_msg_len != new.log.max_traced_msg_len {
            let len = count(new.log.max_traced_msg_len);
            self.say(format_args!("max_traced_msg_len = {len}"));
        }
        let (old, operator) = (&running.operator, &new.operator);
        let operators = |options: &Options| {
            let keys = options
                .operator
                .operators
                .iter()
                .map(|o| o.subject.as_str());
            format!("[{}]", keys.collect::<Vec<_>>().join(" "))
        };
        if old.operators != operator.operators {
            fixed("TrustedOperators", &operators(running), &operators(new))?;
            return Err(ReloadError::NotSupportedFor("TrustedOperators"));
        }
        let keys = |keys: &[String]| format!("[{}]", keys.join(" "));
        fixed(
            "TrustedKeys",
            &keys(&old.trusted_keys),
            &keys(&operator.trusted_keys),
        )?;
        if old.resolver != operator.resolver {
            return Err(ReloadError::Resolver);
        }
        if running.server_tags != new.server_tags {
            self.say("tags");
        }
        if running.server_metadata != new.server_metadata {
            self.say("metadata");
        }
        Ok(())
    }
}

/// Only TLS may change. What has changed otherwise is not told: passwords could be among it.
fn websocket(running: &Options, new: &Options) -> Result<(), ReloadError> {
    let rest = |websocket: Option<&WebsocketOptions>| {
        websocket.map(|websocket| WebsocketOptions {
            tls: None,
            port: Port::Random,
            ..websocket.clone()
        })
    };
    let (old, new) = (running.websocket.as_ref(), new.websocket.as_ref());
    let port = |websocket: Option<&WebsocketOptions>| websocket.map(|websocket| websocket.port);
    let has_tls = |websocket: Option<&WebsocketOptions>| websocket.is_some_and(|w| w.tls.is_some());
    if rest(old) == rest(new) && same_port(port(old), port(new)) && has_tls(old) == has_tls(new) {
        Ok(())
    } else {
        Err(ReloadError::NotSupportedFor("Websocket"))
    }
}

/// Nothing may change (observed nats-server 2.15.1).
fn leafnodes(running: &Options, new: &Options) -> Result<(), ReloadError> {
    let (old, new) = (running.leafnodes.as_ref(), new.leafnodes.as_ref());
    let host = |leafnodes: Option<&LeafnodeOptions>| leafnodes.map(|l| l.host.clone());
    let port = |leafnodes: Option<&LeafnodeOptions>| leafnodes.map(|l| l.port);
    if host(old) == host(new) && same_port(port(old), port(new)) {
        Ok(())
    } else {
        Err(ReloadError::NotSupportedFor("LeafNode"))
    }
}

/// Nothing may change: nats-server's routes do, which are none here.
fn routes(running: &Options, new: &Options) -> Result<(), ReloadError> {
    let (old, new) = (running.routes.as_ref(), new.routes.as_ref());
    let host = |routes: Option<&RouteOptions>| routes.map(|routes| routes.host.clone());
    let port = |routes: Option<&RouteOptions>| routes.map(|routes| routes.port);
    if host(old) == host(new) && same_port(port(old), port(new)) {
        Ok(())
    } else {
        Err(ReloadError::NotSupportedFor("Cluster"))
    }
}

fn fixed<T: PartialEq + Display>(name: &'static str, old: &T, new: &T) -> Result<(), ReloadError> {
    if old == new {
        return Ok(());
    }
    Err(ReloadError::Fixed {
        name,
        old: old.to_string(),
        new: new.to_string(),
    })
}

fn fixed_port(name: &'static str, old: Option<Port>, new: Option<Port>) -> Result<(), ReloadError> {
    if same_port(old, new) {
        return Ok(());
    }
    let number = |port: Option<Port>| port.map_or(0, Port::to_config);
    fixed(name, &number(old), &number(new))
}

fn same_port(running: Option<Port>, new: Option<Port>) -> bool {
    match (running, new) {
        (Some(_), Some(Port::Random)) | (Some(Port::Random), Some(_)) => true,
        _ => running == new,
    }
}

/// A limit as nats-server keeps it: 0 is none.
fn count(limit: Option<usize>) -> usize {
    limit.unwrap_or(0)
}

#[cfg(test)]
mod tests;
