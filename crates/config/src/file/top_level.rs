use jetsled_auth::jwt::OperatorClaims;

use super::{
    accounts, authorization, cluster, jetstream, leafnodes, mappings, monitoring, operator,
    proxies, sharing, tls, websocket,
};
use crate::{
    ConfigError, Environment, Options, Port, duration,
    language::{Kind, Map, Value},
    reader::{Field, Report, each_field},
    unsupported::Block,
};

pub(crate) fn read(
    map: &Map,
    options: &mut Options,
    environment: &Environment<'_>,
    report: &mut Report,
) {
    let mut system_account_is_configured = false;
    let mut conflicts = authorization::Conflicts::default();
    let mut accounts_block = None;
    each_field(Block::TopLevel, map, report, |name, value, report| {
        match name {
            "listen" => {
                let (host, port) = listen(value)?;
                set_host(options, host);
                set_client_port(options, port);
            }
            "port" => set_client_port(options, port(value)?),
            "host" | "net" => set_host(options, value.filled()?),
            "client_advertise" => options.client_advertise = value.filled()?,
            "server_name" => {
                let text = value.filled()?;
                if text.as_ref().is_some_and(|text| text.contains(' ')) {
                    return Err(value.error("server name cannot contain spaces"));
                }
                options.server_name = text;
            }
            "server_tags" => {
                for tag in value
                    .strings("tags")?
                    .iter()
                    .map(|tag| tag.trim().to_lowercase())
                {
                    if !options.server_tags.contains(&tag) {
                        options.server_tags.push(tag);
                    }
                }
            }
            "server_metadata" => {
                let Kind::Map(map) = &value.kind else {
                    let got = value.kind.go_type();
                    return Err(
                        value.error(format!("error parsing metadata: unsupported type {got}"))
                    );
                };
                for (key, text) in map.iter() {
                    options
                        .server_metadata
                        .insert(key.to_owned(), text.owned()?);
                }
            }
            "feature_flags" => feature_flags(value, options)?,
            "http" | "https" => {
                let (host, port) = listen(value)?;
                options.monitor.host = host;
                *monitor_port(options, name) = port;
            }
            "http_port" | "monitor_port" => options.monitor.http_port = port(value)?,
            "https_port" => options.monitor.https_port = port(value)?,
            "http_base_path" => options.monitor.base_path = base_path(value.string()?),
            "monitoring" => monitoring::read(value, &mut options.monitor, report)?,
            "pid_file" | "pidfile" => options.pid_file = value.filled()?.map(Into::into),
            "ports_file_dir" => options.ports_file_dir = value.filled()?.map(Into::into),
            "authorization" => authorization::read(value, options, &mut conflicts, report)?,
            "accounts" => {
                accounts_block = Some(value);
                accounts::read(value, options, &mut conflicts, report)?;
            }
            "mappings" | "maps" => options.mappings = mappings::read(value, report)?,
            "no_auth_user" => options.no_auth_user = value.filled()?,
            "system_account" | "system" => match &value.kind {
                Kind::String(name) => {
                    system_account_is_configured = true;
                    options.system_account = Some(name.clone());
                }
                _ => return Err(value.error("system account name must be a string")),
            },
            "no_system_account" | "no_system" | "no_sys_acc" => {
                options.no_system_account = value.boolean()?
            }
            "proxies" => options.trusted_proxies = proxies::read(value, report)?,
            "tls" => options.tls = Some(tls::read(value, environment, report)?),
            "websocket" | "ws" => options.websocket = websocket::read(value, environment, report)?,
            "cluster" => (options.cluster_name, options.routes) = cluster::read(value, report)?,
            "leafnodes" | "leaf" => options.leafnodes = leafnodes::read(value, report)?,
            "allow_non_tls" => options.allow_non_tls = value.boolean()?,
            "write_timeout" if says_close(&value.kind) => {}
            // No connections to other servers are made, and the sublist has no cache of its own.
            "connect_error_reports" | "reconnect_error_reports" => _ = value.integer()?,
            "disable_sublist_cache" | "no_sublist_cache" => _ = value.boolean()?,
            "jetstream" => jetstream::read(value, &mut options.jetstream, report)?,
            "store_dir" | "storedir" => jetstream::set_store_dir(value, &mut options.jetstream)?,
            _ => {
                if let Field::Read = client_limit(name, value, options, report)? {
                    return Ok(Field::Read);
                }
                if let Field::Read = operator::read(name, value, options, environment, report)? {
                    return Ok(Field::Read);
                }
                return log_or_lame_duck(name, value, options);
            }
        }
        Ok(Field::Read)
    });
    operator::take_defaults(options, system_account_is_configured);
    conflicts.check(options, report);
    if let Some(block) = accounts_block {
        let no_system_account = options.no_system_account && !system_account_is_configured;
        sharing::check(block, &options.accounts, no_system_account, report);
    }
    let names_system = |claims: &OperatorClaims| !claims.nats.system_account.is_empty();
    let operator = &options.operator;
    if operator.is_on()
        && !system_account_is_configured
        && !operator.operators.iter().any(names_system)
    {
        // `$SYS` is no account that anybody has signed.
        options.system_account = None;
    }
    // An account that is named wins (observed nats-server 2.15.1).
    if options.no_system_account && !system_account_is_configured {
        options.system_account = None;
    }
}

