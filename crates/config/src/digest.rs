//! `sha256:<hex>` of a configuration's values, equal to nats-server's for the same file.

use std::{collections::BTreeMap, fmt::Write};

use sha2::{Digest, Sha256};

use crate::language::{Kind, Map};

pub(crate) fn of(map: &Map) -> String {
    let mut json = String::new();
    write_map(&mut json, map);
    json.push('\n');
    let mut digest = String::from("sha256:");
    for byte in Sha256::digest(json.as_bytes()) {
        // Writing to a String cannot fail.
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}

fn write_map(json: &mut String, map: &Map) {
    let sorted: BTreeMap<_, _> = map.iter().collect();
    json.push('{');
    for (index, (key, value)) in sorted.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        write_string(json, key);
        json.push(':');
        write_value(json, &value.kind);
    }
    json.push('}');
}

fn write_value(json: &mut String, kind: &Kind) {
    let _ = match kind {
        Kind::Bool(flag) => write!(json, "{flag}"),
        Kind::Integer(number) => write!(json, "{number}"),
        Kind::Float(number) => write!(json, "{number}"),
        Kind::Datetime(text) => write!(json, "\"{text}\""),
        Kind::String(text) => {
            write_string(json, text);
            Ok(())
        }
        Kind::Map(map) => {
            write_map(json, map);
            Ok(())
        }
        Kind::Array(values) => {
            json.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                write_value(json, &value.kind);
            }
            json.push(']');
            Ok(())
        }
    };
}

/// Escapes as Go's encoder does, which has HTML in mind.
fn write_string(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..'\u{20}' => {
                let _ = write!(json, "\\u{:04x}", c as u32);
            }
            c => json.push(c),
        }
    }
    json.push('"');
}
