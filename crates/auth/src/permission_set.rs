use std::collections::HashSet;

use jetsled_protocol::subject;

use crate::{Permissions, ResponsePermission, SubjectPermission};

/// [`Permissions`] in the form that is checked. Verdicts depend on the subject alone, so a connection may cache them
/// for as long as it keeps the same set.
#[derive(Debug)]
pub struct PermissionSet {
    publish: SubjectRules,
    subscribe: SubjectRules,
    responses: Option<ResponsePermission>,
    source: Permissions,
}

/// What a subscription request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscribeVerdict {
    /// Nothing that can be delivered is denied.
    Allowed,
    /// A deny entry overlaps the subscription without covering it: each delivery asks
    /// [`PermissionSet::may_deliver`].
    AllowedFiltered,
    /// Refused.
    Denied,
}

impl PermissionSet {
    /// Checks and indexes the patterns.
    ///
    /// A set with `responses` and nothing that allows a publish denies every publish but responses, whether or not it denies
    /// some (nats-server's rule).
    ///
    /// # Errors
    /// A pattern that is no valid subject, or a queue name where none may stand.
    pub fn compile(permissions: &Permissions) -> Result<Self, PermissionError> {
        let mut publish = SubjectRules::default();
        if let Some(lists) = &permissions.publish {
            publish = SubjectRules::compile(lists, Direction::Publish)?;
        }
        if permissions.responses.is_some() {
            publish.allow.get_or_insert_default();
        }
        let subscribe = match &permissions.subscribe {
            Some(lists) => SubjectRules::compile(lists, Direction::Subscribe)?,
            None => SubjectRules::default(),
        };
        Ok(Self {
            publish,
            subscribe,
            responses: permissions.responses,
            source: permissions.clone(),
        })
    }

    /// Whether `subject`, taken literally, may be published to. Responses are the business of
    /// [`crate::ResponseTracker`], which is asked when this says no.
    pub fn may_publish(&self, subject: &[u8]) -> bool {
        self.publish
            .allow
            .as_ref()
            .is_none_or(|allow| allow.matches(subject))
            && !self.publish.deny.matches(subject)
    }

    /// Whether a subscription to `subject` (with its wildcards), in `queue` if any, is admitted.
    pub fn may_subscribe(&self, subject: &[u8], queue: Option<&[u8]>) -> SubscribeVerdict {
        let rules = &self.subscribe;
        if rules
            .allow
            .as_ref()
            .is_some_and(|allow| !allow.admits(subject, queue))
            || rules.deny.covers(subject, queue)
        {
            SubscribeVerdict::Denied
        } else if rules.deny.overlaps(subject, queue) {
            SubscribeVerdict::AllowedFiltered
        } else {
            SubscribeVerdict::Allowed
        }
    }

    /// Whether a message on `subject` may be delivered to an admitted subscription in `queue`: no deny entry matches.
    pub fn may_deliver(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        !self.subscribe.deny.matches_in_queue(subject, queue)
    }

    /// Whether every subject may be published to, so that no check is needed at all.
    pub fn publishes_anything(&self) -> bool {
        self.publish.allow.is_none() && self.publish.deny.is_empty()
    }

    /// Whether every subscription is admitted without a filter.
    pub fn subscribes_to_anything(&self) -> bool {
        self.subscribe.allow.is_none() && self.subscribe.deny.is_empty()
    }

    /// The leave to answer requests, if given.
    pub fn responses(&self) -> Option<ResponsePermission> {
        self.responses
    }

    /// The permissions as configured.
    pub fn source(&self) -> &Permissions {
        &self.source
    }
}

/// A permission that cannot be enforced as written.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum PermissionError {
    /// Observed nats-server 2.15.1's words.
    #[error("{list}: subject {subject:?} is not a valid subject")]
    InvalidSubject {
        /// `publish allow`, `subscribe deny`, ...
        list: &'static str,
        /// The configured entry.
        subject: String,
    },
    /// A queue name with white space or an empty token.
    #[error("{list}: queue {queue:?} is not a valid queue")]
    InvalidQueue {
        /// `subscribe allow` or `subscribe deny`.
        list: &'static str,
        /// The configured queue name.
        queue: String,
    },
}

impl PermissionError {
    /// The message without the list's name, for an error that names the place instead.
    pub fn reason(&self) -> String {
        match self {
            Self::InvalidSubject { subject, .. } => {
                format!("subject {subject:?} is not a valid subject")
            }
            Self::InvalidQueue { queue, .. } => format!("queue {queue:?} is not a valid queue"),
        }
    }
}

#[derive(Debug, Default)]
struct SubjectRules {
    /// `None` allows everything.
    allow: Option<SubjectList>,
    deny: SubjectList,
}

#[derive(Clone, Copy)]
enum Direction {
    Publish,
    Subscribe,
}

