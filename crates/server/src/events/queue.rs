//! The way to the task that sends events and answers requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::service::Service;
use crate::account::Account;
use crate::client::Client;
use crate::routing::RoutedMessage;

/// Events and requests that may wait; more are dropped.
const CAPACITY: usize = 16 * 1024;

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Publish to this subject of the account, most often the system account.
    Event {
        account: Arc<Account>,
        subject: String,
        body: EventBody,
    },
    Request(Box<Request>),
    /// A message trace for its account, without the server's description.
    Trace {
        account: Arc<Account>,
        destination: Vec<u8>,
        rest: Vec<u8>,
    },
}

/// What an event says; the server's own description is added when it is sent.
#[derive(Debug)]
pub(crate) enum EventBody {
    /// JSON without the opening brace of what follows `type`, `id`, `timestamp` and `server`.
    Typed {
        r#type: &'static str,
        id: String,
        timestamp: jiff::Timestamp,
        rest: Vec<u8>,
    },
    /// Only the server's description.
    Server,
}

/// A request to one of the server's services.
#[derive(Debug)]
pub(crate) struct Request {
    pub(super) service: Service,
    /// Where it was asked, and is answered.
    pub(super) account: Arc<Account>,
    pub(super) client: Option<Arc<Client>>,
    pub(super) subject: Box<[u8]>,
    pub(super) reply: Box<[u8]>,
    pub(super) headers: Box<[u8]>,
    pub(super) payload: Box<[u8]>,
}

/// The queue's entrance.
#[derive(Debug)]
pub(crate) struct EventQueue {
    sender: mpsc::Sender<Job>,
    /// Until the task takes it.
    receiver: Mutex<Option<mpsc::Receiver<Job>>>,
    is_full: AtomicBool,
}

impl EventQueue {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
            is_full: AtomicBool::new(false),
        }
    }

    pub(super) fn push(&self, job: Job) {
        let was_full = match self.sender.try_send(job) {
            Ok(()) => return self.is_full.store(false, Ordering::Relaxed),
            Err(mpsc::error::TrySendError::Full(_)) => self.is_full.swap(true, Ordering::Relaxed),
            // The server stops.
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        };
        if !was_full {
            tracing::warn!("System events are dropped: {CAPACITY} are waiting");
        }
    }

    /// The queue's exit, once.
    pub(super) fn take(&self) -> Option<mpsc::Receiver<Job>> {
        self.receiver.lock().take()
    }
}

/// An entry of an account's sublist: requests that match go to the queue.
#[derive(Debug)]
pub(crate) struct ServiceEntry {
    pub(super) service: Service,
    pub(super) queue: Arc<EventQueue>,
}

impl ServiceEntry {
    pub(crate) fn push(&self, message: &RoutedMessage<'_>) {
        if message.reply.is_empty() && !self.service.acts() {
            return;
        }
        self.queue.push(Job::Request(Box::new(Request {
            service: self.service,
            account: Arc::clone(message.account),
            client: message.client.cloned(),
            subject: message.subject.into(),
            reply: message.reply.into(),
            headers: message.headers.into(),
            payload: (*message.payload).into(),
        })));
    }
}
