//! Blocks that nats-server 2.15.1 has written, as they are and damaged.

use jetsled_import::decode_block;
use proptest::prelude::*;

/// Ten messages of a stream S, of which 2 and 6 were erased in place and 5 was deleted.
const PLAIN: &[u8] = include_bytes!("../../../fuzz/corpus/store_block/plain");
/// The first block of another stream S, compressed: bodies are ten times the text.
const COMPRESSED: &[u8] = include_bytes!("../../../fuzz/corpus/store_block/compressed");

/// Sequence, subject, headers and payload of each message.
fn read(bytes: &[u8]) -> Vec<(u64, String, String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let block = decode_block(bytes.to_vec(), "S", 1);
    let messages = block.messages();
    messages
        .map(|m| {
            assert!(m.timestamp.0 > 1_700_000_000_000_000_000);
            (
                m.seq.get(),
                text(m.subject),
                text(m.headers),
                text(m.payload),
            )
        })
        .collect()
}

fn expected(seq: u64, repeated: usize) -> (u64, String, String, String) {
    let headers = if seq % 2 == 1 {
        format!("NATS/1.0\r\nNumber: {seq}\r\n\r\n")
    } else {
        String::new()
    };
    let payload = format!("number {seq}").repeat(repeated);
    (seq, format!("s.{}", seq % 3), headers, payload)
}

#[test]
fn a_block_has_its_messages() {
    // The one that was deleted is still in the block; a tombstone at its end takes it back.
    let messages: Vec<_> = [1, 3, 4, 5, 7, 8, 9, 10]
        .into_iter()
        .map(|seq| expected(seq, 1))
        .collect();
    assert_eq!(read(PLAIN), messages);
}

#[test]
fn a_compressed_block_has_its_messages() {
    let messages = read(COMPRESSED);
    assert!(messages.len() > 100, "{}", messages.len());
    for message in &messages {
        assert_eq!(*message, expected(message.0, 10));
    }
}

#[test]
fn a_block_of_another_stream_or_number_has_none() {
    assert_eq!(decode_block(PLAIN.to_vec(), "T", 1).messages().len(), 0);
    assert_eq!(decode_block(PLAIN.to_vec(), "S", 2).messages().len(), 0);
}

proptest! {
    #[test]
    fn damage_takes_messages_and_changes_none(at: prop::sample::Index, bit in 0_u8..8, cut: prop::sample::Index) {
        for (block, repeated) in [(PLAIN, 1), (COMPRESSED, 10)] {
            let mut bytes = block.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            // Where a subject ends, or headers do, is not covered by the checksum.
            for (seq, subject, headers, payload) in read(&bytes) {
                let whole = expected(seq, repeated);
                prop_assert_eq!([subject, headers, payload].concat(), [whole.1, whole.2, whole.3].concat());
            }
            bytes[at] ^= 1_u8 << bit;
            bytes.truncate(cut.index(bytes.len()));
            for message in read(&bytes) {
                let whole = expected(message.0, repeated);
                prop_assert_eq!(message, whole);
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(front in 0_usize..3, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let front: &[u8] = [&b""[..], b"cmp\x01\x20", &PLAIN[..40]][front];
        let block = decode_block([front, &bytes].concat(), "S", 1);
        prop_assert_eq!(block.messages().len(), 0);
    }
}
