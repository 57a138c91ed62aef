/// Bytes of the header of an unmasked frame at most.
pub const MAX_HEADER_BYTES: usize = 10;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpCode {
    /// More of the message before.
    Continuation,
    /// A message of text, treated like a binary one.
    Text,
    /// A message of bytes.
    Binary,
    /// The last frame.
    Close,
    /// To be answered with a pong of the same payload.
    Ping,
    /// The answer to a ping.
    Pong,
}

impl OpCode {
    pub(super) fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The header of a frame that a server sends, which is never masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What it is.
    pub op_code: OpCode,
    /// Its message ends with it.
    pub is_last: bool,
    /// Its message is compressed; only in the first frame.
    pub is_compressed: bool,
    /// Bytes behind the header.
    pub payload_bytes: usize,
}

impl FrameHeader {
    /// The header of a message in one frame.
    pub fn whole(payload_bytes: usize, is_compressed: bool) -> Self {
        Self {
            op_code: OpCode::Binary,
            is_last: true,
            is_compressed,
            payload_bytes,
        }
    }

    /// Appends at most [`MAX_HEADER_BYTES`].
    pub fn write(self, out: &mut Vec<u8>) {
        let mut first = self.op_code.bits();
        if self.is_last {
            first |= FINAL;
        }
        if self.is_compressed {
            first |= RSV1;
        }
        out.push(first);
        match self.payload_bytes {
            short @ 0..=125 => out.push(short as u8),
            medium @ 126..=0xffff => {
                out.push(LENGTH_16);
                out.extend_from_slice(&(medium as u16).to_be_bytes());
            }
            long => {
                out.push(LENGTH_64);
                out.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
    }
}

pub(super) const FINAL: u8 = 0x80;
pub(super) const RSV1: u8 = 0x40;
pub(super) const RSV2_AND_3: u8 = 0x30;
pub(super) const OP_CODE: u8 = 0x0f;
pub(super) const MASKED: u8 = 0x80;
pub(super) const LENGTH_16: u8 = 126;
pub(super) const LENGTH_64: u8 = 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: FrameHeader, expected: &[u8]) {
        let mut out = Vec::new();
        header.write(&mut out);
        assert_eq!(out, expected, "{header:?}");
    }

    #[test]
    fn headers_are_as_long_as_the_length_needs() {
        check(FrameHeader::whole(0, false), &[0x82, 0]);
        check(FrameHeader::whole(125, false), &[0x82, 125]);
        check(FrameHeader::whole(126, true), &[0xc2, 126, 0, 126]);
        check(FrameHeader::whole(65_535, false), &[0x82, 126, 255, 255]);
        check(
            FrameHeader::whole(65_536, false),
            &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0],
        );
        let more = FrameHeader {
            op_code: OpCode::Continuation,
            is_last: false,
            ..FrameHeader::whole(1, false)
        };
        check(more, &[0x00, 1]);
    }
}
