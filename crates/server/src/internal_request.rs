//! A request of the server itself to whoever listens in an account.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::account::Account;
use crate::nuid;
use crate::routing::{
    FlushSet, Internal, OutboundMessage, Payload, Receiver, RoutedMessage, Target,
};

/// Publishes and waits for the first answer, at most so long. `None` if none came.
pub(crate) async fn request(
    account: &Arc<Account>,
    subject: &[u8],
    headers: &[u8],
    payload: &[u8],
    within: Duration,
) -> Option<Vec<u8>> {
    let (sender, answer) = oneshot::channel();
    let inbox = Inbox {
        account: Arc::clone(account),
        subject: format!("$SYS._INBOX.{}", nuid::next()),
        target: Target::Internal(Internal::new(FirstAnswer(Mutex::new(Some(sender))))),
    };
    account.insert_target(inbox.subject.as_bytes(), b"", inbox.target.clone());
    {
        let mut flush = FlushSet::new();
        let message = OutboundMessage {
            subject,
            deliver_as: subject,
            reply: inbox.subject.as_bytes(),
            headers,
            payload: Payload::Borrowed(payload),
        };
        account.deliver(&message, &mut flush);
        flush.flush();
    }
    tokio::time::timeout(within, answer).await.ok()?.ok()
}

/// Stops listening when the request is over, however it ends.
struct Inbox {
    account: Arc<Account>,
    subject: String,
    target: Target,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.account
            .remove_target(self.subject.as_bytes(), b"", &self.target);
    }
}

struct FirstAnswer(Mutex<Option<oneshot::Sender<Vec<u8>>>>);

impl Receiver for FirstAnswer {
    fn receive(&self, message: &RoutedMessage<'_>, _: &mut FlushSet) {
        if let Some(sender) = self.0.lock().take() {
            // Whoever asked may have stopped waiting.
            sender.send(message.payload.to_vec()).ok();
        }
    }
}
