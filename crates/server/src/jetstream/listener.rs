//! The subjects on which a stream listens.

use jetsled_jetstream_api::StreamConfig;

use super::domain;
use super::target::{StreamTarget, Target};
use crate::account::Account;
use crate::routing;

/// A stream's entry in its account's sublist.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listener {
    subject: String,
    /// Empty: it gets every message.
    queue: &'static [u8],
    target: routing::Target,
}

/// Of a stream and its mirrors one answers a direct get. Clients can not join this group.
const DIRECT_GET_GROUP: &[u8] = b"_sys_";

impl Listener {
    pub(super) fn join(&self, account: &Account) {
        account.insert_target(self.subject.as_bytes(), self.queue, self.target.clone());
    }

    pub(super) fn leave(&self, account: &Account) {
        account.remove_target(self.subject.as_bytes(), self.queue, &self.target);
    }
}

/// The entries of a stream: its subjects, and direct gets for itself.
pub(super) fn listeners(
    config: &StreamConfig,
    target: StreamTarget,
    domain: Option<&str>,
) -> Vec<Listener> {
    let captured = config.subjects.iter().map(|subject| Listener {
        subject: subject.clone(),
        queue: b"",
        target: routing::Target::JetStream(Target::Stream(target)),
    });
    let mut listeners: Vec<_> = captured.collect();
    if config.allow_direct {
        listeners.extend(direct_listeners(&config.name, target, domain));
    }
    listeners
}

/// The entries by which a stream answers direct gets for `stream`: itself, or the origin that it mirrors.
pub(super) fn direct_listeners(
    stream: &str,
    target: StreamTarget,
    domain: Option<&str>,
) -> Vec<Listener> {
    let subjects = [
        format!("$JS.API.DIRECT.GET.{stream}"),
        format!("$JS.API.DIRECT.GET.{stream}.>"),
    ];
    let forms = subjects
        .into_iter()
        .flat_map(|subject| domain::forms(subject, domain).collect::<Vec<_>>());
    forms
        .map(|subject| Listener {
            subject,
            queue: DIRECT_GET_GROUP,
            target: routing::Target::JetStream(Target::DirectGet(target)),
        })
        .collect()
}
