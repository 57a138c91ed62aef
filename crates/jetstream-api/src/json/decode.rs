use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::syntax::decoder_text;
use crate::ApiError;

/// What becomes of members that a request does not have, from `jetstream { strict: ... }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// They are an error, the default since nats-server 2.12.
    #[default]
    Strict,
    /// They are ignored, with a warning.
    Lenient,
}

/// A request and what deserves a warning about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<T> {
    /// The request.
    pub value: T,
    /// The text of the error that it would have been in strict mode.
    pub warning: Option<String>,
}

/// Decodes a request. An empty payload is the default.
///
/// # Errors
///
/// 10025 if the payload is not JSON, a member has the wrong type or, in strict mode, is not known.
pub fn decode<T: DeserializeOwned>(
    payload: &[u8],
    strictness: Strictness,
) -> Result<Decoded<T>, ApiError> {
    let documents = read_documents(payload).map_err(ApiError::invalid_json)?;
    decode_object(documents, strictness)
}

/// Whether a payload is none: no bytes, or a JSON object without members.
#[must_use]
pub fn is_empty_request(payload: &[u8]) -> bool {
    payload.is_empty()
        || serde_json::from_slice::<Map<String, Value>>(payload).is_ok_and(|map| map.is_empty())
}

/// A request's members with names in lower case, and the names as they were written.
#[derive(Default)]
pub(crate) struct Documents {
    pub(crate) members: Map<String, Value>,
    written: HashMap<String, String>,
}

/// Reads all documents of a payload onto one object.
pub(crate) fn read_documents(payload: &[u8]) -> Result<Documents, String> {
    let mut documents = Documents::default();
    for document in serde_json::Deserializer::from_slice(payload).into_iter::<Value>() {
        match document.map_err(|error| decoder_text(payload, &error))? {
            Value::Object(object) => {
                let mut folded = fold_keys(object, &mut documents.written);
                merge(&mut documents.members, &mut folded);
            }
            Value::Null => {}
            other => {
                return Err(format!(
                    "json: cannot unmarshal {} into Go value",
                    kind(&other)
                ));
            }
        }
    }
    Ok(documents)
}

pub(crate) fn decode_object<T: DeserializeOwned>(
    documents: Documents,
    strictness: Strictness,
) -> Result<Decoded<T>, ApiError> {
    let Documents { members, written } = documents;
    let mut unknown = None;
    let value = serde_ignored::deserialize(Value::Object(members), |path| {
        if unknown.is_none() {
            let path = path.to_string();
            let key = path.rsplit('.').next().unwrap_or_default();
            let key = written.get(key).map_or(key, String::as_str);
            unknown = Some(format!("json: unknown field {key:?}"));
        }
    })
    .map_err(|error| ApiError::invalid_json(error.to_string()))?;
    match unknown {
        Some(text) if strictness == Strictness::Strict => Err(ApiError::invalid_json(text)),
        warning => Ok(Decoded { value, warning }),
    }
}

/// Puts member names in lower case and drops members that are `null`. Maps whose keys are the user's stay as they are.
fn fold_keys(
    object: Map<String, Value>,
    written: &mut HashMap<String, String>,
) -> Map<String, Value> {
    let mut folded = Map::new();
    for (key, value) in object {
        let lower = key.to_ascii_lowercase();
        let value = match value {
            Value::Null => continue,
            Value::Object(map) if lower != METADATA => Value::Object(fold_keys(map, written)),
            Value::Array(items) => Value::Array(
                items
                    .into_iter()
                    .map(|item| match item {
                        Value::Object(map) => Value::Object(fold_keys(map, written)),
                        other => other,
                    })
                    .collect(),
            ),
            other => other,
        };
        if lower != key {
            written.insert(lower.clone(), key);
        }
        folded.insert(lower, value);
    }
    folded
}

/// Later documents win; objects are merged member by member.
fn merge(base: &mut Map<String, Value>, later: &mut Map<String, Value>) {
    for (key, value) in std::mem::take(later) {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(base)), Value::Object(mut later)) => merge(base, &mut later),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The one member whose keys are the user's own.
const METADATA: &str = "metadata";
