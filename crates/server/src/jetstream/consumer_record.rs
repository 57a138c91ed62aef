//! What the store keeps of a consumer's making.

use std::sync::LazyLock;

use jetsled_jetstream_api::{ConsumerConfig, Timestamp};
use serde_json::{Map, Value};

/// When a consumer was made, and its configuration.
///
/// As JSON this is all that is kept of a configuration, in the log and in memory, so it is short: left out are members as they are in an
/// empty request, and the name, which the store has.
#[derive(Debug, PartialEq)]
pub(crate) struct ConsumerRecord {
    pub(crate) created: Timestamp,
    pub(crate) config: ConsumerConfig,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Stored<C> {
    created: Timestamp,
    /// `durable_name` is the consumer's name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    durable: bool,
    /// `name` is the consumer's name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    named: bool,
    config: C,
}

static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(|| members(&ConsumerConfig::default()));

impl ConsumerRecord {
    pub(crate) fn encode(created: Timestamp, name: &str, config: &ConsumerConfig) -> Vec<u8> {
        let mut config = members(config);
        config.retain(|member, value| EMPTY.get(member) != Some(value));
        let mut is_name = |member: &str| {
            let same = config.get(member).is_some_and(|value| *value == *name);
            if same {
                config.remove(member);
            }
            same
        };
        let stored = Stored {
            created,
            durable: is_name("durable_name"),
            named: is_name("name"),
            config,
        };
        serde_json::to_vec(&stored).expect("a configuration is plain data")
    }

    pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let stored: Stored<ConsumerConfig> = serde_json::from_slice(bytes)?;
        let mut config = stored.config;
        if stored.durable {
            name.clone_into(&mut config.durable);
        }
        if stored.named {
            name.clone_into(&mut config.name);
        }
        Ok(Self {
            created: stored.created,
            config,
        })
    }
}

fn members(config: &ConsumerConfig) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &str, stored: &str) {
        let config: ConsumerConfig = serde_json::from_str(config).unwrap();
        let created = Timestamp(0);
        let bytes = ConsumerRecord::encode(created, "C", &config);
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(text, stored);
        let read = ConsumerRecord::decode("C", &bytes).unwrap();
        assert_eq!(read, ConsumerRecord { created, config });
    }

    #[test]
    fn a_record_is_short_and_complete() {
        check("{}", r#"{"created":"1970-01-01T00:00:00Z","config":{}}"#);
        check(
            r#"{"durable_name":"C","name":"C","deliver_policy":"all","ack_policy":"explicit","max_deliver":-1}"#,
            r#"{"created":"1970-01-01T00:00:00Z","durable":true,"named":true,"config":{"ack_policy":"explicit","max_deliver":-1}}"#,
        );
        // A name that is not the consumer's is kept, as is one that is missing.
        check(
            r#"{"name":"D"}"#,
            r#"{"created":"1970-01-01T00:00:00Z","config":{"name":"D"}}"#,
        );
        check(
            r#"{"durable_name":"C","opt_start_seq":18446744073709551615,"metadata":{"b":"2","a":"1"},"backoff":[1,2],"pause_until":"2026-01-02T03:04:05.000000006Z"}"#,
            r#"{"created":"1970-01-01T00:00:00Z","durable":true,"config":{"backoff":[1,2],"metadata":{"a":"1","b":"2"},"opt_start_seq":18446744073709551615,"pause_until":"2026-01-02T03:04:05.000000006Z"}}"#,
        );
    }
}
