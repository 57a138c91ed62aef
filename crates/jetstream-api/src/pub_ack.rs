//! The ack of a publish, written by hand because there is one a message.

use std::ops::Range;

use jetsled_protocol::GoQuoted;
use jetsled_protocol::encode::{self, Decimal};

use crate::digits::count_up;
use crate::{ApiError, StreamSeq};

/// What all publish acks of a stream start with. Made once a stream, so that an ack only adds what differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PubAckPrefix {
    success: Box<[u8]>,
    failure: Box<[u8]>,
}

/// Writes the acks of messages that were stored one after the other: but for a few digits each is the last one.
#[derive(Debug, Default)]
pub struct PubAckRun {
    /// `<size>\r\n<ack>\r\n`.
    text: Vec<u8>,
    /// Where the ack lies in it.
    ack: Range<usize>,
    /// Where its sequence does.
    digits: Range<usize>,
    seq: StreamSeq,
}

/// What became of a publish that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PubAck<'a> {
    /// Stored under this sequence.
    Stored(StreamSeq),
    /// Its `Nats-Msg-Id` was stored before, under this sequence.
    Duplicate(StreamSeq),
    /// Stored in a counter stream, whose counter now has this value.
    Counted {
        /// The message's sequence.
        seq: StreamSeq,
        /// The counter's decimal digits.
        value: &'a str,
    },
    /// A batch was committed.
    Batch {
        /// The sequence of its last message.
        seq: StreamSeq,
        /// The batch's id.
        id: &'a [u8],
        /// How many messages it has.
        count: u64,
    },
    /// The only message of a fast-ingest batch was stored before.
    DuplicateBatch {
        /// The sequence under which it was stored.
        seq: StreamSeq,
        /// The batch's id.
        id: &'a [u8],
        /// How many messages it has.
        count: u64,
    },
}

impl PubAckPrefix {
    /// Prepares the acks of a stream.
    #[must_use]
    pub fn new(stream: &str, domain: Option<&str>) -> Self {
        let stream = quoted(stream);
        let domain = domain.map(|domain| format!(",\"domain\":{}", quoted(domain)));
        let domain = domain.as_deref().unwrap_or_default();
        let success = format!("{{\"stream\":{stream}{domain},\"seq\":");
        let failure = format!(",\"stream\":{stream},\"seq\":0}}");
        Self {
            success: success.into_bytes().into(),
            failure: failure.into_bytes().into(),
        }
    }

    /// Appends the ack of an accepted publish to `out`.
    pub fn write(&self, ack: PubAck<'_>, out: &mut Vec<u8>) {
        let (PubAck::Stored(seq)
        | PubAck::Duplicate(seq)
        | PubAck::Counted { seq, .. }
        | PubAck::Batch { seq, .. }
        | PubAck::DuplicateBatch { seq, .. }) = ack;
        out.extend_from_slice(&self.success);
        out.extend_from_slice(itoa::Buffer::new().format(seq.get()).as_bytes());
        match ack {
            PubAck::Stored(_) => out.push(b'}'),
            PubAck::Duplicate(_) => out.extend_from_slice(b",\"duplicate\": true}"),
            PubAck::Counted { value, .. } => {
                out.extend_from_slice(b",\"val\":\"");
                out.extend_from_slice(value.as_bytes());
                out.extend_from_slice(b"\"}");
            }
            PubAck::Batch { id, count, .. } => write_batch(id, count, out),
            PubAck::DuplicateBatch { id, count, .. } => {
                out.extend_from_slice(b",\"duplicate\": true");
                write_batch(id, count, out);
            }
        }
    }

    /// Appends the answer to a refused publish to `out`.
    pub fn write_error(&self, error: &ApiError, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"error\":");
        out.extend_from_slice(&crate::json::to_vec(error));
        out.extend_from_slice(&self.failure);
    }
}

