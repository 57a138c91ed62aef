//! WebSocket frames (RFC 6455) as nats-server reads and writes them: the ordinary protocol is the payload of binary or
//! text messages, whose boundaries mean nothing.

mod close;
mod decoder;
mod header;

pub use close::{CloseFrame, CloseStatus, ReceivedClose, write_pong};
pub use decoder::{Decoded, FrameDecoder, FrameError, FrameEvent, FrameRules};
pub use header::{FrameHeader, MAX_HEADER_BYTES, OpCode};

/// Bytes of a control frame's payload at most.
pub const MAX_CONTROL_BYTES: usize = 125;
