//! Delivery of a traced message: as [`Route::deliver`](super::Route::deliver), and each step is noted.
//!
//! Traces are rare, so nothing is kept for the next message.

use std::sync::Arc;

use jetsled_protocol::{MatchResult, subject};

use super::hop::{ResponseHop, ServiceHop};
use super::message_trace::{self, NotDelivered, Tracer};
use super::route::{ClientTarget, Shown, deliver_inside, subscription_takes};
use super::{FlushSet, Message, Target};
use crate::account::Account;
use crate::client::Subscription;
use crate::jetstream;

/// A possible destination.
struct Candidate {
    target: Target,
    account: Arc<Account>,
    imported: Option<Imported>,
}

/// Where a message is called differently.
#[derive(Clone)]
struct Imported {
    subject: Arc<[u8]>,
    allow_trace: bool,
}

/// Delivers a message that was published in `account`, or came there through a service import, and notes what becomes of
/// it. Returns to how many destinations it went, or would have gone.
pub(crate) fn deliver_traced(
    account: &Arc<Account>,
    message: &Message<'_>,
    tracer: &mut Tracer,
    flush: &mut FlushSet,
) -> usize {
    let mut found = MatchResult::default();
    account.match_subject(message.routed, &mut found);
    let mut plain = Vec::new();
    let mut groups: Vec<(Arc<[u8]>, Vec<Candidate>)> = Vec::new();
    sort_in(&mut found, account, None, &mut plain, &mut groups);
    // What came through a service import is not exported again.
    if message.origin.through.is_none() && account.exports_streams() {
        for link in &account.wiring().importers {
            if let Some(importer) = link.other.upgrade()
                && subject::matches(message.routed, &link.import.from)
            {
                let mut local = Vec::new();
                link.import.localize(message.routed, &mut local);
                let imported = Imported {
                    subject: local.into(),
                    allow_trace: link.import.allow_trace,
                };
                importer.match_subject(&imported.subject, &mut found);
                sort_in(
                    &mut found,
                    &importer,
                    Some(&imported),
                    &mut plain,
                    &mut groups,
                );
            }
        }
    }
    let mut delivered = 0;
    for candidate in plain {
        delivered += usize::from(candidate.deliver(message, tracer, flush));
    }
    for (_, mut members) in groups {
        let first = usize::try_from(flush.random()).unwrap_or(0) % members.len();
        members.rotate_left(first);
        let taken = members
            .into_iter()
            .any(|member| member.deliver(message, tracer, flush));
        delivered += usize::from(taken);
    }
    delivered
}

fn sort_in(
    found: &mut MatchResult<Target>,
    account: &Arc<Account>,
    imported: Option<&Imported>,
    plain: &mut Vec<Candidate>,
    groups: &mut Vec<(Arc<[u8]>, Vec<Candidate>)>,
) {
    let candidate = |target: Target| {
        let crosses = match &target {
            Target::Client(_) | Target::Follower(_) => true,
            Target::JetStream(target) => !matches!(target, jetstream::Target::Api),
            Target::Internal(_) | Target::Service(_) | Target::System(_) | Target::Responses => {
                false
            }
        };
        (imported.is_none() || crosses).then(|| Candidate {
            target,
            account: Arc::clone(account),
            imported: imported.cloned(),
        })
    };
    plain.extend(found.plain.drain(..).filter_map(candidate));
    for group in found.queues.drain(..) {
        let members = group.members.into_iter().filter_map(candidate);
        match groups.iter_mut().find(|(name, _)| *name == group.name) {
            Some((_, known)) => known.extend(members),
            None => {
                let members: Vec<_> = members.collect();
                if !members.is_empty() {
                    groups.push((group.name, members));
                }
            }
        }
    }
}

impl Candidate {
    /// Whether it took the message, or would have.
    fn deliver(self, message: &Message<'_>, tracer: &mut Tracer, flush: &mut FlushSet) -> bool {
        let message = &match &self.imported {
            None => *message,
            Some(imported) => Message {
                subject: message.shown_as(&imported.subject),
                ..*message
            },
        };
        let subject = match &self.imported {
            None => message.routed,
            Some(imported) => &imported.subject,
        };
        match self.target {
            Target::Client(subscription) => {
                if let Some(imported) = &self.imported {
                    tracer.stream_export(&self.account, &imported.subject);
                    if !imported.allow_trace {
                        return tracer.only || send(&subscription, subject, message, flush).is_ok();
                    }
                }
                let sent = if tracer.only {
                    may_send(&subscription, subject, message)
                } else {
                    send(&subscription, subject, message, flush)
                };
                tracer.egress(&subscription, sent.err());
                sent.is_ok()
            }
            Target::Service(link) => ServiceHop::new(link)
                .is_some_and(|mut hop| hop.deliver(message, &self.account, Some(tracer), flush)),
            Target::Responses if tracer.only => false,
            Target::Responses => {
                // A trace ends with the response.
                let mut headers = message.headers.to_vec();
                message_trace::disable(&mut headers);
                let message = Message {
                    headers: &headers,
                    size_text: &[],
                    header_size_text: &[],
                    ..*message
                };
                ResponseHop::default().deliver(&message, &self.account, flush)
            }
            target @ (Target::JetStream(_)
            | Target::Follower(_)
            | Target::Internal(_)
            | Target::System(_)) => {
                let mut stored = Vec::new();
                if let Target::JetStream(jetstream::Target::Stream(stream)) = &target {
                    if let Some(jetstream) = self.account.jetstream()
                        && let Some(name) = jetstream.stream_name(*stream)
                    {
                        tracer.jetstream(&name, subject);
                    }
                    // What a stream sends later is not traced.
                    stored.extend_from_slice(message.headers);
                    message_trace::disable_in_place(&mut stored);
                }
                if !tracer.only {
                    let mut message = Message {
                        subject,
                        ..*message
                    };
                    if !stored.is_empty() {
                        message.headers = &stored;
                        (message.size_text, message.header_size_text) = (&[], &[]);
                    }
                    deliver_inside(&target, &message.routed(&self.account), flush);
                }
                true
            }
        }
    }
}

/// Delivers to a client, if nothing is against it.
fn send(
    subscription: &Arc<Subscription>,
    subject: &[u8],
    message: &Message<'_>,
    flush: &mut FlushSet,
) -> Result<(), NotDelivered> {
    may_send(subscription, subject, message)?;
    let mut target = ClientTarget::new(Arc::clone(subscription), Shown::Many);
    if !target.deliver(message, flush) {
        return Err(NotDelivered::AutoUnsubscribed);
    }
    target.count_one();
    Ok(())
}

fn may_send(
    subscription: &Arc<Subscription>,
    subject: &[u8],
    message: &Message<'_>,
) -> Result<(), NotDelivered> {
    let client = &subscription.client;
    let is_own = message
        .origin
        .client
        .is_some_and(|publisher| Arc::ptr_eq(publisher, client));
    if is_own && !client.echoes() {
        return Err(NotDelivered::NoEcho);
    }
    if !subscription_takes(subscription, subject) {
        return Err(NotDelivered::SubscriptionDenied);
    }
    if client.is_closing() {
        return Err(NotDelivered::ClientClosed);
    }
    Ok(())
}
