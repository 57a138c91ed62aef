use crate::{Options, Port};

/// What differs between the running options and new ones, and whether it can be applied without a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReloadDiff {
    /// The differences.
    pub changes: Vec<OptionChange>,
}

/// One changed option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionChange {
    /// Its name in the file.
    pub name: &'static str,
    /// nats-server applies it to a running server.
    pub reloadable: bool,
}

impl ReloadDiff {
    /// Compares option by option. A random port equals whatever port is in use.
    pub fn between(running: &Options, new: &Options) -> Self {
        let mut diff = Self::default();
        diff.fixed(running, new);
        diff.reloadable(running, new);
        diff
    }

    /// The options that keep the new configuration from being applied.
    pub fn blocking(&self) -> impl Iterator<Item = &OptionChange> {
        self.changes.iter().filter(|change| !change.reloadable)
    }

    fn fixed(&mut self, running: &Options, new: &Options) {
        let mut compare = |name, same: bool| {
            if !same {
                self.changes.push(OptionChange {
                    name,
                    reloadable: false,
                });
            }
        };
        compare("host", running.host == new.host);
        compare("port", same_port(Some(running.port), Some(new.port)));
        compare("server_name", running.server_name == new.server_name);
        compare(
            "max_subscriptions",
            running.max_subscriptions == new.max_subscriptions,
        );
        compare(
            "max_subscription_tokens",
            running.max_subscription_tokens == new.max_subscription_tokens,
        );
        compare("max_pending", running.max_pending == new.max_pending);
        compare(
            "max_closed_clients",
            running.max_closed_clients == new.max_closed_clients,
        );
        compare(
            "no_header_support",
            running.no_header_support == new.no_header_support,
        );
        compare(
            "system_account",
            running.system_account == new.system_account,
        );
        compare(
            "no_system_account",
            running.no_system_account == new.no_system_account,
        );
        compare(
            "lame_duck_duration",
            running.lame_duck.duration == new.lame_duck.duration,
        );
        compare(
            "lame_duck_grace_period",
            running.lame_duck.grace_period == new.lame_duck.grace_period,
        );
        let (old_monitor, new_monitor) = (&running.monitor, &new.monitor);
        compare(
            "http",
            same_port(old_monitor.http_port, new_monitor.http_port)
                && old_monitor.host == new_monitor.host,
        );
        compare(
            "https",
            same_port(old_monitor.https_port, new_monitor.https_port),
        );
        compare(
            "http_base_path",
            old_monitor.base_path == new_monitor.base_path,
        );
        let (old, new) = (&running.jetstream, &new.jetstream);
        compare(
            "store_dir",
            old.configured_store_dir == new.configured_store_dir,
        );
        compare("domain", old.domain == new.domain);
        compare("sync_interval", old.sync == new.sync);
        compare("strict", old.strict == new.strict);
        compare("feature_flags", old.ack_fc_v2 == new.ack_fc_v2);
        compare("unique_tag", old.unique_tag == new.unique_tag);
        compare("limits", old.limits == new.limits);
        compare(
            "max_buffered_msgs",
            old.max_buffered_msgs == new.max_buffered_msgs,
        );
        compare(
            "max_buffered_size",
            old.max_buffered_size == new.max_buffered_size,
        );
        compare(
            "request_queue_limit",
            old.request_queue_limit == new.request_queue_limit,
        );
        compare(
            "info_queue_limit",
            old.info_queue_limit == new.info_queue_limit,
        );
        compare(
            "max_memory_store",
            may_become(old.max_memory_store, new.max_memory_store),
        );
        compare(
            "max_file_store",
            may_become(old.max_file_store, new.max_file_store),
        );
    }

    fn reloadable(&mut self, running: &Options, new: &Options) {
        let mut compare = |name, same: bool| {
            if !same {
                self.changes.push(OptionChange {
                    name,
                    reloadable: true,
                });
            }
        };
        compare("authorization", running.authorization == new.authorization);
        compare("no_auth_user", running.no_auth_user == new.no_auth_user);
        compare("accounts", running.accounts == new.accounts);
        compare("mappings", running.mappings == new.mappings);
        compare("tls", running.tls == new.tls);
        compare("allow_non_tls", running.allow_non_tls == new.allow_non_tls);
        compare("server_tags", running.server_tags == new.server_tags);
        compare(
            "server_metadata",
            running.server_metadata == new.server_metadata,
        );
        compare(
            "client_advertise",
            running.client_advertise == new.client_advertise,
        );
        compare(
            "max_connections",
            running.max_connections == new.max_connections,
        );
        compare(
            "max_control_line",
            running.max_control_line == new.max_control_line,
        );
        compare("max_payload", running.max_payload == new.max_payload);
        compare(
            "write_deadline",
            running.write_deadline == new.write_deadline,
        );
        compare("ping_interval", running.ping_interval == new.ping_interval);
        compare("ping_max", running.ping_max == new.ping_max);
        compare(
            "no_fast_producer_stall",
            running.no_fast_producer_stall == new.no_fast_producer_stall,
        );
        compare("pid_file", running.pid_file == new.pid_file);
        compare(
            "ports_file_dir",
            running.ports_file_dir == new.ports_file_dir,
        );
        compare("log", running.log == new.log);
        let (old, new) = (&running.jetstream, &new.jetstream);
        compare("jetstream", old.enabled == new.enabled);
        let raised = |old: Option<u64>, new: Option<u64>| old != new && may_become(old, new);
        compare(
            "max_memory_store",
            !raised(old.max_memory_store, new.max_memory_store),
        );
        compare(
            "max_file_store",
            !raised(old.max_file_store, new.max_file_store),
        );
    }
}

fn same_port(running: Option<Port>, new: Option<Port>) -> bool {
    match (running, new) {
        (Some(_), Some(Port::Random)) | (Some(Port::Random), Some(_)) => true,
        _ => running == new,
    }
}

/// A store limit may be raised while the server runs, but neither lowered nor made or unmade dynamic.
fn may_become(running: Option<u64>, new: Option<u64>) -> bool {
    match (running, new) {
        (Some(running), Some(new)) => new >= running,
        _ => running == new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut Options), expected: &[(&'static str, bool)]) {
        let running = Options::default();
        let mut new = running.clone();
        change(&mut new);
        let got: Vec<_> = ReloadDiff::between(&running, &new)
            .changes
            .iter()
            .map(|change| (change.name, change.reloadable))
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn changes_are_named_and_sorted_into_reloadable_and_not() {
        check(|_| {}, &[]);
        check(
            |options| options.port = Port::Fixed(4333),
            &[("port", false)],
        );
        check(|options| options.port = Port::Random, &[]);
        check(|options| options.ping_max = 5, &[("ping_max", true)]);
        check(|options| options.log.debug = true, &[("log", true)]);
        check(
            |options| options.jetstream.enabled = true,
            &[("jetstream", true)],
        );
        check(
            |options| options.jetstream.max_file_store = Some(1),
            &[("max_file_store", false)],
        );
    }

    #[test]
    fn store_limits_may_only_grow() {
        let with = |bytes| {
            let mut options = Options::default();
            options.jetstream.max_file_store = Some(bytes);
            options
        };
        let blocking = |old, new| {
            ReloadDiff::between(&with(old), &with(new))
                .blocking()
                .count()
        };
        assert_eq!(blocking(10, 20), 0);
        assert_eq!(blocking(20, 10), 1);
    }
}
