//! Just enough of WebSocket for a peer that wants no more than to be one.

/// The request that asks for it, with these header lines too.
pub(super) fn request(headers: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// One masked binary message; a mask of zeros is as good as any here.
pub(super) fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ ..126), _) => frame.push(0x80 | len),
        (_, Ok(len)) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Takes payloads out of frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The start of a frame whose rest has not come.
    partial: Vec<u8>,
}

impl Frames {
    /// Appends to `data` what the frames that are complete now carry. Control frames are dropped: behind a close frame the
    /// connection ends anyway.
    pub(super) fn take(&mut self, bytes: &[u8], data: &mut Vec<u8>) {
        self.partial.extend_from_slice(bytes);
        let mut rest = self.partial.as_slice();
        while let Some((opcode, payload, behind)) = split(rest) {
            if opcode <= 2 {
                data.extend_from_slice(payload);
            }
            rest = behind;
        }
        let taken = self.partial.len() - rest.len();
        self.partial.drain(..taken);
    }
}

/// The frame in front: its kind, its payload and what follows. `None` if it is not complete.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (first, bytes) = bytes.split_first()?;
    let (second, bytes) = bytes.split_first()?;
    let (len, bytes) = match second {
        126 => {
            let (len, bytes) = bytes.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*len)), bytes)
        }
        127 => {
            let (len, bytes) = bytes.split_first_chunk()?;
            (u64::from_be_bytes(*len), bytes)
        }
        len => (u64::from(*len), bytes),
    };
    let (payload, behind) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    Some((first & 0x0f, payload, behind))
}
