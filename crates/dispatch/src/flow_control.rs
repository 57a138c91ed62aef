//! Flow control of push consumers: how many bytes may be under way before the client answers.

use bytes::Bytes;

/// The window of bytes under way, and the request that waits for an answer (observed nats-server 2.15.1).
#[derive(Debug)]
pub(crate) struct FlowControl {
    /// Bytes that may be under way; doubles with each answer up to [`MAX_WINDOW`].
    window: u64,
    outstanding: u64,
    request: Option<Request>,
}

#[derive(Debug)]
struct Request {
    subject: Bytes,
    /// What was under way when it was sent: the answer confirms that.
    covers: u64,
}

impl FlowControl {
    pub(crate) fn new() -> Self {
        Self {
            window: MAX_WINDOW / 16,
            outstanding: 0,
            request: None,
        }
    }

    /// Whether delivery has to stop until an answer comes.
    #[inline]
    pub(crate) fn is_stalled(&self) -> bool {
        self.outstanding > self.window
    }

    /// Counts a delivery. Returns whether the client should be asked now.
    #[inline]
    pub(crate) fn delivered(&mut self, size: u64) -> bool {
        self.outstanding += size;
        match &mut self.request {
            None => self.outstanding > self.window / 2,
            Some(request) => {
                if self.outstanding - request.covers >= self.window {
                    request.covers += size;
                }
                false
            }
        }
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.request.is_some()
    }

    /// The subject whose answer is awaited.
    pub(crate) fn asked(&self) -> Option<&Bytes> {
        self.request.as_ref().map(|request| &request.subject)
    }

    pub(crate) fn ask(&mut self, subject: Bytes) {
        self.request = Some(Request {
            subject,
            covers: self.outstanding,
        });
    }

    /// Takes an answer. Returns whether it is one to the request that is open.
    pub(crate) fn answer(&mut self, subject: &[u8]) -> bool {
        match self.request.take() {
            Some(request) if request.subject == subject => {
                self.window = (self.window * 2).min(MAX_WINDOW);
                self.outstanding = self.outstanding.saturating_sub(request.covers);
                true
            }
            other => {
                self.request = other;
                false
            }
        }
    }
}

const MAX_WINDOW: u64 = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_starts_at_two_mebibytes_and_doubles_with_each_answer() {
        let mut flow = FlowControl::new();
        let mut window = 2 * 1024 * 1024;
        for round in 0..6 {
            assert!(
                !flow.delivered(window / 2),
                "round {round}: half a window is not asked for"
            );
            assert!(flow.delivered(1), "round {round}");
            flow.ask(Bytes::from_static(b"$JS.FC.S.C.1"));
            assert!(
                !flow.delivered(window / 2),
                "round {round}: one request at a time"
            );
            assert!(flow.is_stalled(), "round {round}");
            assert!(
                !flow.answer(b"$JS.FC.S.C.0"),
                "round {round}: an old answer"
            );
            assert!(flow.is_stalled(), "round {round}");
            assert!(flow.answer(b"$JS.FC.S.C.1"), "round {round}");
            assert!(!flow.is_stalled(), "round {round}");
            let left = flow.outstanding;
            assert_eq!(
                left,
                window / 2,
                "round {round}: what came after the request"
            );
            flow.outstanding = 0;
            window = (window * 2).min(MAX_WINDOW);
            assert_eq!(flow.window, window, "round {round}");
        }
    }
}
