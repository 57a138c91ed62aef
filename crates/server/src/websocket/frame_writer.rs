//! From the bytes of an outbound queue to frames.

use std::io;

use jetsled_protocol::websocket::{FrameHeader, MAX_HEADER_BYTES, OpCode};

use super::compress::{SMALL_BYTES, compress};
use super::handshake::Agreed;
use crate::client::Output;

/// Browsers are served frames of at most so many bytes of payload (observed nats-server 2.15.1).
const BROWSER_FRAME_BYTES: usize = 4096;

/// Frames on their way to one connection's socket.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    compresses: bool,
    is_browser: bool,
    whole_compressed: bool,
    /// What the socket has not taken yet.
    framed: Output,
}

impl FrameWriter {
    pub(crate) fn new(agreed: &Agreed) -> Self {
        Self {
            compresses: agreed.compression,
            is_browser: agreed.is_browser,
            whole_compressed: agreed.whole_compressed,
            framed: Output::default(),
        }
    }

    /// The frames that wait.
    pub(crate) fn framed(&mut self) -> &mut Output {
        &mut self.framed
    }

    /// Bytes of frames that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.framed.len()
    }

    /// Puts a control frame, complete, behind the frames that wait.
    pub(crate) fn add_control(&mut self, frame: &[u8]) {
        self.framed.copy(frame);
    }

    /// Takes all of `output` and frames it. Boundaries of messages mean nothing, so all that waits becomes one.
    pub(crate) fn frame(&mut self, output: &mut Output) -> io::Result<()> {
        if self.compresses && output.len() > SMALL_BYTES {
            let compressed = compress(output)?;
            self.add_compressed(&compressed);
            return Ok(());
        }
        let limit = if self.is_browser {
            BROWSER_FRAME_BYTES
        } else {
            usize::MAX
        };
        while output.len() > limit {
            self.add_header(FrameHeader::whole(limit, false));
            self.move_bytes(output, limit);
        }
        if !output.is_empty() {
            self.add_header(FrameHeader::whole(output.len(), false));
            self.framed.append(output);
        }
        Ok(())
    }

    /// A compressed message is one message even if it comes in several frames.
    fn add_compressed(&mut self, compressed: &[u8]) {
        let limit = if self.is_browser && !self.whole_compressed {
            BROWSER_FRAME_BYTES
        } else {
            compressed.len().max(1)
        };
        let count = compressed.len().div_ceil(limit);
        for (index, payload) in compressed.chunks(limit).enumerate() {
            let is_first = index == 0;
            self.add_header(FrameHeader {
                op_code: if is_first {
                    OpCode::Binary
                } else {
                    OpCode::Continuation
                },
                is_last: index + 1 == count,
                is_compressed: is_first,
                payload_bytes: payload.len(),
            });
            self.framed.copy(payload);
        }
    }

    fn add_header(&mut self, header: FrameHeader) {
        self.framed
            .with_room(MAX_HEADER_BYTES, |out| header.write(out));
    }

    fn move_bytes(&mut self, output: &mut Output, mut bytes: usize) {
        while bytes > 0 {
            let front = output.front();
            let taken = front.len().min(bytes);
            self.framed.copy(front.get(..taken).unwrap_or_default());
            output.consume(taken);
            bytes -= taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::*;
    use crate::websocket::decompress::Decompressor;

    /// The frames that these pieces become: first byte and payload.
    fn frames(agreed: &Agreed, pieces: &[Vec<u8>]) -> Vec<(u8, Vec<u8>)> {
        let mut output = Output::default();
        for piece in pieces {
            if piece.len() > 5000 {
                output.share(Bytes::from(piece.clone()));
            } else {
                output.copy(piece);
            }
        }
        let mut writer = FrameWriter::new(agreed);
        writer.frame(&mut output).unwrap();
        assert!(output.is_empty());
        let mut bytes = Vec::new();
        while !writer.framed.is_empty() {
            let front = writer.framed.front().to_vec();
            writer.framed.consume(front.len());
            bytes.extend(front);
        }
        let mut frames = Vec::new();
        let mut rest = &bytes[..];
        while let [first, length, tail @ ..] = rest {
            let (length, tail) = match *length {
                126 => (
                    u64::from(u16::from_be_bytes([tail[0], tail[1]])),
                    &tail[2..],
                ),
                127 => (u64::from_be_bytes(*tail.first_chunk().unwrap()), &tail[8..]),
                short => (u64::from(short), tail),
            };
            let (payload, tail) = tail.split_at(usize::try_from(length).unwrap());
            frames.push((*first, payload.to_vec()));
            rest = tail;
        }
        frames
    }

    fn decompressed(compressed: &[u8]) -> Vec<u8> {
        let mut decompressor = Decompressor::new();
        let mut out = BytesMut::new();
        decompressor.run(compressed, &mut out, usize::MAX).unwrap();
        assert!(decompressor.finish(&mut out, usize::MAX).unwrap());
        out.to_vec()
    }

    /// Pieces that do not compress to nothing.
    fn pieces() -> Vec<Vec<u8>> {
        let noise = |n: usize| {
            (0..n)
                .map(|at| (at * at % 251) as u8 ^ (at / 7) as u8)
                .collect()
        };
        vec![noise(100), noise(9000), noise(3), noise(30_000)]
    }

    #[test]
    fn all_that_waits_becomes_one_frame() {
        let got = frames(&Agreed::default(), &pieces());
        assert_eq!(got, [(0x82, pieces().concat())]);
    }

    #[test]
    fn browsers_get_small_messages() {
        let agreed = Agreed {
            is_browser: true,
            ..Agreed::default()
        };
        let got = frames(&agreed, &pieces());
        assert!(
            got.iter()
                .all(|(first, payload)| *first == 0x82 && payload.len() <= 4096)
        );
        let all: Vec<_> = got.into_iter().flat_map(|(_, payload)| payload).collect();
        assert_eq!(all, pieces().concat());
    }

    #[test]
    fn compressed_messages_can_be_read_again() {
        let mut agreed = Agreed {
            compression: true,
            ..Agreed::default()
        };
        let got = frames(&agreed, &pieces());
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].0, 0xc2);
        assert_eq!(decompressed(&got[0].1), pieces().concat());
        let small = vec![vec![b'x'; SMALL_BYTES]];
        assert_eq!(frames(&agreed, &small), [(0x82, small.concat())]);
        agreed.is_browser = true;
        let got = frames(&agreed, &pieces());
        let firsts: Vec<_> = got.iter().map(|(first, _)| *first).collect();
        assert_eq!(
            (firsts[0], firsts[1], *firsts.last().unwrap()),
            (0x42, 0x00, 0x80)
        );
        let all: Vec<_> = got.into_iter().flat_map(|(_, payload)| payload).collect();
        assert_eq!(decompressed(&all), pieces().concat());
        agreed.whole_compressed = true;
        assert_eq!(frames(&agreed, &pieces()).len(), 1);
    }
}
