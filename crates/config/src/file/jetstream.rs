use jetsled_auth::Secret;

use crate::{
    ConfigError, JetStreamLimits, JetStreamOptions, StoreCipher, SyncPolicy,
    language::{Kind, Map, Value},
    reader::{Field, Report, each_field},
    unsupported::Block,
};

/// `jetstream: true`, a word, or a block.
pub(crate) fn read(
    value: &Value,
    options: &mut JetStreamOptions,
    report: &mut Report,
) -> Result<(), ConfigError> {
    match &value.kind {
        Kind::Bool(enabled) => options.enabled = *enabled,
        Kind::String(text) => options.enabled = word(text, value)?,
        Kind::Map(map) => {
            options.enabled = true;
            read_block(map, options, report);
        }
        other => {
            let got = other.go_type();
            return Err(value.error(format!(
                "Expected map, bool or string to define JetStream, got {got}"
            )));
        }
    }
    Ok(())
}

/// `enabled` or `disabled`.
pub(crate) fn word(text: &str, value: &Value) -> Result<bool, ConfigError> {
    match text.to_lowercase().as_str() {
        "enabled" | "enable" => Ok(true),
        "disabled" | "disable" => Ok(false),
        _ => Err(value.error(format!(
            "Expected 'enabled' or 'disabled' for string value, got '{text}'"
        ))),
    }
}

/// The directory may stand at the top level or in the block, once.
pub(crate) fn set_store_dir(
    value: &Value,
    options: &mut JetStreamOptions,
) -> Result<(), ConfigError> {
    if options.configured_store_dir.is_some() {
        return Err(value.error("Duplicate 'store_dir' configuration"));
    }
    options.configured_store_dir = value.filled()?.map(Into::into);
    Ok(())
}

fn read_block(map: &Map, options: &mut JetStreamOptions, report: &mut Report) {
    let mut info_queue_limit = None;
    let default = JetStreamOptions::default();
    each_field(Block::JetStream, map, report, |name, value, report| {
        match name {
            "enable" | "enabled" => options.enabled = value.boolean()?,
            "store" | "store_dir" | "storedir" => set_store_dir(value, options)?,
            "max_memory_store" | "max_mem_store" | "max_mem" => {
                options.max_memory_store = value.storage_size("max_mem_store")?;
            }
            "max_file_store" | "max_file" => {
                options.max_file_store = value.storage_size("max_file_store")?
            }
            "domain" => options.domain = value.filled()?,
            "strict" => match value.kind {
                Kind::Bool(strict) => options.strict = strict,
                _ => {
                    return Err(value.error(format!(
                        "Expected 'true' or 'false' for bool value, got '{}'",
                        value.kind
                    )));
                }
            },
            "sync" | "sync_interval" => options.sync = sync(name, value, report)?,
            "key" | "ek" | "encryption_key" => options.encryption_key = secret(value)?,
            "prev_key" | "prev_ek" | "prev_encryption_key" => {
                options.previous_encryption_key = secret(value)?;
            }
            "cipher" => options.cipher = cipher(value)?,
            "unique_tag" => {
                options.unique_tag = value.filled()?.map(|tag| tag.trim().to_lowercase());
            }
            "limits" => options.limits = limits(value, report)?,
            "max_buffered_size" => {
                options.max_buffered_size = positive(value.storage_size(name)?, name, value)?
                    .unwrap_or(default.max_buffered_size);
            }
            "max_buffered_msgs" => {
                options.max_buffered_msgs =
                    number(name, value)?.unwrap_or(default.max_buffered_msgs);
            }
            "request_queue_limit" => {
                options.request_queue_limit =
                    number(name, value)?.unwrap_or(default.request_queue_limit);
            }
            "info_queue_limit" => info_queue_limit = number(name, value)?,
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
    options.info_queue_limit = info_queue_limit.unwrap_or(options.request_queue_limit);
}

fn secret(value: &Value) -> Result<Option<Secret>, ConfigError> {
    Ok(value.filled()?.map(Secret::new))
}

fn cipher(value: &Value) -> Result<StoreCipher, ConfigError> {
    let name = value.string()?;
    match name.to_lowercase().as_str() {
        "chacha" | "chachapoly" => Ok(StoreCipher::ChaCha),
        "aes" => Ok(StoreCipher::Aes),
        _ => Err(value.error(format!("Unknown cipher type: {name:?}"))),
    }
}

fn sync(name: &str, value: &Value, report: &mut Report) -> Result<SyncPolicy, ConfigError> {
    match &value.kind {
        Kind::String(text) if text.eq_ignore_ascii_case("always") => Ok(SyncPolicy::BeforeAck),
        _ => Ok(value
            .duration(name, report)?
            .map_or(SyncPolicy::BeforeAck, SyncPolicy::Every)),
    }
}

fn limits(value: &Value, report: &mut Report) -> Result<JetStreamLimits, ConfigError> {
    let Kind::Map(map) = &value.kind else {
        let got = value.kind.go_type();
        return Err(value.error(format!(
            "Expected a map to define JetStreamLimits, got {got}"
        )));
    };
    let mut limits = JetStreamLimits::default();
    each_field(
        Block::JetStreamLimits,
        map,
        report,
        |name, value, report| {
            match name {
                "max_ack_pending" => limits.max_ack_pending = value.limit(name)?,
                "max_ha_assets" => limits.max_ha_assets = value.limit(name)?,
                "max_request_batch" => limits.max_request_batch = value.limit(name)?,
                "duplicate_window" => {
                    let window = value.duration_string("error parsing duplicate_window")?;
                    limits.max_duplicate_window = (!window.is_zero()).then_some(window);
                }
                "batch" => batch_limits(value, &mut limits, report)?,
                _ => return Ok(Field::Unknown),
            }
            Ok(Field::Read)
        },
    );
    Ok(limits)
}

fn batch_limits(
    value: &Value,
    limits: &mut JetStreamLimits,
    report: &mut Report,
) -> Result<(), ConfigError> {
    let Kind::Map(map) = &value.kind else {
        let got = value.kind.go_type();
        return Err(value.error(format!("Expected a map to define batch limits, got {got}")));
    };
    each_field(
        Block::JetStreamBatchLimits,
        map,
        report,
        |name, value, _| {
            match name {
                "max_inflight_per_stream" => {
                    limits.max_batch_inflight_per_stream = value.limit(name)?
                }
                "max_inflight_total" => limits.max_batch_inflight_total = value.limit(name)?,
                "max_msgs" => limits.max_batch_size = value.limit(name)?,
                "timeout" => {
                    let time = value.duration_string("error parsing timeout")?;
                    limits.max_batch_timeout = (!time.is_zero()).then_some(time);
                }
                _ => return Ok(Field::Unknown),
            }
            Ok(Field::Read)
        },
    );
    Ok(())
}

/// A count; zero keeps the default.
fn number(name: &str, value: &Value) -> Result<Option<usize>, ConfigError> {
    match value.kind {
        Kind::Integer(_) => value.count_or_default(name),
        _ => Err(value.error(format!(
            "Expected a parseable size for {name:?}, got {}",
            value.kind
        ))),
    }
}

/// A size in bytes; zero keeps the default.
fn positive(bytes: Option<u64>, name: &str, value: &Value) -> Result<Option<usize>, ConfigError> {
    bytes
        .filter(|bytes| *bytes > 0)
        .map(|bytes| {
            usize::try_from(bytes)
                .map_err(|_| value.error(format!("{name} value {bytes} is too big")))
        })
        .transpose()
}
