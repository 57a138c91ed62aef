//! Archives of streams: no form makes a reader panic, and what is read is within the limits.
//!
//! Half of the inputs are wrapped into a valid S2 stream, so that they reach what is inside.

#![no_main]

use std::io::{Read, Write};

use jetsled_archive::{
    Archive, ArchiveError, ArchiveReader, Entry, LegacyEntry, Limits, S2Reader, S2Writer,
};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    message: 4096,
    json: 4096,
};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    let mut archive = rest.to_vec();
    if choice & 1 == 1 {
        let mut writer = S2Writer::new(Vec::new());
        writer.write_all(rest).expect("a vector takes everything");
        archive = writer.finish().expect("a vector takes everything");
        let mut back = Vec::new();
        S2Reader::new(&*archive)
            .read_to_end(&mut back)
            .expect("what was written can be read");
        assert_eq!(back, rest);
    } else {
        // Bounded, since a few bytes may stand for many.
        let _ = std::io::copy(&mut S2Reader::new(rest).take(1 << 20), &mut std::io::sink());
    }
    match Archive::open(&*archive, LIMITS) {
        Ok(Archive::Current(reader)) => read(reader),
        Ok(Archive::Legacy(legacy)) => {
            let mut visit = |entry: LegacyEntry<'_>| {
                if let LegacyEntry::Message(message) = entry {
                    assert!(
                        (message.headers.len() + message.payload.len()) as u64 <= LIMITS.message
                    );
                }
                Ok::<(), ArchiveError>(())
            };
            let _ = legacy.read(&mut visit).map(|mut rest| rest.drain());
        }
        Err(error) => {
            let _ = error.to_string();
        }
    }
});

fn read(mut reader: ArchiveReader<&[u8]>) {
    let mut last = 0;
    loop {
        match reader.next() {
            Ok(Entry::Message(message)) => {
                assert!(message.seq.0 > last, "sequences rise");
                last = message.seq.0;
                assert!((message.headers.len() + message.payload.len()) as u64 <= LIMITS.message);
            }
            Ok(Entry::End) => break,
            Ok(_) => {}
            Err(error) => {
                let _ = error.to_string();
                break;
            }
        }
    }
}
