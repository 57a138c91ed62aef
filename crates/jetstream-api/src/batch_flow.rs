//! What a server tells the publisher of a fast-ingest batch on the way (ADR-50).

use serde::Serialize;

use crate::ApiError;

/// One message to the publisher, beside the publish ack that ends the batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum BatchFlow {
    /// Messages of the batch up to `seq` were stored; the next one of these comes `msgs` messages later.
    Ack {
        /// A sequence of the batch; 0 right after its start.
        seq: u64,
        /// How many messages lie between two acks.
        msgs: u16,
    },
    /// Messages of the batch were lost on their way.
    Gap {
        /// The first one, by its sequence in the batch.
        #[serde(rename = "last_seq")]
        expected: u64,
        /// The one that came instead.
        seq: u64,
    },
    /// A message of the batch was refused.
    #[serde(rename = "err")]
    Error {
        /// Its sequence in the batch.
        seq: u64,
        /// Why.
        error: ApiError,
    },
}

impl BatchFlow {
    /// The message's payload.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        crate::json::to_vec(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_exact_text_of_nats_server() {
        let check = |flow: BatchFlow, want: &str| {
            assert_eq!(String::from_utf8(flow.to_json()).unwrap(), want);
        };
        check(
            BatchFlow::Ack { seq: 10, msgs: 5 },
            r#"{"type":"ack","seq":10,"msgs":5}"#,
        );
        let gap = BatchFlow::Gap {
            expected: 3,
            seq: 7,
        };
        check(gap, r#"{"type":"gap","last_seq":3,"seq":7}"#);
        let error = ApiError::STREAM_SEALED;
        check(
            BatchFlow::Error { seq: 4, error },
            r#"{"type":"err","seq":4,"error":{"code":400,"err_code":10109,"description":"invalid operation on sealed stream"}}"#,
        );
    }
}