impl PubAckRun {
    /// The next ack is that of the message with this sequence.
    pub fn begin(&mut self, prefix: &PubAckPrefix, seq: StreamSeq) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(seq.get()).as_bytes();
        let len = prefix.success.len() + digits.len() + b"}".len();
        let text = &mut self.text;
        text.clear();
        text.extend_from_slice(Decimal::new(len).as_bytes());
        text.extend_from_slice(encode::CRLF);
        self.ack = text.len()..text.len() + len;
        text.extend_from_slice(&prefix.success);
        self.digits = text.len()..text.len() + digits.len();
        text.extend_from_slice(digits);
        text.push(b'}');
        text.extend_from_slice(encode::CRLF);
        self.seq = seq;
    }

    /// Goes on to the ack of the next message, of the stream that it [began](PubAckRun::begin) with.
    #[inline]
    pub fn count_on(&mut self, prefix: &PubAckPrefix) {
        self.seq = self.seq.next();
        let digits = self.text.get_mut(self.digits.clone());
        if !digits.is_some_and(count_up) {
            self.begin(prefix, self.seq);
        }
    }

    /// The ack.
    #[must_use]
    pub fn ack(&self) -> &[u8] {
        self.text.get(self.ack.clone()).unwrap_or_default()
    }

    /// The ack as the end of a `MSG` that has it as its payload: `<size>\r\n<ack>\r\n`.
    #[must_use]
    pub fn framed(&self) -> &[u8] {
        &self.text
    }
}

/// Ends the ack of a batch. Its id is quoted as nats-server quotes it, which for what is not text is no JSON.
fn write_batch(id: &[u8], count: u64, out: &mut Vec<u8>) {
    let id = GoQuoted(id);
    out.extend_from_slice(format!(",\"batch\":{id},\"count\":{count}}}").as_bytes());
}

/// A JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(domain: Option<&str>, ack: Result<PubAck<'_>, ApiError>, want: &str) {
        let prefix = PubAckPrefix::new("A", domain);
        let mut out = Vec::new();
        match ack {
            Ok(ack) => prefix.write(ack, &mut out),
            Err(error) => prefix.write_error(&error, &mut out),
        }
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn acks_in_a_run_are_those_written_one_by_one() {
        let prefix = PubAckPrefix::new("A", Some("D"));
        let mut run = PubAckRun::default();
        run.begin(&prefix, StreamSeq(8));
        for seq in 8..1100 {
            let mut ack = Vec::new();
            prefix.write(PubAck::Stored(StreamSeq(seq)), &mut ack);
            assert_eq!(run.ack(), ack);
            let framed = [ack.len().to_string().as_bytes(), b"\r\n", &ack, b"\r\n"].concat();
            assert_eq!(run.framed(), framed);
            run.count_on(&prefix);
        }
    }

    #[test]
    fn acks_have_the_exact_text_of_nats_server() {
        let seq = StreamSeq(12);
        check(None, Ok(PubAck::Stored(seq)), r#"{"stream":"A","seq":12}"#);
        check(
            Some("D"),
            Ok(PubAck::Stored(seq)),
            r#"{"stream":"A","domain":"D","seq":12}"#,
        );
        check(
            None,
            Ok(PubAck::Duplicate(seq)),
            r#"{"stream":"A","seq":12,"duplicate": true}"#,
        );
        let counted = PubAck::Counted { seq, value: "101" };
        check(None, Ok(counted), r#"{"stream":"A","seq":12,"val":"101"}"#);
        let batch = PubAck::Batch {
            seq,
            id: b"b\"1",
            count: 3,
        };
        check(
            None,
            Ok(batch),
            r#"{"stream":"A","seq":12,"batch":"b\"1","count":3}"#,
        );
        let id = b"x";
        let duplicate = PubAck::DuplicateBatch { seq, id, count: 1 };
        check(
            None,
            Ok(duplicate),
            r#"{"stream":"A","seq":12,"duplicate": true,"batch":"x","count":1}"#,
        );
        // An error does not name the domain.
        check(
            Some("D"),
            Err(ApiError::stream_wrong_last_sequence(2)),
            r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 2"},"stream":"A","seq":0}"#,
        );
    }
}
