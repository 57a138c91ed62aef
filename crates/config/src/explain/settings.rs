//! The settings that every server has.

use std::path::PathBuf;

use jetsled_auth::Secret;

use crate::{Options, Port, Program, SyncPolicy, duration};

/// One of them.
pub(super) struct Setting {
    /// Its usual name in a configuration file, blocks joined by dots.
    pub(super) name: &'static str,
    /// All names in a file that set it.
    pub(super) keys: &'static [&'static str],
    /// All flags that set it.
    pub(super) flags: &'static [&'static str],
    pub(super) show: fn(&Options) -> String,
    /// Whether jetsled's own default is in force where nobody sets it.
    pub(super) by_name: fn(&Options) -> bool,
}

const fn setting(
    keys: &'static [&'static str],
    flags: &'static [&'static str],
    show: fn(&Options) -> String,
) -> Setting {
    Setting {
        name: keys[0],
        keys,
        flags,
        show,
        by_name: |_| false,
    }
}

/// JetStream and its place differ by the program's name.
const fn setting_by_name(
    keys: &'static [&'static str],
    flags: &'static [&'static str],
    show: fn(&Options) -> String,
) -> Setting {
    Setting {
        by_name: |options| options.program == Program::Jetsled,
        ..setting(keys, flags, show)
    }
}

/// In the order of the explanation.
pub(super) const SETTINGS: &[Setting] = &[
    setting(&["host", "net", "listen"], &["a", "addr", "net"], |o| {
        o.host.clone()
    }),
    setting(&["port", "listen"], &["p", "port"], |o| port(Some(o.port))),
    setting(&["server_name"], &["n", "name", "server_name"], |o| {
        text(&o.server_name, "the server's id")
    }),
    setting(&["cluster"], &["cluster_name"], |o| {
        text(&o.cluster_name, "none")
    }),
    setting(&["client_advertise"], &["client_advertise"], |o| {
        text(&o.client_advertise, "the listen address")
    }),
    setting(&["max_connections", "max_conn"], &[], |o| {
        count(o.max_connections)
    }),
    setting(&["max_subscriptions", "max_subs"], &[], |o| {
        count(o.max_subscriptions)
    }),
    setting(&["max_control_line"], &[], |o| bytes(o.max_control_line)),
    setting(&["max_payload"], &[], |o| bytes(o.max_payload)),
    setting(&["max_pending"], &[], |o| bytes(o.max_pending)),
    setting(&["write_deadline"], &[], |o| {
        duration::show(o.write_deadline)
    }),
    setting(&["ping_interval"], &[], |o| duration::show(o.ping_interval)),
    setting(&["ping_max"], &[], |o| o.ping_max.to_string()),
    setting(
        &["tls"],
        &["tls", "tlsverify", "tlscert", "tlskey", "tlscacert"],
        |o| on(o.tls.is_some()),
    ),
    setting(&["allow_non_tls"], &[], |o| o.allow_non_tls.to_string()),
    setting(&["authorization.timeout"], &[], |o| {
        duration::show(o.auth_timeout())
    }),
    setting(&["no_auth_user"], &[], |o| text(&o.no_auth_user, "none")),
    setting(&["system_account", "system"], &[], |o| {
        text(&o.system_account, "none")
    }),
    setting_by_name(
        &["jetstream.enabled", "jetstream.enable", "jetstream"],
        &["js", "jetstream"],
        |o| on(o.jetstream.enabled),
    ),
    setting_by_name(
        &[
            "jetstream.store_dir",
            "jetstream.store",
            "jetstream.storedir",
            "store_dir",
            "storedir",
        ],
        &["sd", "store_dir"],
        |o| o.jetstream.store_dir().display().to_string(),
    ),
    setting(
        &[
            "jetstream.max_memory_store",
            "jetstream.max_mem_store",
            "jetstream.max_mem",
        ],
        &[],
        |o| {
            o.jetstream
                .max_memory_store
                .map_or("75 % of the memory".to_owned(), bytes)
        },
    ),
    setting(
        &["jetstream.max_file_store", "jetstream.max_file"],
        &[],
        |o| {
            o.jetstream
                .max_file_store
                .map_or("75 % of the free disk space".to_owned(), bytes)
        },
    ),
    setting(
        &["jetstream.sync_interval", "jetstream.sync"],
        &[],
        |o| match o.jetstream.sync {
            SyncPolicy::BeforeAck => "always: on the disk before it is acknowledged".to_owned(),
            SyncPolicy::Every(time) => duration::show(time),
        },
    ),
    setting(
        &["jetstream.encryption_key", "jetstream.key", "jetstream.ek"],
        &[],
        |o| secret(&o.jetstream.encryption_key),
    ),
    setting(
        &[
            "jetstream.prev_encryption_key",
            "jetstream.prev_key",
            "jetstream.prev_ek",
        ],
        &[],
        |o| secret(&o.jetstream.previous_encryption_key),
    ),
    setting(&["jetstream.cipher"], &[], |o| {
        match &o.jetstream.encryption_key {
            Some(_) => o.jetstream.cipher.to_string(),
            None => "none: the store is not encrypted".to_owned(),
        }
    }),
    setting(&["jetstream.domain"], &[], |o| {
        text(&o.jetstream.domain, "none")
    }),
    setting(
        &["http_port", "monitor_port", "http"],
        &["m", "http_port"],
        |o| port(o.monitor.http_port),
    ),
    setting(&["https_port", "https"], &["ms", "https_port"], |o| {
        port(o.monitor.https_port)
    }),
    setting(&["log_file", "logfile"], &["l", "log"], |o| {
        file(&o.log.file, "standard error")
    }),
    setting(&["debug"], &["D", "debug", "DV", "DVV"], |o| {
        o.log.debug.to_string()
    }),
    setting(&["trace"], &["V", "trace", "VV", "DV", "DVV"], |o| {
        o.log.trace.to_string()
    }),
    setting(&["pid_file", "pidfile"], &["P", "pid"], |o| {
        file(&o.pid_file, "none")
    }),
    setting(&["ports_file_dir"], &["ports_file_dir"], |o| {
        file(&o.ports_file_dir, "none")
    }),
    setting(&["lame_duck_duration"], &[], |o| {
        duration::show(o.lame_duck.duration)
    }),
    setting(&["lame_duck_grace_period"], &[], |o| {
        duration::show(o.lame_duck.grace_period)
    }),
];

fn on(is_on: bool) -> String {
    if is_on { "on" } else { "off" }.to_owned()
}

fn text(text: &Option<String>, none: &str) -> String {
    text.clone().unwrap_or_else(|| none.to_owned())
}

fn secret(secret: &Option<Secret>) -> String {
    match secret {
        Some(_) => "(not shown)".to_owned(),
        None => "none".to_owned(),
    }
}

fn file(path: &Option<PathBuf>, none: &str) -> String {
    path.as_ref()
        .map_or(none.to_owned(), |path| path.display().to_string())
}

fn port(port: Option<Port>) -> String {
    match port {
        None => "off".to_owned(),
        Some(Port::Random) => "any free one".to_owned(),
        Some(Port::Fixed(number)) => number.to_string(),
    }
}

fn count(limit: Option<usize>) -> String {
    limit.map_or("unlimited".to_owned(), |limit| limit.to_string())
}

/// With a unit as well where that is exact.
fn bytes(bytes: impl TryInto<u64>) -> String {
    let bytes = bytes.try_into().unwrap_or(u64::MAX);
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >= 1 << shift && bytes.trailing_zeros() >= shift {
            return format!("{bytes} ({} {unit})", bytes >> shift);
        }
    }
    bytes.to_string()
}
