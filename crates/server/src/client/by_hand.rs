//! A connection without socket and task: whoever has it gives the input and takes the output.

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::AcqRel;
use std::task::{Context, Poll, Waker};

use super::establish::open_by_hand;
use super::{CloseReason, session::Session};
use crate::server::ServerState;

/// A client's session, driven call by call. Dropping it ends the connection.
pub(crate) struct ByHand(Session);

impl ByHand {
    pub(crate) fn open(server: &Arc<ServerState>) -> Self {
        Self(open_by_hand(server, || ()))
    }

    /// As [`ByHand::open`], and something happens before the server has it on its list.
    #[cfg(test)]
    pub(crate) fn open_amidst(server: &Arc<ServerState>, meanwhile: impl FnOnce()) -> Self {
        Self(open_by_hand(server, meanwhile))
    }

    /// A client of this user.
    #[cfg(test)]
    pub(crate) fn logged_in(server: &Arc<ServerState>, user: &str, password: &str) -> Self {
        let mut client = Self::open(server);
        let fields = format!(r#"{{"verbose":false,"user":"{user}","pass":"{password}"}}"#);
        assert!(client.receive(format!("CONNECT {fields}\r\n").as_bytes()));
        client
    }

    /// Acts on bytes of the client, and on what the server has to tell it, INFO apart. `false`: the connection is at its end.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> bool {
        let session = &mut self.0;
        let signals = session.client.signals.swap(0, AcqRel);
        let handled = at_once(session.on_signals(signals));
        if handled.is_break() || session.client.is_closing() {
            return false;
        }
        session.buffer.extend_from_slice(bytes);
        at_once(session.process()).is_continue() && !session.client.is_closing()
    }

    /// Whether its task would wait for the disk before it reads more.
    #[cfg(test)]
    pub(crate) fn waits_for_disk(&mut self) -> bool {
        self.0.flush.get().disk_backlog.take().is_some()
    }

    #[cfg(test)]
    pub(crate) fn client(&self) -> &Arc<super::Client> {
        &self.0.client
    }

    /// Moves at most `max` bytes for the client into `out`.
    pub(crate) fn take_output(&self, max: usize, out: &mut Vec<u8>) {
        self.0.client.outbound.take(max, out);
    }

    /// Whether the server has closed the connection.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.client.is_closing()
    }
}

/// Runs what waits for nothing: without operator mode, callouts and slow password hashes a session never does.
fn at_once(future: impl Future<Output = ControlFlow<CloseReason>>) -> ControlFlow<CloseReason> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(handled) => handled,
        Poll::Pending => ControlFlow::Break(CloseReason::AuthenticationTimeout),
    }
}