fn client_limit(
    name: &str,
    value: &Value,
    options: &mut Options,
    report: &mut Report,
) -> Result<Field, ConfigError> {
    let default = Options::default();
    match name {
        // Zero and less admit nobody (observed nats-server 2.15.1).
        "max_connections" | "max_conn" => {
            options.max_connections = Some(value.integer()?.try_into().unwrap_or(0))
        }
        "max_subscriptions" | "max_subs" => options.max_subscriptions = value.limit(name)?,
        "max_sub_tokens" | "max_subscription_tokens" => match value.integer()? {
            ..=0 => return Err(value.error(format!("{name} value can not be negative"))),
            tokens => {
                let tokens = tokens
                    .try_into()
                    .map_err(|_| value.error(format!("{name} value is too big")))?;
                options.max_subscription_tokens = Some(tokens);
            }
        },
        "max_control_line" => {
            options.max_control_line =
                size_in_i32(name, value)?.unwrap_or(default.max_control_line);
        }
        "max_payload" => {
            options.max_payload = size_in_i32(name, value)?.unwrap_or(default.max_payload)
        }
        "max_pending" => {
            options.max_pending = value.count_or_default(name)?.unwrap_or(default.max_pending)
        }
        "write_deadline" => {
            options.write_deadline = value
                .duration(name, report)?
                .unwrap_or(default.write_deadline);
        }
        "ping_interval" => {
            options.ping_interval = value
                .duration(name, report)?
                .unwrap_or(default.ping_interval)
        }
        "ping_max" => options.ping_max = value.count_or_default(name)?.unwrap_or(default.ping_max),
        "no_header_support" => options.no_header_support = value.boolean()?,
        "no_fast_producer_stall" => options.no_fast_producer_stall = value.boolean()?,
        "max_closed_clients" => {
            options.max_closed_clients = value
                .count_or_default(name)?
                .unwrap_or(default.max_closed_clients);
        }
        _ => return Ok(Field::Unknown),
    }
    Ok(Field::Read)
}

fn log_or_lame_duck(
    name: &str,
    value: &Value,
    options: &mut Options,
) -> Result<Field, ConfigError> {
    let log = &mut options.log;
    match name {
        "debug" => log.debug = value.boolean()?,
        "trace" => log.trace = value.boolean()?,
        "trace_verbose" => {
            log.trace_verbose = value.boolean()?;
            log.trace = log.trace_verbose;
        }
        "trace_headers" => {
            log.trace_headers = value.boolean()?;
            log.trace = log.trace_headers;
        }
        "max_traced_msg_len" => log.max_traced_msg_len = value.limit(name)?,
        "logtime" => log.timestamps = value.boolean()?,
        "logtime_utc" => log.utc = value.boolean()?,
        "log_file" | "logfile" => log.file = value.filled()?.map(Into::into),
        "log_size_limit" | "logfile_size_limit" => log.size_limit = value.limit(name)?,
        "log_max_num" | "logfile_max_num" => log.max_files = value.limit(name)?,
        "lame_duck_duration" => {
            let time = value.duration_string("error parsing lame_duck_duration")?;
            if time.as_secs() < 30 {
                return Err(value.error(format!(
                    "invalid lame_duck_duration of {}, minimum is 30 seconds",
                    duration::show(time)
                )));
            }
            options.lame_duck.duration = time;
        }
        "lame_duck_grace_period" => {
            let time = duration::parse(value.string()?).map_err(|error| {
                value.error(format!("error parsing lame_duck_grace_period: {error}"))
            })?;
            if time.negative {
                return Err(value.error("invalid lame_duck_grace_period, needs to be positive"));
            }
            options.lame_duck.grace_period = time.magnitude;
        }
        _ => return Ok(Field::Unknown),
    }
    Ok(Field::Read)
}

