//! The writing end of a connection's socket: whoever holds it may write.

use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::ServerConnection;
use tokio::net::tcp::OwnedWriteHalf;

use super::output::Output;
use crate::websocket::FrameWriter;

/// Pieces handed to one vectored write at most.
const SLICES: usize = 64;

/// Writes without blocking, from any thread.
#[derive(Debug)]
pub(crate) struct Writer {
    tcp: OwnedWriteHalf,
    tls: Option<Arc<Mutex<ServerConnection>>>,
    /// Over WebSocket: what is written goes out in frames.
    frames: Option<Box<FrameWriter>>,
}

impl Writer {
    pub(crate) fn new(
        tcp: OwnedWriteHalf,
        tls: Option<Arc<Mutex<ServerConnection>>>,
        frames: Option<Box<FrameWriter>>,
    ) -> Self {
        Self { tcp, tls, frames }
    }

    /// Writes what the socket takes. Returns whether that was everything. What is left over stays in `output`, or, once it
    /// is framed, [`waiting`](Writer::waiting) here.
    pub(crate) fn write(&mut self, output: &mut Output) -> io::Result<bool> {
        let Some(frames) = &mut self.frames else {
            return write_bytes(&self.tcp, self.tls.as_deref(), output);
        };
        loop {
            let framed = frames.framed();
            if !write_bytes(&self.tcp, self.tls.as_deref(), framed)? {
                framed.settle();
                return Ok(false);
            }
            if output.is_empty() {
                return Ok(true);
            }
            frames.frame(output)?;
        }
    }

    /// Bytes that were taken and framed, but not written.
    pub(crate) fn waiting(&self) -> usize {
        self.frames.as_ref().map_or(0, |frames| frames.waiting())
    }

    /// Puts a control frame between the others. Only over WebSocket.
    pub(crate) fn add_control(&mut self, frame: &[u8]) {
        if let Some(frames) = &mut self.frames {
            frames.add_control(frame);
        }
    }

    /// Tells a TLS peer that nothing more comes.
    pub(crate) fn say_goodbye(&mut self) {
        if let Some(session) = &self.tls {
            let mut session = session.lock();
            session.send_close_notify();
            // The peer may be gone already; there is nobody left to tell.
            session.write_tls(&mut TrySocket(&self.tcp)).ok();
        }
    }
}

fn write_bytes(
    tcp: &OwnedWriteHalf,
    tls: Option<&Mutex<ServerConnection>>,
    output: &mut Output,
) -> io::Result<bool> {
    match tls {
        None => write_plain(tcp, output),
        Some(session) => write_encrypted(tcp, &mut session.lock(), output),
    }
}

fn write_plain(tcp: &OwnedWriteHalf, output: &mut Output) -> io::Result<bool> {
    while !output.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = output.io_slices(&mut slices);
        match tcp.try_write_vectored(slices.get(..count).unwrap_or_default()) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => output.consume(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// The session buffers a bounded amount of ciphertext; what it has taken counts as written.
fn write_encrypted(
    tcp: &OwnedWriteHalf,
    session: &mut ServerConnection,
    output: &mut Output,
) -> io::Result<bool> {
    loop {
        while session.wants_write() {
            match session.write_tls(&mut TrySocket(tcp)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        if output.is_empty() {
            return Ok(true);
        }
        let taken = session.writer().write(output.front())?;
        output.consume(taken);
    }
}

struct TrySocket<'a>(&'a OwnedWriteHalf);

impl Write for TrySocket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
