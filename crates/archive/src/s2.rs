//! S2 streams: framed blocks with checksums.
//!
//! The frames are read and written here, because a hostile stream must neither recurse nor ask for more memory than a block
//! may have; the compression of a block is `minlz`'s.

use std::io::{self, BufRead, Read, Write};

/// The largest block, decoded, in bytes (the S2 format's maximum).
const MAX_BLOCK: usize = 4 << 20;
/// The largest block, encoded: one that does not compress has literals' lengths on top.
const MAX_ENCODED: usize = MAX_BLOCK + MAX_BLOCK / 6 + 32;
/// What is written as one block.
const WRITE_BLOCK: usize = 1 << 20;

const MAGIC: &[u8; 10] = b"\xff\x06\x00\x00S2sTwO";
const SNAPPY_MAGIC: &[u8; 10] = b"\xff\x06\x00\x00sNaPpY";

const COMPRESSED: u8 = 0x00;
const UNCOMPRESSED: u8 = 0x01;
/// Frames with kinds from here on may be skipped.
const SKIPPABLE: u8 = 0x80;
const STREAM_ID: u8 = 0xff;
const CHECKSUM: usize = 4;

/// Why a stream can not be read. The texts are those of nats-server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum S2Error {
    /// The bytes are no S2 stream, or damaged.
    #[error("s2: corrupt input")]
    Corrupt,
    /// A frame of an unknown kind, or a block that is too large.
    #[error("s2: unsupported input")]
    Unsupported,
    /// A block is not what was written.
    #[error("s2: corrupt input, crc mismatch")]
    Checksum,
}

impl From<S2Error> for io::Error {
    fn from(error: S2Error) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Reads what an S2 (or Snappy) stream holds. Needs at most two blocks of memory.
#[derive(Debug)]
pub struct S2Reader<R> {
    inner: R,
    block: Vec<u8>,
    at: usize,
    encoded: Vec<u8>,
    began: bool,
}

impl<R: Read> S2Reader<R> {
    /// Reads the stream that `inner` holds from here on.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            block: Vec::new(),
            at: 0,
            encoded: Vec::new(),
            began: false,
        }
    }

    /// Reads to the end of the stream, for nothing.
    ///
    /// # Errors
    /// When reading fails, or what is left is damaged.
    pub fn drain(&mut self) -> io::Result<()> {
        loop {
            let len = self.fill_buf()?.len();
            if len == 0 {
                return Ok(());
            }
            self.consume(len);
        }
    }

    /// Reads the next block that is not empty; leaves none at the end of the stream.
    fn next_block(&mut self) -> io::Result<()> {
        self.block.clear();
        self.at = 0;
        while self.block.is_empty() {
            let mut head = [0; 4];
            if !read_whole(&mut self.inner, &mut head)? {
                return Ok(());
            }
            let [kind, len @ ..] = head;
            let len = u32::from_le_bytes([len[0], len[1], len[2], 0]) as usize;
            if !self.began && kind != STREAM_ID {
                return Err(S2Error::Corrupt.into());
            }
            match kind {
                COMPRESSED => self.compressed(len)?,
                UNCOMPRESSED => self.uncompressed(len)?,
                STREAM_ID => self.stream_id(head, len)?,
                SKIPPABLE.. => self.skip(len)?,
                _ => return Err(S2Error::Unsupported.into()),
            }
        }
        Ok(())
    }

    fn stream_id(&mut self, head: [u8; 4], len: usize) -> io::Result<()> {
        let mut id = *MAGIC;
        id[..4].copy_from_slice(&head);
        if len != id.len() - 4 {
            return Err(S2Error::Corrupt.into());
        }
        fill(&mut self.inner, &mut id[4..])?;
        if id != *MAGIC && id != *SNAPPY_MAGIC {
            return Err(S2Error::Corrupt.into());
        }
        self.began = true;
        Ok(())
    }

    fn compressed(&mut self, len: usize) -> io::Result<()> {
        let (checksum, len) = self.checksum(len)?;
        if len > MAX_ENCODED {
            return Err(S2Error::Unsupported.into());
        }
        self.encoded.resize(len, 0);
        fill(&mut self.inner, &mut self.encoded)?;
        let (decoded, _) = minlz::s2::decode_len(&self.encoded).map_err(|_| S2Error::Corrupt)?;
        if decoded > MAX_BLOCK {
            return Err(S2Error::Unsupported.into());
        }
        self.block.resize(decoded, 0);
        minlz::s2::decode_into(&mut self.block, &self.encoded).map_err(|_| S2Error::Corrupt)?;
        self.check(checksum)
    }

    fn uncompressed(&mut self, len: usize) -> io::Result<()> {
        let (checksum, len) = self.checksum(len)?;
        if len > MAX_BLOCK {
            return Err(S2Error::Unsupported.into());
        }
        self.block.resize(len, 0);
        fill(&mut self.inner, &mut self.block)?;
        self.check(checksum)
    }

    /// The checksum at the front of a frame of `len` bytes, and how many follow.
    fn checksum(&mut self, len: usize) -> io::Result<(u32, usize)> {
        let Some(rest) = len.checked_sub(CHECKSUM) else {
            return Err(S2Error::Corrupt.into());
        };
        let mut bytes = [0; CHECKSUM];
        fill(&mut self.inner, &mut bytes)?;
        Ok((u32::from_le_bytes(bytes), rest))
    }

    fn check(&self, checksum: u32) -> io::Result<()> {
        if masked_checksum(&self.block) == checksum {
            Ok(())
        } else {
            Err(S2Error::Checksum.into())
        }
    }

    fn skip(&mut self, len: usize) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.inner).take(len as u64), &mut io::sink())?;
        if skipped < len as u64 {
            return Err(S2Error::Corrupt.into());
        }
        Ok(())
    }
}

