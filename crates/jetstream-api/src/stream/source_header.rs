//! `Nats-Stream-Source`: where a sourced message comes from, and what identifies a source.

use crate::name::short_hash;
use crate::stream::StreamSource;
use crate::{AckSubject, StreamSeq};

/// The header that a sourcing stream gives every message that it copies.
pub const STREAM_SOURCE_HEADER: &str = "Nats-Stream-Source";

/// What identifies a source among those of its stream: the origin, and which of its messages are copied under which names.
///
/// Written as one text, `<origin> <filters> <destinations>`, it is the key under which the position in the origin is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceIndex {
    text: String,
    origin_len: usize,
}

impl SourceIndex {
    /// Where the message of an origin comes from: the value of `Nats-Stream-Source`. `identity` is the origin's, empty if it is not
    /// known.
    pub fn write_header(&self, seq: StreamSeq, subject: &[u8], identity: &str, out: &mut Vec<u8>) {
        let (origin, selection) = self.text.split_at(self.origin_len);
        out.extend_from_slice(origin.as_bytes());
        out.push(b' ');
        out.extend_from_slice(itoa::Buffer::new().format(seq.get()).as_bytes());
        out.extend_from_slice(selection.as_bytes());
        out.push(b' ');
        out.extend_from_slice(subject);
        if !identity.is_empty() {
            out.push(b' ');
            out.extend_from_slice(identity.as_bytes());
        }
    }

    /// `<origin> <filters> <destinations>`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The origin's name, with the hashes of its API prefix and of the given consumer.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.text.get(..self.origin_len).unwrap_or_default()
    }
}

impl StreamSource {
    /// What identifies this source. Filters and destinations that are not set are `>`; several are joined by form feeds.
    #[must_use]
    pub fn index(&self) -> SourceIndex {
        let mut text = self.qualified_name();
        if let Some(consumer) = &self.consumer {
            text.push_str(":C=");
            text.push_str(&short_hash(consumer.name.as_bytes()));
        }
        let origin_len = text.len();
        let or_all = |subject: &str| if subject.is_empty() { ">" } else { subject }.to_owned();
        let (filters, destinations) = if self.subject_transforms.is_empty() {
            (or_all(&self.filter_subject), ">".to_owned())
        } else {
            let join = |subjects: Vec<String>| subjects.join("\x0c");
            let transforms = self.subject_transforms.iter();
            (
                join(transforms.clone().map(|t| or_all(&t.src)).collect()),
                join(transforms.map(|t| or_all(&t.dest)).collect()),
            )
        };
        for part in [filters, destinations] {
            text.push(' ');
            text.push_str(&part);
        }
        SourceIndex { text, origin_len }
    }

    /// The origin's name, and the hash of the API prefix that leads to it if it is not one of this account.
    #[must_use]
    pub fn qualified_name(&self) -> String {
        match &self.external {
            None => self.name.clone(),
            Some(external) => {
                format!("{}:{}", self.name, short_hash(external.api.as_bytes()))
            }
        }
    }
}

/// A `Nats-Stream-Source` header taken apart, in any form that nats-server has ever written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceHeader<'a> {
    /// The origin as in [`SourceIndex::origin`]; in the first forms its plain name.
    pub origin: &'a str,
    /// The message's sequence in the origin.
    pub seq: StreamSeq,
    /// Filters and destinations; `None` in the forms before nats-server 2.10, which do not tell apart the sources of one origin.
    pub selection: Option<(&'a str, &'a str)>,
    /// The message's subject in the origin; empty before nats-server 2.11.
    pub subject: &'a str,
    /// The origin's identity; empty before nats-server 2.15.
    pub identity: &'a str,
}

