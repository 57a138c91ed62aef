use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ConsumerSeq, StreamSeq, Timestamp};

/// What a consumer has delivered and what was acked, as archives of streams keep it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumerState {
    /// The last delivery.
    pub delivered: SequencePair,
    /// Up to where everything is acknowledged.
    pub ack_floor: SequencePair,
    /// Delivered messages that wait for their ack, by stream sequence.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub pending: BTreeMap<StreamSeq, PendingAck>,
    /// How often messages were delivered again, those included that will not be delivered any more.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub redelivered: BTreeMap<StreamSeq, u64>,
}

/// A place in both numberings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SequencePair {
    /// The consumer's number.
    #[serde(rename = "consumer_seq")]
    pub consumer: ConsumerSeq,
    /// The stream's.
    #[serde(rename = "stream_seq")]
    pub stream: StreamSeq,
}

/// A delivered message that waits for its ack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingAck {
    /// The number of its first delivery.
    #[serde(rename = "Sequence")]
    pub sequence: ConsumerSeq,
    /// When its ack timer started, in nanoseconds since the epoch.
    #[serde(rename = "Timestamp", with = "nanos")]
    pub timestamp: Timestamp,
}

mod nanos {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::Timestamp;

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(time.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(from).map(Timestamp)
    }
}

fn null_is_empty<'de, D, T>(from: D) -> Result<BTreeMap<StreamSeq, T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As written by nats-server 2.15.1.
    #[test]
    fn reads_and_writes_what_nats_server_does() {
        let json = r#"{"delivered":{"consumer_seq":3,"stream_seq":5},"ack_floor":{"consumer_seq":1,"stream_seq":2},"pending":{"4":{"Sequence":2,"Timestamp":1700000000000000001},"5":{"Sequence":3,"Timestamp":1700000000000000002}},"redelivered":{"5":1}}"#;
        let state: ConsumerState = serde_json::from_str(json).unwrap();
        assert_eq!(state.pending[&StreamSeq(4)].sequence, ConsumerSeq(2));
        assert_eq!(state.redelivered[&StreamSeq(5)], 1);
        assert_eq!(serde_json::to_string(&state).unwrap(), json);
        let json = r#"{"delivered":{"consumer_seq":0,"stream_seq":0},"ack_floor":{"consumer_seq":0,"stream_seq":0}}"#;
        let state: ConsumerState = serde_json::from_str(json).unwrap();
        assert_eq!(state, ConsumerState::default());
        assert_eq!(serde_json::to_string(&state).unwrap(), json);
    }
}
