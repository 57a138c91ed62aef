use jetsled_auth::GLOBAL_ACCOUNT;

use super::{
    authorization::{self, Conflicts},
    mappings, message_trace, permissions, sharing,
};
use crate::{
    AccountJetStreamOptions, AccountLimits, AccountOptions, ConfigError, Options,
    language::{Kind, Map, Value},
    reader::{Field, Report, each_field},
    unsupported::Block,
};

/// `accounts { NAME { ... } }`, or an array of names.
pub(crate) fn read(
    value: &Value,
    options: &mut Options,
    conflicts: &mut Conflicts,
    report: &mut Report,
) -> Result<(), ConfigError> {
    match &value.kind {
        Kind::Array(names) => {
            for entry in names {
                let added = entry
                    .string()
                    .and_then(|name| add(name, entry, options).map(drop));
                report.keep(added);
            }
            Ok(())
        }
        Kind::Map(accounts) => {
            for (name, entry) in accounts.iter().filter(|(_, entry)| !entry.used_as_variable) {
                let Kind::Map(map) = &entry.kind else {
                    report
                        .errors
                        .push(entry.error("Expected map entries for accounts"));
                    continue;
                };
                if let Some(account) = report.keep(add(name, entry, options)) {
                    read_account(map, account, conflicts, report);
                }
            }
            Ok(())
        }
        other => Err(value.error(format!(
            "Expected map or array of accounts, got {}",
            other.go_type()
        ))),
    }
}

fn add<'a>(
    name: &str,
    entry: &Value,
    options: &'a mut Options,
) -> Result<&'a mut AccountOptions, ConfigError> {
    if name == GLOBAL_ACCOUNT {
        return Err(entry.error(format!("{name:?} is a Reserved Account")));
    }
    if options
        .accounts
        .iter()
        .any(|account| &*account.name == name)
    {
        return Err(entry.error(format!("Duplicate Account Entry: {name}")));
    }
    Ok(options.accounts.push_mut(AccountOptions::new(name)))
}

fn read_account(
    map: &Map,
    account: &mut AccountOptions,
    conflicts: &mut Conflicts,
    report: &mut Report,
) {
    each_field(Block::Account, map, report, |name, value, report| {
        match name {
            "nkey" => match &value.kind {
                Kind::String(key) if jetsled_auth::is_account_nkey(key) => {
                    account.nkey = Some(key.clone())
                }
                Kind::String(key) => {
                    return Err(
                        value.error(format!("Not a valid public nkey for an account: {key:?}"))
                    );
                }
                _ => return Err(value.error("Not a valid public nkey for an account")),
            },
            "users" => {
                account.users = authorization::users(value, &account.name, report)?;
                if !account.users.is_empty() {
                    conflicts.account_users = Some(value.position.clone());
                }
            }
            "default_permissions" => {
                account.default_permissions = Some(permissions::read(value, report)?)
            }
            "jetstream" => account.jetstream = jetstream(value, report)?,
            "limits" => account.limits = limits(value, report)?,
            "exports" => account.sharing.exports = sharing::exports(value, report)?,
            "imports" => account.sharing.imports = sharing::imports(value, report)?,
            "msg_trace" | "trace_dest" => {
                account.trace = message_trace::read(name, value, report)?;
            }
            "mappings" | "maps" => account.mappings = mappings::read(value, report)?,
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
}

fn jetstream(
    value: &Value,
    report: &mut Report,
) -> Result<Option<AccountJetStreamOptions>, ConfigError> {
    let map = match &value.kind {
        Kind::Bool(enabled) => return Ok(enabled.then(AccountJetStreamOptions::default)),
        Kind::String(word) => {
            return Ok(super::jetstream::word(word, value)?.then(AccountJetStreamOptions::default));
        }
        Kind::Map(map) => map,
        other => {
            let got = other.go_type();
            return Err(value.error(format!(
                "Expected map, bool or string to define JetStream, got {got}"
            )));
        }
    };
    let mut limits = AccountJetStreamOptions::default();
    each_field(Block::AccountJetStream, map, report, |name, value, _| {
        match name {
            "max_memory" | "max_mem" | "mem" | "memory" => limits.max_memory = size(name, value)?,
            "max_store" | "max_file" | "max_disk" | "store" | "disk" => {
                limits.max_store = size(name, value)?
            }
            "max_streams" | "streams" => limits.max_streams = size(name, value)?,
            "max_consumers" | "consumers" => limits.max_consumers = size(name, value)?,
            "max_ack_pending" => limits.max_ack_pending = size(name, value)?,
            "mem_max_stream_bytes" | "memory_max_stream_bytes" => {
                limits.memory_max_stream_bytes = size(name, value)?
            }
            "disk_max_stream_bytes" | "store_max_stream_bytes" => {
                limits.store_max_stream_bytes = size(name, value)?
            }
            "max_bytes_required" | "max_stream_bytes" | "max_bytes" => match value.kind {
                Kind::Bool(required) => limits.max_bytes_required = required,
                _ => {
                    return Err(value.error(format!(
                        "Expected a parseable bool for {name:?}, got {}",
                        value.kind
                    )));
                }
            },
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
    Ok(Some(limits))
}

/// A limit of an account's JetStream; -1 is none.
fn size(name: &str, value: &Value) -> Result<Option<u64>, ConfigError> {
    match value.kind {
        // Every negative number is unlimited (observed nats-server 2.15.1).
        Kind::Integer(number) => Ok(u64::try_from(number).ok()),
        _ => Err(value.error(format!(
            "Expected a parseable size for {name:?}, got {}",
            value.kind
        ))),
    }
}

fn limits(value: &Value, report: &mut Report) -> Result<AccountLimits, ConfigError> {
    let Kind::Map(map) = &value.kind else {
        return Err(value.error(format!(
            "Expected account limits to be a map/struct, got {}",
            value.kind
        )));
    };
    let mut limits = AccountLimits::default();
    each_field(Block::AccountLimits, map, report, |name, value, _| {
        match name {
            "max_connections" | "max_conn" => {
                limits.max_connections = unless_negative(name, value)?
            }
            "max_subscriptions" | "max_subs" => {
                limits.max_subscriptions = unless_negative(name, value)?
            }
            "max_payload" | "max_pay" => limits.max_payload = unless_negative(name, value)?,
            "max_leafnodes" | "max_leafs" => limits.max_leafnodes = unless_negative(name, value)?,
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
    Ok(limits)
}

fn unless_negative<T: TryFrom<i64>>(name: &str, value: &Value) -> Result<Option<T>, ConfigError> {
    if value.integer()? < 0 {
        Ok(None)
    } else {
        value.count(name).map(Some)
    }
}
