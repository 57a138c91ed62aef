//! A message of the origin as the following stream stores it.

use jetsled_dispatch::{FollowKind, FollowPlan};
use jetsled_jetstream_api::{STREAM_SOURCE_HEADER, SourceIndex, StreamSeq, Timestamp};
use jetsled_protocol::{SubjectTransform, headers};
use jetsled_store::{Publish, PublishError, Sender, Shard, StreamId};

use crate::chance;
use crate::jetstream::shard::ShardState;
use crate::routing::FlushSet;

/// Makes messages of one origin the stream's own.
pub(super) struct Copier {
    kind: FollowKind,
    index: SourceIndex,
    transforms: Vec<SubjectTransform>,
    subject: Vec<u8>,
    headers: Vec<u8>,
    source: Vec<u8>,
}

/// A message as the origin has delivered it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Original<'a> {
    pub(super) subject: &'a [u8],
    pub(super) headers: &'a [u8],
    pub(super) payload: &'a [u8],
    pub(super) seq: StreamSeq,
    pub(super) timestamp: Timestamp,
    /// The origin's identity; empty if it is not known.
    pub(super) identity: &'a str,
}

/// Headers that steered the publish at the origin, where they were acted on.
const SPENT: [&[u8]; 2] = [b"Nats-Expected-", b"Nats-Batch-"];

impl Copier {
    pub(super) fn new(plan: &FollowPlan) -> Self {
        let renaming = plan
            .source
            .subject_transforms
            .iter()
            .filter(|transform| !transform.dest.is_empty());
        Self {
            kind: plan.kind,
            index: plan.index.clone(),
            // They were checked with the stream's configuration.
            transforms: renaming
                .filter_map(|t| SubjectTransform::new(t.src.as_bytes(), t.dest.as_bytes()).ok())
                .collect(),
            subject: Vec::new(),
            headers: Vec::new(),
            source: Vec::new(),
        }
    }

    /// Stores a message in the stream. Answers whether it is there now: a duplicate is not, and neither is one that nobody wants.
    pub(super) fn store(
        &mut self,
        state: &mut ShardState,
        stream: StreamId,
        original: &Original<'_>,
        flush: &mut FlushSet,
    ) -> Result<bool, PublishError> {
        self.rename(original.subject);
        self.edit_headers(original);
        let message = Publish {
            subject: &self.subject,
            headers: &self.headers,
            payload: original.payload,
            has_interest: true,
            sender: Sender::Server,
        };
        let kind = self.kind;
        let (seq, time) = (original.seq, original.timestamp);
        let publish = |store: &mut Shard, stream, message: &Publish<'_>, now: Timestamp| match kind
        {
            FollowKind::Mirror => store.publish_mirrored(stream, message, seq, time),
            FollowKind::Source => store.publish_sourced(stream, message, now),
        };
        let outcome = state.store_message(stream, &message, publish, flush);
        match outcome {
            Some(outcome) => Ok(outcome?.stored),
            None => Err(PublishError::UnknownStream(stream)),
        }
    }

    fn rename(&mut self, subject: &[u8]) {
        self.subject.clear();
        let renamed = self
            .transforms
            .iter()
            .any(|transform| transform.apply(subject, chance::number(), &mut self.subject));
        if !renamed {
            self.subject.clear();
            self.subject.extend_from_slice(subject);
        }
    }

    fn edit_headers(&mut self, original: &Original<'_>) {
        let block = &mut self.headers;
        block.clear();
        copy_without(original.headers, &SPENT, block);
        if self.kind == FollowKind::Mirror {
            return;
        }
        self.source.clear();
        self.index.write_header(
            original.seq,
            original.subject,
            original.identity,
            &mut self.source,
        );
        headers::set(block, STREAM_SOURCE_HEADER.as_bytes(), &self.source);
    }
}

/// Appends a header block without the lines whose names begin with one of `prefixes`. A block of which nothing is left is none.
fn copy_without(block: &[u8], prefixes: &[&[u8]], out: &mut Vec<u8>) {
    let begins = |line: &[u8]| prefixes.iter().any(|prefix| line.starts_with(prefix));
    if memchr::memmem::find(block, b"\nNats-").is_none() {
        out.extend_from_slice(block);
        return;
    }
    let mut removed = false;
    for line in block.split_inclusive(|byte| *byte == b'\n') {
        if begins(line) {
            removed = true;
        } else {
            out.extend_from_slice(line);
        }
    }
    if removed && *out == b"NATS/1.0\r\n\r\n" {
        out.clear();
    }
}

#[cfg(test)]
mod tests {
    use jetsled_jetstream_api::{StreamSource, SubjectTransform as TransformConfig};

    use super::*;

    fn copied(kind: FollowKind, subject: &str, block: &str) -> (String, String) {
        let transform = |src: &str, dest: &str| TransformConfig {
            src: src.to_owned(),
            dest: dest.to_owned(),
        };
        let source = StreamSource {
            name: "O".to_owned(),
            subject_transforms: vec![transform("a.*", "b.$1"), transform("c.>", "")],
            ..StreamSource::default()
        };
        let plan = FollowPlan::new(kind, &source, &[], "S", "$G", None);
        let mut copier = Copier::new(&plan);
        copier.rename(subject.as_bytes());
        copier.edit_headers(&Original {
            subject: subject.as_bytes(),
            headers: block.as_bytes(),
            payload: b"",
            seq: StreamSeq(7),
            timestamp: Timestamp(1),
            identity: "ID",
        });
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&copier.subject), text(&copier.headers))
    }

    #[test]
    fn subjects_are_renamed_by_the_first_transform_that_matches() {
        for (subject, want) in [("a.1", "b.1"), ("c.1", "c.1"), ("d", "d")] {
            assert_eq!(copied(FollowKind::Mirror, subject, "").0, want);
        }
    }

    #[test]
    fn spent_headers_go_and_a_source_says_where_it_is_from() {
        let check = |kind, block: &str, want: &str| {
            assert_eq!(copied(kind, "a.1", block).1, want, "{block:?}");
        };
        let source = "Nats-Stream-Source: O 7 a.*\x0cc.> b.$1\x0c> a.1 ID\r\n";
        let (mirror, sourced) = (FollowKind::Mirror, FollowKind::Source);
        check(mirror, "", "");
        check(sourced, "", &format!("NATS/1.0\r\n{source}\r\n"));
        let spent = "NATS/1.0\r\nNats-Expected-Stream: x\r\nNats-Batch-Id: 1\r\n\r\n";
        check(mirror, spent, "");
        check(sourced, spent, &format!("NATS/1.0\r\n{source}\r\n"));
        let mixed = "NATS/1.0\r\nA: Nats-Batch-\r\nNats-Batch-Sequence: 1\r\nNats-Msg-Id: i\r\nNats-Stream-Source: X 1 > > x\r\n\r\n";
        let kept = "NATS/1.0\r\nA: Nats-Batch-\r\nNats-Msg-Id: i\r\n";
        check(
            mirror,
            mixed,
            &format!("{kept}Nats-Stream-Source: X 1 > > x\r\n\r\n"),
        );
        check(sourced, mixed, &format!("{kept}{source}\r\n"));
    }
}
