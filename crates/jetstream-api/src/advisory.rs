//! Advisories and metrics: what JetStream tells whoever listens below `$JS.EVENT.`.

mod consumer;
mod stream;

use serde::Serialize;

use crate::{Timestamp, json};

pub use consumer::{
    ConsumerAck, ConsumerActionAdvisory, ConsumerPauseAdvisory, GroupPinned, GroupUnpinned,
    MaxDeliver, MsgNaked, MsgTerminated,
};
pub use stream::{ApiAudit, ApiLimitReached, StreamActionAdvisory};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A stream or consumer was made.
    Create,
    /// A stream was updated.
    Modify,
    /// A stream or consumer was deleted.
    Delete,
}

/// The body of an advisory or metric.
pub trait AdvisoryBody: Serialize {
    /// Its `type`.
    const TYPE: &'static str;

    /// The subject on which it is published.
    fn subject(&self) -> String;
}

/// An advisory as JSON. `id` is a fresh NUID.
#[must_use]
pub fn to_json<T: AdvisoryBody>(id: &str, timestamp: Timestamp, body: &T) -> Vec<u8> {
    json::to_vec(&Advisory {
        kind: T::TYPE,
        id,
        timestamp,
        body,
    })
}

#[derive(Serialize)]
struct Advisory<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    timestamp: Timestamp,
    #[serde(flatten)]
    body: &'a T,
}

/// Names the `type` and the subject of advisory bodies.
macro_rules! advisories {
    ($($body:ident = $kind:literal at $prefix:literal $(. $field:ident)*;)+) => {
        $(impl $crate::advisory::AdvisoryBody for $body<'_> {
            const TYPE: &'static str = concat!("io.nats.jetstream.", $kind);

            fn subject(&self) -> String {
                String::from(concat!("$JS.EVENT.", $prefix)) $(+ "." + self.$field)*
            }
        })+
    };
}
pub(crate) use advisories;