impl<R: Read> BufRead for S2Reader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.block.len() {
            self.next_block()?;
        }
        Ok(&self.block[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = (self.at + amount).min(self.block.len());
    }
}

impl<R: Read> Read for S2Reader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let from = self.fill_buf()?;
        let len = from.len().min(into.len());
        into[..len].copy_from_slice(&from[..len]);
        self.consume(len);
        Ok(len)
    }
}

/// Writes an S2 stream. Nothing counts before [`S2Writer::finish`].
#[derive(Debug)]
pub struct S2Writer<W> {
    inner: W,
    block: Vec<u8>,
    began: bool,
}

impl<W: Write> S2Writer<W> {
    /// Begins a stream.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            block: Vec::new(),
            began: false,
        }
    }

    /// Writes what is left and gives back what it wrote to.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_block()?;
        Ok(self.inner)
    }

    fn write_block(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.began, true) {
            self.inner.write_all(MAGIC)?;
        }
        if self.block.is_empty() {
            return Ok(());
        }
        let checksum = masked_checksum(&self.block);
        let encoded = minlz::s2::encode(&self.block);
        let (kind, body) = if encoded.len() < self.block.len() - self.block.len() / 32 {
            (COMPRESSED, &encoded)
        } else {
            (UNCOMPRESSED, &self.block)
        };
        let len = u32::try_from(body.len() + CHECKSUM).expect("a block is far below 4 GiB");
        let [a, b, c, _] = len.to_le_bytes();
        self.inner.write_all(&[kind, a, b, c])?;
        self.inner.write_all(&checksum.to_le_bytes())?;
        self.inner.write_all(body)?;
        self.block.clear();
        Ok(())
    }
}

impl<W: Write> Write for S2Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = WRITE_BLOCK - self.block.len();
        let taken = bytes.len().min(room);
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == WRITE_BLOCK {
            self.write_block()?;
        }
        Ok(taken)
    }

    /// Ends the block, so that everything written so far can be read.
    fn flush(&mut self) -> io::Result<()> {
        self.write_block()?;
        self.inner.flush()
    }
}

