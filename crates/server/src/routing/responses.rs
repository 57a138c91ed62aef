//! The ways back from a service to those who asked it in other accounts.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use hashbrown::HashMap;
use jetsled_auth::{ResponseType, ServiceExport};
use jetsled_protocol::subject;
use parking_lot::Mutex;
use rand::RngExt;
use smallvec::SmallVec;

use super::latency::{self, Measured, Outcome};
use super::{FlushSet, Target};
use crate::account::Account;

/// Requests of one account to one other that may be unanswered at a time; more go to nobody.
const MAX_OPEN: usize = 256 * 1024;

/// Reply subjects that stand for those of requestors in other accounts, each with the way back.
///
/// They are `_R_.<6>.<6>` (observed nats-server 2.15.1), the first part once for an account.
#[derive(Debug, Default)]
pub(crate) struct Responses {
    /// `_R_.<6>.`, once there was a request.
    prefix: OnceLock<Box<[u8]>>,
    /// A leaf lock.
    table: Mutex<Table>,
    /// How many there are, to be asked without the lock.
    open: AtomicUsize,
    /// How many were closed so far.
    closed: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    by_subject: HashMap<Box<[u8]>, Open>,
    /// By requesting account (its address), then by its reply subject.
    by_requestor: HashMap<usize, Requestor>,
}

#[derive(Debug, Default)]
struct Requestor {
    open: usize,
    by_reply: HashMap<Arc<[u8]>, Subjects>,
}

/// The subjects that stand for one reply subject.
type Subjects = SmallVec<[Box<[u8]>; 1]>;

/// An open way back.
#[derive(Debug)]
struct Open {
    way: Way,
    last_used: Instant,
    measured: Option<Box<Measured>>,
}

/// Where responses go.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) requestor: Arc<Account>,
    pub(crate) reply: Arc<[u8]>,
    pub(crate) export: Arc<ServiceExport>,
    /// The service is told who asks.
    pub(crate) share: bool,
}

/// A response on its way.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) way: Way,
    /// What is to be measured with it.
    pub(crate) measured: Option<Box<Measured>>,
}

impl Responses {
    /// Opens a way back through `owner`, whose table this is, and puts its subject into `subject`. False if the requestor
    /// has too many open.
    pub(super) fn open(
        &self,
        owner: &Arc<Account>,
        way: Way,
        measured: Option<Box<Measured>>,
        subject: &mut Vec<u8>,
    ) -> bool {
        let prefix = self.prefix.get_or_init(|| new_prefix(owner));
        let mut table = self.table.lock();
        let requestor = table
            .by_requestor
            .entry(Arc::as_ptr(&way.requestor).addr())
            .or_default();
        if requestor.open >= MAX_OPEN {
            return false;
        }
        requestor.open += 1;
        loop {
            subject.clear();
            subject.extend_from_slice(prefix);
            push_random(subject);
            if measured.is_some() {
                subject.extend_from_slice(b".");
                push_random(subject);
                subject.extend_from_slice(b".T");
            }
            if !table.by_subject.contains_key(&**subject) {
                break;
            }
        }
        let key: Box<[u8]> = subject.as_slice().into();
        if let Some(requestor) = table
            .by_requestor
            .get_mut(&Arc::as_ptr(&way.requestor).addr())
        {
            requestor
                .by_reply
                .entry(Arc::clone(&way.reply))
                .or_default()
                .push(key.clone());
        }
        let open = Open {
            way,
            last_used: Instant::now(),
            measured,
        };
        table.by_subject.insert(key, open);
        drop(table);
        if self.open.fetch_add(1, Ordering::AcqRel) == 0 {
            owner.wiring().awaited.notify_one();
        }
        true
    }

    /// A response that was published to `subject`. It is the last one of a singleton, or if it `is_empty`.
    pub(super) fn take(&self, subject: &[u8], is_empty: bool) -> Option<Response> {
        let mut table = self.table.lock();
        let open = table.by_subject.get_mut(subject)?;
        if is_empty || open.way.export.response_type == ResponseType::Singleton {
            let open = self.remove(&mut table, subject)?;
            return Some(Response {
                way: open.way,
                measured: open.measured,
            });
        }
        open.last_used = Instant::now();
        Some(Response {
            way: open.way.clone(),
            measured: None,
        })
    }

    /// Whether a message to `subject` goes on to another account, if it goes anywhere.
    pub(crate) fn includes(&self, subject: &[u8]) -> bool {
        let prefix = self.prefix.get();
        prefix.is_some_and(|prefix| subject.starts_with(prefix))
    }

    /// How many were closed so far: while it stays, whoever waits for a response still does.
    pub(crate) fn closed(&self) -> u64 {
        self.closed.load(Ordering::Acquire)
    }

    /// The way back that `subject` stands for.
    pub(crate) fn way(&self, subject: &[u8]) -> Option<Way> {
        if !self.includes(subject) {
            return None;
        }
        let table = self.table.lock();
        table.by_subject.get(subject).map(|open| open.way.clone())
    }