impl<'a> SourceHeader<'a> {
    /// Reads `<origin> <seq> <filters> <destinations>[ <subject>[ <identity>]]`, `<origin> <seq>`, or an ack subject.
    ///
    /// `None` for anything else.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        if let Some(ack) = AckSubject::parse(value) {
            return Some(Self {
                origin: std::str::from_utf8(ack.stream).ok()?,
                seq: ack.numbers.stream_seq,
                selection: None,
                subject: "",
                identity: "",
            });
        }
        let mut fields = std::str::from_utf8(value).ok()?.split(' ');
        let origin = fields.next()?;
        let seq = fields.next()?;
        if seq.is_empty() || !seq.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let seq = StreamSeq(seq.parse().ok()?);
        let selection = match (fields.next(), fields.next()) {
            (None, _) => None,
            (Some(filters), Some(destinations)) => Some((filters, destinations)),
            (Some(_), None) => return None,
        };
        Some(Self {
            origin,
            seq,
            selection,
            subject: fields.next().unwrap_or_default(),
            identity: fields.next().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stream::{ExternalStream, StreamConsumerSource, SubjectTransform};

    /// Origin, sequence, filters and destinations, subject, identity.
    type Fields<'a> = (&'a str, u64, Option<(&'a str, &'a str)>, &'a str, &'a str);

    fn source(name: &str) -> StreamSource {
        StreamSource {
            name: name.to_owned(),
            ..StreamSource::default()
        }
    }

    fn transform(src: &str, dest: &str) -> SubjectTransform {
        SubjectTransform {
            src: src.to_owned(),
            dest: dest.to_owned(),
        }
    }

    #[test]
    fn an_index_tells_sources_apart_as_nats_server_does() {
        let check = |source: &StreamSource, want: &str| {
            assert_eq!(source.index().as_str(), want);
        };
        check(&source("O"), "O > >");
        let filtered = StreamSource {
            filter_subject: "o.1".to_owned(),
            ..source("O")
        };
        check(&filtered, "O o.1 >");
        let renamed = StreamSource {
            subject_transforms: vec![transform("o.2", "x.2"), transform("o.0", "")],
            ..source("O")
        };
        check(&renamed, "O o.2\x0co.0 x.2\x0c>");
        let external = StreamSource {
            external: Some(ExternalStream {
                api: "$G".to_owned(),
                deliver: String::new(),
            }),
            consumer: Some(StreamConsumerSource {
                name: "$G".to_owned(),
                deliver_subject: "d".to_owned(),
            }),
            ..source("O")
        };
        check(&external, "O:szMpdrwD:C=szMpdrwD > >");
        assert_eq!(external.index().origin(), "O:szMpdrwD:C=szMpdrwD");
    }

    #[test]
    fn every_form_of_the_header_is_read() {
        let check = |value: &str, want: Option<Fields<'_>>| {
            let want = want.map(|(origin, seq, selection, subject, identity)| SourceHeader {
                origin,
                seq: StreamSeq(seq),
                selection,
                subject,
                identity,
            });
            assert_eq!(SourceHeader::parse(value.as_bytes()), want, "{value}");
        };
        check(
            "ORI 3 ori.* src.{{wildcard(1)}} ori.2 PX5UTzYU",
            Some((
                "ORI",
                3,
                Some(("ori.*", "src.{{wildcard(1)}}")),
                "ori.2",
                "PX5UTzYU",
            )),
        );
        check("O 2 > > o.1", Some(("O", 2, Some((">", ">")), "o.1", "")));
        check("O 2 > >", Some(("O", 2, Some((">", ">")), "", "")));
        check("O:abc 7", Some(("O:abc", 7, None, "", "")));
        check("$JS.ACK.O.c.1.22.3.4.5", Some(("O", 22, None, "", "")));
        check("$JS.ACK._.h.O.c.1.22.3.4.5", Some(("O", 22, None, "", "")));
        for nonsense in [
            "",
            "O",
            "O x",
            "O -1",
            "O 1 >",
            "O ",
            "O 99999999999999999999999",
        ] {
            check(nonsense, None);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            seq: u64,
            filters in "[a-z.*>]{1,6}",
            subject in "[a-z.]{1,8}",
            identity in "[a-z]{0,8}",
        ) {
            let source = StreamSource { filter_subject: filters, ..source("ORIGIN") };
            let index = source.index();
            let mut header = Vec::new();
            index.write_header(StreamSeq(seq), subject.as_bytes(), &identity, &mut header);
            let read = SourceHeader::parse(&header).expect("it was just written");
            let (filters, destinations) = read.selection.expect("the newest form has them");
            prop_assert_eq!(format!("{} {filters} {destinations}", read.origin), index.as_str());
            prop_assert_eq!((read.seq.get(), read.subject, read.identity), (seq, subject.as_str(), identity.as_str()));
        }

        #[test]
        fn any_bytes_are_taken(value in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = SourceHeader::parse(&value);
        }
    }
}
