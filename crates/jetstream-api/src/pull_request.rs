//! The payload of a pull request.

use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use crate::Nanos;

/// What a pull consumer's client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullRequest {
    /// How many messages, as given; zero and less get one (observed nats-server 2.15.1).
    pub batch: i64,
    /// How long the request waits; zero is until its reply subject loses interest.
    pub expires: Nanos,
    /// How many bytes at most; zero and less are no limit.
    pub max_bytes: i64,
    /// Whether the request does not wait for messages to come.
    pub no_wait: bool,
    /// How often to say that the request is still waiting; zero is never.
    pub heartbeat: Nanos,
    /// The members that only matter for priority groups; `None` if the payload was not JSON.
    pub priority: Option<PullPriority>,
}

/// The members of a pull request that matter for priority groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullPriority {
    /// The group; empty if not given.
    pub group: String,
    /// Overflow: serve only when this many messages are pending.
    pub min_pending: i64,
    /// Overflow: serve only when this many messages wait for their ack.
    pub min_ack_pending: i64,
    /// The pin that the client holds; empty if none.
    pub id: String,
    /// Prioritized: 0 to 9, the smallest first; not checked here.
    pub priority: i64,
}

impl PullRequest {
    /// Reads a payload: nothing is one message, an integer that many, JSON what it says, other text one message.
    ///
    /// # Errors
    ///
    /// What is wrong with the JSON, for the status `400 Bad Request - <text>`.
    pub fn parse(payload: &[u8]) -> Result<Self, String> {
        let text = payload.trim_ascii();
        if text.starts_with(b"{") {
            return serde_json::from_slice::<Json>(text)
                .map(|json| json.0)
                .map_err(|_| refusal(text));
        }
        let batch = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok());
        Ok(Self {
            batch: batch.unwrap_or(1),
            ..Self::default()
        })
    }
}

/// What nats-server says of JSON that is no pull request. Its members have other types than in the API's requests.
#[cold]
fn refusal(json: &[u8]) -> String {
    let text = crate::json::unmarshal_text::<Json>(json);
    let int = [" .batch ", " .max_bytes ", " .priority "];
    let duration = [" .expires ", " .idle_heartbeat "];
    match text.strip_suffix("int64") {
        Some(start) if int.iter().any(|member| start.contains(member)) => format!("{start}int"),
        Some(start) if duration.iter().any(|member| start.contains(member)) => {
            format!("{start}time.Duration")
        }
        _ => text,
    }
}

/// Reads the JSON form in one pass, since there may be a request a message.
struct Json(PullRequest);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pull request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut request = PullRequest::default();
        let mut priority = PullPriority::default();
        while let Some(Key(member)) = map.next_key()? {
            match member {
                Member::Batch => read(&mut map, |value| request.batch = value)?,
                Member::Expires => read(&mut map, |value| request.expires = value)?,
                Member::MaxBytes => read(&mut map, |value| request.max_bytes = value)?,
                Member::NoWait => read(&mut map, |value| request.no_wait = value)?,
                Member::Heartbeat => read(&mut map, |value| request.heartbeat = value)?,
                Member::Group => read(&mut map, |value| priority.group = value)?,
                Member::MinPending => read(&mut map, |value| priority.min_pending = value)?,
                Member::MinAckPending => read(&mut map, |value| priority.min_ack_pending = value)?,
                Member::Id => read(&mut map, |value| priority.id = value)?,
                Member::Priority => read(&mut map, |value| priority.priority = value)?,
                Member::Unknown => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        request.priority = Some(priority);
        Ok(Json(request))
    }
}

/// Reads a member; `null` leaves the default.
fn read<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    mut set: impl FnMut(T),
) -> Result<(), A::Error> {
    if let Some(value) = map.next_value::<Option<T>>()? {
        set(value);
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Member {
    Batch,
    Expires,
    MaxBytes,
    NoWait,
    Heartbeat,
    Group,
    MinPending,
    MinAckPending,
    Id,
    Priority,
    Unknown,
}

struct Key(Member);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                let known = MEMBERS
                    .iter()
                    .find(|(known, _)| known.eq_ignore_ascii_case(name));
                Ok(Key(known.map_or(Member::Unknown, |(_, member)| *member)))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

const MEMBERS: [(&str, Member); 10] = [
    ("batch", Member::Batch),
    ("expires", Member::Expires),
    ("max_bytes", Member::MaxBytes),
    ("no_wait", Member::NoWait),
    ("idle_heartbeat", Member::Heartbeat),
    ("group", Member::Group),
    ("min_pending", Member::MinPending),
    ("min_ack_pending", Member::MinAckPending),
    ("id", Member::Id),
    ("priority", Member::Priority),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(batch: i64) -> PullRequest {
        PullRequest {
            batch,
            ..PullRequest::default()
        }
    }

    fn json(batch: i64) -> PullRequest {
        PullRequest {
            batch,
            priority: Some(PullPriority::default()),
            ..PullRequest::default()
        }
    }

    #[test]
    fn reads_every_form() {
        for (payload, want) in [
            ("", plain(1)),
            ("5", plain(5)),
            (" 5 \r\n", plain(5)),
            ("0", plain(0)),
            ("-3", plain(-3)),
            ("5x", plain(1)),
            ("hello", plain(1)),
            ("{}", json(0)),
            (r#"{"batch":7}"#, json(7)),
            (r#"{"batch":-7}"#, json(-7)),
            (r#"{"BATCH":7,"unknown":{"a":[1]},"expires":null}"#, json(7)),
            (
                r#"{"batch":2,"expires":3,"max_bytes":4,"no_wait":true,"idle_heartbeat":5,"group":"g","min_pending":6,"min_ack_pending":7,"id":"i","priority":8}"#,
                PullRequest {
                    batch: 2,
                    expires: Nanos(3),
                    max_bytes: 4,
                    no_wait: true,
                    heartbeat: Nanos(5),
                    priority: Some(PullPriority {
                        group: "g".to_owned(),
                        min_pending: 6,
                        min_ack_pending: 7,
                        id: "i".to_owned(),
                        priority: 8,
                    }),
                },
            ),
        ] {
            assert_eq!(
                PullRequest::parse(payload.as_bytes()),
                Ok(want),
                "{payload}"
            );
        }
    }

    #[test]
    fn refuses_bad_json_in_the_words_of_nats_server() {
        for (payload, want) in [
            ("{", "unexpected end of JSON input"),
            (
                "{bad}",
                "invalid character 'b' looking for beginning of object key string",
            ),
            (
                r#"{"batch":1}garbage"#,
                "invalid character 'g' after top-level value",
            ),
            (
                r#"{"batch":"x"}"#,
                "json: cannot unmarshal string into Go struct field .batch of type int",
            ),
            (
                r#"{"batch":1.5}"#,
                "json: cannot unmarshal number 1.5 into Go struct field .batch of type int",
            ),
        ] {
            assert_eq!(
                PullRequest::parse(payload.as_bytes()),
                Err(want.to_owned()),
                "{payload}"
            );
        }
    }
}
