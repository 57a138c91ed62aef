//! The one place that says who may publish and subscribe to what.
//!
//! Every transport asks here; [`Message`](super::Message), which the delivery functions ask for, cannot be made without
//! an [`Admitted`].

use jetsled_auth::{PermissionSet, SubscribeVerdict};
use jetsled_protocol::GoQuoted;

/// Proof that a publish was admitted. Only this file makes one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted(());

/// Proof that publishing to a subject was admitted; worth caching beside the subject's route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdmittedSubject(());

/// Proof that a subscription was admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdmittedSubscription {
    /// Each delivered subject must ask the permissions too, since a denied one lies within.
    pub(crate) filtered: bool,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Principal<'a> {
    /// `None` is unrestricted.
    pub(crate) permissions: Option<&'a PermissionSet>,
    /// Whether its account is the system account.
    pub(crate) is_system: bool,
}

/// A refusal. `Display` is the text that the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied<'a> {
    #[error("Permissions Violation for Publish to {}", GoQuoted(.0))]
    Publish(&'a [u8]),
    #[error("Permissions Violation for Publish with Reply of {}", GoQuoted(.0))]
    Reply(&'a [u8]),
    #[error("Permissions Violation for Subscription to {}", GoQuoted(.0))]
    Subscribe(&'a [u8]),
    #[error("Permissions Violation for Subscription to {} using queue {}", GoQuoted(.subject), GoQuoted(.queue))]
    SubscribeQueue { subject: &'a [u8], queue: &'a [u8] },
}

impl<'a> Denied<'a> {
    /// The text for the log.
    pub(crate) fn log_text(self) -> DeniedLogText<'a> {
        DeniedLogText(self)
    }
}

/// How the log shows a refusal (observed nats-server 2.15.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeniedLogText<'a>(Denied<'a>);

impl std::fmt::Display for DeniedLogText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Denied::Publish(subject) => {
                write!(f, "Publish Violation - Subject {}", GoQuoted(subject))
            }
            Denied::Reply(reply) => write!(f, "Publish Violation - Reply {}", GoQuoted(reply)),
            Denied::Subscribe(subject) => {
                write!(f, "Subscription Violation - Subject {}", GoQuoted(subject))
            }
            Denied::SubscribeQueue { subject, queue } => write!(
                f,
                "Subscription Violation - Subject {}, Queue: {}",
                GoQuoted(subject),
                GoQuoted(queue)
            ),
        }
    }
}

/// May `principal` publish to `subject`? A response that `allow_responses` lets through is asked for with
/// `may_respond`, only when nothing else allows the subject.
pub(crate) fn publish<'a>(
    principal: Principal<'_>,
    subject: &'a [u8],
    may_respond: impl FnOnce() -> bool,
) -> Result<AdmittedSubject, Denied<'a>> {
    let reserved =
        is_below(subject, GATEWAY_REPLY) || (!principal.is_system && subject.starts_with(RAFT));
    let allowed = || {
        principal
            .permissions
            .is_none_or(|permissions| permissions.may_publish(subject) || may_respond())
    };
    if reserved || !allowed() {
        return Err(Denied::Publish(subject));
    }
    Ok(AdmittedSubject(()))
}

/// Whether the verdict of [`publish`] on unreserved subjects is the same for all of them.
pub(crate) fn publishes_anything(principal: Principal<'_>) -> bool {
    principal
        .permissions
        .is_none_or(PermissionSet::publishes_anything)
}

impl AdmittedSubject {
    /// May the publish carry this reply subject? Empty: none.
    #[inline]
    pub(crate) fn with_reply(self, reply: &[u8]) -> Result<Admitted, Denied<'_>> {
        let reserved = match reply.first() {
            Some(b'_') => is_below(reply, SERVICE_REPLY) || is_below(reply, GATEWAY_REPLY),
            Some(b'$') => is_below(reply, JETSTREAM_ACK),
            _ => false,
        };
        if reserved {
            Err(Denied::Reply(reply))
        } else {
            Ok(Admitted(()))
        }
    }
}

impl Admitted {
    /// For messages that the server itself makes: acks, deliveries, API replies, events.
    pub(crate) fn server() -> Self {
        Self(())
    }
}

/// May `principal` subscribe to `subject`, as a member of `queue` unless that is empty?
pub(crate) fn subscribe<'a>(
    principal: Principal<'_>,
    subject: &'a [u8],
    queue: &'a [u8],
) -> Result<AdmittedSubscription, Denied<'a>> {
    let verdict = principal
        .permissions
        .map_or(SubscribeVerdict::Allowed, |permissions| {
            permissions.may_subscribe(subject, (!queue.is_empty()).then_some(queue))
        });
    match verdict {
        _ if queue == RESERVED_QUEUE => Err(Denied::SubscribeQueue { subject, queue }),
        SubscribeVerdict::Allowed => Ok(AdmittedSubscription { filtered: false }),
        SubscribeVerdict::AllowedFiltered => Ok(AdmittedSubscription { filtered: true }),
        SubscribeVerdict::Denied if queue.is_empty() => Err(Denied::Subscribe(subject)),
        SubscribeVerdict::Denied => Err(Denied::SubscribeQueue { subject, queue }),
    }
}

fn is_below(subject: &[u8], prefix: &[u8]) -> bool {
    subject.len() > prefix.len() && subject.starts_with(prefix)
}

const GATEWAY_REPLY: &[u8] = b"_GR_.";
const SERVICE_REPLY: &[u8] = b"_R_.";
const JETSTREAM_ACK: &[u8] = b"$JS.ACK.";
const RAFT: &[u8] = b"$NRG.";
const RESERVED_QUEUE: &[u8] = b"_sys_";
