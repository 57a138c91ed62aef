use super::header::{FrameHeader, OpCode};
use super::{FrameError, MAX_CONTROL_BYTES};

/// Why a connection ends, in WebSocket's numbers (RFC 6455, 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseStatus(pub u16);

impl CloseStatus {
    /// All is well.
    pub const NORMAL: Self = Self(1000);
    /// The server leaves.
    pub const GOING_AWAY: Self = Self(1001);
    /// What came was not understood.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// Text that is no UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// Something that is not allowed.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// A message that is too large.
    pub const TOO_BIG: Self = Self(1009);
    /// Anything else.
    pub const INTERNAL_ERROR: Self = Self(1011);

    /// Whether a peer may send it.
    fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1015 | 3000..=4999) && !matches!(self.0, 1004..=1006 | 1015)
    }
}

/// A close frame to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame(Vec<u8>);

impl CloseFrame {
    /// Says why; a text that is too long for a control frame ends in `...`.
    pub fn new(status: CloseStatus, text: &str) -> Self {
        let room = MAX_CONTROL_BYTES - 2;
        let mut payload = status.0.to_be_bytes().to_vec();
        if text.len() > room {
            let end = text.floor_char_boundary(room - 3);
            payload.extend_from_slice(text.get(..end).unwrap_or_default().as_bytes());
            payload.extend_from_slice(b"...");
        } else {
            payload.extend_from_slice(text.as_bytes());
        }
        Self::with_payload(&payload)
    }

    /// Says nothing, as the peer did.
    pub fn empty() -> Self {
        Self::with_payload(&[])
    }

    fn with_payload(payload: &[u8]) -> Self {
        let mut frame = Vec::with_capacity(payload.len() + 2);
        write_control(OpCode::Close, payload, &mut frame);
        Self(frame)
    }

    /// The bytes of the frame.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a peer's close frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceivedClose {
    /// Nothing.
    Empty,
    /// A status and perhaps a text, which go back.
    Because(CloseStatus, String),
    /// A text that is no UTF-8.
    NotUtf8,
}

impl ReceivedClose {
    /// Reads the payload of a close frame.
    ///
    /// # Errors
    /// A payload of one byte, or a status that nobody may send.
    pub fn parse(payload: &[u8]) -> Result<Self, FrameError> {
        let Some((status, text)) = payload.split_first_chunk::<2>() else {
            return if payload.is_empty() {
                Ok(Self::Empty)
            } else {
                Err(FrameError::CloseOfOneByte)
            };
        };
        let status = CloseStatus(u16::from_be_bytes(*status));
        if !status.may_be_sent() {
            return Err(FrameError::CloseStatus(status.0));
        }
        Ok(match str::from_utf8(text) {
            Ok(text) => Self::Because(status, text.to_owned()),
            Err(_) => Self::NotUtf8,
        })
    }

    /// What to answer.
    pub fn answer(&self) -> CloseFrame {
        match self {
            Self::Empty => CloseFrame::empty(),
            Self::Because(status, text) => CloseFrame::new(*status, text),
            Self::NotUtf8 => CloseFrame::new(
                CloseStatus::INVALID_PAYLOAD,
                "invalid utf8 body in close frame",
            ),
        }
    }
}

/// Appends the answer to a ping.
pub fn write_pong(payload: &[u8], out: &mut Vec<u8>) {
    write_control(OpCode::Pong, payload, out);
}

/// A payload beyond [`MAX_CONTROL_BYTES`] is cut.
fn write_control(op_code: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    let payload = payload.get(..MAX_CONTROL_BYTES).unwrap_or(payload);
    FrameHeader {
        op_code,
        ..FrameHeader::whole(payload.len(), false)
    }
    .write(out);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(payload: &[u8], expected: Result<&[u8], FrameError>) {
        let answer = ReceivedClose::parse(payload).map(|close| close.answer());
        let answer = answer
            .as_ref()
            .map(CloseFrame::as_bytes)
            .map_err(|error| *error);
        assert_eq!(answer, expected);
    }

    #[test]
    fn a_close_is_answered_with_what_it_says() {
        check(b"", Ok(b"\x88\x00"));
        check(b"\x03\xe8", Ok(b"\x88\x02\x03\xe8"));
        check(b"\x13\x87z", Ok(b"\x88\x03\x13\x87z"));
        check(
            b"\x03\xe8\xff",
            Ok(b"\x88\x22\x03\xefinvalid utf8 body in close frame"),
        );
        check(b"x", Err(FrameError::CloseOfOneByte));
        for status in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
            check(
                &u16::to_be_bytes(status),
                Err(FrameError::CloseStatus(status)),
            );
        }
        for status in [1000, 1003, 1014, 3000, 4999] {
            assert!(ReceivedClose::parse(&u16::to_be_bytes(status)).is_ok());
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let long = "é".repeat(100);
        let close = CloseFrame::new(CloseStatus::GOING_AWAY, &long);
        let text = std::str::from_utf8(&close.as_bytes()[4..]).unwrap();
        assert!(text.ends_with("é...") && close.as_bytes().len() <= 2 + MAX_CONTROL_BYTES);
        let fits = "x".repeat(123);
        let close = CloseFrame::new(CloseStatus::NORMAL, &fits);
        assert_eq!(close.as_bytes().len(), 2 + MAX_CONTROL_BYTES);
    }
}
