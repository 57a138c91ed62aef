//! How a connection ends.

use std::future::poll_fn;
use std::time::Duration;

use jetsled_protocol::websocket::CloseFrame;

use super::connection::Connection;
use super::outbound::Resumed;
use super::reader::Received;
use super::session::Session;
use super::{CloseReason, Transport, read_buffer};

/// After a fatal `-ERR` the peer's bytes are still read for a moment: closing a socket with unread bytes would reset
/// the connection and take the text away from the peer.
const LINGER: Duration = Duration::from_millis(100);

/// A peer gets so long to take what is queued when the server stops.
const SHUTDOWN_FLUSH: Duration = Duration::from_millis(500);

/// When to look again whether somebody else who writes for the connection is done: a write does not block.
const WRITING: Duration = Duration::from_millis(1);

/// A task that ends early (the runtime stops, a bug panics) leaves no trace in what others hold.
impl Drop for Session {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Session {
    fn unsubscribe_all(&mut self) {
        self.ended_subscriptions.note(&self.client);
        self.client.unsubscribe_all();
    }

    /// Leaves everything that the connection took part in.
    fn leave(&mut self) {
        if std::mem::replace(&mut self.has_left, true) {
            return;
        }
        let reason = self
            .client
            .close_reason()
            .unwrap_or(CloseReason::ServerShutdown);
        self.unsubscribe_all();
        self.routes.release();
        let ended = std::mem::take(&mut self.ended_subscriptions);
        self.server.forget(&self.client, reason, ended);
        self.client.outbound.close();
        tracing::debug!(
            "{} - Client connection closed: {}",
            self.client.log_name(),
            reason.text()
        );
    }
}

impl Connection {
    /// Why nothing more comes.
    pub(super) fn end_of_input(&self) -> CloseReason {
        match self.reader.farewell().map(|farewell| &farewell.violation) {
            Some(Some(violation)) => {
                tracing::error!(
                    "{} - read error: {violation}",
                    self.session.client.log_name()
                );
                CloseReason::ReadError
            }
            _ => CloseReason::ClientClosed,
        }
    }

    /// Lets the peer have what is due to it, and closes the socket.
    pub(super) async fn finish(mut self: Box<Self>, reason: CloseReason) {
        self.session.client.close(reason);
        let reason = self.session.client.close_reason().unwrap_or(reason);
        // Nothing of it is looked at any more, and the peer may take its time.
        self.session.buffer.clear();
        read_buffer::park(&mut self.session.buffer);
        self.session.unsubscribe_all();
        let limit = match reason {
            CloseReason::ServerShutdown => SHUTDOWN_FLUSH,
            _ => self.session.server.options().write_deadline,
        };
        let farewell = self
            .reader
            .farewell()
            .map(|farewell| farewell.frame.clone());
        let is_told = farewell.is_some();
        if reason.flushes() || is_told {
            // What the peer does not take within the deadline is lost with the connection.
            tokio::time::timeout(limit, self.say_all(farewell, reason))
                .await
                .ok();
        }
        self.session.leave();
        if reason.lingers() || (is_told && reason == CloseReason::ReadError) {
            tokio::time::timeout(LINGER, self.discard_input())
                .await
                .ok();
        }
    }

    /// Writes what is queued, and over WebSocket the frame that says why nothing follows.
    async fn say_all(&mut self, farewell: Option<CloseFrame>, reason: CloseReason) {
        self.drain().await;
        if self.session.client.transport() == Transport::Websocket {
            let frame = farewell
                .unwrap_or_else(|| CloseFrame::new(reason.websocket_status(), reason.text()));
            self.session.client.outbound.send_goodbye(frame.as_bytes());
            self.drain().await;
        }
    }

    async fn drain(&mut self) {
        loop {
            match self.session.client.outbound.resume() {
                Resumed::Drained | Resumed::Failed => return,
                Resumed::Busy => tokio::time::sleep(WRITING).await,
                Resumed::Blocked => {
                    if self.reader.socket().writable().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn discard_input(&mut self) {
        self.reader.forget_frames();
        loop {
            let read = poll_fn(|cx| {
                let buffer = &mut self.session.buffer;
                buffer.clear();
                read_buffer::prepare(buffer, 1);
                let read = self.reader.poll_read(cx, buffer);
                if read.is_pending() {
                    read_buffer::park(buffer);
                }
                read
            });
            if !matches!(read.await, Ok(Received::Bytes)) {
                return;
            }
        }
    }
}
