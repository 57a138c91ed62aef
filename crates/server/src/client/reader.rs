//! The reading end of a connection's socket.

use std::future::Future;
use std::io::{self, BufRead, Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use parking_lot::Mutex;
use rustls::ServerConnection;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use super::read_buffer::{self, READ_BYTES};
use crate::websocket::{Farewell, FrameReader};

/// Reads into a buffer; only the connection's own task holds it.
#[derive(Debug)]
pub(super) struct Reader {
    tcp: OwnedReadHalf,
    tls: Option<Arc<Mutex<ServerConnection>>>,
    /// The TLS session may hold decrypted bytes from the handshake's last read.
    has_early: bool,
    /// Over WebSocket: what is read comes in frames.
    frames: Option<Box<FrameReader>>,
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// Bytes; none if the transport had only something of its own to say.
    Bytes,
    /// Nothing, and nothing will come.
    End,
}

impl Reader {
    pub(super) fn new(
        tcp: OwnedReadHalf,
        tls: Option<Arc<Mutex<ServerConnection>>>,
        frames: Option<Box<FrameReader>>,
    ) -> Self {
        Self {
            tcp,
            has_early: tls.is_some(),
            tls,
            frames,
        }
    }

    /// Frames that the transport itself has to send, if any.
    pub(super) fn take_pongs(&mut self) -> Option<Vec<u8>> {
        let frames = self.frames.as_mut()?;
        frames.has_pongs().then(|| frames.take_pongs())
    }

    /// From now on bytes are read as they come.
    pub(super) fn forget_frames(&mut self) {
        self.frames = None;
    }

    /// How the other end of a WebSocket has ended it, if it has.
    pub(super) fn farewell(&self) -> Option<&Farewell> {
        self.frames.as_ref()?.farewell()
    }

    pub(super) fn socket(&self) -> &TcpStream {
        self.tcp.as_ref()
    }

    /// Ready when a read would give something (or the end, or an error).
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let has_more = |frames: &FrameReader| frames.has_more();
        if self.has_early || self.frames.as_deref().is_some_and(has_more) {
            return Poll::Ready(Ok(()));
        }
        self.tcp.as_ref().poll_read_ready(cx)
    }

    /// Reads what is there into the free space of `buffer`.
    ///
    /// A read that does not fill the buffer has emptied the socket: the runtime knows that then, and the
    /// next call does not ask the kernel in vain.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<Received>> {
        let Some(mut frames) = self.frames.take() else {
            let read = ready!(self.poll_read_bytes(cx, buffer))?;
            return Poll::Ready(Ok(received(read)));
        };
        let received = self.poll_read_frames(cx, &mut frames, buffer);
        self.frames = Some(frames);
        received
    }

    fn poll_read_frames(
        &mut self,
        cx: &mut Context<'_>,
        frames: &mut FrameReader,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<Received>> {
        loop {
            if frames.farewell().is_some() {
                return Poll::Ready(Ok(Received::End));
            }
            let before = buffer.len();
            frames.read(buffer);
            if buffer.len() > before || frames.has_pongs() {
                return Poll::Ready(Ok(Received::Bytes));
            }
            if frames.has_more() {
                continue;
            }
            read_buffer::prepare(frames.raw(), 1);
            match self.poll_read_bytes(cx, frames.raw()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(Received::End)),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    read_buffer::park(frames.raw());
                    return Poll::Pending;
                }
            }
        }
    }

    /// 0 is the end of the stream.
    fn poll_read_bytes(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        self.has_early = false;
        match &self.tls {
            None => pin!(self.tcp.read_buf(buffer)).poll(cx),
            Some(session) => {
                let session = Arc::clone(session);
                self.poll_read_encrypted(cx, &session, buffer)
            }
        }
    }

    fn poll_read_encrypted(
        &mut self,
        cx: &mut Context<'_>,
        session: &Mutex<ServerConnection>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let mut total = 0;
        loop {
            {
                let mut session = session.lock();
                total += take_plaintext(&mut session, buffer)?;
                if total >= READ_BYTES {
                    return Poll::Ready(Ok(total));
                }
                match session.read_tls(&mut TrySocket(self.tcp.as_ref())) {
                    Ok(0) => return Poll::Ready(Ok(total)),
                    Ok(_) => {
                        if let Err(error) = session.process_new_packets() {
                            // The alert that says why is the last thing the peer gets.
                            return Poll::Ready(Err(io::Error::new(
                                io::ErrorKind::InvalidData,
                                error,
                            )));
                        }
                        // What the protocol itself has to say, a key update for instance. If the socket
                        // is full, it goes out with the next message.
                        while session.wants_write()
                            && session.write_tls(&mut TrySocket(self.tcp.as_ref())).is_ok()
                        {
                        }
                        continue;
                    }
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                        return Poll::Ready(Err(error));
                    }
                    Err(_) if total > 0 => return Poll::Ready(Ok(total)),
                    Err(_) => {}
                }
            }
            ready!(self.tcp.as_ref().poll_read_ready(cx))?;
        }
    }
}

fn received(bytes: usize) -> Received {
    if bytes == 0 {
        Received::End
    } else {
        Received::Bytes
    }
}

/// The peer's orderly goodbye looks like the end of the stream; so does a missing one.
fn take_plaintext(session: &mut ServerConnection, buffer: &mut BytesMut) -> io::Result<usize> {
    let mut total = 0;
    let mut reader = session.reader();
    loop {
        match reader.fill_buf() {
            Ok([]) => return Ok(total),
            Ok(plain) => {
                let taken = plain.len();
                buffer.extend_from_slice(plain);
                reader.consume(taken);
                total += taken;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(total),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(total),
            Err(error) => return Err(error),
        }
    }
}

struct TrySocket<'a>(&'a TcpStream);

impl Read for TrySocket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for TrySocket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
