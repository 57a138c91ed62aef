//! A JSON document as Go's decoder puts it onto a struct.

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How member names were written that are not in lower case.
#[derive(Debug, Default)]
pub(super) struct Spelling {
    written: HashMap<String, String>,
    /// All names, in the order of the input.
    order: Vec<String>,
}

impl Spelling {
    /// The first of these names in the input.
    pub(super) fn first<'a>(&self, names: &'a [String]) -> Option<&'a str> {
        let place = |name: &&String| self.order.iter().position(|seen| seen == *name);
        names.iter().min_by_key(place).map(String::as_str)
    }

    /// A member's name as it was written.
    pub(super) fn written<'a>(&'a self, name: &'a str) -> &'a str {
        self.written.get(name).map_or(name, String::as_str)
    }
}

/// Reads a document: member names in lower case, a later member of the same name over an earlier one, objects merged member
/// by member, and without members that are `null`, but for enumerations, which do not take it for absent.
pub(super) struct Document<'a> {
    spelling: &'a mut Spelling,
    /// The keys are the user's own.
    user_keys: bool,
}

impl<'a> Document<'a> {
    pub(super) fn of_request(spelling: &'a mut Spelling) -> Self {
        Self {
            spelling,
            user_keys: false,
        }
    }

    fn inner(&mut self, user_keys: bool) -> Document<'_> {
        Document {
            spelling: self.spelling,
            user_keys,
        }
    }

    /// Puts a later document onto an earlier one.
    pub(super) fn merge(base: &mut Map<String, Value>, later: Map<String, Value>) {
        for (key, value) in later {
            put(base, key, value);
        }
    }
}

fn put(members: &mut Map<String, Value>, key: String, value: Value) {
    match (members.get_mut(&key), value) {
        (Some(Value::Object(base)), Value::Object(later)) => Document::merge(base, later),
        (_, value) => {
            members.insert(key, value);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let name = if self.user_keys {
                key.clone()
            } else {
                key.to_ascii_lowercase()
            };
            let user_keys = self.user_keys || name == METADATA;
            let value = map.next_value_seed(self.inner(user_keys))?;
            let value = match value {
                // An entry of a map becomes the zero value.
                Value::Null if self.user_keys => Value::String(String::new()),
                Value::Null if !ENUMERATIONS.contains(&name.as_str()) => continue,
                value => value,
            };
            if name != key {
                self.spelling.written.insert(name.clone(), key);
            }
            self.spelling.order.push(name.clone());
            put(&mut members, name, value);
        }
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.inner(self.user_keys))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

/// The one member whose keys are the user's own.
const METADATA: &str = "metadata";
/// Members that decode themselves, `null` too (observed nats-server 2.15.1).
const ENUMERATIONS: &[&str] = &[
    "retention",
    "discard",
    "storage",
    "compression",
    "persist_mode",
    "deliver_policy",
    "ack_policy",
    "replay_policy",
    "priority_policy",
    "action",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: &str) {
        let mut spelling = Spelling::default();
        let mut input = serde_json::Deserializer::from_str(text);
        let document = Document::of_request(&mut spelling)
            .deserialize(&mut input)
            .expect("JSON");
        assert_eq!(document.to_string(), want, "{text}");
    }

    #[test]
    fn later_members_win_and_objects_are_merged() {
        check(r#"{"a":1,"A":2}"#, r#"{"a":2}"#);
        check(r#"{"A":2,"a":1}"#, r#"{"a":1}"#);
        check(r#"{"a":{"x":1},"a":{"Y":2}}"#, r#"{"a":{"x":1,"y":2}}"#);
        check(r#"{"a":[1],"a":[2,3]}"#, r#"{"a":[2,3]}"#);
    }

    #[test]
    fn null_is_absent_but_for_enumerations() {
        check(r#"{"a":1,"a":null,"b":null}"#, r#"{"a":1}"#);
        check(r#"{"discard":null}"#, r#"{"discard":null}"#);
    }

    #[test]
    fn the_users_keys_stay() {
        check(
            r#"{"Metadata":{"Key":"v","none":null}}"#,
            r#"{"metadata":{"Key":"v","none":""}}"#,
        );
    }
}
