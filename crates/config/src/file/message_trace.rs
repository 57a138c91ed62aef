//! Message tracing of an account.

use jetsled_protocol::subject;

use crate::{
    ConfigError, TraceOptions,
    language::{Kind, Map, Value},
    reader::Report,
};

/// `msg_trace: subject` or `msg_trace { dest, sampling }`
pub(crate) fn read(
    key: &str,
    value: &Value,
    report: &mut Report,
) -> Result<Option<TraceOptions>, ConfigError> {
    let map: &Map = match &value.kind {
        Kind::String(text) => {
            let destination = trace_destination(text, value)?;
            return Ok(Some(TraceOptions {
                destination,
                sampling: 100,
            }));
        }
        Kind::Map(map) => map,
        other => {
            return Err(value.error(format!(
                "Expected account message trace {key:?} to be a string or a map/struct, got {}",
                other.go_type()
            )));
        }
    };
    let (mut destination, mut sampling) = (None, None);
    for (name, entry) in map.iter() {
        match name.to_lowercase().as_str() {
            "dest" => {
                let Kind::String(text) = &entry.kind else {
                    let got = entry.kind.go_type();
                    let text = format!("Field {name:?} should be a string, got {got}");
                    return Err(entry.error(text));
                };
                destination = Some(trace_destination(text, entry)?);
            }
            "sampling" => sampling = Some((trace_sampling(entry)?, entry)),
            _ if entry.used_as_variable => {}
            _ => {
                return Err(entry.error(format!(
                    "Unknown field {name:?} parsing account message trace map/struct {key:?}"
                )));
            }
        }
    }
    match (destination, sampling) {
        (Some(destination), sampling) => Ok(Some(TraceOptions {
            destination,
            sampling: sampling.map_or(100, |(percent, _)| percent),
        })),
        (None, Some(_)) => {
            let text = "Trace destination sampling ignored since no destination was set";
            report.warnings.push(value.error(text));
            Ok(None)
        }
        (None, None) => Ok(None),
    }
}

fn trace_destination(text: &str, value: &Value) -> Result<String, ConfigError> {
    if subject::is_valid_literal(text.as_bytes()) {
        Ok(text.to_owned())
    } else {
        Err(value.error(format!("Trace destination {text:?} is not valid")))
    }
}

fn trace_sampling(value: &Value) -> Result<u8, ConfigError> {
    let number = match &value.kind {
        Kind::Integer(number) => *number,
        Kind::String(text) => {
            let digits = text.trim().strip_suffix('%').unwrap_or(text.trim());
            digits.parse().map_err(|_| {
                value.error(format!("Invalid trace destination sampling value {text:?}"))
            })?
        }
        other => {
            return Err(value.error(format!(
                "Trace destination sampling field \"sampling\" should be an integer or a percentage, got {}",
                other.go_type()
            )));
        }
    };
    match u8::try_from(number) {
        Ok(percent @ 1..=100) => Ok(percent),
        _ => Err(value.error(format!(
            "Ttrace destination sampling value {number} is invalid, needs to be [1..100]"
        ))),
    }
}
