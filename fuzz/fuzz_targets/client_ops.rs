//! Client operations: no panic, the same answers however the stream is split, and publishes that are known by the last one's line are read as
//! they would be parsed.

#![no_main]

use jetsled_protocol::{LastPub, Limits, Parse, parse_client_op};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    max_control_line: 128,
    max_payload: 1024,
    headers: true,
};

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let mut last = LastPub::default();
    loop {
        let whole = parse_client_op(rest, &LIMITS);
        if let Some((op, consumed)) = last.again(rest, &LIMITS) {
            assert_eq!(Parse::Op { op, consumed }, whole);
        }
        for end in 0..rest.len().min(300) {
            let part = parse_client_op(&rest[..end], &LIMITS);
            match (part, whole) {
                (Parse::Incomplete { needed }, Parse::Op { consumed, .. }) => {
                    assert!(end < needed && needed <= consumed);
                }
                (Parse::Incomplete { needed }, _) => assert!(end < needed),
                (Parse::Op { .. }, _) => assert_eq!(part, whole),
                (Parse::Error(early), Parse::Error(late)) => {
                    assert_eq!(early.err_text(), late.err_text());
                }
                (Parse::Error(early), _) => panic!("{early} turned into {whole:?}"),
            }
        }
        match whole {
            Parse::Op { op, consumed } => {
                last.remember(&op, &rest[..consumed]);
                rest = &rest[consumed..];
            }
            Parse::Incomplete { needed } => {
                assert!(needed > rest.len());
                return;
            }
            Parse::Error(error) => {
                let _ = error.to_string();
                return;
            }
        }
    }
});
