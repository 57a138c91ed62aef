//! A connection's outbound queue: filled and flushed by whoever has something for it.
//!
//! ```text
//!            send: append, write at once            socket full
//!   Free ---------------------------------> Busy ----------------> Blocked
//!     ^   (the writer is taken out)          |                        |
//!     +--------------- drained --------------+                        |
//!     +---------- resume, by the connection's own task ---------------+
//! ```
//!
//! The writer is taken out of the state while somebody writes, so the lock is never held over a
//! system call and a second sender appends and leaves.

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::output::Output;
use super::writer::Writer;

/// Times that a sender writes what others have appended meanwhile before it leaves the rest to the
/// connection's own task.
const ROUNDS: usize = 4;

/// From here on a queue has left the processor's caches, and growing it further makes everything slower.
const BEHIND_BYTES: usize = 1 << 20;

/// Frames of the transport itself that wait, in bytes.
const CONTROL_BYTES: usize = 4096;

/// Bytes waiting for one connection, and the way out.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// Private to this file, held for a few appends.
    state: Mutex<State>,
    max_pending: usize,
    /// Wakes producers that were stalled because of this queue.
    drained: Notify,
}

#[derive(Debug)]
struct State {
    queued: Output,
    /// Bytes in the hands of whoever has taken the writer.
    in_flight: usize,
    writer: Option<Writer>,
    /// Somebody has taken the writer, and brings it back.
    is_writing: bool,
    /// The socket is full; the connection's own task waits for it.
    blocked: bool,
    /// Nothing is accepted any more.
    closed: bool,
    /// Nothing but the transport's own goodbye is accepted any more.
    ending: bool,
    /// Frames of the transport itself, which go before what is queued.
    control: Vec<u8>,
    /// Producers wait for `drained`, to be signalled when less than this waits; 0: nobody does.
    wanted_below: usize,
    /// Bytes ever accepted and ever written, for the write deadline.
    accepted_total: u64,
    messages: u64,
    message_bytes: u64,
}

/// What became of the bytes given to [`Outbound::send`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Written, or somebody writes them now.
    Done,
    /// The socket is full; the connection's own task must be told to wait for it.
    HandedOver,
    /// The socket does not keep up: who has nobody else to serve gives it a moment.
    Behind,
    /// More waits than three quarters of `max_pending`: the sender should pause.
    Stalled,
    /// More waits than `max_pending`, here in bytes: the connection must be closed as a slow consumer.
    TooMuch,
    /// The socket failed: the connection must be closed.
    Failed,
    /// The connection was closed before.
    Closed,
}

/// What the connection's own task has left to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resumed {
    /// Nothing.
    Drained,
    /// Somebody else writes.
    Busy,
    /// The socket is full again.
    Blocked,
    /// The socket failed.
    Failed,
}

/// How much is counted with an output.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// MSG and HMSG lines.
    pub(crate) messages: u64,
    /// Bytes of their headers and payloads.
    pub(crate) bytes: u64,
}

impl Outbound {
    /// Without a writer everything waits for [`Outbound::take`].
    pub(crate) fn new(writer: Option<Writer>, max_pending: usize) -> Self {
        Self {
            state: Mutex::new(State {
                queued: Output::default(),
                in_flight: 0,
                writer,
                is_writing: false,
                blocked: false,
                closed: false,
                ending: false,
                control: Vec::new(),
                wanted_below: 0,
                accepted_total: 0,
                messages: 0,
                message_bytes: 0,
            }),
            max_pending,
            drained: Notify::new(),
        }
    }

    /// Appends `output`, leaving it empty, and writes as much as the socket takes.
    pub(crate) fn send(&self, output: &mut Output, counted: Counted) -> Sent {
        let mut state = self.state.lock();
        if state.closed || (state.ending && !output.is_empty()) {
            output.clear();
            return Sent::Closed;
        }
        if state.blocked {
            output.settle();
        }
        state.accepted_total += output.len() as u64;
        state.messages += counted.messages;
        state.message_bytes += counted.bytes;
        state.queued.append(output);
        if state.pending() > self.max_pending {
            state.close();
            return Sent::TooMuch;
        }
        if state.blocked {
            return self.backlog(&state);
        }
        let Some(mut writer) = state.writer.take() else {
            return self.backlog(&state);
        };
        state.is_writing = true;
        let mut batch = std::mem::take(&mut state.queued);
        for _ in 0..ROUNDS {
            state.hand_control_to(&mut writer);
            state.in_flight = batch.len() + writer.waiting();
            drop(state);
            let written = writer.write(&mut batch);
            state = self.state.lock();
            state.in_flight = 0;
            if state.closed {
                return Sent::Closed;
            }
            match written {
                Ok(true) if state.queued.is_empty() && state.control.is_empty() => {
                    state.bring_back(writer);
                    self.tell_drained(&mut state);
                    return Sent::Done;
                }
                Ok(true) => std::mem::swap(&mut batch, &mut state.queued),
                Ok(false) => break,
                Err(_) => {
                    state.close();
                    return Sent::Failed;
                }
            }
        }
        batch.settle();
        let mut appended = std::mem::replace(&mut state.queued, batch);
        appended.settle();
        state.queued.append(&mut appended);
        state.bring_back(writer);
        state.blocked = true;
        Sent::HandedOver
    }

