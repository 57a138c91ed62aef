//! A socket that was full: its own task goes on, and gives it a deadline.

use std::ops::ControlFlow;

use tokio::time::Instant;

use super::CloseReason;
use super::outbound::Resumed;
use super::session::Session;

impl Session {
    pub(super) fn on_writable(&mut self) -> ControlFlow<CloseReason> {
        match self.client.outbound.resume() {
            Resumed::Drained | Resumed::Busy => {
                self.blocked_until = None;
                self.timers.set_write_deadline(None);
            }
            Resumed::Blocked => {
                let (_, written) = self.client.outbound.progress();
                if self.blocked_until.is_some_and(|until| written >= until) {
                    self.watch_writes();
                }
            }
            Resumed::Failed => return ControlFlow::Break(CloseReason::WriteError),
        }
        ControlFlow::Continue(())
    }

    /// Gives the socket until the write deadline to take all that waits now.
    pub(super) fn watch_writes(&mut self) {
        let (accepted, _) = self.client.outbound.progress();
        self.blocked_until = Some(accepted);
        let deadline = Instant::now() + self.server.options().write_deadline;
        self.timers.set_write_deadline(Some(deadline));
    }
}
