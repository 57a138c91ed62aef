//! Server operations: no panic; a message that was read is written back and read again the same.

#![no_main]

use jetsled_protocol::{Limits, Parse, ServerOp, encode, parse_server_op};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    let mut rest = data;
    while let Parse::Op { op, consumed } = parse_server_op(rest, &limits) {
        rest = &rest[consumed..];
        let mut again = Vec::new();
        match op {
            ServerOp::Msg(m) => encode::msg(m.subject, m.sid, m.reply, m.payload, &mut again),
            ServerOp::HMsg(m) => {
                encode::hmsg(m.subject, m.sid, m.reply, m.headers, m.payload, &mut again);
            }
            _ => continue,
        }
        match (op, parse_server_op(&again, &limits)) {
            (
                ServerOp::Msg(was),
                Parse::Op {
                    op: ServerOp::Msg(is),
                    consumed,
                },
            ) => {
                assert_eq!(
                    (was.subject, was.sid, was.reply, was.payload, consumed),
                    (is.subject, is.sid, is.reply, is.payload, again.len())
                );
            }
            (was, Parse::Op { op: is, .. }) => assert_eq!(was, is),
            (was, other) => panic!("{was:?} turned into {other:?}"),
        }
    }
});