    /// Appends staged bytes without writing: what is staged elsewhere from now on comes after them. A
    /// [`send`](Outbound::send) must follow soon, empty or not.
    pub(crate) fn queue(&self, output: &mut Output, counted: Counted) {
        let mut state = self.state.lock();
        if state.closed || state.ending {
            output.clear();
            return;
        }
        if state.blocked {
            output.settle();
        }
        state.accepted_total += output.len() as u64;
        state.messages += counted.messages;
        state.message_bytes += counted.bytes;
        state.queued.append(output);
    }

    /// Sends a frame of the transport itself, before what is queued.
    pub(crate) fn send_control(&self, frame: &[u8]) -> Sent {
        {
            let mut state = self.state.lock();
            if state.closed {
                return Sent::Closed;
            }
            if state.control.len() > CONTROL_BYTES {
                // Pongs that the peer does not take; the last one is enough.
                state.control.clear();
            }
            state.accepted_total += frame.len() as u64;
            state.control.extend_from_slice(frame);
        }
        self.send(&mut Output::default(), Counted::default())
    }

    /// Sends the transport's goodbye behind all that was queued, and accepts nothing more.
    pub(crate) fn send_goodbye(&self, frame: &[u8]) -> Sent {
        self.state.lock().ending = true;
        self.send_control(frame)
    }

    /// Goes on writing after the socket was full. Only for the connection's own task.
    pub(crate) fn resume(&self) -> Resumed {
        let mut state = self.state.lock();
        let Some(mut writer) = state.writer.take() else {
            return if state.is_writing {
                Resumed::Busy
            } else {
                Resumed::Drained
            };
        };
        state.is_writing = true;
        let mut batch = std::mem::take(&mut state.queued);
        state.hand_control_to(&mut writer);
        state.in_flight = batch.len() + writer.waiting();
        drop(state);
        let written = writer.write(&mut batch);
        let mut state = self.state.lock();
        state.in_flight = 0;
        if state.closed {
            return Resumed::Drained;
        }
        batch.append(&mut state.queued);
        state.queued = batch;
        state.bring_back(writer);
        self.tell_drained(&mut state);
        match written {
            Ok(true) if state.queued.is_empty() && state.control.is_empty() => {
                state.blocked = false;
                Resumed::Drained
            }
            Ok(_) => Resumed::Blocked,
            Err(_) => {
                state.close();
                Resumed::Failed
            }
        }
    }

    /// Moves at most `max` bytes of what waits into `out`. For who stands in for a writer.
    pub(crate) fn take(&self, max: usize, out: &mut Vec<u8>) {
        let mut state = self.state.lock();
        let before = out.len();
        while out.len() - before < max && !state.queued.is_empty() {
            let front = state.queued.front();
            let taken = front.len().min(max - (out.len() - before));
            out.extend_from_slice(front.get(..taken).unwrap_or_default());
            state.queued.consume(taken);
        }
        self.tell_drained(&mut state);
    }

    /// Waits until less than three quarters of `max_pending` wait, or the connection is closed.
    pub(crate) async fn unstalled(&self) {
        self.drained_below(self.max_pending / 4 * 3).await;
    }

    /// Waits until the socket has caught up, or the connection is closed.
    pub(crate) async fn caught_up(&self) {
        self.drained_below(BEHIND_BYTES / 2).await;
    }

    async fn drained_below(&self, limit: usize) {
        let drained = self.drained.notified();
        {
            let mut state = self.state.lock();
            if state.closed || state.pending() < limit {
                return;
            }
            state.wanted_below = state.wanted_below.max(limit);
        }
        drained.await;
    }

