use serde::de::{DeserializeOwned, DeserializeSeed};
use serde_json::{Map, Value};

use super::document::{Document, Spelling};
use super::syntax::{decoder_text, document_text, literal_at};
use super::type_error::{request_name, struct_type, type_error_text};
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
    decode_as(payload, request_name::<T>(), strictness)
}

/// As [`decode`], for a request that nats-server decodes into a type named `name`, which error texts show.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_as<T: DeserializeOwned>(
    payload: &[u8],
    name: &str,
    strictness: Strictness,
) -> Result<Decoded<T>, ApiError> {
    let (decoded, ()) = decode_with(payload, name, strictness, |_| Ok(()))?;
    Ok(decoded)
}

/// As [`decode_as`], with members that `take` takes out before the others are decoded.
pub(crate) fn decode_with<T: DeserializeOwned, X>(
    payload: &[u8],
    name: &str,
    strictness: Strictness,
    take: impl Fn(&mut Map<String, Value>) -> Result<X, String>,
) -> Result<(Decoded<T>, X), ApiError> {
    // As nats-server: strictly first, and what is wrong with that is a warning if it can be had otherwise.
    let text = match decode_all(payload, name, Strictness::Strict, &take) {
        Ok((value, extra)) => {
            let warning = None;
            return Ok((Decoded { value, warning }, extra));
        }
        Err(text) if strictness == Strictness::Strict => return Err(ApiError::invalid_json(text)),
        Err(text) => text,
    };
    if let Some(text) = document_text(payload) {
        return Err(ApiError::invalid_json(text));
    }
    let (value, extra) =
        decode_all(payload, name, Strictness::Lenient, &take).map_err(ApiError::invalid_json)?;
    let warning = Some(text);
    Ok((Decoded { value, warning }, extra))
}

/// Decodes exactly one document, whatever else it has: what the endpoints do that are always lenient.
///
/// # Errors
///
/// 10025 if the payload is not one JSON document or a member has the wrong type.
pub fn decode_one<T: DeserializeOwned>(payload: &[u8]) -> Result<T, ApiError> {
    if let Some(text) = document_text(payload) {
        return Err(ApiError::invalid_json(text));
    }
    decode_all(
        payload,
        request_name::<T>(),
        Strictness::Lenient,
        |_| Ok(()),
    )
    .map(|(value, ())| value)
    .map_err(ApiError::invalid_json)
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
            type_error_text("", &path, text, |path| literal_at(payload, path))
        }
    }
}

/// Whether a payload is none: no bytes, or a JSON object without members.
#[must_use]
pub fn is_empty_request(payload: &[u8]) -> bool {
    payload.is_empty()
        || serde_json::from_slice::<Map<String, Value>>(payload).is_ok_and(|map| map.is_empty())
}

/// Reads all documents of a payload onto one request. What is wrong with an earlier document is told before the syntax of
/// a later one.
fn decode_all<T: DeserializeOwned, X>(
    payload: &[u8],
    request: &str,
    strictness: Strictness,
    take: impl Fn(&mut Map<String, Value>) -> Result<X, String>,
) -> Result<(T, X), String> {
    let mut members = Map::new();
    let mut spelling = Spelling::default();
    let mut broken = None;
    let mut documents = serde_json::Deserializer::from_slice(payload);
    while documents.end().is_err() {
        match Document::of_request(&mut spelling).deserialize(&mut documents) {
            Ok(Value::Object(later)) => Document::merge(&mut members, later),
            Ok(Value::Null) => {}
            Ok(other) => {
                let kind = kind(&other);
                return Err(format!(
                    "json: cannot unmarshal {kind} into Go value of type server.{request}"
                ));
            }
            Err(error) => {
                broken = Some(decoder_text(payload, &error));
                break;
            }
        }
    }
    let extra = take(&mut members)?;
    let value = decode_members(members, &spelling, payload, request, strictness)?;
    match broken {
        Some(text) => Err(text),
        None => Ok((value, extra)),
    }
}

fn decode_members<T: DeserializeOwned>(
    members: Map<String, Value>,
    spelling: &Spelling,
    payload: &[u8],
    request: &str,
    strictness: Strictness,
) -> Result<T, String> {
    if let Some((path, go_type)) = array_for_struct(&members) {
        return Err(format!(
            "json: cannot unmarshal array into Go struct field {request}.{path} of type {go_type}"
        ));
    }
    let mut unknown: Vec<String> = Vec::new();
    let mut note_unknown = |path: serde_ignored::Path<'_>| {
        let path = path.to_string();
        unknown.push(path.rsplit('.').next().unwrap_or_default().to_owned());
    };
    let members = serde_ignored::Deserializer::new(Value::Object(members), &mut note_unknown);
    let value = serde_path_to_error::deserialize(members).map_err(|error| {
        let path = error.path().to_string();
        let text = error.into_inner().to_string();
        let literal = |path: &[&str]| literal_at(payload, path);
        type_error_text(request, &path, &text, literal)
    })?;
    match spelling.first(&unknown) {
        Some(name) if strictness == Strictness::Strict => {
            Err(format!("json: unknown field {:?}", spelling.written(name)))
        }
        _ => Ok(value),
    }
}

/// Where there is an array for a struct, and the struct's type: `serde` would take it.
fn array_for_struct(members: &Map<String, Value>) -> Option<(String, &'static str)> {
    members.iter().find_map(|(name, value)| match value {
        Value::Array(_) => struct_type(name).map(|go_type| (name.clone(), go_type)),
        Value::Object(inner) => {
            array_for_struct(inner).map(|(path, go_type)| (format!("{name}.{path}"), go_type))
        }
        _ => None,
    })
}

/// What encoding/json calls a value in its errors.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

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
        check(r#"{"config":{"name":"a","max_deliver":null}}"#, Ok("a 0"));
        check(
            r#"{"action":null}"#,
            Err("invalid JSON: unknown consumer action: null"),
        );
        check(r#"{"config":{"metadata":{"Key":"v"}}}"#, Ok(" 0"));
    }

    #[test]
    fn refuses_with_the_text_of_go() {
        for (payload, want) in [
            (r#"{"bOgus":1}"#, "json: unknown field \"bOgus\""),
            (r#"{"config":{"bogus":1}}"#, "json: unknown field \"bogus\""),
            (r#"{"z":1,"a":1}"#, "json: unknown field \"z\""),
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
                "json: cannot unmarshal number into Go struct field CreateConsumerRequest.stream_name of type string",
            ),
            (
                r#"{"config":{"max_deliver":1.5}}"#,
                "json: cannot unmarshal number 1.5 into Go struct field CreateConsumerRequest.config.max_deliver of type int",
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
