//! Destinations in accounts that import a stream of the account in which a message was published.

use std::sync::Arc;

use jetsled_protocol::{MatchResult, TailIndependence, subject};

use super::route::{ClientTarget, Shown, deliver_inside, subscription_takes};
use super::{FlushSet, Message, Target};
use crate::account::Account;
use crate::jetstream;

/// A destination in an importing account.
#[derive(Debug)]
pub(super) struct Imported {
    account: Arc<Account>,
    /// The message's subject there.
    subject: Arc<[u8]>,
    pub(super) to: ImportedTo,
}

#[derive(Debug)]
pub(super) enum ImportedTo {
    Client(ClientTarget),
    Inside(Target),
}

impl Imported {
    /// Whether it took the message.
    pub(super) fn deliver(&mut self, message: &Message<'_>, flush: &mut FlushSet) -> bool {
        match &mut self.to {
            ImportedTo::Client(target) => {
                let message = Message {
                    subject: message.shown_as(&self.subject),
                    ..*message
                };
                target.deliver(&message, flush)
            }
            ImportedTo::Inside(target) => {
                let message = Message {
                    subject: match target {
                        // A copy keeps the subject that the message has at its origin.
                        Target::Follower(_) => message.shown_as(&self.subject),
                        _ => &self.subject,
                    },
                    ..*message
                };
                deliver_inside(target, &message.routed(&self.account), flush);
                true
            }
        }
    }
}

/// What a subject finds in importing accounts.
#[derive(Debug, Default)]
pub(super) struct ImportedMatch {
    pub(super) plain: Vec<Imported>,
    /// With the names of their queue groups.
    pub(super) queues: Vec<(Arc<[u8]>, Imported)>,
}

impl ImportedMatch {
    /// Looks for `published` in the accounts that import streams of `account`. Forgets `independence` if other subjects
    /// of the same shape may find something else there.
    pub(super) fn find(
        account: &Account,
        published: &[u8],
        independence: &mut Option<TailIndependence>,
    ) -> Self {
        let mut result = Self::default();
        if !account.exports_streams() {
            return result;
        }
        let mut found = MatchResult::default();
        for link in &account.wiring().importers {
            if !subject::matches(published, &link.import.from) {
                let covered = independence.map(|tail| pattern(published, tail));
                if covered.is_some_and(|covered| subject::collides(&covered, &link.import.from)) {
                    *independence = None;
                }
                continue;
            }
            *independence = None;
            let Some(importer) = link.other.upgrade() else {
                continue;
            };
            let mut local = Vec::new();
            link.import.localize(published, &mut local);
            let local: Arc<[u8]> = local.into();
            importer.match_subject(&local, &mut found);
            let destination = |target| {
                let to = match target {
                    Target::Client(subscription) if subscription_takes(&subscription, &local) => {
                        ImportedTo::Client(ClientTarget::new(subscription, Shown::Many))
                    }
                    Target::JetStream(jetstream::Target::Api)
                    | Target::Client(_)
                    | Target::Internal(_)
                    | Target::Service(_)
                    | Target::System(_)
                    | Target::Responses => return None,
                    target @ (Target::JetStream(_) | Target::Follower(_)) => {
                        ImportedTo::Inside(target)
                    }
                };
                Some(Imported {
                    account: Arc::clone(&importer),
                    subject: Arc::clone(&local),
                    to,
                })
            };
            result
                .plain
                .extend(found.plain.drain(..).filter_map(&destination));
            for group in found.queues.drain(..) {
                let members = group.members.into_iter().filter_map(&destination);
                result
                    .queues
                    .extend(members.map(|member| (Arc::clone(&group.name), member)));
            }
        }
        result
    }
}

/// All subjects that share what decided a match.
fn pattern(published: &[u8], tail: TailIndependence) -> Vec<u8> {
    let mut pattern = published
        .get(..tail.prefix_len)
        .unwrap_or_default()
        .to_vec();
    for at in tail.tokens..subject::token_count(published) {
        if at > tail.tokens {
            pattern.push(b'.');
        }
        pattern.push(b'*');
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_all_with_the_same_head_and_length() {
        let check = |published: &[u8], tokens, prefix_len, expected: &[u8]| {
            let tail = TailIndependence { tokens, prefix_len };
            assert_eq!(pattern(published, tail), expected);
        };
        check(b"a.b.c", 1, 2, b"a.*.*");
        check(b"a.b.c", 2, 4, b"a.b.*");
        check(b"a.b.c", 0, 0, b"*.*.*");
    }
}