    /// Wakes producers that wait for less to be pending.
    fn tell_drained(&self, state: &mut State) {
        if state.pending() < state.wanted_below {
            state.wanted_below = 0;
            self.drained.notify_waiters();
        }
    }

    /// Bytes not yet written to the socket.
    pub(crate) fn pending(&self) -> usize {
        self.state.lock().pending()
    }

    /// Whether more than three quarters of `max_pending` wait.
    pub(crate) fn is_long(&self) -> bool {
        self.is_stalling(self.pending())
    }

    /// Whether less than half of `max_pending` waits.
    pub(crate) fn has_room(&self, staged: usize) -> bool {
        self.pending() + staged < self.max_pending / 2
    }

    /// Whether so little waits that it is read from the processor's caches again.
    pub(crate) fn keeps_up(&self, staged: usize) -> bool {
        self.pending() + staged < (self.max_pending / 2).min(2 * BEHIND_BYTES)
    }

    /// Positions in the stream of bytes: accepted so far, and written so far.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let state = self.state.lock();
        (
            state.accepted_total,
            // Framed bytes are counted by their frames' size.
            state.accepted_total.saturating_sub(state.pending() as u64),
        )
    }

    /// Messages and their bytes accepted so far.
    pub(crate) fn counted(&self) -> Counted {
        let state = self.state.lock();
        Counted {
            messages: state.messages,
            bytes: state.message_bytes,
        }
    }

    /// Accepts nothing more and drops what waits. The socket is shut down for writing, at once or as soon as
    /// the one who writes now is done.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        if let Some(writer) = state.writer.as_mut() {
            writer.say_goodbye();
        }
        state.close();
        state.writer = None;
        drop(state);
        self.drained.notify_waiters();
    }

    fn backlog(&self, state: &State) -> Sent {
        match state.pending() {
            pending if self.is_stalling(pending) => Sent::Stalled,
            BEHIND_BYTES.. => Sent::Behind,
            _ => Sent::Done,
        }
    }

    fn is_stalling(&self, pending: usize) -> bool {
        pending > self.max_pending / 4 * 3
    }
}

impl State {
    fn pending(&self) -> usize {
        let framed = self.writer.as_ref().map_or(0, Writer::waiting);
        self.queued.len() + self.control.len() + self.in_flight + framed
    }

    fn hand_control_to(&mut self, writer: &mut Writer) {
        if !self.control.is_empty() {
            writer.add_control(&std::mem::take(&mut self.control));
        }
    }

    fn bring_back(&mut self, writer: Writer) {
        self.writer = Some(writer);
        self.is_writing = false;
    }

    fn close(&mut self) {
        self.closed = true;
        self.is_writing = false;
        self.queued.clear();
        self.control = Vec::new();
        self.writer = None;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;

    async fn outbound_and_peer() -> (Outbound, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap());
        let peer = peer.await.unwrap();
        let (_reader, writer) = listener.accept().await.unwrap().0.into_split();
        let writer = Writer::new(writer, None, None);
        (Outbound::new(Some(writer), 1 << 20), peer)
    }

    #[tokio::test]
    async fn what_somebody_else_writes_is_not_taken_for_written() {
        let (outbound, _peer) = outbound_and_peer().await;
        let writer = {
            let mut state = outbound.state.lock();
            state.is_writing = true;
            state.writer.take().unwrap()
        };
        assert_eq!(outbound.resume(), Resumed::Busy);
        outbound.state.lock().bring_back(writer);
        assert_eq!(outbound.resume(), Resumed::Drained);
        assert_eq!(outbound.resume(), Resumed::Drained);
        assert_eq!(Outbound::new(None, 1).resume(), Resumed::Drained);
    }

    #[tokio::test]
    async fn who_writes_all_wakes_those_who_wait_for_that() {
        let (outbound, _peer) = outbound_and_peer().await;
        let writer = {
            let mut state = outbound.state.lock();
            state.in_flight = 1 << 20;
            state.writer.take()
        };
        let mut waits = pin!(outbound.unstalled());
        let moment = Duration::from_millis(1);
        timeout(moment, &mut waits).await.unwrap_err();

        {
            let mut state = outbound.state.lock();
            state.in_flight = 0;
            state.writer = writer;
        }
        let sent = outbound.send(&mut Output::default(), Counted::default());
        assert_eq!(sent, Sent::Done);
        timeout(Duration::from_secs(10), waits).await.unwrap();
    }
}
