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

/// A stalled producer pauses at most so long for one read.
const STALL_LIMIT: Duration = Duration::from_millis(10);

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
                Event::Read(Ok(Received::End)) => ControlFlow::Break(self.end_of_input()),
                Event::Read(Ok(Received::Bytes)) => self.on_read().await,
                Event::Read(Err(error)) => {
                    tracing::debug!("{} - read error: {error}", session.client.log_name());
                    ControlFlow::Break(CloseReason::ReadError)
                }
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
                read_buffer::prepare(&mut session.buffer, session.needed);
                if let Poll::Ready(read) = reader.poll_read(cx, &mut session.buffer) {
                    return Poll::Ready(Event::Read(read));
                }
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Event::Read(Err(error))),
            Poll::Pending => {}
        }
        if sleep.poll(cx).is_ready() {
            return Poll::Ready(Event::Due(due));
        }
        read_buffer::park(&mut session.buffer);
        Poll::Pending
    }

    async fn on_read(&mut self) -> ControlFlow<CloseReason> {
        let Self { session, reader } = self;
        if let Some(pongs) = reader.take_pongs() {
            let client = &session.client;
            client.after_send(client.outbound.send_control(&pongs));
        }
        session.process().await?;
        if let Some(slow) = session.flush.take_behind() {
            // Either way the producer goes on.
            tokio::time::timeout(CATCH_UP_LIMIT, slow.outbound.caught_up())
                .await
                .ok();
        }
        if let Some(slow) = session.flush.take_stalled() {
            session.client.counters.stalls.fetch_add(1, Relaxed);
            session
                .server
                .counters
                .stalled_clients
                .fetch_add(1, Relaxed);
            // Either way the producer goes on.
            tokio::time::timeout(STALL_LIMIT, slow.outbound.unstalled())
                .await
                .ok();
        }
        ControlFlow::Continue(())
    }
}