/// Fills `into`; false if there was nothing at all.
fn read_whole(from: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < into.len() {
        match from.read(&mut into[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(S2Error::Corrupt.into()),
            Ok(len) => filled += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Fills `into`; a stream must not end here.
fn fill(from: &mut impl Read, into: &mut [u8]) -> io::Result<()> {
    if into.is_empty() || read_whole(from, into)? {
        Ok(())
    } else {
        Err(S2Error::Corrupt.into())
    }
}

/// CRC-32C, rotated and shifted so that checksums of checksums are no special case.
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(parts: &[&[u8]]) -> Vec<u8> {
        let mut writer = S2Writer::new(Vec::new());
        for part in parts {
            writer.write_all(part).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        S2Reader::new(bytes).read_to_end(&mut out)?;
        Ok(out)
    }

    fn check_error(bytes: &[u8], want: &str) {
        assert_eq!(read(bytes).unwrap_err().to_string(), want);
    }

    #[test]
    fn what_is_written_is_read() {
        let large = vec![b'x'; 3 * WRITE_BLOCK + 17];
        let bytes = written(&[b"abc", &large, b"def"]);
        assert!(bytes.len() < large.len() / 10, "{}", bytes.len());
        assert_eq!(read(&bytes).unwrap(), [b"abc", &large[..], b"def"].concat());
        assert_eq!(read(&written(&[])).unwrap(), b"");
    }

    #[test]
    fn padding_and_unknown_skippable_frames_are_passed_over() {
        let mut bytes = written(&[b"abc"]);
        for kind in [0xfe, 0x99, 0x80] {
            bytes.extend_from_slice(&[kind, 2, 0, 0, 1, 2]);
        }
        // Many in a row must not recurse.
        for _ in 0..100_000 {
            bytes.extend_from_slice(&[0xfe, 0, 0, 0]);
        }
        bytes.extend_from_slice(&written(&[b"def"]));
        assert_eq!(read(&bytes).unwrap(), b"abcdef");
    }

    #[test]
    fn damage_is_found() {
        check_error(b"hello world", "s2: corrupt input");
        check_error(b"\xff\x06\x00\x00S2sTwo", "s2: corrupt input");
        check_error(b"\xff\x06", "s2: corrupt input");
        let mut bytes = written(&[b"some bytes that are too short to be compressed"]);
        check_error(
            &[&bytes[..], &[0x02, 0, 0, 0]].concat(),
            "s2: unsupported input",
        );
        let cut = bytes.len() - 1;
        check_error(&bytes[..cut], "s2: corrupt input");
        bytes[cut] ^= 1;
        check_error(&bytes, "s2: corrupt input, crc mismatch");
    }

    #[test]
    fn no_frame_asks_for_more_than_a_block() {
        // A block that says it is 4 GiB decoded.
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[0, 10, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
        check_error(&bytes, "s2: unsupported input");
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[1, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        check_error(&bytes, "s2: unsupported input");
    }

    proptest! {
        #[test]
        fn any_bytes_are_written_and_read(parts in proptest::collection::vec(proptest::collection::vec(0_u8..4, 0..2000), 0..8)) {
            let mut writer = S2Writer::new(Vec::new());
            for part in &parts {
                writer.write_all(part).unwrap();
                writer.flush().unwrap();
            }
            let bytes = writer.finish().unwrap();
            prop_assert_eq!(read(&bytes).unwrap(), parts.concat());
        }

        #[test]
        fn no_bytes_make_it_panic(frames in proptest::collection::vec((0_u8..3, proptest::collection::vec(any::<u8>(), 0..64)), 0..4)) {
            let mut bytes = MAGIC.to_vec();
            for (kind, body) in &frames {
                bytes.extend_from_slice(&[*kind, body.len() as u8, 0, 0]);
                bytes.extend_from_slice(body);
            }
            let _ = read(&bytes);
            for (_, body) in &frames {
                let _ = minlz::s2::decode_into(&mut [0; 4096], body);
            }
        }
    }
}
