use super::MAX_CONTROL_BYTES;
use super::header::{
    FINAL, LENGTH_16, LENGTH_64, MASKED, MAX_HEADER_BYTES, OP_CODE, OpCode, RSV1, RSV2_AND_3,
};

/// What was agreed on for the frames of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRules {
    /// The peer masks its payloads. Without (`Nats-No-Masking`) it does not, whatever its mask bit says (observed
    /// nats-server 2.15.1).
    pub is_masked: bool,
    /// Messages may be compressed.
    pub may_compress: bool,
}

/// Takes the frames of a client apart, whatever pieces they come in. Holds one header or one control frame at most.
#[derive(Debug)]
pub struct FrameDecoder {
    rules: FrameRules,
    /// The header, as much of it as has come.
    header: [u8; MAX_MASKED_HEADER_BYTES],
    header_bytes: usize,
    /// Bytes of the present payload that are still to come.
    left: u64,
    mask: [u8; 4],
    /// The mask's byte for the next payload byte.
    mask_at: usize,
    within: Within,
    /// The message that the present data frame, or the next one, belongs to.
    message: Option<Message>,
    /// The payload of the present control frame, as much of it as has come.
    control: Vec<u8>,
}

/// Where the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Header,
    Data,
    Control(OpCode),
}

#[derive(Clone, Copy, Debug)]
struct Message {
    is_compressed: bool,
    /// The present frame is its last.
    ends: bool,
}

/// What [`FrameDecoder::next`] has found.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that are done with, those of the event included.
    pub consumed: usize,
    /// `None` if all was consumed and nothing is complete.
    pub event: Option<FrameEvent>,
}

/// Something that frames say.
#[derive(Debug, PartialEq, Eq)]
pub enum FrameEvent {
    /// A part of a message, unmasked.
    Data {
        /// So many of the last bytes that were consumed.
        bytes: usize,
        /// They are compressed.
        is_compressed: bool,
        /// They end their message.
        ends_message: bool,
    },
    /// To be answered with a pong of this payload.
    Ping(Vec<u8>),
    /// Nothing to be done.
    Pong,
    /// The payload of a close frame; nothing behind it counts.
    Close(Vec<u8>),
}

const MAX_MASKED_HEADER_BYTES: usize = MAX_HEADER_BYTES + 4;

/// A frame that breaks the rules. `Display` is nats-server's text, which is the reason in its close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Bits without a meaning.
    #[error("RSV2 and RSV3 must be clear")]
    ReservedBits,
    /// Compression was not agreed on.
    #[error("compressed frame received without negotiated permessage-deflate")]
    Compressed,
    /// A client must mask.
    #[error("mask bit missing")]
    NotMasked,
    /// A long control frame.
    #[error("control frame length bigger than maximum allowed of 125 bytes")]
    ControlTooLong,
    /// A control frame in pieces.
    #[error("control frame does not have final bit set")]
    ControlInPieces,
    /// A compressed control frame.
    #[error("control frame must not be compressed")]
    ControlCompressed,
    /// A message within another.
    #[error("new message started before final frame for previous message was received")]
    MessageInMessage,
    /// More of no message, or a compressed bit in the middle of one.
    #[error("invalid continuation frame")]
    Continuation,
    /// No such frame.
    #[error("unknown opcode {0}")]
    OpCode(u8),
    /// A length beyond what the protocol has.
    #[error("invalid 64-bit payload length")]
    Length,
    /// A close frame with half a status.
    #[error("close frame payload cannot be 1 byte")]
    CloseOfOneByte,
    /// A status that nobody may send.
    #[error("invalid close status code {0}")]
    CloseStatus(u16),
}

impl FrameDecoder {
    /// Waits for the first frame.
    pub fn new(rules: FrameRules) -> Self {
        Self {
            rules,
            header: [0; MAX_MASKED_HEADER_BYTES],
            header_bytes: 0,
            left: 0,
            mask: [0; 4],
            mask_at: 0,
            within: Within::Header,
            message: None,
            control: Vec::new(),
        }
    }

    /// Takes the next thing off the front of `input`, unmasking it in place. To be called again with what is left until
    /// there is no event.
    ///
    /// # Errors
    /// When a frame breaks the rules; the connection is to be closed.
    pub fn next(&mut self, input: &mut [u8]) -> Result<Decoded, FrameError> {
        let mut consumed = 0;
        loop {
            while self.within == Within::Header {
                let Some(byte) = input.get(consumed) else {
                    return Ok(Decoded {
                        consumed,
                        event: None,
                    });
                };
                consumed += 1;
                self.take_header_byte(*byte)?;
            }
            let rest = input.get_mut(consumed..).unwrap_or_default();
            let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
            let bytes = rest.len().min(wanted);
            let payload = rest.get_mut(..bytes).unwrap_or_default();
            self.left -= bytes as u64;
            self.unmask(payload);
            consumed += bytes;
            let event = self.event(payload);
            let is_over = self.left == 0;
            if is_over {
                self.within = Within::Header;
            }
            // An empty frame in the middle of a message says nothing.
            if event.is_some() || !is_over {
                return Ok(Decoded { consumed, event });
            }
        }
    }

