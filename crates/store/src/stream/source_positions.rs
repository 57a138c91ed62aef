//! How far a stream has copied its sources.

use std::collections::BTreeMap;

use jetsled_jetstream_api::{SourceHeader, StreamConfig, StreamSeq};

use super::Stream;
use super::snapshot::{Decoder, encode_bytes};

/// The last message of each source that was dealt with, by [`SourceIndex`](jetsled_jetstream_api::SourceIndex). Sources that are not
/// configured any more stay: they may come back.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct SourcePositions {
    positions: BTreeMap<Box<str>, Position>,
}

#[derive(Debug, Clone, PartialEq)]
struct Position {
    seq: u64,
    /// Empty if it is not known.
    identity: Box<str>,
}

/// So many positions are kept of sources that are not configured.
const KEPT: usize = 1024;

impl Stream {
    /// How far the source with this index was copied: its sequence in the origin, and the origin's identity (empty if that is not
    /// known).
    #[must_use]
    pub fn source_position(&self, index: &str) -> Option<(StreamSeq, &str)> {
        let position = self.sources.positions.get(index)?;
        Some((StreamSeq(position.seq), &position.identity))
    }

    /// A message with this `Nats-Stream-Source` was stored, or need not be.
    pub(crate) fn note_source(&mut self, source: &[u8]) {
        if let Some(header) = SourceHeader::parse(source) {
            self.sources.note(&header, &self.config);
        }
    }
}

impl SourcePositions {
    fn note(&mut self, header: &SourceHeader<'_>, config: &StreamConfig) {
        let SourceHeader {
            origin,
            seq,
            identity,
            ..
        } = *header;
        let Some((filters, destinations)) = header.selection else {
            // The oldest forms do not tell apart the sources of one origin.
            let of_origin = config
                .sources
                .iter()
                .filter(|source| source.qualified_name() == origin);
            for source in of_origin {
                self.set(source.index().as_str(), seq, identity, config);
            }
            return;
        };
        let mut index =
            String::with_capacity(origin.len() + filters.len() + destinations.len() + 2);
        for part in [origin, " ", filters, " ", destinations] {
            index.push_str(part);
        }
        self.set(&index, seq, identity, config);
    }

    fn set(&mut self, index: &str, seq: StreamSeq, identity: &str, config: &StreamConfig) {
        match self.positions.get_mut(index) {
            Some(position) => {
                position.seq = seq.get();
                if *position.identity != *identity {
                    position.identity = identity.into();
                }
            }
            None => {
                let is_configured = |config: &StreamConfig| {
                    let mut sources = config.sources.iter();
                    sources.any(|source| source.index().as_str() == index)
                };
                if self.positions.len() < KEPT || is_configured(config) {
                    let position = Position {
                        seq: seq.get(),
                        identity: identity.into(),
                    };
                    self.positions.insert(index.into(), position);
                }
            }
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.positions.len() as u64).to_le_bytes());
        for (index, Position { seq, identity }) in &self.positions {
            out.extend_from_slice(&seq.to_le_bytes());
            encode_bytes(out, index.as_bytes());
            encode_bytes(out, identity.as_bytes());
        }
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let mut positions = BTreeMap::new();
        for _ in 0..from.count(16)? {
            let seq = from.u64()?;
            let index = std::str::from_utf8(from.bytes()?).ok()?.into();
            let identity = std::str::from_utf8(from.bytes()?).ok()?.into();
            positions.insert(index, Position { seq, identity });
        }
        Some(Self { positions })
    }
}

#[cfg(test)]
mod tests {
    use jetsled_jetstream_api::StreamSource;

    use super::*;

    fn noted(headers: &[&str]) -> SourcePositions {
        let source = |filter: &str| StreamSource {
            name: "O".to_owned(),
            filter_subject: filter.to_owned(),
            ..StreamSource::default()
        };
        let config = StreamConfig {
            sources: vec![source(""), source("a")],
            ..StreamConfig::default()
        };
        let mut positions = SourcePositions::default();
        for header in headers {
            let header = SourceHeader::parse(header.as_bytes()).expect("it is one");
            positions.note(&header, &config);
        }
        positions
    }

    fn check(headers: &[&str], want: &[(&str, u64, &str)]) {
        let positions = noted(headers);
        let found: Vec<_> = positions
            .positions
            .iter()
            .map(|(index, position)| (&**index, position.seq, &*position.identity))
            .collect();
        assert_eq!(found, want, "{headers:?}");
        let mut bytes = Vec::new();
        positions.encode(&mut bytes);
        assert_eq!(
            SourcePositions::decode(&mut Decoder::new(&bytes)),
            Some(positions)
        );
    }

    #[test]
    fn the_newest_header_of_a_source_counts() {
        check(&[], &[]);
        check(
            &["O 3 > > o.1 i", "O 5 > > o.1 i", "O 4 a > o.1 i"],
            &[("O > >", 5, "i"), ("O a >", 4, "i")],
        );
        // Made anew, its sequences begin again.
        check(&["O 9 > > o i", "O 1 > > o j"], &[("O > >", 1, "j")]);
        check(&["X 9 > > o"], &[("X > >", 9, "")]);
    }

    #[test]
    fn the_oldest_headers_count_for_all_sources_of_the_origin() {
        let both = [("O > >", 7, ""), ("O a >", 7, "")];
        check(&["O 7"], &both);
        check(&["$JS.ACK.O.c.1.7.1.1.1"], &both);
        check(&["X 7"], &[]);
    }

    #[test]
    fn positions_of_unknown_sources_are_bounded() {
        let mut positions = SourcePositions::default();
        let config = StreamConfig::default();
        for n in 0..2 * KEPT {
            let text = format!("X{n} 1 > > o");
            let header = SourceHeader::parse(text.as_bytes()).expect("it is one");
            positions.note(&header, &config);
        }
        assert_eq!(positions.positions.len(), KEPT);
    }
}
