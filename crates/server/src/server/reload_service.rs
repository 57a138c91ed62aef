//! `$SYS.REQ.SERVER.<id>.RELOAD`: a client of the system account asks to read the configuration again.

use std::sync::Arc;

use jetsled_auth::redacted;
use tokio::sync::{mpsc, oneshot};

use super::ServerState;
use crate::account::Account;
use crate::events;
use crate::routing::{
    FlushSet, Internal, OutboundMessage, Payload, Receiver, RoutedMessage, Target,
};

/// Requests that may wait.
const WAITING: usize = 16;

/// A request to read the configuration again.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Takes what became of it: the reason if it failed.
    pub done: oneshot::Sender<Result<(), String>>,
}

/// Listens in the system account.
pub(super) fn serve(server: &Arc<ServerState>) -> mpsc::Receiver<ReloadRequest> {
    let (requests, received) = mpsc::channel(WAITING);
    if let Some(system) = server.system() {
        let subject = format!("$SYS.REQ.SERVER.{}.RELOAD", server.id());
        let service = Service {
            server: Arc::downgrade(server),
            requests,
        };
        let target = Target::Internal(Internal::new(service));
        system.insert_target(subject.as_bytes(), b"", target);
    }
    received
}

struct Service {
    server: std::sync::Weak<ServerState>,
    requests: mpsc::Sender<ReloadRequest>,
}

impl Receiver for Service {
    fn receive(&self, message: &RoutedMessage<'_>, _: &mut FlushSet) {
        let (done, result) = oneshot::channel();
        let Some(server) = self.server.upgrade() else {
            return;
        };
        if self.requests.try_send(ReloadRequest { done }).is_err() {
            return;
        }
        let (account, reply) = (Arc::clone(message.account), message.reply.to_vec());
        tokio::spawn(async move {
            if let Ok(result) = result.await
                && !reply.is_empty()
            {
                respond(&server, &account, &reply, result);
            }
        });
    }
}

#[derive(serde::Serialize)]
struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

#[derive(serde::Serialize)]
struct Failure {
    code: u16,
    description: String,
}

fn respond(server: &ServerState, account: &Arc<Account>, reply: &[u8], result: Result<(), String>) {
    let response = Response {
        error: result.err().map(|description| Failure {
            code: 500,
            description: redacted(&description).into_owned(),
        }),
    };
    let json = events::described(server, &response);
    let message = OutboundMessage {
        subject: reply,
        deliver_as: reply,
        reply: b"",
        headers: b"",
        payload: Payload::Borrowed(&json),
    };
    let mut flush = FlushSet::new();
    account.deliver(&message, &mut flush);
    flush.flush();
}