    fn event(&mut self, payload: &[u8]) -> Option<FrameEvent> {
        match self.within {
            Within::Control(op_code) => {
                self.control.extend_from_slice(payload);
                (self.left == 0).then(|| control_event(op_code, std::mem::take(&mut self.control)))
            }
            _ => self.data_event(payload.len()),
        }
    }

    fn data_event(&mut self, bytes: usize) -> Option<FrameEvent> {
        let message = self.message?;
        let ends_message = message.ends && self.left == 0;
        if ends_message {
            self.message = None;
        }
        (bytes > 0 || ends_message).then_some(FrameEvent::Data {
            bytes,
            is_compressed: message.is_compressed,
            ends_message,
        })
    }

    /// One more byte of the header: checks what it completes.
    fn take_header_byte(&mut self, byte: u8) -> Result<(), FrameError> {
        if let Some(slot) = self.header.get_mut(self.header_bytes) {
            *slot = byte;
        }
        self.header_bytes += 1;
        let [first, second, lengths @ ..] = self.header;
        match self.header_bytes {
            1 => return self.check_first(first),
            2 => self.check_second(first, second)?,
            _ => {}
        }
        let length_bytes = match second & !MASKED {
            LENGTH_16 => 2,
            LENGTH_64 => 8,
            _ => 0,
        };
        let mask_bytes = if self.rules.is_masked { 4 } else { 0 };
        if self.header_bytes < 2 + length_bytes + mask_bytes {
            return Ok(());
        }
        let long = |bytes: usize| {
            let bytes = lengths.iter().take(bytes);
            bytes.fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte))
        };
        self.left = match length_bytes {
            0 => u64::from(second & !MASKED),
            bytes => long(bytes),
        };
        if self.left >> 63 != 0 {
            return Err(FrameError::Length);
        }
        if let Some(mask) = lengths
            .get(length_bytes..)
            .and_then(|rest| rest.first_chunk())
            && self.rules.is_masked
        {
            self.mask = *mask;
        }
        let op_code = OpCode::from_bits(first & OP_CODE).unwrap_or(OpCode::Continuation);
        self.within = if op_code.is_control() {
            Within::Control(op_code)
        } else {
            Within::Data
        };
        (self.header_bytes, self.mask_at) = (0, 0);
        Ok(())
    }

    fn check_first(&self, first: u8) -> Result<(), FrameError> {
        if first & RSV2_AND_3 != 0 {
            return Err(FrameError::ReservedBits);
        }
        if first & RSV1 != 0 && !self.rules.may_compress {
            return Err(FrameError::Compressed);
        }
        Ok(())
    }

    fn check_second(&mut self, first: u8, second: u8) -> Result<(), FrameError> {
        if self.rules.is_masked && second & MASKED == 0 {
            return Err(FrameError::NotMasked);
        }
        let (ends, is_compressed) = (first & FINAL != 0, first & RSV1 != 0);
        match OpCode::from_bits(first & OP_CODE) {
            None => Err(FrameError::OpCode(first & OP_CODE)),
            Some(op_code) if op_code.is_control() => {
                if usize::from(second & !MASKED) > MAX_CONTROL_BYTES {
                    Err(FrameError::ControlTooLong)
                } else if !ends {
                    Err(FrameError::ControlInPieces)
                } else if is_compressed {
                    Err(FrameError::ControlCompressed)
                } else {
                    Ok(())
                }
            }
            Some(OpCode::Continuation) => match &mut self.message {
                Some(message) if !is_compressed => {
                    message.ends = ends;
                    Ok(())
                }
                _ => Err(FrameError::Continuation),
            },
            Some(_) if self.message.is_some() => Err(FrameError::MessageInMessage),
            Some(_) => {
                self.message = Some(Message {
                    is_compressed,
                    ends,
                });
                Ok(())
            }
        }
    }

    fn unmask(&mut self, payload: &mut [u8]) {
        if !self.rules.is_masked {
            return;
        }
        let mut mask = self.mask;
        mask.rotate_left(self.mask_at);
        let word = u64::from_ne_bytes(concatenated(mask));
        let (words, rest) = payload.as_chunks_mut::<8>();
        for chunk in words {
            *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
        }
        for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        self.mask_at = (self.mask_at + payload.len()) % 4;
    }
}

fn concatenated([a, b, c, d]: [u8; 4]) -> [u8; 8] {
    [a, b, c, d, a, b, c, d]
}

fn control_event(op_code: OpCode, payload: Vec<u8>) -> FrameEvent {
    match op_code {
        OpCode::Ping => FrameEvent::Ping(payload),
        OpCode::Close => FrameEvent::Close(payload),
        _ => FrameEvent::Pong,
    }
}

#[cfg(test)]
mod tests;
