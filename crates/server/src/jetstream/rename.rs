//! A stream's subject transform, and the republishing of what it stores (ADR-28, ADR-36).

use jetsled_jetstream_api::StreamConfig;
use jetsled_protocol::{SubjectTransform, headers};
use jetsled_store::{Publish, Published};

use crate::chance;

/// Renames what comes into a stream.
#[derive(Debug)]
pub(super) struct InputTransform {
    transform: SubjectTransform,
    subject: Vec<u8>,
}

/// Publishes again what a stream has stored.
#[derive(Debug)]
pub(super) struct Republish {
    stream: Box<str>,
    transform: SubjectTransform,
    headers_only: bool,
    subject: Vec<u8>,
    headers: Vec<u8>,
}

/// A message that is published again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Republished<'a> {
    pub(super) subject: &'a [u8],
    pub(super) headers: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl InputTransform {
    /// What a validated configuration asks for. An empty destination is no transform.
    pub(super) fn new(config: &StreamConfig) -> Option<Box<Self>> {
        let asked = config.subject_transform.as_ref()?;
        let transform = SubjectTransform::new(asked.src.as_bytes(), asked.dest.as_bytes()).ok()?;
        Some(Box::new(Self {
            transform,
            subject: Vec::new(),
        }))
    }

    /// The subject under which a message is stored; one that does not match stays.
    pub(super) fn apply<'a>(&'a mut self, subject: &'a [u8]) -> &'a [u8] {
        self.subject.clear();
        if self
            .transform
            .apply(subject, chance::number(), &mut self.subject)
        {
            &self.subject
        } else {
            subject
        }
    }
}

impl Republish {
    /// What a validated configuration asks for.
    pub(super) fn new(config: &StreamConfig) -> Option<Box<Self>> {
        let asked = config.republish.as_ref()?;
        if asked.dest.is_empty() {
            return None;
        }
        let transform = SubjectTransform::new(asked.src.as_bytes(), asked.dest.as_bytes()).ok()?;
        Some(Box::new(Self {
            stream: config.name.as_str().into(),
            transform,
            headers_only: asked.headers_only,
            subject: Vec::new(),
            headers: Vec::new(),
        }))
    }

    /// What to publish of a message that was stored; `None` if it does not match.
    pub(super) fn apply<'a>(
        &'a mut self,
        message: &Publish<'a>,
        published: &Published,
    ) -> Option<Republished<'a>> {
        self.subject.clear();
        if !self
            .transform
            .apply(message.subject, chance::number(), &mut self.subject)
        {
            return None;
        }
        let block = &mut self.headers;
        block.clear();
        block.extend_from_slice(message.headers);
        headers::append(block, b"Nats-Stream", self.stream.as_bytes());
        headers::append(block, b"Nats-Subject", message.subject);
        headers::append(
            block,
            b"Nats-Sequence",
            published.seq.to_string().as_bytes(),
        );
        headers::append(
            block,
            b"Nats-Time-Stamp",
            published.timestamp.to_string().as_bytes(),
        );
        let previous = published.previous_on_subject.to_string();
        headers::append(block, b"Nats-Last-Sequence", previous.as_bytes());
        let mut payload = message.payload;
        if self.headers_only {
            headers::append(
                block,
                b"Nats-Msg-Size",
                payload.len().to_string().as_bytes(),
            );
            payload = b"";
        }
        Some(Republished {
            subject: &self.subject,
            headers: &self.headers,
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use jetsled_jetstream_api::{RePublish, StreamSeq, SubjectTransform, Timestamp};
    use jetsled_store::Sender;

    use super::*;

    #[test]
    fn only_matching_subjects_are_renamed() {
        let (src, dest) = ("a.*".to_owned(), "b.$1".to_owned());
        let config = StreamConfig {
            subject_transform: Some(SubjectTransform { src, dest }),
            ..StreamConfig::default()
        };
        let mut input = InputTransform::new(&config).expect("the transform is valid");
        assert_eq!(input.apply(b"a.x"), b"b.x");
        assert_eq!(input.apply(b"c.x"), b"c.x");
        assert!(InputTransform::new(&StreamConfig::default()).is_none());
    }

    fn republished(
        headers_only: bool,
        headers: &[u8],
        subject: &[u8],
    ) -> Option<(String, String, Vec<u8>)> {
        let config = StreamConfig {
            name: "S".to_owned(),
            republish: Some(RePublish {
                src: "a.>".to_owned(),
                dest: "out.>".to_owned(),
                headers_only,
            }),
            ..StreamConfig::default()
        };
        let mut republish = Republish::new(&config).expect("the transform is valid");
        let message = Publish {
            subject,
            headers,
            payload: b"hello",
            has_interest: true,
            sender: Sender::Client,
        };
        let published = Published {
            seq: StreamSeq(7),
            duplicate: false,
            stored: true,
            previous_on_subject: StreamSeq(3),
            timestamp: Timestamp::EPOCH,
            edited: false,
            position: None,
        };
        let republished = republish.apply(&message, &published)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some((
            text(republished.subject),
            text(republished.headers),
            republished.payload.to_vec(),
        ))
    }

    const WHERE: &str = "Nats-Stream: S\r\nNats-Subject: a.x\r\nNats-Sequence: 7\r\n\
        Nats-Time-Stamp: 1970-01-01T00:00:00Z\r\nNats-Last-Sequence: 3\r\n";

    #[test]
    fn what_is_republished_says_where_it_is_stored() {
        let want = format!("NATS/1.0\r\n{WHERE}\r\n");
        let got = republished(false, b"", b"a.x");
        assert_eq!(got, Some(("out.x".to_owned(), want, b"hello".to_vec())));
        let want = format!("NATS/1.0\r\nK: v\r\n{WHERE}Nats-Msg-Size: 5\r\n\r\n");
        let got = republished(true, b"NATS/1.0\r\nK: v\r\n\r\n", b"a.x");
        assert_eq!(got, Some(("out.x".to_owned(), want, Vec::new())));
        assert_eq!(republished(false, b"", b"b.x"), None);
    }
}
