use proptest::prelude::*;

use super::*;

const RULES: FrameRules = FrameRules {
    is_masked: true,
    may_compress: false,
};

const COMPRESSED: FrameRules = FrameRules {
    may_compress: true,
    ..RULES
};

/// A frame as a client sends it. `first` has the bits and the op code.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(MASKED | short as u8),
        medium => {
            frame.push(MASKED | LENGTH_16);
            frame.extend_from_slice(&u16::try_from(medium).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// What was decoded, data of one message put together.
#[derive(Debug, PartialEq, Eq, Default)]
struct Heard {
    messages: Vec<(bool, Vec<u8>)>,
    controls: Vec<FrameEvent>,
    unfinished: Vec<u8>,
}

/// Feeds the input in pieces of these sizes.
fn decode(rules: FrameRules, input: &[u8], sizes: &[usize]) -> Result<Heard, FrameError> {
    let mut decoder = FrameDecoder::new(rules);
    let mut heard = Heard::default();
    let mut sizes = sizes.iter().copied().cycle();
    let mut input = input;
    while !input.is_empty() {
        let (piece, rest) = input.split_at(sizes.next().unwrap_or(1).clamp(1, input.len()));
        input = rest;
        let mut piece = piece.to_vec();
        let mut at = 0;
        loop {
            let decoded = decoder.next(&mut piece[at..])?;
            at += decoded.consumed;
            match decoded.event {
                None => break,
                Some(FrameEvent::Data {
                    bytes,
                    is_compressed,
                    ends_message,
                }) => {
                    heard.unfinished.extend_from_slice(&piece[at - bytes..at]);
                    if ends_message {
                        let message = std::mem::take(&mut heard.unfinished);
                        heard.messages.push((is_compressed, message));
                    }
                }
                Some(control) => heard.controls.push(control),
            }
        }
        assert_eq!(at, piece.len(), "all is consumed when there is no event");
    }
    Ok(heard)
}

#[track_caller]
fn check(rules: FrameRules, frames: &[Vec<u8>], expected: Result<&[&str], FrameError>) {
    let heard = decode(rules, &frames.concat(), &[1 << 20]);
    let texts = heard.map(|heard| {
        let text = |(_, bytes): &(bool, Vec<u8>)| String::from_utf8_lossy(bytes).into_owned();
        heard.messages.iter().map(text).collect::<Vec<_>>()
    });
    let expected = expected.map(|texts| texts.iter().map(|&text| text.to_owned()).collect());
    assert_eq!(texts, expected);
}

#[test]
fn messages_come_whole_or_in_pieces_with_controls_between() {
    check(RULES, &[frame(0x82, b"PING\r\n")], Ok(&["PING\r\n"]));
    check(RULES, &[frame(0x81, b"text")], Ok(&["text"]));
    check(
        RULES,
        &[frame(0x82, b""), frame(0x82, b"x")],
        Ok(&["", "x"]),
    );
    let pieces = [
        frame(0x01, b"PI"),
        frame(0x89, b"mid"),
        frame(0x00, b""),
        frame(0x00, b"NG"),
        frame(0x80, b"\r\n"),
    ];
    check(RULES, &pieces, Ok(&["PING\r\n"]));
    let heard = decode(RULES, &pieces.concat(), &[3]).unwrap();
    assert_eq!(heard.controls, [FrameEvent::Ping(b"mid".to_vec())]);
}

#[test]
fn what_breaks_the_rules_is_refused_by_name() {
    let refused = |first: u8, error| check(RULES, &[frame(first, b"x")], Err(error));
    refused(0xa2, FrameError::ReservedBits);
    refused(0x92, FrameError::ReservedBits);
    refused(0xc2, FrameError::Compressed);
    refused(0x83, FrameError::OpCode(3));
    refused(0x09, FrameError::ControlInPieces);
    refused(0x80, FrameError::Continuation);
    check(RULES, &[vec![0x82, 1, b'x']], Err(FrameError::NotMasked));
    check(
        RULES,
        &[frame(0x89, &[0; 126])],
        Err(FrameError::ControlTooLong),
    );
    let nested = [frame(0x02, b"a"), frame(0x82, b"b")];
    check(RULES, &nested, Err(FrameError::MessageInMessage));
    check(
        COMPRESSED,
        &[frame(0xc9, b"x")],
        Err(FrameError::ControlCompressed),
    );
    let late = [frame(0x42, b"a"), frame(0xc0, b"b")];
    check(COMPRESSED, &late, Err(FrameError::Continuation));
    let mut endless = vec![0x82, 0xff, 0x80];
    endless.extend_from_slice(&[0; 11]);
    check(RULES, &[endless], Err(FrameError::Length));
}

#[test]
fn the_first_frame_says_whether_a_message_is_compressed() {
    let pieces = [frame(0x42, b"ab"), frame(0x80, b"c"), frame(0x82, b"d")].concat();
    let heard = decode(COMPRESSED, &pieces, &[2]).unwrap();
    let expected = [(true, b"abc".to_vec()), (false, b"d".to_vec())];
    assert_eq!(heard.messages, expected);
}

#[test]
fn without_masking_payloads_are_taken_as_they_are() {
    let rules = FrameRules {
        is_masked: false,
        ..RULES
    };
    let bare = vec![0x82, 6, b'P', b'I', b'N', b'G', b'\r', b'\n'];
    check(rules, &[bare], Ok(&["PING\r\n"]));
}

proptest! {
    /// Whatever the pieces, the messages are the same, and nothing makes the decoder panic or stand still.
    #[test]
    fn pieces_do_not_matter(
        messages in prop::collection::vec((0u8..6, prop::collection::vec(any::<u8>(), 0..300)), 0..12),
        sizes in prop::collection::vec(1usize..40, 1..8),
    ) {
        let mut bytes = Vec::new();
        for (kind, payload) in &messages {
            match kind {
                0 => bytes.extend(frame(0x89, &payload[..payload.len().min(125)])),
                1 => {
                    let (front, back) = payload.split_at(payload.len() / 3);
                    bytes.extend(frame(0x42, front));
                    bytes.extend(frame(0x8a, b""));
                    bytes.extend(frame(0x80, back));
                }
                _ => bytes.extend(frame(0x82, payload)),
            }
        }
        let whole = decode(COMPRESSED, &bytes, &[bytes.len().max(1)]).unwrap();
        let split = decode(COMPRESSED, &bytes, &sizes).unwrap();
        prop_assert_eq!(&whole, &split);
        let sent: Vec<_> = messages.iter().filter(|(kind, _)| *kind != 0)
            .map(|(kind, payload)| (*kind == 1, payload.clone())).collect();
        prop_assert_eq!(whole.messages, sent);
    }

    #[test]
    fn garbage_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), size in 1usize..50) {
        decode(COMPRESSED, &bytes, &[size]).ok();
    }
}
