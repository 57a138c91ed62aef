//! WebSocket: one more way to bring the client protocol to a connection.
//!
//! ```text
//! TCP [TLS] -> handshake (HTTP) -> FrameReader -> the connection's read loop
//!                                  FrameWriter <- its outbound queue
//! ```
//!
//! What a connection may do, and what it is sent, is decided behind this: the frames only carry it. The frames themselves are
//! `jetsled_protocol::websocket`.

mod compress;
mod cookies;
mod decompress;
mod frame_reader;
mod frame_writer;
mod handshake;
mod origin;
mod refusal;
mod upgrade;

pub(crate) use cookies::Cookies;
pub(crate) use frame_reader::{Farewell, FrameReader};
pub(crate) use frame_writer::FrameWriter;
pub(crate) use handshake::Agreed;
pub(crate) use upgrade::{HandshakeError, shake_hands};
