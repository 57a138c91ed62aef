//! From frames to the bytes of the client protocol.

use bytes::{Buf, BytesMut};
use jetsled_protocol::websocket::{
    CloseFrame, CloseStatus, FrameDecoder, FrameError, FrameEvent, FrameRules, ReceivedClose,
    write_pong,
};

use super::decompress::{Corrupt, Decompressor};
use super::handshake::Agreed;

/// Bytes that one call hands on, more or less: what is compressed could otherwise become a thousand times as large.
const HANDED_ON_BYTES: usize = 64 * 1024;

/// Pongs that wait to be sent. Beyond it only the last ping is answered, which is enough (RFC 6455, 5.5.3).
const PONG_BYTES: usize = 1024;

/// The reading end of a WebSocket. Between reads it holds one header or control frame, and the state of a compressed
/// message that is not complete.
#[derive(Debug)]
pub(crate) struct FrameReader {
    decoder: FrameDecoder,
    /// Bytes as they came from the socket.
    raw: BytesMut,
    /// So many bytes at the front of `raw` are the payload of a compressed frame, unmasked.
    compressed: usize,
    /// With them the message ends.
    ends_message: bool,
    /// The compressed message that is being read.
    message: Option<Box<Decompressor>>,
    pongs: Vec<u8>,
    farewell: Option<Farewell>,
}

/// Why nothing more is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Farewell {
    /// What the peer is told.
    pub(crate) frame: CloseFrame,
    /// What was wrong; `None` if the peer has said goodbye itself.
    pub(crate) violation: Option<String>,
}

/// What cannot be read.
enum Wrong {
    Frame(FrameError),
    Corrupt(Corrupt),
}

impl From<FrameError> for Wrong {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl From<Corrupt> for Wrong {
    fn from(error: Corrupt) -> Self {
        Self::Corrupt(error)
    }
}

impl FrameReader {
    pub(crate) fn new(agreed: &Agreed) -> Self {
        Self {
            decoder: FrameDecoder::new(FrameRules {
                is_masked: agreed.is_masked,
                may_compress: agreed.compression,
            }),
            raw: BytesMut::new(),
            compressed: 0,
            ends_message: false,
            message: None,
            pongs: Vec::new(),
            farewell: None,
        }
    }

    /// Where bytes from the socket go, once all is read that came before.
    pub(crate) fn raw(&mut self) -> &mut BytesMut {
        &mut self.raw
    }

    /// Whether [`FrameReader::read`] would give something without more bytes from the socket.
    pub(crate) fn has_more(&self) -> bool {
        !self.raw.is_empty()
            || self.farewell.is_some()
            || self
                .message
                .as_ref()
                .is_some_and(|message| message.may_have_more())
            || self.ends_message
    }

    /// Why nothing more is read, once that is so.
    pub(crate) fn farewell(&self) -> Option<&Farewell> {
        self.farewell.as_ref()
    }

    /// The pongs to send, complete frames.
    pub(crate) fn take_pongs(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.pongs)
    }

    /// Whether there are pongs to send.
    pub(crate) fn has_pongs(&self) -> bool {
        !self.pongs.is_empty()
    }

    /// Appends what frames carry to `out`. What breaks the rules ends the reading; what came before it counts.
    pub(crate) fn read(&mut self, out: &mut BytesMut) {
        if self.farewell.is_some() {
            return;
        }
        match self.try_read(out) {
            Ok(()) => {}
            Err(Wrong::Frame(error)) => {
                self.refuse(CloseStatus::PROTOCOL_ERROR, error.to_string());
            }
            Err(Wrong::Corrupt(error)) => {
                self.refuse(CloseStatus::INVALID_PAYLOAD, error.to_string());
            }
        }
    }

    fn refuse(&mut self, status: CloseStatus, text: String) {
        self.raw.clear();
        self.farewell = Some(Farewell {
            frame: CloseFrame::new(status, &text),
            violation: Some(text),
        });
    }