impl SubjectRules {
    fn compile(lists: &SubjectPermission, direction: Direction) -> Result<Self, PermissionError> {
        let (allow_name, deny_name) = match direction {
            Direction::Publish => ("publish allow", "publish deny"),
            Direction::Subscribe => ("subscribe allow", "subscribe deny"),
        };
        let allow = SubjectList::compile(&lists.allow, allow_name, direction)?;
        let deny = SubjectList::compile(&lists.deny, deny_name, direction)?;
        Ok(Self {
            allow: (!lists.allow.is_empty()).then_some(allow),
            deny,
        })
    }
}

/// Literal subjects are found by hash; patterns and queue entries, few in practice, one by one.
#[derive(Debug, Default)]
struct SubjectList {
    literals: HashSet<Box<[u8]>>,
    patterns: Vec<Box<[u8]>>,
    queue_entries: Vec<QueueEntry>,
}

#[derive(Debug)]
struct QueueEntry {
    subject: Box<[u8]>,
    queue: Box<[u8]>,
}

impl SubjectList {
    fn compile(
        entries: &[String],
        list: &'static str,
        direction: Direction,
    ) -> Result<Self, PermissionError> {
        let mut compiled = Self::default();
        for entry in entries {
            let (subject, queue) = split_queue(entry, direction);
            if !subject::is_valid(subject.as_bytes()) {
                return Err(PermissionError::InvalidSubject {
                    list,
                    subject: subject.to_owned(),
                });
            }
            if let Some(queue) = queue.filter(|queue| !subject::is_valid(queue.as_bytes())) {
                return Err(PermissionError::InvalidQueue {
                    list,
                    queue: queue.to_owned(),
                });
            }
            let subject: Box<[u8]> = subject.as_bytes().into();
            match queue {
                Some(queue) => compiled.queue_entries.push(QueueEntry {
                    subject,
                    queue: queue.as_bytes().into(),
                }),
                None if subject::has_wildcard(&subject) => compiled.patterns.push(subject),
                None => {
                    compiled.literals.insert(subject);
                }
            }
        }
        Ok(compiled)
    }

    fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.patterns.is_empty() && self.queue_entries.is_empty()
    }

    fn matches(&self, literal: &[u8]) -> bool {
        self.literals.contains(literal)
            || self
                .patterns
                .iter()
                .any(|pattern| subject::matches(literal, pattern))
    }

    fn matches_in_queue(&self, literal: &[u8], queue: Option<&[u8]>) -> bool {
        self.matches(literal)
            || self.any_queue_entry(queue, |pattern| subject::matches(literal, pattern))
    }

    /// Whether an entry covers the subscription. `subject` entries are for every queue, `subject queue` entries for
    /// those that match.
    fn covers(&self, wanted: &[u8], queue: Option<&[u8]>) -> bool {
        self.covers_plainly(wanted)
            || self.any_queue_entry(queue, |pattern| subject::is_subset(wanted, pattern))
    }

    /// Like [`SubjectList::covers`], but once queue entries cover a subject, one of them must match the queue: a plain
    /// entry beside them does not open other queues (observed nats-server 2.15.1).
    fn admits(&self, wanted: &[u8], queue: Option<&[u8]>) -> bool {
        let names_queues = queue.is_some()
            && self
                .queue_entries
                .iter()
                .any(|entry| subject::is_subset(wanted, &entry.subject));
        if names_queues {
            self.any_queue_entry(queue, |pattern| subject::is_subset(wanted, pattern))
        } else {
            self.covers_plainly(wanted)
        }
    }

    fn covers_plainly(&self, wanted: &[u8]) -> bool {
        let covers = |pattern: &[u8]| subject::is_subset(wanted, pattern);
        self.literals.contains(wanted) || self.patterns.iter().any(|pattern| covers(pattern))
    }

    fn overlaps(&self, wanted: &[u8], queue: Option<&[u8]>) -> bool {
        (subject::has_wildcard(wanted)
            && self
                .literals
                .iter()
                .any(|literal| subject::collides(literal, wanted)))
            || self
                .patterns
                .iter()
                .any(|pattern| subject::collides(pattern, wanted))
            || self.any_queue_entry(queue, |pattern| subject::collides(pattern, wanted))
    }

    fn any_queue_entry(&self, queue: Option<&[u8]>, subject_fits: impl Fn(&[u8]) -> bool) -> bool {
        queue.is_some_and(|queue| {
            self.queue_entries.iter().any(|entry| {
                subject::is_subset(queue, &entry.queue) && subject_fits(&entry.subject)
            })
        })
    }
}

/// Takes a subscribe entry `subject queue` apart. Anything else is one subject, valid or not.
fn split_queue(entry: &str, direction: Direction) -> (&str, Option<&str>) {
    let mut parts = entry.split_ascii_whitespace();
    match (direction, parts.next(), parts.next(), parts.next()) {
        (Direction::Subscribe, Some(subject), Some(queue), None) => (subject, Some(queue)),
        _ => (entry, None),
    }
}

#[cfg(test)]
mod tests;