fn size_in_i32(name: &str, value: &Value) -> Result<Option<usize>, ConfigError> {
    if value.integer()? > i64::from(i32::MAX) {
        return Err(value.error(format!("{name} value is too big")));
    }
    value.count_or_default(name)
}

fn monitor_port<'a>(options: &'a mut Options, name: &str) -> &'a mut Option<Port> {
    match name {
        "https" => &mut options.monitor.https_port,
        _ => &mut options.monitor.http_port,
    }
}

/// An empty host is the default one.
fn set_host(options: &mut Options, host: Option<String>) {
    options.host = host.unwrap_or_else(|| Options::default().host);
}

/// No port, or 0, is the default one.
fn set_client_port(options: &mut Options, port: Option<Port>) {
    options.port = port.unwrap_or_else(|| Options::default().port);
}

/// A port number: -1 is any free one, 0 is none.
pub(crate) fn port(value: &Value) -> Result<Option<Port>, ConfigError> {
    let number = value.integer()?;
    Port::from_number(number)
        .map_err(|number| value.error(format!("port {number} is out of range")))
}

/// `port` or `host:port`.
pub(crate) fn listen(value: &Value) -> Result<(Option<String>, Option<Port>), ConfigError> {
    match &value.kind {
        Kind::Integer(_) => Ok((None, port(value)?)),
        Kind::String(address) => {
            let (host, port) = split_host_port(address).ok_or_else(|| {
                value.error(format!("could not parse address string {address:?}"))
            })?;
            let number = port
                .parse()
                .map_err(|_| value.error(format!("could not parse port {port:?}")))?;
            let port = Port::from_number(number)
                .map_err(|number| value.error(format!("port {number} is out of range")))?;
            Ok(((!host.is_empty()).then(|| host.to_owned()), port))
        }
        other => Err(value.error(format!(
            "expected port or host:port, got {}",
            other.go_type()
        ))),
    }
}

/// Takes `host:port` apart; an IPv6 address stands in brackets.
fn split_host_port(address: &str) -> Option<(&str, &str)> {
    if let Some(bracketed) = address.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        return Some((host, rest.strip_prefix(':')?));
    }
    let (host, port) = address.rsplit_once(':')?;
    (!host.contains(':')).then_some((host, port))
}

/// `nats/` and `/nats` become `/nats`, `/` becomes nothing.
fn base_path(text: &str) -> String {
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.iter().map(|part| format!("/{part}")).collect()
}

/// What happens to clients that do not read in time anyway.
fn says_close(kind: &Kind) -> bool {
    matches!(kind, Kind::String(text) if matches!(text.as_str(), "default" | "close"))
}

/// One flag of nats-server 2.15.1 means something here. The others may be what they are by default.
fn feature_flags(value: &Value, options: &mut Options) -> Result<(), ConfigError> {
    let Kind::Map(flags) = &value.kind else {
        let got = value.kind.go_type();
        return Err(value.error(format!(
            "error parsing feature flags: unsupported type {got}"
        )));
    };
    for (name, value) in flags.iter() {
        let Kind::Bool(on) = value.kind else {
            return Err(value.error(format!(
                "error parsing feature flag {name:?}: expected bool, got {}",
                value.kind.go_type()
            )));
        };
        match (name, on) {
            ("js_ack_fc_v2", on) => options.jetstream.ack_fc_v2 = on,
            ("js_api_reply_v2" | "js_snapshot_sources", false) | ("js_raft_delete_range", true) => {
            }
            _ => {
                return Err(value.error(format!(
                    "feature flag {name:?} can not be {on}: this server does not have it"
                )));
            }
        }
    }
    Ok(())
}
