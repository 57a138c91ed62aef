//! Client operations: no panic, and the same answers however the stream is split.

#![no_main]

use jetsled_protocol::{Limits, Parse, parse_client_op};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    max_control_line: 128,
    max_payload: 1024,
    headers: true,
};

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    loop {
        let whole = parse_client_op(rest, &LIMITS);
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
            Parse::Op { consumed, .. } => rest = &rest[consumed..],
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