    /// Subjects with their ways back, and whether they are measured; `max` at most, whichever.
    pub(crate) fn some(&self, max: usize) -> Vec<(Box<[u8]>, Way, bool)> {
        let table = self.table.lock();
        let open = table.by_subject.iter().take(max);
        open.map(|(subject, open)| (subject.clone(), open.way.clone(), open.measured.is_some()))
            .collect()
    }

    /// Closes a way back on which nothing was to be delivered.
    pub(super) fn forget(&self, subject: &[u8]) {
        self.remove(&mut self.table.lock(), subject);
    }

    /// Closes a way back on which nothing could be delivered.
    pub(super) fn close(&self, owner: &Arc<Account>, subject: &[u8], flush: &mut FlushSet) {
        let closed = self.remove(&mut self.table.lock(), subject);
        report(owner, closed, Outcome::NoDelivery, flush);
    }

    /// Closes the ways back to replies of `requestor` that match the subject of a subscription that has ended, unless
    /// they are still wanted.
    pub(crate) fn interest_lost(
        &self,
        owner: &Arc<Account>,
        requestor: &Account,
        unsubscribed: &[u8],
        is_wanted: impl Fn(&[u8]) -> bool,
    ) {
        if !self.is_awaiting() {
            return;
        }
        let requestor = std::ptr::from_ref(requestor).addr();
        let replies: Vec<Arc<[u8]>> = {
            let table = self.table.lock();
            let Some(requestor) = table.by_requestor.get(&requestor) else {
                return;
            };
            if subject::has_wildcard(unsubscribed) {
                let all = requestor.by_reply.keys();
                all.filter(|reply| subject::matches(reply, unsubscribed))
                    .cloned()
                    .collect()
            } else {
                let one = requestor.by_reply.get_key_value(unsubscribed);
                one.map(|(reply, _)| Arc::clone(reply))
                    .into_iter()
                    .collect()
            }
        };
        for reply in replies.iter().filter(|reply| !is_wanted(reply)) {
            let mut table = self.table.lock();
            let subjects = table
                .by_requestor
                .get(&requestor)
                .and_then(|requestor| requestor.by_reply.get(reply))
                .cloned()
                .unwrap_or_default();
            let closed: SmallVec<[Option<Open>; 1]> = subjects
                .iter()
                .map(|subject| self.remove(&mut table, subject))
                .collect();
            drop(table);
            let mut flush = FlushSet::new();
            for (closed, subject) in closed.into_iter().zip(&subjects) {
                report(owner, closed, Outcome::InterestLost, &mut flush);
                // The service may be one that the owner imports.
                owner.forget_requests(subject);
            }
            flush.flush();
        }
    }

    /// Closes what was not used for its service's response threshold.
    pub(crate) fn expire(&self, owner: &Arc<Account>, now: Instant) {
        if !self.is_awaiting() {
            return;
        }
        let mut table = self.table.lock();
        let expired: Vec<Box<[u8]>> = table
            .by_subject
            .iter()
            .filter(|(_, open)| {
                let unused = now.saturating_duration_since(open.last_used);
                unused >= open.way.export.response_threshold
            })
            .map(|(subject, _)| subject.clone())
            .collect();
        let closed: Vec<_> = expired
            .iter()
            .map(|subject| self.remove(&mut table, subject))
            .collect();
        drop(table);
        let mut flush = FlushSet::new();
        for closed in closed {
            report(owner, closed, Outcome::Timeout, &mut flush);
        }
        flush.flush();
    }

    /// Whether any response may come.
    pub(crate) fn is_awaiting(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }

    fn remove(&self, table: &mut Table, subject: &[u8]) -> Option<Open> {
        let open = table.by_subject.remove(subject)?;
        let address = Arc::as_ptr(&open.way.requestor).addr();
        if let Some(requestor) = table.by_requestor.get_mut(&address) {
            requestor.open -= 1;
            if let Some(subjects) = requestor.by_reply.get_mut(&open.way.reply) {
                subjects.retain(|other| **other != *subject);
                if subjects.is_empty() {
                    requestor.by_reply.remove(&open.way.reply);
                }
            }
            if requestor.open == 0 {
                table.by_requestor.remove(&address);
            }
        }
        self.open.fetch_sub(1, Ordering::AcqRel);
        self.closed.fetch_add(1, Ordering::AcqRel);
        Some(open)
    }
}

/// Publishes what became of a measured request.
fn report(owner: &Arc<Account>, closed: Option<Open>, outcome: Outcome, flush: &mut FlushSet) {
    if let Some(Open {
        way,
        measured: Some(measured),
        ..
    }) = closed
    {
        latency::unanswered(owner, &way.export, &measured, outcome, flush);
    }
}

fn new_prefix(owner: &Arc<Account>) -> Box<[u8]> {
    let mut prefix = b"_R_.".to_vec();
    push_random(&mut prefix);
    prefix.push(b'.');
    let mut listened = prefix.clone();
    listened.push(b'>');
    owner.insert_target(&listened, b"", Target::Responses);
    prefix.into()
}

/// Six random letters and digits.
fn push_random(out: &mut Vec<u8>) {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut random: u64 = rand::rng().random();
    for _ in 0..6 {
        out.push(DIGITS[(random % 62) as usize]);
        random /= 62;
    }
}