    fn try_read(&mut self, out: &mut BytesMut) -> Result<(), Wrong> {
        let limit = out.len() + HANDED_ON_BYTES;
        loop {
            if let Some(message) = &mut self.message {
                let input = self.raw.get(..self.compressed).unwrap_or_default();
                let taken = message.run(input, out, limit)?;
                self.raw.advance(taken);
                self.compressed -= taken;
                if self.compressed > 0 {
                    return Ok(());
                }
                if self.ends_message {
                    if !message.finish(out, limit)? {
                        return Ok(());
                    }
                    self.ends_message = false;
                    if let Some(message) = self.message.take() {
                        message.give_back();
                    }
                }
            }
            if out.len() >= limit {
                return Ok(());
            }
            let decoded = self.decoder.next(&mut self.raw)?;
            let Some(event) = decoded.event else {
                self.raw.advance(decoded.consumed);
                return Ok(());
            };
            match event {
                FrameEvent::Data {
                    bytes,
                    is_compressed,
                    ends_message,
                } => {
                    self.raw.advance(decoded.consumed - bytes);
                    if is_compressed {
                        self.compressed = bytes;
                        self.ends_message = ends_message;
                        self.message
                            .get_or_insert_with(|| Box::new(Decompressor::new()));
                    } else {
                        out.extend_from_slice(self.raw.get(..bytes).unwrap_or_default());
                        self.raw.advance(bytes);
                    }
                }
                FrameEvent::Ping(payload) => {
                    self.raw.advance(decoded.consumed);
                    if self.pongs.len() > PONG_BYTES {
                        self.pongs.clear();
                    }
                    write_pong(&payload, &mut self.pongs);
                }
                FrameEvent::Pong => self.raw.advance(decoded.consumed),
                FrameEvent::Close(payload) => {
                    let close = ReceivedClose::parse(&payload)?;
                    self.raw.clear();
                    self.farewell = Some(Farewell {
                        frame: close.answer(),
                        violation: None,
                    });
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Output;
    use crate::websocket::compress::compress;

    fn reader(compression: bool) -> FrameReader {
        FrameReader::new(&Agreed {
            is_masked: false,
            compression,
            ..Agreed::default()
        })
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first, 127];
        frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    fn control(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first, u8::try_from(payload.len()).unwrap()];
        frame.extend_from_slice(payload);
        frame
    }

    fn compressed(bytes: &[u8]) -> Vec<u8> {
        let mut output = Output::default();
        output.copy(bytes);
        compress(&mut output).unwrap()
    }

    /// Feeds bytes in pieces; returns all that was read, and the largest amount handed on at once.
    fn read(reader: &mut FrameReader, bytes: &[u8], size: usize) -> (Vec<u8>, usize) {
        let (mut all, mut largest) = (Vec::new(), 0);
        for piece in bytes.chunks(size) {
            reader.raw().extend_from_slice(piece);
            while reader.has_more() && reader.farewell().is_none() {
                let mut out = BytesMut::new();
                reader.read(&mut out);
                largest = largest.max(out.len());
                all.extend_from_slice(&out);
            }
        }
        (all, largest)
    }

    #[test]
    fn what_frames_carry_is_read_up_to_the_goodbye() {
        let mut reader = reader(false);
        let bytes = [
            frame(0x82, b"PING\r\n"),
            control(0x89, b"p"),
            frame(0x02, b"PO"),
            frame(0x80, b"NG\r\n"),
            control(0x88, b"\x03\xe8bye"),
            frame(0x82, b"late"),
        ];
        let (all, _) = read(&mut reader, &bytes.concat(), 1 << 20);
        assert_eq!(all, b"PING\r\nPONG\r\n");
        assert_eq!(reader.take_pongs(), b"\x8a\x01p");
        let farewell = reader.farewell().unwrap();
        assert_eq!(farewell.frame.as_bytes(), b"\x88\x05\x03\xe8bye");
        assert_eq!(farewell.violation, None);
    }

    #[test]
    fn what_came_before_a_violation_counts() {
        let mut reader = reader(false);
        let bytes = [frame(0x82, b"PING\r\n"), frame(0x83, b"x")].concat();
        let (all, _) = read(&mut reader, &bytes, 3);
        assert_eq!(all, b"PING\r\n");
        let farewell = reader.farewell().unwrap();
        assert_eq!(
            farewell.frame.as_bytes(),
            b"\x88\x12\x03\xeaunknown opcode 3"
        );
    }

    #[test]
    fn compressed_messages_are_read_in_whatever_pieces() {
        let text = b"PUB subject 5\r\nhello\r\n".repeat(500);
        let small = compressed(&text);
        let (front, back) = small.split_at(small.len() / 2);
        let bytes = [
            frame(0xc2, &small),
            frame(0x42, front),
            control(0x89, b""),
            frame(0x00, b""),
            frame(0x80, back),
            frame(0x82, b"plain"),
        ]
        .concat();
        let expected = [&text[..], &text, b"plain"].concat();
        for size in [1, 5, 1000, 1 << 20] {
            let mut reader = reader(true);
            let (all, _) = read(&mut reader, &bytes, size);
            assert_eq!(all, expected, "{size}");
            assert!(reader.message.is_none() && reader.farewell().is_none());
        }
    }

    #[test]
    fn a_message_that_grows_when_decompressed_is_handed_on_in_parts() {
        let zeros = vec![0; 20 << 20];
        let bytes = frame(0xc2, &compressed(&zeros));
        assert!(bytes.len() < zeros.len() / 100);
        let (all, largest) = read(&mut reader(true), &bytes, 4096);
        assert_eq!(all.len(), zeros.len());
        assert!(largest <= 2 * HANDED_ON_BYTES, "{largest}");
    }

    #[test]
    fn corrupt_messages_are_refused() {
        let good = compressed(&b"PING\r\n".repeat(50));
        for bytes in [&[0xff; 4][..], &good[..good.len() / 2]] {
            let mut reader = reader(true);
            read(&mut reader, &frame(0xc2, bytes), 100);
            let farewell = reader.farewell().unwrap();
            assert!(farewell.frame.as_bytes().starts_with(b"\x88\x16\x03\xef"));
        }
    }

    #[test]
    fn pongs_that_nobody_takes_do_not_pile_up() {
        let mut reader = reader(false);
        let pings = control(0x89, &[b'p'; 125]).repeat(1000);
        read(&mut reader, &pings, 4096);
        assert!(reader.take_pongs().len() < PONG_BYTES + 256);
    }
}
