//! WebSocket frames: no panic, everything consumed, and the same data however the stream is split.

#![no_main]

use jetsled_protocol::websocket::{
    FrameDecoder, FrameError, FrameEvent, FrameRules, ReceivedClose,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, frames)) = data.split_first() else {
        return;
    };
    let rules = FrameRules {
        is_masked: choice & 1 == 0,
        may_compress: choice & 2 != 0,
    };
    let whole = decode(rules, frames, frames.len());
    let split = decode(rules, frames, usize::from(choice >> 2) + 1);
    assert_eq!(whole, split);
});

/// The data, the control frames, and what was wrong in the end.
type Heard = (Vec<u8>, Vec<FrameEvent>, Option<FrameError>);

fn decode(rules: FrameRules, frames: &[u8], size: usize) -> Heard {
    let mut decoder = FrameDecoder::new(rules);
    let mut heard = Heard::default();
    for piece in frames.chunks(size.max(1)) {
        let mut piece = piece.to_vec();
        let mut at = 0;
        loop {
            let decoded = match decoder.next(&mut piece[at..]) {
                Ok(decoded) => decoded,
                Err(error) => {
                    let _ = error.to_string();
                    heard.2 = Some(error);
                    return heard;
                }
            };
            at += decoded.consumed;
            match decoded.event {
                None => break,
                Some(FrameEvent::Data { bytes, .. }) => {
                    heard.0.extend_from_slice(&piece[at - bytes..at]);
                }
                Some(control) => {
                    if let FrameEvent::Close(payload) = &control
                        && let Ok(close) = ReceivedClose::parse(payload)
                    {
                        assert!(close.answer().as_bytes().len() <= 127);
                    }
                    heard.1.push(control);
                }
            }
        }
        assert_eq!(at, piece.len());
    }
    heard
}
