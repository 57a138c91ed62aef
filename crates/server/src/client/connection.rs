//! A connection's own task: reads its socket for its session, and waits for what else may come.

use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use super::reader::{Reader, Received};
use super::session::Session;
use super::timers::Due;
use super::{CloseReason, read_buffer};

/// Reads at most that are gathered into one flush.
const READS_A_FLUSH: usize = 8;

/// A stalled producer pauses at most so long for each [`STALL_BYTES`] of a read, begun or whole.
const STALL_LIMIT: Duration = Duration::from_millis(10);

/// What nats-server, whose pause this is, reads at most at a time.
const STALL_BYTES: usize = 64 * 1024;

/// A producer waits at most so long for its only consumer to catch up.
const CATCH_UP_LIMIT: Duration = Duration::from_millis(1);

/// A session and the socket that it reads from.
pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) reader: Reader,
}

enum Event {
    Read(io::Result<Received>),
    Writable,
    Due(Due),
    Signals(u8),
}

impl Connection {
    /// Serves the connection until it ends.
    pub(super) async fn run(mut self: Box<Self>) {
        let mut sleep = Box::pin(tokio::time::sleep_until(self.session.timers.next().0));
        let reason = loop {
            let (at, due) = self.session.timers.next();
            if sleep.deadline() != at {
                sleep.as_mut().reset(at);
            }
            let event = poll_fn(|cx| self.poll_event(cx, sleep.as_mut(), due)).await;
            let session = &mut self.session;
            let handled = match event {
                Event::Read(read) => self.on_read(read).await,
                Event::Writable => session.on_writable(),
                Event::Due(due) => session.on_due(due),
                Event::Signals(signals) => session.on_signals(signals).await,
            };
            if let ControlFlow::Break(reason) = handled {
                break reason;
            }
        };
        Box::pin(self.finish(reason)).await;
    }

    fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
        sleep: std::pin::Pin<&mut Sleep>,
        due: Due,
    ) -> Poll<Event> {
        let Self { session, reader } = self;
        if session.client.signals.load(Acquire) != 0 {
            return Poll::Ready(Event::Signals(session.client.signals.swap(0, AcqRel)));
        }
        if session.blocked_until.is_some() && reader.socket().poll_write_ready(cx).is_ready() {
            return Poll::Ready(Event::Writable);
        }
        match reader.poll_ready(cx) {
            Poll::Ready(Ok(())) => {
                if let Poll::Ready(read) = self.poll_read(cx) {
                    return Poll::Ready(Event::Read(read));
                }
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Event::Read(Err(error))),
            Poll::Pending => {}
        }
        if sleep.poll(cx).is_ready() {
            return Poll::Ready(Event::Due(due));
        }
        self.session.park();
        let Self { session, reader } = self;
        session
            .client
            .attention
            .wait(reader.socket(), &mut session.habit);
        session.unheard.rest();
        Poll::Pending
    }

    /// Reads what is there behind what is unfinished.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Received>> {
        let Self { session, reader } = self;
        read_buffer::prepare(&mut session.buffer, session.needed);
        let read = reader.poll_read(cx, &mut session.buffer);
        session.buffer_was_full = session.buffer.len() == session.buffer.capacity();
        read
    }

    /// Acts on what was read, and on what has come meanwhile where that makes fuller writes; then lets go of what it produced.
    async fn on_read(&mut self, mut read: io::Result<Received>) -> ControlFlow<CloseReason> {
        let mut bytes = 0;
        for reads in 1.. {
            match read {
                Ok(Received::Bytes) => {}
                Ok(Received::End) => {
                    self.session.end_batch();
                    return ControlFlow::Break(self.end_of_input());
                }
                Err(error) => {
                    self.session.end_batch();
                    tracing::debug!("{} - read error: {error}", self.session.client.log_name());
                    return ControlFlow::Break(CloseReason::ReadError);
                }
            }
            if let Some(pongs) = self.reader.take_pongs() {
                let client = &self.session.client;
                client.after_send(client.outbound.send_control(&pongs));
            }
            let session = &mut self.session;
            bytes += session.buffer.len();
            if session.buffer.len() >= session.needed {
                session.act().await?;
            } else if reads == 1 {
                return ControlFlow::Continue(());
            }
            if reads == READS_A_FLUSH || !session.buffer_was_full || !session.flush.get().is_thin()
            {
                break;
            }
            match poll_fn(|cx| Poll::Ready(self.poll_read(cx))).await {
                Poll::Ready(more) => read = more,
                Poll::Pending => break,
            }
        }
        self.session.end_batch();
        self.wait_for_slow(bytes).await;
        ControlFlow::Continue(())
    }

    /// Pauses for those who do not keep up with what was made of `bytes`. Either way the producer goes on.
    async fn wait_for_slow(&mut self, bytes: usize) {
        let session = &mut self.session;
        let backlog = session.flush.get().disk_backlog.take();
        let behind = session.flush.get().take_behind();
        let stalled = session.flush.get().take_stalled();
        if backlog.is_none() && behind.is_none() && stalled.is_none() {
            return;
        }
        session.park();
        // Boxed, as the others: rare, and it should not weigh on the connection's whole life.
        if let Some(backlog) = backlog {
            Box::pin(backlog.eased()).await;
        }
        if let Some(slow) = behind {
            let wait = tokio::time::timeout(CATCH_UP_LIMIT, slow.outbound.caught_up());
            Box::pin(wait).await.ok();
        }
        if let Some(slow) = stalled {
            session.client.counters.stalls.fetch_add(1, Relaxed);
            session
                .server
                .counters
                .stalled_clients
                .fetch_add(1, Relaxed);
            let parts = bytes.div_ceil(STALL_BYTES).max(1);
            let limit = STALL_LIMIT * u32::try_from(parts).unwrap_or(u32::MAX);
            let wait = tokio::time::timeout(limit, slow.outbound.unstalled());
            Box::pin(wait).await.ok();
        }
    }
}
