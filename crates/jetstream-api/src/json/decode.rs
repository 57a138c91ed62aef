use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::syntax::{decoder_text, document_text};
use super::type_error::type_error_text;
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
    let path = std::any::type_name::<T>();
    let name = path.rsplit("::").next().unwrap_or(path);
    let documents = read_documents(payload, name).map_err(ApiError::invalid_json)?;
    decode_object(documents, name, strictness)
}

/// Decodes exactly one document, whatever else it has: what the endpoints do that are always lenient.
///
/// # Errors
///
/// 10025 if the payload is not one JSON document or a member has the wrong type.
pub fn decode_one<T: DeserializeOwned>(payload: &[u8]) -> Result<T, ApiError> {
    let path = std::any::type_name::<T>();
    let name = path.rsplit("::").next().unwrap_or(path);
    if let Some(text) = document_text(payload) {
        return Err(ApiError::invalid_json(text));
    }
    let documents = read_documents(payload, name).map_err(ApiError::invalid_json)?;
    decode_object(documents, name, Strictness::Lenient).map(|decoded| decoded.value)
}

/// What Go says of one document that is no `T`; without a name of the request, as of a type without one.
pub(crate) fn unmarshal_text<T: DeserializeOwned>(payload: &[u8]) -> String {
    if let Some(text) = document_text(payload) {
        return text;
    }
    let document = &mut serde_json::Deserializer::from_slice(payload);
    match serde_path_to_error::deserialize::<_, T>(document) {
        Ok(_) => String::new(),
        Err(error) => {
            let path = error.path().to_string();
            let text = error.into_inner().to_string();
            let text = text.split(" at line ").next().unwrap_or_default();
            type_error_text("", &path, text)
        }
    }
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
pub(crate) fn read_documents(payload: &[u8], request: &str) -> Result<Documents, String> {
    let mut documents = Documents::default();
    for document in serde_json::Deserializer::from_slice(payload).into_iter::<Value>() {
        match document.map_err(|error| decoder_text(payload, &error))? {
            Value::Object(object) => {
                let mut folded = fold_keys(object, &mut documents.written);
                merge(&mut documents.members, &mut folded);
            }
            Value::Null => {}
            other => {
                let kind = kind(&other);
                return Err(format!(
                    "json: cannot unmarshal {kind} into Go value of type server.{request}"
                ));
            }
        }
    }
    Ok(documents)
}

pub(crate) fn decode_object<T: DeserializeOwned>(
    documents: Documents,
    request: &str,
    strictness: Strictness,
) -> Result<Decoded<T>, ApiError> {
    let Documents { members, written } = documents;
    let mut unknown = None;
    let mut note_unknown = |path: serde_ignored::Path<'_>| {
        if unknown.is_none() {
            let path = path.to_string();
            let key = path.rsplit('.').next().unwrap_or_default();
            let key = written.get(key).map_or(key, String::as_str);
            unknown = Some(format!("json: unknown field {key:?}"));
        }
    };
    let members = serde_ignored::Deserializer::new(Value::Object(members), &mut note_unknown);
    let value = serde_path_to_error::deserialize(members).map_err(|error| {
        let path = error.path().to_string();
        let text = error.into_inner().to_string();
        ApiError::invalid_json(type_error_text(request, &path, &text))
    })?;
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

pub(crate) fn kind(value: &Value) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{CreateConsumerRequest, StreamInfoRequest};

    fn check(payload: &str, want: Result<&str, &str>) {
        let got = decode::<CreateConsumerRequest>(payload.as_bytes(), Strictness::Strict)
            .map(|decoded| {
                format!(
                    "{} {}",
                    decoded.value.config.name, decoded.value.config.max_deliver
                )
            })
            .map_err(|error| error.description.into_owned());
        assert_eq!(
            got,
            want.map(str::to_owned).map_err(str::to_owned),
            "{payload}"
        );
    }

    #[test]
    fn reads_as_go_does() {
        check("", Ok(" 0"));
        check("null", Ok(" 0"));
        check(r#"{"CONFIG":{"Name":"a","max_DELIVER":3}}"#, Ok("a 3"));
        check(
            r#"{"config":{"name":"a","max_deliver":3}} {"config":{"name":"b"}}"#,
            Ok("b 3"),
        );
        check(
            r#"{"config":{"name":"a","max_deliver":null},"action":null}"#,
            Ok("a 0"),
        );
        check(r#"{"config":{"metadata":{"Key":"v"}}}"#, Ok(" 0"));
    }

    #[test]
    fn refuses_with_the_text_of_go() {
        for (payload, want) in [
            (r#"{"bOgus":1}"#, "json: unknown field \"bOgus\""),
            (r#"{"config":{"bogus":1}}"#, "json: unknown field \"bogus\""),
            (
                "5",
                "json: cannot unmarshal number into Go value of type server.CreateConsumerRequest",
            ),
            (
                "[]",
                "json: cannot unmarshal array into Go value of type server.CreateConsumerRequest",
            ),
            (
                r#"{"stream_name":5}"#,
                "json: cannot unmarshal number 5 into Go struct field CreateConsumerRequest.stream_name of type string",
            ),
            (
                r#"{"config":{"max_deliver":1.5}}"#,
                "json: cannot unmarshal number 1.5 into Go struct field CreateConsumerRequest.config.max_deliver of type int64",
            ),
            (
                r#"{"config":{"opt_start_seq":-1}}"#,
                "json: cannot unmarshal number -1 into Go struct field CreateConsumerRequest.config.opt_start_seq of type uint64",
            ),
            (
                r#"{"config":{"filter_subjects":[true]}}"#,
                "json: cannot unmarshal bool into CreateConsumerRequest.config.filter_subjects.0 of type string",
            ),
            (
                r#"{"config":{"ack_policy":"x"}}"#,
                "can not unmarshal \"\\\"x\\\"\"",
            ),
            (
                r#"{"config":{"priority_policy":"x"}}"#,
                "unknown priority policy: \"x\"",
            ),
            (r#"{"action":"x"}"#, "unknown consumer action: \"x\""),
            (
                r#"{"config":{"opt_start_time":"zz"}}"#,
                "parsing time \"zz\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"zz\" as \"2006\"",
            ),
        ] {
            check(payload, Err(&format!("invalid JSON: {want}")));
        }
    }

    #[test]
    fn lenient_mode_only_warns_of_what_it_does_not_know() {
        let payload = br#"{"offset":3,"bogus":1}"#;
        let decoded = decode::<StreamInfoRequest>(payload, Strictness::Lenient).unwrap();
        assert_eq!(decoded.value.offset, 3);
        assert_eq!(
            decoded.warning.as_deref(),
            Some("json: unknown field \"bogus\"")
        );
    }

    #[test]
    fn knows_an_empty_request() {
        for (payload, want) in [
            ("", true),
            ("{}", true),
            ("{ }", true),
            ("{\"a\":1}", false),
            ("x", false),
        ] {
            assert_eq!(is_empty_request(payload.as_bytes()), want, "{payload:?}");
        }
    }
}
